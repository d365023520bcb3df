//! The table of `[[budget]]`: its own keys, and one for every figure a condition can be about.

use crate::budget::{Figure, Recovery, Times, Unit};
use crate::language::{Field, Kind, Section};
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

const OWN: usize = 8;
const ALL: usize = OWN + PERCENTILES.len() + Figure::ALL.len() + Recovery::ALL.len();

pub(in crate::scenario) static BUDGET: Section = Section {
    title: "[[budget]]",
    about: "what the figures of a run must keep to, else it exits with 99. Any number of conditions, each judged by itself: \
            `\"<250ms\"`, `\"<=0.1%\"`, `\">100/s\"`, `\"<100\"`, or a list of such. One without data fails, as does a \
            percentile with fewer than 10 samples beyond it, and a `<` where the figure is only known to be at least so large",
    by: None,
    fields: &FIELDS,
};

static FIELDS: [Field; ALL] = {
    let mut fields = [const { Field::optional("", Kind::Flag, "") }; ALL];
    fields[0] = Field::optional("name", Kind::Text, "what to call it in reports");
    fields[1] = Field::optional("fleet", Kind::Name, "only this fleet; all unless stated");
    fields[2] =
        Field::optional("protocol", Kind::Word(&["http", "ws", "mqtt"]), "only fleets that speak this");
    fields[3] = Field::optional(
        "phase",
        Kind::Name,
        "only this phase, or `warm-up`; unless stated the measured phases together, and of connections the whole run",
    );
    fields[4] = Field::with(
        "kind",
        Kind::Word(&["reading", "connect"]),
        "reading",
        "connect: the attempts to connect, in place of readings",
    );
    fields[5] = Field::optional(
        "fault",
        Kind::Name,
        "what this fault did, in place of phases and fleets; each of its activations is judged",
    );
    fields[6] = Field::with(
        "abort_on_fail",
        Kind::Flag,
        "false",
        "end the run as soon as a condition fails on the figures so far",
    );
    fields[7] = Field::with(
        "grace",
        Kind::Span(Span::ZERO, LONGEST),
        "0s",
        "with abort_on_fail: not judged before so long into its phase, or into the measured phases if it names none",
    );
    // Loops by hand: constants know no iterators.
    let (mut at, mut nth) = (OWN, 0);
    while nth < Times::ALL.len() {
        let about = Times::ALL[nth].about();
        fields[at] = Field::optional(PERCENTILES[nth], Kind::Condition(Unit::Time), about);
        (at, nth) = (at + 1, nth + 1);
    }
    nth = 0;
    while nth < Figure::ALL.len() {
        let figure = Figure::ALL[nth];
        fields[at] = Field::optional(figure.key(), Kind::Condition(figure.unit()), figure.about());
        (at, nth) = (at + 1, nth + 1);
    }
    nth = 0;
    while nth < Recovery::ALL.len() {
        let figure = Recovery::ALL[nth];
        fields[at] = Field::optional(figure.key(), Kind::Condition(figure.unit()), figure.about());
        (at, nth) = (at + 1, nth + 1);
    }
    fields
};

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
        for field in FIELDS.iter().filter(|field| !field.name.contains(NUMBER)) {
            let unit = Metric::parse(field.name).map(|metric| metric.unwrap().unit());
            match field.kind {
                Kind::Condition(stated) => assert_eq!(unit, Some(stated), "{}", field.name),
                _ => assert_eq!(unit, None, "{} has two meanings", field.name),
            }
        }
    }
}
