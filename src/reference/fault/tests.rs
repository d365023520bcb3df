//! What faults come to together, and how they end.

use proptest::prelude::*;

use super::*;
use crate::seed::Seed;
use crate::units::Span;

fn order(name: &str, effect: ServiceFault) -> Order {
    let kind = match effect {
        ServiceFault::Slow { .. } => FaultKind::Slow,
        ServiceFault::Errors { .. } => FaultKind::Errors,
        ServiceFault::Overload { .. } => FaultKind::Overload,
        ServiceFault::QueueShrink { .. } => FaultKind::QueueShrink,
        ServiceFault::VerdictDrop { .. } => FaultKind::VerdictDrop,
        ServiceFault::VerdictDelay { .. } => FaultKind::VerdictDelay,
        ServiceFault::VerdictDuplicate { .. } => FaultKind::VerdictDuplicate,
        ServiceFault::CacheFlush => FaultKind::CacheFlush,
        _ => FaultKind::Stall,
    };
    Order { name: name.into(), kind, effect, seed: Seed(7), lasts: None }
}

fn begin(faults: &FaultRegistry, name: &str, effect: ServiceFault) {
    faults.begin(order(name, effect), Tick(0), 0).unwrap();
}

fn acted(faults: &FaultRegistry, name: &str) -> u64 {
    faults.end(name).unwrap().acted()
}

#[test]
fn overlaps_compose_by_law_and_end_in_any_order() {
    let faults = FaultRegistry::default();
    let delay = |ms| ServiceFault::VerdictDelay { delay: Span::from_ms(ms) };
    for (name, effect) in [
        ("a", ServiceFault::Slow { factor: 2.0 }),
        ("b", ServiceFault::Slow { factor: 5.0 }),
        ("c", delay(30)),
        ("d", delay(12)),
        ("e", ServiceFault::QueueShrink { capacity: 9 }),
        ("f", ServiceFault::QueueShrink { capacity: 4 }),
        ("g", ServiceFault::Stall),
        ("h", ServiceFault::Stall),
    ] {
        begin(&faults, name, effect);
    }
    let now = |faults: &FaultRegistry| {
        let stalls = faults.is_on(FaultKind::Stall);
        (faults.slowdown(), faults.delivery(true).1 / 1_000_000, faults.capacity(), stalls)
    };
    assert_eq!(now(&faults), (10.0, 42, Some(4), true));
    for name in ["a", "c", "f", "g"] {
        faults.end(name).unwrap();
    }
    assert_eq!(now(&faults), (5.0, 12, Some(9), true));
    for name in ["b", "d", "e", "h"] {
        faults.end(name).unwrap();
    }
    assert_eq!(now(&faults), (1.0, 0, None, false));
    begin(&faults, "x", ServiceFault::Slow { factor: 1e6 });
    begin(&faults, "y", ServiceFault::Slow { factor: 1e6 });
    assert_eq!(faults.slowdown().to_bits(), 1e6_f64.to_bits(), "bounded together as each alone");
}

#[test]
fn chances_compose_and_each_act_is_counted_once() {
    let faults = FaultRegistry::default();
    let (chance, least) = (0.3, ServiceFault::Errors { chance: 0.0 });
    begin(&faults, "none", least);
    begin(&faults, "one", ServiceFault::Errors { chance });
    begin(&faults, "other", ServiceFault::Errors { chance });
    let struck = (0..20_000).filter(|_| faults.strikes(FaultKind::Errors)).count() as u64;
    // 1 − 0.7² = 0.51; the standard deviation of the share is 0.0035.
    assert!((struck as f64 / 20_000.0 - 0.51).abs() < 0.018, "{struck}");
    let (none, one, other) = (acted(&faults, "none"), acted(&faults, "one"), acted(&faults, "other"));
    assert_eq!((none, one + other), (0, struck));
    assert!((one as f64 / 20_000.0 - 0.3).abs() < 0.018, "whoever was first is counted: {one}");
    assert_eq!(faults.acts(FaultKind::Errors), struck);
}

#[test]
fn draws_are_those_of_the_seed_whatever_else_is_on() {
    let drawn = |name: &str, seed: u64, beside: bool| -> Vec<bool> {
        let faults = FaultRegistry::default();
        if beside {
            begin(&faults, "beside", ServiceFault::VerdictDelay { delay: Span::from_ms(1) });
            begin(&faults, "twice", ServiceFault::VerdictDuplicate { chance: 0.5 });
        }
        let order = Order { seed: Seed(seed), ..order(name, ServiceFault::VerdictDrop { chance: 0.5 }) };
        faults.begin(order, Tick(0), 0).unwrap();
        (0..64).map(|_| faults.delivery(true).0 == Delivery::Never).collect()
    };
    assert_eq!(drawn("a", 1, false), drawn("a", 1, true));
    assert_ne!(drawn("a", 1, false), drawn("a", 2, false));
    assert_ne!(drawn("a", 1, false), drawn("b", 1, false));
}

#[test]
fn what_cannot_come_twice_is_not_drawn_for() {
    let faults = FaultRegistry::default();
    begin(&faults, "a", ServiceFault::VerdictDuplicate { chance: 1.0 });
    assert_eq!(faults.delivery(false), (Delivery::Once, 0));
    assert_eq!(faults.delivery(true), (Delivery::Twice, 0));
    assert_eq!(acted(&faults, "a"), 1);
}

#[test]
fn no_more_than_64_are_on_and_a_name_stands_for_one() {
    let faults = FaultRegistry::default();
    for index in 0..64 {
        begin(&faults, &format!("f-{index}"), ServiceFault::Stall);
    }
    assert_eq!(faults.begin(order("new", ServiceFault::Stall), Tick(0), 0), Err(Full));
    begin(&faults, "f-3", ServiceFault::Slow { factor: 3.0 });
    assert!(faults.begin(order("flush", ServiceFault::CacheFlush), Tick(0), 1).is_ok(), "it does not stay");
    assert_eq!(faults.active(Tick(0)).len(), 64);
    assert_eq!(faults.slowdown().to_bits(), 3.0_f64.to_bits());
    assert_eq!(faults.end_all().len(), 64);
    assert!(faults.end("f-3").is_none() && faults.to_json().as_array().unwrap().is_empty());
}

#[test]
fn what_ends_by_itself_can_still_be_asked_about_once() {
    let faults = FaultRegistry::default();
    let lasts = |name, ms| Order { lasts: Some(Span::from_ms(ms)), ..order(name, ServiceFault::Stall) };
    let ms = |ms: u64| Tick(ms * 1_000_000);
    faults.begin(lasts("short", 10), ms(5), 0).unwrap();
    faults.begin(lasts("long", 20), ms(5), 0).unwrap();
    begin(&faults, "endless", ServiceFault::Stall);
    assert_eq!(faults.expire(ms(14)), (false, Some(ms(15))));
    assert!(faults.strikes(FaultKind::Stall));
    assert_eq!(faults.expire(ms(15)), (true, Some(ms(25))));
    assert_eq!(acted(&faults, "short"), 1);
    assert!(faults.end("short").is_none());
    assert_eq!(faults.expire(ms(30)), (true, None));
    assert!(faults.is_on(FaultKind::Stall), "the endless one");
    for index in 0..2 * MOST_OVER {
        begin(&faults, &format!("flush-{index}"), ServiceFault::CacheFlush);
    }
    assert!(faults.end("long").is_none() && faults.end("flush-0").is_none(), "memory is bounded");
    assert!(faults.end("flush-127").is_some());
}

proptest! {
    /// Whatever begins and ends in whatever order: what is on is what was begun and not ended, and nothing of it is left.
    #[test]
    fn what_is_on_is_what_was_begun_and_not_ended(steps in proptest::collection::vec((0_u8..8, 0_u8..3), 0..100)) {
        let faults = FaultRegistry::default();
        let mut on = std::collections::BTreeMap::new();
        for (name, what) in steps {
            let text = format!("f-{name}");
            match what {
                0 => {
                    prop_assert_eq!(faults.end(&text).is_some(), on.remove(&name).is_some());
                }
                factor => {
                    begin(&faults, &text, ServiceFault::Slow { factor: f64::from(factor) });
                    on.insert(name, f64::from(factor));
                }
            }
            prop_assert_eq!(faults.slowdown().to_bits(), on.values().product::<f64>().max(1.0).to_bits());
            prop_assert_eq!(faults.is_on(FaultKind::Slow), !on.is_empty());
        }
    }
}
