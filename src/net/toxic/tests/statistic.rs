//! What judges drawn delays in tests, and the bench that draws them.

use std::cell::Cell;
use std::rc::Rc;

use super::super::{Exit, Intake, Key, Pipe, Spec};
use crate::clock::Tick;
use crate::fault::ToxicKind;
use crate::seed::Seed;

pub(super) const MS: u64 = 1_000_000;

/// A pipe under a manual clock, and the toxics that act on it.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) pipe: Pipe,
    pub(super) now: Tick,
    pub(super) tally: Rc<Cell<u64>>,
    pub(super) seed: u64,
}

impl Bench {
    pub(super) fn new(kinds: &[ToxicKind]) -> Self {
        Self::seeded(1, kinds)
    }

    pub(super) fn seeded(seed: u64, kinds: &[ToxicKind]) -> Self {
        let mut bench = Self { seed, ..Self::default() };
        bench.set(&kinds.iter().enumerate().collect::<Vec<_>>());
        bench
    }

    /// Puts these toxics in force, each with a key of its own.
    pub(super) fn set(&mut self, kinds: &[(usize, &ToxicKind)]) {
        let specs: Vec<_> = kinds
            .iter()
            .map(|(toxic, kind)| Spec {
                key: Key { fault: 0, occurrence: 0, toxic: *toxic },
                kind,
                tally: &self.tally,
                name: "test",
            })
            .collect();
        let seed = Seed(self.seed);
        self.pipe.reconcile(self.now, &specs, |spec| seed.stream("test", spec.key.toxic as u64));
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        assert_eq!(self.pipe.push(self.now, message), Intake::Taken(message.len()));
    }

    /// Takes out what is due now; gives what there is to wait for.
    pub(super) fn take(&mut self, pieces: &mut Vec<(Tick, Vec<u8>)>) -> Exit {
        loop {
            let exit = self.pipe.poll(self.now);
            if exit != Exit::Bytes {
                return exit;
            }
            let piece = self.pipe.front().to_vec();
            assert!(!piece.is_empty());
            self.pipe.consume(self.now, piece.len());
            pieces.push((self.now, piece));
        }
    }

    /// Lets time pass from one event to the next until nothing is to come by itself: the pieces, and how it ended.
    pub(super) fn run(&mut self) -> (Vec<(Tick, Vec<u8>)>, Exit) {
        let mut pieces = Vec::new();
        let exit = self.run_until(Tick::FAR, &mut pieces);
        (pieces, exit)
    }

    /// The same, no further than `until`.
    pub(super) fn run_until(&mut self, until: Tick, pieces: &mut Vec<(Tick, Vec<u8>)>) -> Exit {
        loop {
            match self.take(pieces) {
                Exit::At(at) if at <= until => {
                    assert!(at > self.now, "{at:?} is not after {:?}", self.now);
                    self.now = at;
                }
                exit => return exit,
            }
        }
    }
}

/// The value that `cdf` reaches `share` at, between 0 and `most`, by bisection.
pub(super) fn quantile(cdf: impl Fn(f64) -> f64, share: f64, most: f64) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if cdf(middle) < share { low = middle } else { high = middle }
    }
    low
}
