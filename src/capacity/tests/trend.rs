//! Services that change while they are probed.

use super::queue::{Kind, Simulated};
use super::{SETTINGS, searched};
use crate::capacity::{Answer, Finding, Settings};
use crate::seed::Seed;

/// A search of a service that takes `each` times as long from one probe to the next.
fn leaking(kind: Kind, each: f64, seed: u64) -> Answer {
    let simulated = Simulated::new(kind, 0.7, 1.0, 2_000);
    let settings = Settings { seed: Seed(seed), most_probes: 40, ..SETTINGS };
    let mut stream = settings.seed.stream("test/leak", 0);
    searched(settings, |number, factor| {
        let slower = each.powf(f64::from(number - 1));
        simulated.slowed(slower, number, factor, &mut stream)
    })
}

fn unsteady(kind: Kind, each: f64, seeds: u64) -> Vec<f64> {
    let change = |seed| match leaking(kind, each, seed).finding {
        Finding::Unsteady { change, .. } => Some(change),
        _ => None,
    };
    let changes: Vec<f64> = (0..seeds).filter_map(change).collect();
    println!("{kind:?}, {each} times as long with every probe: unsteady {} of {seeds}", changes.len());
    changes
}

#[test]
fn a_service_that_gets_slower_with_every_probe_is_noticed() {
    for kind in [Kind::Constant, Kind::Exponential, Kind::Four, Kind::Cliff] {
        let changes = unsteady(kind, 1.02, 10);
        assert_eq!(changes.len(), 10, "{kind:?}");
        assert!(changes.iter().all(|change| *change < -0.2), "{changes:?}");
    }
}

#[test]
fn a_service_that_gets_faster_is_noticed_as_well() {
    let changes = unsteady(Kind::Exponential, 1.0 / 1.02, 10);
    assert_eq!(changes.len(), 10);
    assert!(changes.iter().all(|change| *change > 0.0), "{changes:?}");
}

#[test]
fn a_steady_service_is_rarely_called_unsteady() {
    assert!(unsteady(Kind::Exponential, 1.0, 40).len() <= 1);
}
