//! What subscribers subscribe to by the pattern of their fleet, and shared subscriptions (MQTT 5 §4.8.2, which brokers of 3.1.1 offer too).

use super::super::exchange::StatedSpread;
use crate::record::MessagePattern;

/// The topics of readings unless a fleet states its own.
const READINGS: &str = "devices/+/readings";

/// The group and the filter of a shared subscription.
pub(super) fn split(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// What subscribers subscribe to that state a pattern alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PatternFilter {
    /// All readings.
    Whole,
    /// All readings, in a group of this name.
    Shared(Box<str>),
    /// The readings of the device of this fleet that has the same number.
    Paired(Box<str>),
}

impl PatternFilter {
    pub(super) fn of(spread: &StatedSpread<'_>) -> Self {
        match spread.pattern {
            MessagePattern::FanIn | MessagePattern::FanOut => Self::Whole,
            MessagePattern::Shared => Self::Shared(spread.fleet.into()),
            MessagePattern::PointToPoint => Self::Paired(spread.from.into()),
        }
    }

    /// The filter of the device called `name`.
    pub(super) fn of_device(&self, name: &str) -> String {
        match self {
            Self::Whole => READINGS.to_owned(),
            Self::Shared(group) => format!("$share/{group}/{READINGS}"),
            Self::Paired(fleet) => {
                let number = name.rsplit_once('-').map_or("", |(_, number)| number);
                format!("devices/{fleet}-{number}/readings")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_has_its_filter() {
        let filter = |pattern| {
            PatternFilter::of(&StatedSpread { pattern, fleet: "desks", from: "meters" })
                .of_device("desks-00012")
        };
        for (pattern, expected) in [
            (MessagePattern::FanIn, "devices/+/readings"),
            (MessagePattern::FanOut, "devices/+/readings"),
            (MessagePattern::PointToPoint, "devices/meters-00012/readings"),
            (MessagePattern::Shared, "$share/desks/devices/+/readings"),
        ] {
            assert_eq!(filter(pattern), expected);
        }
    }

    #[test]
    fn a_shared_subscription_has_a_group_and_a_filter() {
        for (filter, expected) in [
            ("$share/group/a/+", Some(("group", "a/+"))),
            ("$share/group", None),
            ("$shared/group/a", None),
            ("a/$share/group/a", None),
        ] {
            assert_eq!(split(filter), expected, "{filter}");
        }
    }
}
