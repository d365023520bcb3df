//! What the end of a run says of other runs at the same peers.

use super::figure::count;
use super::style::Style;
use crate::results::FleetEncounters;

/// The texts of the report's margin word `isolation`: fleets that could not tell this run's messages from another's, and what was left
/// behind. What makes the run suspect stands among the reasons for that.
pub(crate) fn isolation(fleets: &[FleetEncounters], style: Style) -> Vec<String> {
    let mut texts = Vec::new();
    for FleetEncounters { fleet, met } in fleets {
        if met.unnamed > 0 {
            texts.push(format!(
                "not guaranteed for {fleet}: what it was answered or heard names no run, so that another run's on the same topics would be \
                 taken for its own; have the service answer with the reading's `run`, or let the topics name {{{{run}}}}"
            ));
        }
        if met.sessions_left > 0 {
            let (left, all) = (met.sessions_left, met.sessions_left + met.sessions_removed);
            texts.push(format!(
                "{} of {} sessions of {fleet} are still at the broker, which did not take them back in time",
                count(left, style),
                count(all, style)
            ));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Encounters;

    #[test]
    fn a_fleet_is_told_of_once_and_only_where_there_is_something_to_say() {
        let lines = |met| isolation(&[FleetEncounters { fleet: "meters".into(), met }], Style::of(false));
        let none = Encounters::default();
        assert_eq!(
            lines(Encounters { sessions_removed: 5, sessions_found: 1, taken_over: 1, ..none }),
            [""; 0]
        );
        let texts = lines(Encounters { unnamed: 7, sessions_left: 2, sessions_removed: 3, ..none });
        assert!(texts[0].starts_with("not guaranteed for meters: ") && texts[0].ends_with("name {{run}}"));
        assert!(texts[1].starts_with("2 of 5 sessions of meters"), "{texts:?}");
    }
}
