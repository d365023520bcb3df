//! Laws of arrival: when a device's readings are due, as pure functions of a seeded stream.
//!
//! A law speaks in *operational time*, in which its rate never changes. [`Load`] maps operational time to the
//! run's time line and back, exactly: a phase with load 2 passes operational time twice as fast, a phase with
//! load 0 passes none. This is the time change of a point process (Daley & Vere-Jones, *An Introduction to the
//! Theory of Point Processes*, vol. I, §7.4): a Poisson process in operational time becomes the inhomogeneous
//! Poisson process with intensity rate × load(t), and every other law keeps its shape under a flat load.
//!
//! Every law but the recorded and the aligned one is stationary in operational time, from its first instant on
//! (see `renewal` for how), so that [`expected_count`] is exact whatever the window.

mod aligned;
mod constant;
mod load;
mod process;
mod recorded;
mod renewal;
mod shape;
#[cfg(test)]
mod tests;
mod variate;

use std::sync::Arc;

use crate::clock::Tick;
use crate::seed::Stream;
use crate::units::Rate;

pub(crate) use load::{Load, Stretch};
pub(crate) use process::ArrivalProcess;
pub(crate) use recorded::{Instants, Recording};
pub(crate) use shape::Shape;

use aligned::Aligned;
use constant::Constant;
use recorded::Recorded;
use renewal::{Gap, Renewal};

/// The due instants of one device, in non-decreasing order, without end until the load's last stretch ends.
///
/// Holds at most 432 bytes, most of them the random stream's, and draws at most one instant ahead.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    state: State,
    load: LoadCursor,
    recorded_rate: Option<LoadCursor>,
    stream: Stream,
    /// The instant given last.
    last: Tick,
    from: Tick,
    to: Tick,
}

#[derive(Debug, Clone)]
enum State {
    Constant(Constant),
    Renewal(Renewal),
    Aligned(Aligned),
    Recorded(Recorded),
    Silent,
}

/// A time change on its way forward.
#[derive(Debug, Clone)]
struct LoadCursor {
    load: Arc<Load>,
    /// Stretch in which the last instant lay.
    stretch: usize,
}

impl LoadCursor {
    fn invert(&mut self, operational: f64) -> Option<Tick> {
        self.load.invert(operational, &mut self.stretch)
    }
}

impl Arrivals {
    /// Arrivals by `process` at `rate` (of a load of 1), drawn from `stream`. A rate of 0 never arrives; rates above one
    /// per nanosecond, the resolution of the time line, count as that.
    ///
    /// `recorded_rate` is an inner time change, for rates that were recorded: its ticks are operational nanoseconds of
    /// `load`, and the law speaks in its operational time.
    pub(crate) fn new(
        process: &ArrivalProcess,
        rate: Rate,
        recorded_rate: Option<Arc<Load>>,
        load: Arc<Load>,
        mut stream: Stream,
    ) -> Self {
        let state = match (process, mean_gap_ns(rate)) {
            (ArrivalProcess::Recorded { times, device, devices }, _) => {
                State::Recorded(Recorded::new(times, *device, *devices))
            }
            (_, None) => State::Silent,
            (ArrivalProcess::Constant { jitter }, Some(gap_ns)) => {
                State::Constant(Constant::new(gap_ns, *jitter, &mut stream))
            }
            (ArrivalProcess::Aligned { spread }, Some(gap_ns)) => {
                State::Aligned(Aligned::new(gap_ns, spread.as_ns() as f64))
            }
            (process, Some(gap_ns)) => Gap::new(process, gap_ns)
                .map_or(State::Silent, |gap| State::Renewal(Renewal::new(gap, &mut stream))),
        };
        let stepping = |load| LoadCursor { load, stretch: 0 };
        Self {
            state,
            load: stepping(load),
            recorded_rate: recorded_rate.map(stepping),
            stream,
            last: Tick::ZERO,
            from: Tick::ZERO,
            to: Tick::FAR,
        }
    }

    /// The same arrivals without those before `from`, ended before `to`: a device that joins late or leaves early.
    #[must_use]
    pub(crate) fn between(self, from: Tick, to: Tick) -> Self {
        Self { from: self.from.max(from), to: self.to.min(to), ..self }
    }

    /// The next instant, whether or not it lies within the bounds.
    fn draw(&mut self) -> Option<Tick> {
        let operational = match &mut self.state {
            State::Constant(process) => process.next(&mut self.stream),
            State::Renewal(process) => process.next(&mut self.stream),
            State::Aligned(process) => process.next(&mut self.stream),
            State::Recorded(process) => process.next()?,
            State::Silent => return None,
        };
        if !operational.is_finite() {
            // A heavy tail's gap may exceed every number.
            return None;
        }
        let inner = match &mut self.recorded_rate {
            Some(recorded_rate) => recorded_rate.invert(operational)?.0 as f64,
            None => operational,
        };
        // The last bits of an inverse need not be monotone.
        self.last = self.load.invert(inner)?.max(self.last);
        Some(self.last)
    }
}

impl Iterator for Arrivals {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        loop {
            match self.draw() {
                Some(due) if due >= self.to => break,
                Some(due) if due < self.from => {}
                Some(due) => return Some(due),
                None => break,
            }
        }
        self.state = State::Silent;
        None
    }
}

/// Mean gap, nanoseconds of operational time, at least 1: a process that does not move on would never end. `None`
/// if nothing ever comes.
fn mean_gap_ns(rate: Rate) -> Option<f64> {
    let gap_ns = 1e9 / rate.as_per_second();
    gap_ns.is_finite().then_some(gap_ns.max(1.0))
}

/// The expected number of arrivals of one device in [`from`, `to`), exact for every law.
///
/// For the stationary laws it is rate × the integral of the load. For `Aligned` it follows the grid, for `Recorded`
/// it counts the device's entries.
pub(crate) fn expected_count(
    process: &ArrivalProcess,
    rate: Rate,
    recorded_rate: Option<&Load>,
    load: &Load,
    from: Tick,
    to: Tick,
) -> f64 {
    let passed = |at| {
        let operational = load.operational(at);
        // Instants of a course are whole nanoseconds: none lies between this one and the next.
        recorded_rate
            .map_or(operational, |recorded_rate| recorded_rate.operational(Tick(operational.ceil() as u64)))
    };
    let (from, to) = (passed(from), passed(to));
    if let ArrivalProcess::Recorded { times, device, devices } = process {
        let before = |at| recorded::count(times, *device, *devices, at);
        return (before(to) - before(from)).max(0.0);
    }
    let Some(gap_ns) = mean_gap_ns(rate) else { return 0.0 };
    if let ArrivalProcess::Aligned { spread } = process {
        let grid = Aligned::new(gap_ns, spread.as_ns() as f64);
        return (grid.expected(to) - grid.expected(from)).max(0.0);
    }
    ((to - from) / gap_ns).max(0.0)
}
