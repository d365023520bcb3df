//! What may stand in the packets of a device: the rules a scenario is checked against, and that no session breaks.

use mqtt_proto::{TopicFilter, TopicName};

/// Whether `text` is a topic that can be published to: not empty, at most 65 535 bytes, without wildcards and U+0000.
pub(super) fn is_topic(text: &str) -> bool {
    !text.is_empty() && !TopicName::is_invalid(text)
}

/// Whether `text` is a topic filter (MQTT 3.1.1 §4.7), of at most 65 535 bytes.
pub(super) fn is_filter(text: &str) -> bool {
    !TopicFilter::is_invalid(text).0
}
