//! How searches end that find no knee within their range, or are ended.

use super::queue::judged;
use super::{SETTINGS, searched};
use crate::capacity::{End, Finding, Probe, Search, Settings, Step, Verdict};
use crate::seed::Seed;

const SEEDS: std::ops::Range<u64> = 0..50;

fn seeded(seed: u64) -> Settings {
    Settings { seed: Seed(seed), ..SETTINGS }
}

/// A probe of a service that does not care, by a generator that ends at `limit`.
fn limited(number: u32, factor: f64, limit: f64) -> Probe {
    let verdict = if factor < limit { Verdict::Met } else { Verdict::GeneratorLimited };
    Probe { verdict, ..judged(number, factor, 0.01) }
}

#[test]
fn a_generator_that_ends_first_is_never_taken_for_the_knee() {
    for seed in SEEDS {
        let limit = 0.5 + seed as f64 / 20.0;
        let answer = searched(seeded(seed), |number, factor| limited(number, factor, limit));
        let Finding::AtLeast { factor, end: End::Generator { factor: ends } } = answer.finding else {
            panic!("{seed}: {:?}", answer.finding)
        };
        assert!(factor <= limit && factor > limit * 0.9, "{seed}: at least {factor} of {limit}");
        assert!(ends >= limit && ends < limit * 1.1, "{seed}: ends at {ends} of {limit}");
        assert_eq!(answer.generator_limit, Some(ends));
    }
}

#[test]
fn a_knee_below_the_end_of_the_generator_is_found_all_the_same() {
    for seed in SEEDS {
        let answer = searched(seeded(seed), |number, factor| {
            let verdict = if factor < 1.5 { Verdict::Missed } else { Verdict::GeneratorLimited };
            let probe = judged(number, factor, if factor < 1.0 { 0.5 } else { 2.0 });
            if factor < 1.0 { probe } else { Probe { verdict, ..probe } }
        });
        let Finding::Knee { low, high, .. } = answer.finding else { panic!("{seed}: {:?}", answer.finding) };
        assert!(low <= 1.0 && high >= 1.0, "{seed}: {low} to {high}");
    }
}

#[test]
fn a_disturbed_probe_below_others_is_no_end_of_the_generator() {
    let mut search = Search::new(SETTINGS);
    for (number, factor, verdict) in
        [(1, 1.0, Verdict::GeneratorLimited), (2, 2.0, Verdict::Met), (3, 3.0, Verdict::Unjudged)]
    {
        search.note(Probe { verdict, ..judged(number, factor, 0.5) });
    }
    assert_eq!(search.answer_so_far().generator_limit, None);
}

#[test]
fn a_knee_outside_of_the_range_is_said_to_be() {
    for seed in SEEDS {
        let above = searched(seeded(seed), |number, factor| judged(number, factor, 0.1));
        let Finding::AtLeast { factor, end: End::Highest { factor: highest } } = above.finding else {
            panic!("{seed}: {:?}", above.finding)
        };
        assert_eq!(highest.to_bits(), SETTINGS.highest.to_bits());
        assert!((highest * 0.9..=highest).contains(&factor), "{seed}: {factor}");
        let below = searched(seeded(seed), |number, factor| judged(number, factor, 3.0));
        let Finding::AtMost { factor } = below.finding else { panic!("{seed}: {:?}", below.finding) };
        assert!((SETTINGS.lowest..SETTINGS.lowest * 1.1).contains(&factor), "{seed}: {factor}");
        assert!(
            above.probes.len().max(below.probes.len()) < 40,
            "{} {}",
            above.probes.len(),
            below.probes.len()
        );
    }
}

#[test]
fn a_search_that_is_stopped_says_what_it_knows() {
    let mut search = Search::new(SETTINGS);
    assert_eq!(search.answer_so_far().finding, Finding::Unknown);
    for number in 1..=5 {
        let Step::Probe { factor } = search.next_step() else { panic!("too early") };
        assert_eq!(search.next_step(), Step::Probe { factor }, "the same until it is noted");
        search.note(judged(number, factor, factor / 1.3));
        let answer = search.answer_so_far();
        assert_eq!(answer.probes.len(), number as usize);
        let fit = answer.fit.unwrap();
        assert!(fit.low < fit.factor && fit.factor < fit.high, "{fit:?}");
    }
    let Finding::Open { low, high, .. } = search.answer_so_far().finding else { panic!("{search:?}") };
    assert!(low < 1.3 && high > 1.3 && high < low * 1.5, "{low} to {high}");
}

#[test]
fn probes_that_say_nothing_are_as_many_as_is_allowed_and_no_more() {
    let settings = Settings { most_probes: 7, ..SETTINGS };
    let answer = searched(settings, |number, factor| Probe {
        verdict: Verdict::Unjudged,
        ..judged(number, factor, 0.5)
    });
    assert_eq!((answer.finding, answer.probes.len(), answer.fit), (Finding::Unknown, 7, None));
}

#[test]
fn factors_are_fixed_by_the_seed_and_in_no_order_of_size() {
    let factors = |seed| {
        let answer = searched(seeded(seed), |number, factor| judged(number, factor, factor / 1.3));
        answer.probes.iter().map(|probe| probe.factor).collect::<Vec<_>>()
    };
    assert_eq!(factors(3), factors(3));
    assert_ne!(factors(3), factors(4));
    for seed in SEEDS {
        let factors = factors(seed);
        let rising = factors.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((factors.len() / 4..=factors.len() * 3 / 4).contains(&rising), "{seed}: {factors:?}");
    }
}
