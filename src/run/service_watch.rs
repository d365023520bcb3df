//! Reads at the end of every phase what the bundled service has counted in it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::record::{Layout, PhaseInfo, ServiceCounts};
use crate::reference::Meter;
use crate::results::{ServiceFacts, ServicePhase};

/// A thread that sleeps from one end of a phase to the next.
#[derive(Debug)]
pub(super) struct ServiceWatch {
    thread: JoinHandle<ServiceFacts>,
    /// Dropped when the run has ended.
    running: SyncSender<()>,
}

impl ServiceWatch {
    /// Watches the service whose counters `meter` reads, from now on, on the clock of the run.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(meter: Meter, layout: Arc<Layout>, clock: Monotonic) -> io::Result<Self> {
        let (running, ended) = sync_channel(0);
        let watch = move || {
            let (queue_capacity, workers) = meter.capacity();
            let until = |phase: Option<&PhaseInfo>| outlasts(&ended, clock, &layout, phase);
            let phases = by_phase(|| meter.read(), &layout, until);
            ServiceFacts { queue_capacity, workers, phases }
        };
        let thread = thread::Builder::new().name("squall-counts".into()).spawn(watch)?;
        Ok(Self { thread, running })
    }

    /// What the service counted, once the run has ended; `None` if the thread died.
    pub(super) fn finish(self) -> Option<ServiceFacts> {
        drop(self.running);
        self.thread.join().ok()
    }
}

/// So often it is looked whether the phase ends earlier than it was to: sooner than its new end can come.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for the end of `phase`, or for that of the run where it is `None`; whether the run outlasts it.
fn outlasts(ended: &Receiver<()>, clock: Monotonic, layout: &Layout, phase: Option<&PhaseInfo>) -> bool {
    let Some(phase) = phase else {
        // Nothing is ever sent: it only tells that the other end is gone.
        let _ = ended.recv();
        return false;
    };
    loop {
        let left = Duration::from_nanos(layout.ends(phase).since(clock.now()));
        if left.is_zero() {
            return true;
        }
        if !matches!(ended.recv_timeout(left.min(LOOK)), Err(RecvTimeoutError::Timeout)) {
            return false;
        }
    }
}

/// What was counted in every phase that the run came to; what is still under way after the last belongs to it.
fn by_phase(
    mut read: impl FnMut() -> ServiceCounts,
    layout: &Layout,
    outlasts: impl Fn(Option<&PhaseInfo>) -> bool,
) -> Vec<ServicePhase> {
    let (mut before, mut phases) = (read(), Vec::with_capacity(layout.phases.len()));
    for (nth, phase) in layout.phases.iter().enumerate() {
        let is_last = nth + 1 == layout.phases.len();
        let goes_on = outlasts(Some(phase).filter(|_| !is_last));
        let now = read();
        phases.push(ServicePhase { phase: phase.name.clone(), counts: now.since(before) });
        before = now;
        if !goes_on {
            break;
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::clock::{Course, Tick};
    use crate::record::PhaseRole;

    fn layout() -> Layout {
        let phase = |name: &str, role, from: u64, to: u64| PhaseInfo {
            name: name.into(),
            role,
            start: Tick(from),
            end: Tick(to),
        };
        Layout {
            phases: vec![
                phase("connect", PhaseRole::Connect, 0, 10),
                phase("calm", PhaseRole::Measured, 10, 30),
                phase("storm", PhaseRole::Measured, 30, 40),
            ],
            fleets: Vec::new(),
            interval_ns: 10,
            faults: Vec::new(),
            course: Course::default(),
        }
    }

    #[test]
    fn every_phase_has_what_was_counted_in_it_and_the_last_the_drain_as_well() {
        // A service that receives a reading a tick; when the run ends, and what each phase then has.
        let table: [(u64, &[(&str, u64)]); 3] = [
            (55, &[("connect", 10), ("calm", 20), ("storm", 25)]),
            (17, &[("connect", 10), ("calm", 7)]),
            (3, &[("connect", 3)]),
        ];
        for (end, expected) in table {
            let now = Cell::new(0);
            let read =
                || ServiceCounts { received: now.get(), queue_peak: now.get(), ..ServiceCounts::default() };
            let outlasts = |phase: Option<&PhaseInfo>| {
                now.set(phase.map_or(end, |phase| phase.end.0.min(end)));
                phase.is_some_and(|phase| phase.end.0 < end)
            };
            let phases = by_phase(read, &layout(), outlasts);
            let told: Vec<_> = phases.iter().map(|one| (one.phase.as_str(), one.counts.received)).collect();
            assert_eq!(told, expected, "{end}");
            assert_eq!(phases[0].counts.queue_peak, end.min(10));
        }
    }
}
