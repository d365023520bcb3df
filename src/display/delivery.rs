//! What the end of a run says about the delivery audit: what fleets expect of the service, and what was found.

use super::style::Tone;
use crate::results::FleetDelivery;

/// A text, and the word in it that stands out.
pub(crate) type TonedText = (String, Option<(&'static str, Tone)>);

/// The texts of the report's margin word `delivery`: fleets that expect something, and fleets in which something was found.
pub(crate) fn delivery(fleets: &[FleetDelivery]) -> Vec<TonedText> {
    fleets.iter().filter_map(line).collect()
}

fn line(fleet: &FleetDelivery) -> Option<TonedText> {
    let (name, findings) = (&fleet.fleet, fleet.findings());
    match fleet.kept {
        Some(false) => {
            let broken = fleet.broken().unwrap_or_default();
            Some((format!("broken {name}: {broken}"), Some(("broken", Tone::Bad))))
        }
        Some(true) => {
            let expects = [
                (fleet.expects.no_loss, "nothing missing"),
                (fleet.expects.no_duplicates, "nothing twice"),
                (fleet.expects.ordered, "in order"),
            ];
            let words: Vec<_> =
                expects.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
            let rest = findings.map_or_else(String::new, |found| format!("; not asked: {found}"));
            Some((format!("kept {name}: {}{rest}", words.join(", ")), Some(("kept", Tone::Good))))
        }
        None => match (&fleet.untested, findings) {
            (Some(untested), found) => {
                let rest = found.map_or_else(String::new, |found| format!("; {found}"));
                Some((format!("not tested {name}: {untested}{rest}"), Some(("not tested", Tone::Warning))))
            }
            (None, found) => found.map(|found| (format!("{name}: {found}"), None)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Expectation, FirstViolation};

    #[test]
    fn a_broken_promise_names_the_first_reading_that_broke_it() {
        let first_violation =
            |device: &str, seq| Some(FirstViolation { device: device.into(), seq, t_s: 12.5 });
        let plain = FleetDelivery {
            fleet: "meters".into(),
            expects: Expectation::default(),
            lost: 0,
            first_lost: None,
            duplicated: 0,
            first_duplicated: None,
            reordered: 0,
            first_reordered: None,
            late: 0,
            unaudited: 0,
            resent: 0,
            imbalance: None,
            untested: None,
            kept: None,
        };
        let lossy = FleetDelivery {
            lost: 3,
            first_lost: first_violation("meters-00017", 42),
            reordered: 1,
            first_reordered: first_violation("meters-00002", 7),
            ..plain.clone()
        };
        let at_least_once = Expectation { no_loss: true, ..Expectation::default() };
        let ordered = Expectation { no_duplicates: true, ordered: true, ..Expectation::default() };
        let with = |fleet: &FleetDelivery, expects, kept| FleetDelivery {
            expects,
            kept: Some(kept),
            ..fleet.clone()
        };
        let fleets = [
            plain.clone(),
            lossy.clone(),
            FleetDelivery { late: 2, ..plain.clone() },
            with(&lossy, at_least_once, false),
            with(&plain, ordered, true),
            with(&FleetDelivery { late: 2, ..plain.clone() }, at_least_once, true),
            FleetDelivery { expects: ordered, untested: Some("no reading was sent".into()), ..plain },
        ];
        let texts: Vec<_> = delivery(&fleets).into_iter().map(|(text, _)| text).collect();
        assert_eq!(
            texts,
            [
                "meters: 3 missing, first meters-00017 seq 42; 1 reordered, first meters-00002 seq 7",
                "meters: 2 answered late",
                "broken meters: 3 missing, first meters-00017 seq 42",
                "kept meters: nothing twice, in order",
                "kept meters: nothing missing; not asked: 2 answered late",
                "not tested meters: no reading was sent",
            ]
        );
    }
}
