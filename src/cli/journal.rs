//! Writes `events.csv` as the run goes on: phases as they begin and end, what the plan does to fleets, and what ended the
//! run.

use std::io;
use std::sync::Arc;

use crate::clock::Tick;
use crate::record::{Layout, PhaseRole};
use crate::results::EventTable;
use crate::scenario::Event;

/// The events of a run. Phases are written once the run has passed them, so that a killed run holds none of the future.
#[derive(Debug)]
pub(super) struct Journal {
    layout: Arc<Layout>,
    events: EventTable,
    /// What the plan does to whole fleets, in the order of time, and how much of it has been written.
    planned: Vec<Event>,
    happened: usize,
    /// Phases whose beginning has been written, and whose end has.
    begun: usize,
    ended: usize,
}

impl Journal {
    pub(super) fn new(layout: Arc<Layout>, planned: Vec<Event>, events: EventTable) -> Self {
        Self { layout, events, planned, happened: 0, begun: 0, ended: 0 }
    }

    /// Writes what happened up to `now`, in the order of time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn advance(&mut self, now: Tick) -> io::Result<()> {
        loop {
            let (phase, event) = (self.next_edge(), self.planned.get(self.happened).map(|event| event.at));
            match (phase.filter(|at| *at <= now), event.filter(|at| *at <= now)) {
                (Some(phase), Some(event)) if phase <= event => self.write_edge()?,
                (_, Some(_)) => self.write_event()?,
                (Some(_), None) => self.write_edge()?,
                (None, None) => return Ok(()),
            }
        }
    }

    /// When the next phase begins or the present one ends.
    fn next_edge(&self) -> Option<Tick> {
        let phase = self.layout.phases.get(self.ended)?;
        Some(if self.begun == self.ended { phase.start } else { phase.end })
    }

    fn write_edge(&mut self) -> io::Result<()> {
        let Some(phase) = self.layout.phases.get(self.ended) else { return Ok(()) };
        if self.begun == self.ended {
            self.begun += 1;
            self.events.append(phase.start, "phase_start", &phase.name, role(phase.role))
        } else {
            self.ended += 1;
            self.events.append(phase.end, "phase_end", &phase.name, "")
        }
    }

    fn write_event(&mut self) -> io::Result<()> {
        let Some(event) = self.planned.get(self.happened) else { return Ok(()) };
        self.happened += 1;
        let detail = format!("{} devices until {:.3} s", event.devices, event.until.as_secs_f64());
        self.events.append(event.at, &format!("fleet_{}", event.what), &event.fleet, &detail)
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
