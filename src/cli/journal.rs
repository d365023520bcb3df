//! Writes `events.csv` as the run goes on: phases as they begin and end, and what ended the run.

use std::io;
use std::sync::Arc;

use crate::clock::Tick;
use crate::record::{Layout, PhaseRole};
use crate::results::EventTable;

/// The events of a run. Phases are written once the run has passed them, so that a killed run holds none of the future.
#[derive(Debug)]
pub(super) struct Journal {
    layout: Arc<Layout>,
    events: EventTable,
    /// Phases whose beginning has been written, and whose end has.
    begun: usize,
    ended: usize,
}

impl Journal {
    pub(super) fn new(layout: Arc<Layout>, events: EventTable) -> Self {
        Self { layout, events, begun: 0, ended: 0 }
    }

    /// Writes what happened up to `now`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn advance(&mut self, now: Tick) -> io::Result<()> {
        while let Some(phase) = self.layout.phases.get(self.ended) {
            if self.begun == self.ended && phase.start <= now {
                self.begun += 1;
                self.events.append(phase.start, "phase_start", &phase.name, role(phase.role))?;
            } else if self.begun > self.ended && phase.end <= now {
                self.ended += 1;
                self.events.append(phase.end, "phase_end", &phase.name, "")?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Writes one more event.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn note(&mut self, at: Tick, event: &str, detail: &str) -> io::Result<()> {
        self.advance(at)?;
        self.events.append(at, event, "", detail)
    }
}

const fn role(role: PhaseRole) -> &'static str {
    match role {
        PhaseRole::Connect => "connect",
        PhaseRole::WarmUp => "warm-up",
        PhaseRole::Measured => "measured",
    }
}
