//! The table of `[[budget]]`: its own keys, and one for every figure a condition can be about.

use std::sync::LazyLock;

use crate::budget::{Figure, Recovery, Subject, Times, Unit};
use crate::language::{Field, Kind, Section};
use crate::protocol::words;
use crate::scenario::section::fault::LONGEST;
use crate::units::Span;

/// The keys of percentiles, in the order of [`Times::ALL`].
const PERCENTILES: [&str; Times::ALL.len()] = [
    "pNN",
    "ok_pNN",
    "service_pNN",
    "pacing_lag_pNN",
    "backlog_wait_pNN",
    "service_wait_pNN",
    "own_wait_pNN",
    "stage_queue_pNN",
    "stage_cache_pNN",
    "stage_inference_pNN",
    "stage_network_pNN",
];

pub(in crate::scenario) static BUDGET: LazyLock<Section> = LazyLock::new(|| Section {
    title: "[[budget]]",
    about: "what the figures of a run must keep to, else it exits with 99. Any number of conditions, each judged by itself: \
            `\"<250ms\"`, `\"<=0.1%\"`, `\">100/s\"`, `\"<100\"`, or a list of such. One without data fails, as does a \
            percentile with fewer than 10 samples beyond it, and a `<` where the figure is only known to be at least so large",
    by: None,
    fields: fields().leak(),
});

fn fields() -> Vec<Field> {
    let mut fields = vec![
        Field::optional("name", Kind::Text, "what to call it in reports"),
        Field::optional("fleet", Kind::Name, "only this fleet; all unless stated"),
        Field::optional("protocol", Kind::Word(words()), "only fleets that speak this"),
        Field::optional(
            "phase",
            Kind::Name,
            "only this phase, or `warm-up`; unless stated the measured phases together, and of connections and handshakes the whole run",
        ),
        Field::with(
            "kind",
            Kind::Word(Subject::WORDS),
            "reading",
            "connect: the attempts to connect, in place of readings; tls: the TLS handshakes in them; delivery: what fleets that only hear are to hear",
        ),
        Field::optional(
            "fault",
            Kind::Name,
            "what this fault did, in place of phases and fleets; each of its activations is judged",
        ),
        Field::with(
            "abort_on_fail",
            Kind::Flag,
            "false",
            "end the run as soon as a condition fails on the figures so far",
        ),
        Field::with(
            "grace",
            Kind::Span(Span::ZERO, LONGEST),
            "0s",
            "with abort_on_fail: not judged before so long into its phase, or into the measured phases if it names none",
        ),
    ];
    let percentiles = PERCENTILES.iter().zip(Times::ALL);
    fields.extend(
        percentiles.map(|(key, times)| Field::optional(key, Kind::Condition(Unit::Time), times.about())),
    );
    fields.extend(
        Figure::ALL.iter().map(|it| Field::optional(it.key(), Kind::Condition(it.unit()), it.about())),
    );
    fields.extend(
        Recovery::ALL.iter().map(|it| Field::optional(it.key(), Kind::Condition(it.unit()), it.about())),
    );
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Metric;
    use crate::language::NUMBER;

    #[test]
    fn every_key_of_a_condition_names_a_metric() {
        for (key, times) in PERCENTILES.iter().zip(Times::ALL) {
            let metric = Metric::parse(&key.replace(NUMBER, "99_9")).unwrap().unwrap();
            assert!(matches!(metric, Metric::Percentile(found, _) if found == *times), "{key}");
        }
        for field in fields().iter().filter(|field| !field.name.contains(NUMBER)) {
            let unit = Metric::parse(field.name).map(|metric| metric.unwrap().unit());
            match field.kind {
                Kind::Condition(stated) => assert_eq!(unit, Some(stated), "{}", field.name),
                _ => assert_eq!(unit, None, "{} has two meanings", field.name),
            }
        }
    }
}
