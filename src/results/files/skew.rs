//! How far apart the shards of a run began, as far as their own wall clocks tell.

use std::fmt;

use super::manifest::MergedShard;
use crate::record::Shard;
use crate::units::figure;

/// The distance between the first beginning and the last.
///
/// Two distances are known: by the clocks as they stood when the shards began, and as they stood when these had ended. Shards that wait
/// for the same instant begin at it by the first of them, however wrong their clocks are; a clock that was set right in the meantime
/// shows in the second. The larger counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartSkew {
    ns: u64,
    first: Shard,
    last: Shard,
    corrected: bool,
}

impl StartSkew {
    /// That of the shards of a merged run; `None` of fewer than two.
    pub(crate) fn of(shards: &[MergedShard]) -> Option<Self> {
        let by = |corrected: bool| {
            let moved =
                |shard: &MergedShard| if corrected { shard.clock_moved_ms.unwrap_or(0.0) } else { 0.0 };
            let began = || shards.iter().map(|shard| (shard.after_first_ms + moved(shard), shard.shard));
            let (first, last) = (began().min_by(order)?, began().max_by(order)?);
            let ns = ((last.0 - first.0) * 1e6).round() as u64;
            Some(Self { ns, first: first.1, last: last.1, corrected })
        };
        let (stated, corrected) = (by(false)?, by(true)?);
        (shards.len() > 1).then_some(if corrected.ns > stated.ns { corrected } else { stated })
    }

    /// Nanoseconds.
    pub(crate) const fn ns(self) -> u64 {
        self.ns
    }
}

fn order(one: &(f64, Shard), other: &(f64, Shard)) -> std::cmp::Ordering {
    one.0.total_cmp(&other.0)
}

impl fmt::Display for StartSkew {
    /// `shard 3 began 2.40 s after shard 1 by their wall clocks`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last, skew) = (self.first.number(), self.last.number(), figure::time(self.ns));
        let when = if self.corrected { ", set right in the meantime" } else { "" };
        if self.ns == 0 {
            return write!(f, "all shards began at the same instant by their wall clocks");
        }
        write!(f, "shard {last} began {skew} after shard {first} by their wall clocks{when}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Host, RunState};

    fn shard(number: u32, after_first_ms: f64, clock_moved_ms: Option<f64>) -> MergedShard {
        MergedShard {
            run_id: String::new(),
            shard: Shard::new(number, 3).unwrap(),
            host: Host::here(),
            tool_version: String::new(),
            state: RunState::Complete,
            began: String::new(),
            after_first_ms,
            clock_moved_ms,
            validity: None,
        }
    }

    #[test]
    fn the_larger_of_two_distances_counts() {
        for (shards, ns, sentence) in [
            (vec![(0.0, None)], None, ""),
            (
                vec![(0.0, None), (0.0, None)],
                Some(0),
                "all shards began at the same instant by their wall clocks",
            ),
            (
                vec![(1.5, Some(0.25)), (0.0, Some(-0.25)), (2_400.0, None)],
                Some(2_400_250_000),
                "shard 3 began 2.40 s after shard 2 by their wall clocks, set right in the meantime",
            ),
            (
                vec![(1.5, None), (0.0, None), (2_400.0, None)],
                Some(2_400_000_000),
                "shard 3 began 2.40 s after shard 2 by their wall clocks",
            ),
            // It waited for the instant by a clock that was a minute slow.
            (
                vec![(0.0, Some(0.0)), (0.2, Some(60_000.0)), (0.1, Some(0.0))],
                Some(60_000_200_000),
                "shard 2 began 60.0 s after shard 1 by their wall clocks, set right in the meantime",
            ),
            // All of them were put forward together: no shard is any further from another.
            (
                vec![(0.0, Some(500.0)), (20.0, Some(500.0))],
                Some(20_000_000),
                "shard 2 began 20.0 ms after shard 1 by their wall clocks",
            ),
            // What a later correction makes smaller does not make the beginning any nearer to what it was by the clocks then.
            (
                vec![(0.0, None), (20.0, Some(-20.0))],
                Some(20_000_000),
                "shard 2 began 20.0 ms after shard 1 by their wall clocks",
            ),
        ] {
            let shards: Vec<_> =
                (1..).zip(shards).map(|(number, (after, moved))| shard(number, after, moved)).collect();
            let skew = StartSkew::of(&shards);
            assert_eq!(skew.map(StartSkew::ns), ns, "{shards:?}");
            assert_eq!(skew.map(|skew| skew.to_string()).unwrap_or_default(), sentence);
        }
    }
}
