//! Searches over simulated services whose capacity is known.

use super::{Answer, Probe, Search, Settings, Step};
use crate::seed::Seed;

mod comparison;
mod coverage;
mod ending;
mod queue;
mod trend;

const SETTINGS: Settings = Settings {
    lowest: 0.25,
    highest: 4.0,
    precision: 0.05,
    confidence: 0.95,
    most_probes: 120,
    seed: Seed(0),
};

/// A whole search, of probes that `probe` makes of a number and a factor.
fn searched(settings: Settings, mut probe: impl FnMut(u32, f64) -> Probe) -> Answer {
    let mut search = Search::new(settings);
    for number in 1.. {
        match search.next_step() {
            Step::Done(answer) => return *answer,
            Step::Probe { factor } => search.note(probe(number, factor)),
        }
    }
    unreachable!("a search has a most number of probes")
}
