//! One toxic at work on one direction of one connection.

use std::cell::Cell;
use std::rc::Rc;

use super::bucket::Bucket;
use super::corruption::Corruption;
use super::fading::Fading;
use super::lag::Lag;
use super::variate::between;
use crate::clock::Tick;
use crate::fault::{Ending, ToxicKind};
use crate::seed::Stream;

/// Which toxic of which activation of which fault: by it a rule is recognised when others come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) struct Key {
    pub(in crate::net) fault: u16,
    pub(in crate::net) occurrence: u32,
    pub(in crate::net) toxic: usize,
}

/// A toxic that is to act.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Spec<'a> {
    pub(in crate::net) key: Key,
    pub(in crate::net) kind: &'a ToxicKind,
    pub(in crate::net) tally: &'a Rc<Cell<u64>>,
    /// Name of the fault.
    pub(in crate::net) name: &'a str,
}

/// A toxic that acts.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) key: Key,
    pub(super) state: ToxicState,
    tally: Rc<Cell<u64>>,
}

impl Rule {
    /// `None` if the toxic does nothing to bytes on their way. `stream` gives its random stream.
    pub(super) fn new(spec: &Spec<'_>, now: Tick, stream: impl FnOnce() -> Stream) -> Option<Self> {
        let state = ToxicState::new(spec.kind, now, stream)?;
        let rule = Self { key: spec.key, state, tally: Rc::clone(spec.tally) };
        // Otherwise counted when the last byte passes.
        rule.acted(u64::from(matches!(rule.state, ToxicState::Limit { left: 0, .. })));
        Some(rule)
    }

    /// Counts that it acted.
    pub(super) fn acted(&self, times: u64) {
        self.tally.set(self.tally.get().saturating_add(times));
    }
}

/// What a rule does. Those with a random stream are large, and few.
#[derive(Debug)]
pub(super) enum ToxicState {
    Lag(Box<Lag>),
    Fading(Box<Fading>),
    Corruption(Box<Corruption>),
    Reset {
        chance: f64,
        stream: Box<Stream>,
    },
    /// Bytes are lost.
    Hole,
    /// Bytes are held.
    Hold,
    Bucket(Bucket),
    Slicer(Box<Slicer>),
    Limit {
        left: u64,
        ending: Ending,
    },
    /// Nanoseconds.
    SlowClose(u64),
}

impl ToxicState {
    fn new(kind: &ToxicKind, now: Tick, stream: impl FnOnce() -> Stream) -> Option<Self> {
        Some(match kind {
            ToxicKind::Latency(delay) => Self::Lag(Box::new(Lag::new(delay.clone(), stream()))),
            ToxicKind::Loss(loss) => Self::Fading(Box::new(Fading::new(*loss, stream()))),
            ToxicKind::Corrupt { chance } => Self::Corruption(Box::new(Corruption::new(*chance, stream()))),
            ToxicKind::Reset { chance, .. } if *chance > 0.0 => {
                Self::Reset { chance: *chance, stream: Box::new(stream()) }
            }
            ToxicKind::Blackhole | ToxicKind::Hang => Self::Hole,
            ToxicKind::Partition => Self::Hold,
            ToxicKind::Bandwidth { rate, burst } => Self::Bucket(Bucket::new(*rate, burst.0, now)),
            ToxicKind::Slicer { mean, spread, gap } => Self::Slicer(Box::new(Slicer {
                least: mean.saturating_sub(*spread).max(1),
                most: mean.saturating_add(*spread).max(1),
                gap_ns: gap.as_ns(),
                stream: stream(),
            })),
            ToxicKind::Limit { size, ending } => Self::Limit { left: size.0, ending: *ending },
            ToxicKind::SlowClose { delay } => Self::SlowClose(delay.as_ns()),
            ToxicKind::Reset { .. }
            | ToxicKind::HalfClose { .. }
            | ToxicKind::Refuse
            | ToxicKind::SlowConnect(_) => return None,
        })
    }
}

/// Cuts messages into pieces.
#[derive(Debug)]
pub(super) struct Slicer {
    least: u32,
    most: u32,
    pub(super) gap_ns: u64,
    stream: Stream,
}

impl Slicer {
    /// Size of the next piece, at least 1 byte.
    pub(super) fn draw(&mut self) -> usize {
        between(self.least, self.most, &mut self.stream) as usize
    }
}
