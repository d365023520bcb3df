//! Topic aliases that a client states (MQTT 5 §3.3.2.3.4). They end with the connection [MQTT-3.3.2-7].

use mqtt_proto::TopicName;

use crate::reference::endpoint::mqtt::codec::reason::ReasonCode;

/// Aliases that a client may state.
pub(super) const MOST: u16 = 16;

/// Longest topic that an alias may stand for, bytes.
const LONGEST: usize = 1_024;

/// The topics that aliases stand for; without capacity where there are none.
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<Option<TopicName>>);

impl Aliases {
    /// The topic of a message that came with these.
    ///
    /// # Errors
    /// If the alias is out of bounds [MQTT-3.3.2-9], was not stated before, or is for a topic that is too long to be kept.
    pub(super) fn resolve(&mut self, topic: TopicName, alias: Option<u16>) -> Result<TopicName, ReasonCode> {
        let Some(alias) = alias else { return Ok(topic) };
        if alias > MOST {
            return Err(ReasonCode::AliasInvalid);
        }
        let index = usize::from(alias) - 1;
        if topic.is_empty() {
            return self.0.get(index).cloned().flatten().ok_or(ReasonCode::ProtocolError);
        }
        if topic.len() > LONGEST {
            return Err(ReasonCode::QuotaExceeded);
        }
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(topic.clone());
        Ok(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TopicName {
        TopicName::try_from(text).unwrap()
    }

    #[test]
    fn an_alias_stands_for_the_topic_it_was_last_stated_for_and_is_bounded() {
        let mut aliases = Aliases::default();
        let nothing = || name("");
        assert_eq!(aliases.resolve(nothing(), Some(1)), Err(ReasonCode::ProtocolError));
        assert_eq!(aliases.resolve(name("a"), None), Ok(name("a")));
        assert_eq!(aliases.resolve(name("a"), Some(3)), Ok(name("a")));
        assert_eq!(aliases.resolve(nothing(), Some(3)), Ok(name("a")));
        assert_eq!(aliases.resolve(nothing(), Some(2)), Err(ReasonCode::ProtocolError));
        assert_eq!(aliases.resolve(name("b"), Some(3)), Ok(name("b")));
        assert_eq!(aliases.resolve(nothing(), Some(3)), Ok(name("b")));
        assert_eq!(aliases.resolve(name("c"), Some(MOST)), Ok(name("c")));
        assert_eq!(aliases.resolve(name("c"), Some(MOST + 1)), Err(ReasonCode::AliasInvalid));
        assert_eq!(aliases.resolve(name(&"x".repeat(1_025)), Some(1)), Err(ReasonCode::QuotaExceeded));
        assert_eq!(aliases.0.len(), usize::from(MOST));
    }
}
