//! `topic` of a fleet: what the bundled service is to tell it, or to tell all others of what it sends.

use crate::language::{Fields, Reporter, listed};
use crate::protocol::{Facts, protocols};
use crate::service::Topic;

/// What the fleet names, if that goes with what it is.
pub(super) fn topic(fields: &Fields, facts: &Facts, report: &mut Reporter<'_>) -> Option<Topic> {
    let topic = Topic::of(fields.word("topic")?)?;
    let words = |fits: fn(&Facts) -> bool| -> String {
        listed(&protocols().filter(|facts| fits(facts)).map(Facts::word).collect::<Vec<_>>())
    };
    if fields.word("model") == Some("subscriber") {
        if facts.told_at.is_none() {
            let message = format!("is not told over {}", facts.title);
            let help = format!("write protocol = {}", words(|facts| facts.told_at.is_some()));
            fields.refuse("topic", report, message, help);
            return None;
        }
        let because = "does not go with `topic`, of which all hear the same";
        fields.refuse_given(&["pattern", "from"], report, because);
        return Some(topic);
    }
    if topic != Topic::Broadcast {
        let help = "write model = \"subscriber\" for a fleet that is to hear it, or \"broadcast\"";
        fields.refuse("topic", report, "is told by the service alone", help);
        return None;
    }
    if facts.broadcast_at.is_none() {
        let message =
            format!("is not what {} carries to the service: that takes readings alone", facts.title);
        let help = format!("write protocol = {}", words(|facts| facts.broadcast_at.is_some()));
        fields.refuse("topic", report, message, help);
        return None;
    }
    Some(topic)
}
