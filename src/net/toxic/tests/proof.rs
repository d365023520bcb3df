//! No stack of toxics that promises to keep the bytes loses, changes or reorders one, whatever is switched on and off.

use proptest::prelude::*;

use super::super::{CAPACITY, Exit, Intake};
use super::statistic::{Bench, MS};
use crate::clock::Tick;
use crate::fault::{Delay, DelayLaw, Loss};
use crate::fault::{Ending, ToxicKind};
use crate::units::{ByteSize, Span};

#[derive(Debug, Clone)]
enum Step {
    /// A message of so many bytes.
    Push(usize),
    /// Time passes.
    Pass(u64),
    /// The owner takes up to so many bytes of what is due.
    Take(usize),
    /// The owner could not take what is due.
    Stuck,
    /// A toxic is switched on or off.
    Toggle(usize),
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![0..2 * MS, 0..400 * MS, 0..20_000 * MS].prop_map(Span::from_ns)
}

fn law() -> impl Strategy<Value = DelayLaw> {
    prop_oneof![
        span().prop_map(DelayLaw::Constant),
        (span(), span()).prop_map(|(mean, jitter)| DelayLaw::Uniform { mean, jitter }),
        (span(), span()).prop_map(|(mean, jitter)| DelayLaw::Normal { mean, jitter }),
        (span(), span()).prop_map(|(mean, jitter)| DelayLaw::LogNormal { mean, jitter }),
        (span(), 1.01_f64..4.0).prop_map(|(least, shape)| DelayLaw::Pareto { least, shape }),
        prop::collection::vec(0..500 * MS, 2..6).prop_map(|mut quantiles| {
            quantiles.sort_unstable();
            DelayLaw::Table(quantiles.into_iter().map(Span::from_ns).collect())
        }),
    ]
}

fn delay() -> impl Strategy<Value = Delay> {
    (law(), 0.0_f64..0.999).prop_map(|(law, correlation)| Delay { law, correlation })
}

fn loss() -> impl Strategy<Value = Loss> {
    let chances = prop::array::uniform4(0.0_f64..=1.0);
    (chances, span(), span()).prop_map(|([worsens, recovers, lost_good, lost_bad], rtt, rto)| Loss {
        worsens,
        recovers,
        lost_good,
        lost_bad,
        rtt,
        rto,
    })
}

fn kind() -> impl Strategy<Value = ToxicKind> {
    prop_oneof![
        delay().prop_map(ToxicKind::Latency),
        loss().prop_map(ToxicKind::Loss),
        (1.0_f64..1e7, 0_u64..100_000)
            .prop_map(|(rate, burst)| ToxicKind::Bandwidth { rate, burst: ByteSize(burst) }),
        (0_u32..3_000, 0_u32..3_000, span()).prop_map(|(mean, spread, gap)| ToxicKind::Slicer {
            mean,
            spread,
            gap
        }),
        Just(ToxicKind::Partition),
        span().prop_map(|delay| ToxicKind::SlowClose { delay }),
        delay().prop_map(ToxicKind::SlowConnect),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![1_usize..60, 1_usize..5_000, 1_usize..100_000].prop_map(Step::Push),
        3 => prop_oneof![0..MS, 0..1_000 * MS, 0..60_000 * MS].prop_map(Step::Pass),
        3 => prop_oneof![1_usize..10, 1_usize..10_000, Just(usize::MAX)].prop_map(Step::Take),
        1 => Just(Step::Stuck),
        2 => (0_usize..6).prop_map(Step::Toggle),
    ]
}

/// A stream in which every place is told from its neighbours.
fn byte(place: usize) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 16) as u8
}

/// A connection's direction, what went in and what came out.
struct Passage<'a> {
    bench: Bench,
    kinds: &'a [ToxicKind],
    on: Vec<bool>,
    pushed: usize,
    taken: usize,
}

impl Passage<'_> {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push(size) => {
                let message: Vec<u8> = (self.pushed..self.pushed + size).map(byte).collect();
                match self.bench.pipe.push(self.bench.now, &message) {
                    Intake::Taken(taken) => self.pushed += taken,
                    Intake::Full => assert!(self.bench.pipe.room() == 0),
                    Intake::Reset => panic!("nobody asked for a reset"),
                }
            }
            Step::Pass(ns) => self.bench.now = self.bench.now.plus_ns(ns),
            Step::Take(most) => self.take(most),
            Step::Stuck => {
                if self.bench.pipe.poll(self.bench.now) == Exit::Bytes {
                    self.bench.pipe.stuck(self.bench.now);
                }
            }
            Step::Toggle(index) => {
                if let Some(on) = self.on.get_mut(index) {
                    *on = !*on;
                }
                self.set();
            }
        }
        assert!(self.pushed - self.taken <= CAPACITY);
    }

    fn set(&mut self) {
        let kinds: Vec<_> = self.kinds.iter().enumerate().filter(|(index, _)| self.on[*index]).collect();
        self.bench.set(&kinds);
    }

    /// Takes at most `most` bytes of what is due.
    fn take(&mut self, mut most: usize) {
        while most > 0 && self.bench.pipe.poll(self.bench.now) == Exit::Bytes {
            let front = self.bench.pipe.front();
            let size = front.len().min(most);
            assert!(size > 0);
            assert!(front[..size].iter().enumerate().all(|(i, seen)| *seen == byte(self.taken + i)));
            self.bench.pipe.consume(self.bench.now, size);
            self.taken += size;
            most -= size;
        }
    }

    /// Lets time pass until the end of the stream is out, or nothing more happens by itself.
    fn finish(&mut self) -> Exit {
        loop {
            self.take(usize::MAX);
            match self.bench.pipe.poll(self.bench.now) {
                Exit::At(at) => {
                    assert!(at > self.bench.now);
                    self.bench.now = at;
                }
                exit => return exit,
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_out_are_bytes_in(
        kinds in prop::collection::vec(kind(), 1..6),
        steps in prop::collection::vec(step(), 0..60),
        heals_first in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let bench = Bench { seed, ..Bench::default() };
        let on = vec![false; kinds.len()];
        let mut passage = Passage { bench, kinds: &kinds, on, pushed: 0, taken: 0 };
        for step in &steps {
            passage.step(step);
        }
        passage.bench.pipe.end(passage.bench.now, Ending::Fin);
        if !heals_first {
            // As far as it goes with everything still in force: to the end, but for a partition or a rate of next to nothing.
            let held = kinds.iter().zip(&passage.on).any(|(kind, on)| *on && *kind == ToxicKind::Partition);
            let slow = kinds.iter().zip(&passage.on).any(|(kind, on)| {
                *on && matches!(kind, ToxicKind::Slicer { mean, .. } if *mean < 20)
            });
            if !slow {
                let exit = passage.finish();
                prop_assert_eq!(exit, if held { Exit::Idle } else { Exit::End(Ending::Fin) });
                prop_assert!(held || passage.taken == passage.pushed);
            }
        }
        passage.on.fill(false);
        passage.set();
        prop_assert_eq!(passage.finish(), Exit::End(Ending::Fin));
        prop_assert_eq!(passage.taken, passage.pushed);
        prop_assert!(passage.bench.now < Tick::FAR);
        passage.bench.pipe.finish();
        prop_assert!(passage.bench.pipe.is_drained() && passage.bench.pipe.is_free());
    }
}
