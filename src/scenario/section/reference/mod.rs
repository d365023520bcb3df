//! `[reference]`: how the bundled reference system is set up, where readings go to it.

mod admission;
mod alert;
mod cache;
mod feature;
mod inference;
mod queue;
mod worker;

use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::service::{Cluster, Delivery, Setup};
use crate::units::Span;
pub(super) use admission::{ADMISSION, QUOTA};
pub(super) use alert::ALERTS;
pub(super) use cache::{CACHE, SEMANTIC, SHARED};
pub(super) use feature::{FEATURES, WINDOW};
pub(super) use inference::{EXPERIMENT, INFERENCE};
pub(super) use queue::QUEUE;
pub(super) use worker::WORKERS;

/// Longest span that any setting of the service takes.
const LONGEST: Span = Span::from_ms(24 * 3_600_000);

pub(super) static REFERENCE: Section = Section {
    title: "[reference]",
    about: "settings of the bundled reference system; without effect on any other target",
    by: None,
    fields: &[
        Field::with("workers", Kind::Short(&WORKERS), "1", "worker threads; 0 works where readings come in"),
        Field::with(
            "queue",
            Kind::Short(&QUEUE),
            "10000",
            "readings that may wait, and what happens to the others",
        ),
        Field::with("cache", Kind::Short(&CACHE), "65536", "scores the cache holds; 0 turns it off"),
        Field::with(
            "inference",
            Kind::Short(&INFERENCE),
            "0s",
            "extra cost of one inference, standing in for a heavy model",
        ),
        Field::with("admission", Kind::Table(&ADMISSION), "", "who may send, and how much"),
        Field::with("features", Kind::Table(&FEATURES), "", "the per-device state in front of the cache"),
        Field::with(
            "experiment",
            Kind::Short(&EXPERIMENT),
            "0",
            "share of devices that another model judges, to compare the two",
        ),
        Field::with(
            "alerts",
            Kind::Table(&ALERTS),
            "",
            "when an anomaly becomes an alert, and how it spreads",
        ),
        Field::with(
            "delivery",
            Kind::Table(&DELIVERY),
            "",
            "what is done about readings that come twice or cannot be processed",
        ),
        Field::with(
            "faults",
            Kind::Flag,
            "false",
            "it may be broken on purpose: POST /v1/faults lets workers crash, slows inferences, shrinks the queue",
        ),
        Field::optional(
            "cluster",
            Kind::Short(&CLUSTER),
            "other instances of the service, which meet in Redis",
        ),
    ],
};

pub(super) static DELIVERY: Section = Section {
    title: "delivery = { … }",
    about: "what is done about readings that come twice or cannot be processed",
    by: None,
    fields: &[
        Field::with(
            "idempotent",
            Kind::Flag,
            "false",
            "a device and sequence number that was worked on gets its verdict again and has no second effect",
        ),
        Field::with(
            "dead_letters",
            Kind::Integer(0, 100_000),
            "1000",
            "messages that could not be processed and are kept with their reasons; the oldest make room",
        ),
    ],
};

pub(super) static CLUSTER: Section = Section {
    title: "cluster = { … }",
    about: "other instances of the service, which meet in Redis",
    by: None,
    fields: &[
        Field::required("redis", Kind::Text, "where Redis is: redis://HOST:PORT"),
        Field::optional("instance", Kind::Name, "what this instance calls itself; its address unless stated"),
        Field::with(
            "expiry",
            Kind::Span(Span::from_ms(100), LONGEST),
            "10s",
            "an instance that has not been heard of for so long counts as gone",
        ),
        Field::with(
            "timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "250ms",
            "longest wait for Redis; after that the service does without",
        ),
        Field::with(
            "moves_state",
            Kind::Flag,
            "false",
            "the state of a device follows it to the instance it speaks to; else it begins anew there",
        ),
    ],
};

/// The settings that checked fields state.
pub(super) fn reference(fields: &Fields, report: &mut Reporter<'_>) -> Setup {
    let table = |key| fields.table(key);
    let default = Setup::default();
    Setup {
        admission: table("admission").map_or(default.admission, |table| admission::admission(&table, report)),
        queue: table("queue").map_or(default.queue, |table| queue::queue(&table, report)),
        workers: table("workers").map_or(default.workers, |table| worker::workers(&table)),
        features: table("features").map_or(default.features, |table| feature::features(&table, report)),
        cache: table("cache").map_or(default.cache, |table| cache::cache(&table)),
        inference: table("inference").map_or(default.inference, |table| inference::inference(&table)),
        experiment: table("experiment").map_or(default.experiment, |table| inference::experiment(&table)),
        alerts: table("alerts").map_or(default.alerts, |table| alert::alerts(&table, report)),
        delivery: table("delivery").map_or(default.delivery, |table| delivery(&table)),
        cluster: table("cluster").map(|table| cluster(&table, report)),
        faults: fields.flag("faults"),
    }
}

fn delivery(fields: &Fields) -> Delivery {
    Delivery { idempotent: fields.flag("idempotent"), dead_letters: fields.integer("dead_letters") as usize }
}

fn cluster(fields: &Fields, report: &mut Reporter<'_>) -> Cluster {
    Cluster {
        redis: redis(fields, report),
        instance: fields.text("instance").map(|text| text.value().to_owned()).unwrap_or_default(),
        expiry: fields.span("expiry"),
        timeout: fields.span("timeout"),
        moves_state: fields.flag("moves_state"),
    }
}

/// The address of a Redis, checked as far as its form goes.
fn redis(fields: &Fields, report: &mut Reporter<'_>) -> String {
    let address = fields.text("redis").map(|text| text.value().to_owned()).unwrap_or_default();
    let sound = url::Url::parse(&address).is_ok_and(|url| url.scheme() == "redis" && url.has_host());
    if !address.is_empty() && !sound {
        let message = format!("`{address}` is no address of a Redis");
        fields.refuse("redis", report, message, "write for example \"redis://127.0.0.1:6379\"");
    }
    address
}

#[cfg(test)]
mod tests {
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
            setup("[reference.admission]\ndevice = { rate = \"2/s\", burst = 4 }\ntotal = \"100/s\"")
                .admission;
        assert_eq!(admission.device.map(|quota| (quota.rate.as_per_second(), quota.burst)), Some((2.0, 4)));
        assert_eq!(admission.total.map(|quota| quota.burst), Some(1));
        let cache = setup("[reference.cache]\nttl = \"5m\"\nsemantic = 0.5").cache;
        assert_eq!(cache.semantic.map(|semantic| (semantic.vectors, semantic.epsilon)), Some((256, 0.5)));
    }
}
