//! Topic names and topic filters: which are valid, which match (MQTT 3.1.1 §4.7), and which topics mean something here.

use crate::service::Topic;

/// Longest topic filter a subscription may have, bytes; longer ones are refused in the SUBACK.
const LONGEST_FILTER: usize = 1_024;

/// Most levels a topic filter may have, which bounds the depth of the tree of filters; more are refused in the SUBACK.
const MOST_LEVELS: usize = 128;

/// The filter within a shared subscription, `$share/group/filter` (MQTT 5 §4.8.2); `None`: `filter` is none.
pub(super) fn shared(filter: &str) -> Option<&str> {
    filter.strip_prefix("$share/")?.split_once('/').map(|(_, shared)| shared)
}

/// Whether what begins as a shared subscription is one: with a group without wildcards, and a filter.
pub(super) fn is_complete(filter: &str) -> bool {
    let Some(rest) = filter.strip_prefix("$share/") else { return true };
    rest.split_once('/')
        .is_some_and(|(group, shared)| !group.is_empty() && !group.contains(['+', '#']) && is_filter(shared))
}

/// Whether `filter` is a topic filter at all: `#` stands alone on the last level, `+` alone on any.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut valid = !filter.is_empty() && !filter.contains('\0');
    while let Some(level) = levels.next() {
        valid &= match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
    }
    valid
}

/// Whether the service takes subscriptions to a filter of this size.
pub(super) fn is_affordable(filter: &str) -> bool {
    filter.len() <= LONGEST_FILTER && filter.split('/').count() <= MOST_LEVELS
}

/// Whether messages may be published to `topic`.
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

/// Whether a valid filter matches more than one topic.
pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// Whether a valid filter matches `topic`. A filter that begins with a wildcard matches no topic that begins with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut wanted, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(want), Some(level)) if want == level => {}
            _ => return false,
        }
    }
}

/// What is published here is said to all who listen, over whatever transport.
pub(super) const BROADCAST: &str = Topic::Broadcast.filter();

/// The device whose readings are published to `topic`.
pub(super) fn reading_device(topic: &str) -> Option<&str> {
    let device = topic.strip_prefix("devices/")?.strip_suffix("/readings")?;
    (!device.is_empty() && !device.contains('/')).then_some(device)
}

/// Where the verdicts on a device's readings are published, written over `text`.
pub(super) fn write_verdict_topic(text: &mut String, device: &str) {
    text.clear();
    text.push_str("devices/");
    text.push_str(device);
    text.push_str("/verdicts");
}

/// Where a device's alerts are published. Devices that came in over HTTP may have names no topic level can hold: what
/// would be a wildcard or a separator becomes `_`. The message itself holds the true name. What is about the service is one level
/// up, where no device has a topic.
pub(super) fn alert_topic(level: &str, device: Option<&str>) -> String {
    match device {
        Some(device) => format!("alerts/{level}/{}", as_level(device)),
        None => format!("alerts/{level}"),
    }
}

/// Where the verdicts on a device's readings are published, whichever way those came in.
pub(super) fn told_verdict_topic(device: &str) -> String {
    format!("verdicts/{}", as_level(device))
}

/// Whether a subscription to a filter asks for those.
pub(super) fn asks_for_verdicts(filter: &str) -> bool {
    shared(filter).unwrap_or(filter).split('/').next() == Some("verdicts")
}

/// A device's name as a level of a topic.
fn as_level(device: &str) -> String {
    device.replace(['+', '#', '/', '\0'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_subscription_needs_a_group_and_a_filter() {
        for (filter, whole) in [
            ("$share/g/a/+", true),
            ("$share/g/#", true),
            ("$share/g", false),
            ("$share//a", false),
            ("$share/+/a", false),
            ("$share/g/", false),
            ("$share/g/a#", false),
            ("a/b", true),
        ] {
            assert_eq!(is_complete(filter), whole, "{filter}");
        }
        assert_eq!(shared("$share/g/a/+"), Some("a/+"));
        assert_eq!(shared("shared/g/a"), None);
    }

    #[test]
    fn filters_match_as_the_specification_says() {
        for (filter, topic, expected) in [
            // §4.7.1.2
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "sport/tennis", true),
            ("#", "/", true),
            // §4.7.1.3
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player2", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+", "sport", true),
            ("+/tennis/#", "sport/tennis/x/y", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            // §4.7.2
            ("#", "$SYS/uptime", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/", true),
            ("$SYS/#", "$SYS", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            // §4.7.3
            ("ACCOUNTS", "Accounts", false),
            ("Accounts payable", "Accounts payable", true),
            ("finance", "/finance", false),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+/c", "a//c", true),
        ] {
            assert!(is_filter(filter), "{filter}");
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn misplaced_wildcards_make_no_filter_and_no_name() {
        for bad in [
            "",
            "sport/tennis#",
            "sport/tennis/#/ranking",
            "sport+",
            "+x",
            "a/+x",
            "a/x+/b",
            "##",
            "++",
            "#/",
            "a\0",
        ] {
            assert!(!is_filter(bad), "{bad:?}");
        }
        for (name, expected) in [
            ("a", true),
            ("/", true),
            ("$x", true),
            ("", false),
            ("a/+", false),
            ("#", false),
            ("a\0b", false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
        assert!(is_affordable(&"/".repeat(127)) && !is_affordable(&"/".repeat(128)));
        assert!(is_affordable(&"x".repeat(1_024)) && !is_affordable(&"x".repeat(1_025)));
    }

    #[test]
    fn only_one_level_between_devices_and_readings_is_a_device() {
        for (topic, device) in [
            ("devices/m-1/readings", Some("m-1")),
            ("devices/ü/readings", Some("ü")),
            ("devices//readings", None),
            ("devices/readings", None),
            ("devices/a/b/readings", None),
            ("devices/a/verdicts", None),
            ("/devices/a/readings", None),
        ] {
            assert_eq!(reading_device(topic), device, "{topic}");
        }
        assert_eq!(alert_topic("high", Some("a/b+#\0")), "alerts/high/a_b___");
        assert_eq!(alert_topic("high", None), "alerts/high");
        assert_eq!(told_verdict_topic("a/b"), "verdicts/a_b");
        for (filter, asks) in
            [("verdicts/#", true), ("$share/g/verdicts/+", true), ("#", false), ("devices/+/verdicts", false)]
        {
            assert_eq!(asks_for_verdicts(filter), asks, "{filter}");
        }
    }
}
