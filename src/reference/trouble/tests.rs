//! What faults come to together, and how they end.

use proptest::prelude::*;

use super::*;
use crate::seed::Seed;
use crate::units::Span;

fn order(name: &str, trouble: Trouble) -> Order {
    let kind = match trouble {
        Trouble::Slow { .. } => FaultKind::Slow,
        Trouble::Errors { .. } => FaultKind::Errors,
        Trouble::Overload { .. } => FaultKind::Overload,
        Trouble::QueueShrink { .. } => FaultKind::QueueShrink,
        Trouble::VerdictDrop { .. } => FaultKind::VerdictDrop,
        Trouble::VerdictDelay { .. } => FaultKind::VerdictDelay,
        Trouble::VerdictDuplicate { .. } => FaultKind::VerdictDuplicate,
        Trouble::CacheFlush => FaultKind::CacheFlush,
        _ => FaultKind::Stall,
    };
    Order { name: name.into(), kind, trouble, seed: Seed(7), lasts: None }
}

fn begin(troubles: &Troubles, name: &str, trouble: Trouble) {
    troubles.begin(order(name, trouble), Tick(0), 0).unwrap();
}

fn acted(troubles: &Troubles, name: &str) -> u64 {
    troubles.end(name).unwrap().acted()
}

#[test]
fn overlaps_compose_by_law_and_end_in_any_order() {
    let troubles = Troubles::default();
    let delay = |ms| Trouble::VerdictDelay { delay: Span::from_ms(ms) };
    for (name, trouble) in [
        ("a", Trouble::Slow { factor: 2.0 }),
        ("b", Trouble::Slow { factor: 5.0 }),
        ("c", delay(30)),
        ("d", delay(12)),
        ("e", Trouble::QueueShrink { capacity: 9 }),
        ("f", Trouble::QueueShrink { capacity: 4 }),
        ("g", Trouble::Stall),
        ("h", Trouble::Stall),
    ] {
        begin(&troubles, name, trouble);
    }
    let now = |troubles: &Troubles| {
        let stalls = troubles.is_on(FaultKind::Stall);
        (troubles.slowdown(), troubles.fate(true).1 / 1_000_000, troubles.capacity(), stalls)
    };
    assert_eq!(now(&troubles), (10.0, 42, Some(4), true));
    for name in ["a", "c", "f", "g"] {
        troubles.end(name).unwrap();
    }
    assert_eq!(now(&troubles), (5.0, 12, Some(9), true));
    for name in ["b", "d", "e", "h"] {
        troubles.end(name).unwrap();
    }
    assert_eq!(now(&troubles), (1.0, 0, None, false));
    begin(&troubles, "x", Trouble::Slow { factor: 1e6 });
    begin(&troubles, "y", Trouble::Slow { factor: 1e6 });
    assert_eq!(troubles.slowdown().to_bits(), 1e6_f64.to_bits(), "bounded together as each alone");
}

#[test]
fn chances_compose_and_each_act_is_counted_once() {
    let troubles = Troubles::default();
    let (chance, least) = (0.3, Trouble::Errors { chance: 0.0 });
    begin(&troubles, "none", least);
    begin(&troubles, "one", Trouble::Errors { chance });
    begin(&troubles, "other", Trouble::Errors { chance });
    let struck = (0..20_000).filter(|_| troubles.strikes(FaultKind::Errors)).count() as u64;
    // 1 − 0.7² = 0.51; the standard deviation of the share is 0.0035.
    assert!((struck as f64 / 20_000.0 - 0.51).abs() < 0.018, "{struck}");
    let (none, one, other) = (acted(&troubles, "none"), acted(&troubles, "one"), acted(&troubles, "other"));
    assert_eq!((none, one + other), (0, struck));
    assert!((one as f64 / 20_000.0 - 0.3).abs() < 0.018, "whoever was first is counted: {one}");
    assert_eq!(troubles.acts(FaultKind::Errors), struck);
}

#[test]
fn draws_are_those_of_the_seed_whatever_else_is_on() {
    let drawn = |name: &str, seed: u64, beside: bool| -> Vec<bool> {
        let troubles = Troubles::default();
        if beside {
            begin(&troubles, "beside", Trouble::VerdictDelay { delay: Span::from_ms(1) });
            begin(&troubles, "twice", Trouble::VerdictDuplicate { chance: 0.5 });
        }
        let order = Order { seed: Seed(seed), ..order(name, Trouble::VerdictDrop { chance: 0.5 }) };
        troubles.begin(order, Tick(0), 0).unwrap();
        (0..64).map(|_| troubles.fate(true).0 == Fate::Vanishes).collect()
    };
    assert_eq!(drawn("a", 1, false), drawn("a", 1, true));
    assert_ne!(drawn("a", 1, false), drawn("a", 2, false));
    assert_ne!(drawn("a", 1, false), drawn("b", 1, false));
}

#[test]
fn what_cannot_come_twice_is_not_drawn_for() {
    let troubles = Troubles::default();
    begin(&troubles, "a", Trouble::VerdictDuplicate { chance: 1.0 });
    assert_eq!(troubles.fate(false), (Fate::Arrives, 0));
    assert_eq!(troubles.fate(true), (Fate::ArrivesTwice, 0));
    assert_eq!(acted(&troubles, "a"), 1);
}

#[test]
fn no_more_than_64_are_on_and_a_name_stands_for_one() {
    let troubles = Troubles::default();
    for index in 0..64 {
        begin(&troubles, &format!("f-{index}"), Trouble::Stall);
    }
    assert_eq!(troubles.begin(order("new", Trouble::Stall), Tick(0), 0), Err(Full));
    begin(&troubles, "f-3", Trouble::Slow { factor: 3.0 });
    assert!(troubles.begin(order("flush", Trouble::CacheFlush), Tick(0), 1).is_ok(), "it does not stay");
    assert_eq!(troubles.signs(Tick(0)).len(), 64);
    assert_eq!(troubles.slowdown().to_bits(), 3.0_f64.to_bits());
    assert_eq!(troubles.end_all().len(), 64);
    assert!(troubles.end("f-3").is_none() && troubles.tell().as_array().unwrap().is_empty());
}

#[test]
fn what_ends_by_itself_can_still_be_asked_about_once() {
    let troubles = Troubles::default();
    let lasts = |name, ms| Order { lasts: Some(Span::from_ms(ms)), ..order(name, Trouble::Stall) };
    let ms = |ms: u64| Tick(ms * 1_000_000);
    troubles.begin(lasts("short", 10), ms(5), 0).unwrap();
    troubles.begin(lasts("long", 20), ms(5), 0).unwrap();
    begin(&troubles, "endless", Trouble::Stall);
    assert_eq!(troubles.expire(ms(14)), (false, Some(ms(15))));
    assert!(troubles.strikes(FaultKind::Stall));
    assert_eq!(troubles.expire(ms(15)), (true, Some(ms(25))));
    assert_eq!(acted(&troubles, "short"), 1);
    assert!(troubles.end("short").is_none());
    assert_eq!(troubles.expire(ms(30)), (true, None));
    assert!(troubles.is_on(FaultKind::Stall), "the endless one");
    for index in 0..2 * MOST_OVER {
        begin(&troubles, &format!("flush-{index}"), Trouble::CacheFlush);
    }
    assert!(troubles.end("long").is_none() && troubles.end("flush-0").is_none(), "memory is bounded");
    assert!(troubles.end("flush-127").is_some());
}

proptest! {
    /// Whatever begins and ends in whatever order: what is on is what was begun and not ended, and nothing of it is left.
    #[test]
    fn what_is_on_is_what_was_begun_and_not_ended(steps in proptest::collection::vec((0_u8..8, 0_u8..3), 0..100)) {
        let troubles = Troubles::default();
        let mut on = std::collections::BTreeMap::new();
        for (name, what) in steps {
            let text = format!("f-{name}");
            match what {
                0 => {
                    prop_assert_eq!(troubles.end(&text).is_some(), on.remove(&name).is_some());
                }
                factor => {
                    begin(&troubles, &text, Trouble::Slow { factor: f64::from(factor) });
                    on.insert(name, f64::from(factor));
                }
            }
            prop_assert_eq!(troubles.slowdown().to_bits(), on.values().product::<f64>().max(1.0).to_bits());
            prop_assert_eq!(troubles.is_on(FaultKind::Slow), !on.is_empty());
        }
    }
}
