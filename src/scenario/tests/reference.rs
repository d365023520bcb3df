//! The settings of the bundled system, as scenarios state them.

use crate::scenario::{Overrides, Scenario};
use crate::service::{Overflow, Priority, Setup};

fn setup(reference: &str) -> Setup {
    let text = format!(
        "[scenario]\nname = \"t\"\n[[phase]]\nname = \"p\"\nduration = \"1s\"\n[fleet.f]\nprotocol = \"http\"\n\
         devices = 1\nrate = \"1/s\"\n{reference}"
    );
    Scenario::parse("t.toml", &text, &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
        .reference
}

#[test]
fn the_manuals_defaults_are_the_services_own() {
    for reference in [
        "",
        "[reference]",
        "[reference]\nworkers = 1\nqueue = 10000\ncache = 65536\ninference = \"0s\"\nexperiment = 0",
        "[reference]\nworkers = {}\nadmission = {}\nfeatures = {}\nalerts = {}\ndelivery = {}",
    ] {
        assert_eq!(setup(reference), Setup::default(), "{reference}");
    }
}

#[test]
fn every_part_can_be_told() {
    let queue = setup(
        "[reference.queue]\ncapacity = 7\noverflow = \"drop-lowest\"\ndeadline = \"200ms\"\n\
         levels = { low = 3 }\nclasses = { \"pump-\" = \"critical\" }\nweights = { high = 9 }",
    )
    .queue;
    assert_eq!((queue.capacity, queue.overflow), (7, Overflow::DropLowest));
    assert_eq!((queue.levels, queue.weights), ([None, None, None, Some(3)], [8, 9, 2, 1]));
    assert_eq!(queue.level_of("pump-3"), Priority::Critical);
    let admission =
        setup("[reference.admission]\ndevice = { rate = \"2/s\", burst = 4 }\ntotal = \"100/s\"").admission;
    assert_eq!(admission.device.map(|quota| (quota.rate.as_per_second(), quota.burst)), Some((2.0, 4)));
    assert_eq!(admission.total.map(|quota| quota.burst), Some(1));
    let cache = setup("[reference.cache]\nttl = \"5m\"\nsemantic = 0.5").cache;
    assert_eq!(cache.semantic.map(|semantic| (semantic.vectors, semantic.epsilon)), Some((256, 0.5)));
}
