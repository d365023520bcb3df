//! Where a device publishes, and where it listens.

use super::super::{Failure, Hearing, Identity, MqttSettings, Settings};
use super::grammar::{is_filter, is_topic};
use super::share;
use crate::record::{Close, Qos};

/// What a device subscribes to.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) filter: Box<str>,
    /// The quality of service that is asked for.
    pub(super) qos: Qos,
    /// The one that the broker has granted; `None` if that is not known of all that it may deliver.
    pub(super) granted: Option<Qos>,
    /// It has been counted among the requests for what others send.
    pub(super) is_counted: bool,
}

/// The topics of one device.
#[derive(Debug)]
pub(super) struct Topics {
    /// Where readings go that have no address of their own; `None` if that is a filter, or not what MQTT can carry.
    pub(super) readings: Option<Box<str>>,
    /// What is subscribed to, if readings are closed by messages.
    pub(super) listening: Option<Subscription>,
}

impl Topics {
    pub(super) fn new(settings: &Settings, identity: &Identity) -> Result<Self, Failure> {
        let own = |what: &str| {
            let topic = format!("devices/{}/{what}", identity.device);
            if identity.device.is_empty() || !is_topic(&topic) {
                let message = format!("`{}` cannot be part of an MQTT topic", identity.device);
                return Err(Failure::protocol(message));
            }
            Ok(topic)
        };
        let readings = identity.address.clone().map_or_else(|| own("readings"), Ok)?;
        let MqttSettings { qos, .. } = settings.own.get();
        let listening = match settings.close {
            _ if settings.hearing == Hearing::Relayed => None,
            _ if matches!(settings.hearing, Hearing::Others(_)) => {
                identity.reply_topic.clone().map(|filter| (filter, qos))
            }
            Close::Verdict | Close::Reply => {
                let filter = identity.reply_topic.clone().map_or_else(|| own("verdicts"), Ok)?;
                Some((filter, Qos::AtLeastOnce))
            }
            Close::Delivery => Some((readings.clone(), qos)),
            Close::Response | Close::Ack | Close::Sent => None,
        };
        let unusable = match &listening {
            Some((filter, _)) if !is_filter(filter) => Some(filter),
            _ if !is_topic(&readings) && settings.close != Close::Delivery => Some(&readings),
            _ => None,
        };
        if let Some(text) = unusable {
            return Err(Failure::protocol(format!("`{text}` is not a valid MQTT topic")));
        }
        Ok(Self {
            readings: is_topic(&readings).then(|| readings.into()),
            listening: listening.map(|(filter, qos)| Subscription {
                is_counted: false,
                filter: filter.into(),
                qos,
                granted: None,
            }),
        })
    }

    /// Where a reading goes, `address` if it has one of its own.
    pub(super) fn of_reading<'a>(&'a self, address: Option<&'a str>) -> Result<&'a str, Failure> {
        let topic = match address {
            Some(address) => Some(address).filter(|address| is_topic(address)),
            None => self.readings.as_deref(),
        };
        topic.ok_or_else(|| Failure::protocol("a reading's address is not a valid MQTT topic"))
    }

    /// What is subscribed to.
    pub(super) fn listened(&self) -> Option<&str> {
        self.listening.as_ref().map(|listening| &*listening.filter)
    }

    /// Whether a message to `topic` came through this device's subscription.
    pub(super) fn listens_to(&self, topic: &str) -> bool {
        self.listening.as_ref().is_some_and(|listening| matches(&listening.filter, topic))
    }
}

/// Whether `filter` covers `topic` (MQTT 3.1.1 §4.7).
fn matches(filter: &str, topic: &str) -> bool {
    // Nearly always a filter is just the topic.
    if filter == topic {
        return true;
    }
    // Of a subscription that a group shares only what follows the group is a filter.
    if let Some((_, shared)) = share::split(filter) {
        return matches(shared, topic);
    }
    // Wildcards leave out the server's own topics [MQTT-4.7.2-1].
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut levels, mut names) = (filter.split('/'), topic.split('/'));
    loop {
        match (levels.next(), names.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_cover_what_the_standard_says() {
        // The examples of MQTT 3.1.1 §4.7.1 and §4.7.2.
        let table = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/tennis/player1/#", "sport/tennis/player2", false),
            ("sport/#", "sport", true),
            ("#", "anything/at/all", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("$share/group/a/+", "a/b", true),
            ("$share/group/a/b", "a/b", true),
            ("$share/group/#", "a/b", true),
            ("$share/group/#", "$SYS/x", false),
            ("$share/group/a", "group/a", false),
            ("$share/group", "group", false),
        ];
        for (filter, topic, covered) in table {
            assert_eq!(matches(filter, topic), covered, "{filter} {topic}");
        }
    }

    #[test]
    fn topics_follow_the_close_and_the_identity() {
        let topics = |close, address: Option<&str>, reply: Option<&str>| {
            let identity = Identity {
                address: address.map(str::to_owned),
                reply_topic: reply.map(str::to_owned),
                ..Identity::of("d")
            };
            Topics::new(&Settings { close, ..Settings::default() }, &identity).map(|topics| {
                let listening = topics.listening.map(|listening| listening.filter.into_string());
                (topics.readings.map(str::into_string), listening)
            })
        };
        let some = |text: &str| Some(text.to_owned());
        let own = "devices/d/readings";
        let table = [
            (Close::Ack, None, None, (some(own), None)),
            (Close::Sent, Some("a/b"), Some("r"), (some("a/b"), None)),
            (Close::Verdict, None, None, (some(own), some("devices/d/verdicts"))),
            (Close::Verdict, None, Some("r/+"), (some(own), some("r/+"))),
            (Close::Reply, Some("a"), Some("r/#"), (some("a"), some("r/#"))),
            (Close::Delivery, None, Some("r"), (some(own), some(own))),
            (Close::Delivery, Some("a/+"), None, (None, some("a/+"))),
        ];
        for (close, address, reply, expected) in table {
            assert_eq!(topics(close, address, reply), Ok(expected), "{close} {address:?} {reply:?}");
        }
        let refused = [
            (Close::Ack, Some("a/+"), None),
            (Close::Ack, Some(""), None),
            (Close::Reply, None, Some("a#")),
            (Close::Reply, None, Some("")),
            (Close::Delivery, Some("a#"), None),
        ];
        for (close, address, reply) in refused {
            let refusal = topics(close, address, reply).unwrap_err().to_string();
            assert!(refusal.contains("is not a valid MQTT topic"), "{refusal}");
        }
        for device in ["", "a+b", "#"] {
            assert!(Topics::new(&Settings::default(), &Identity::of(device)).is_err(), "{device}");
        }
    }

    #[test]
    fn a_reading_may_have_a_topic_of_its_own() {
        let identity = Identity { address: Some("a/+".to_owned()), ..Identity::of("d") };
        let delivered =
            Topics::new(&Settings { close: Close::Delivery, ..Settings::default() }, &identity).unwrap();
        assert_eq!(delivered.of_reading(Some("a/b")), Ok("a/b"));
        assert!(delivered.of_reading(None).is_err());
        let usual = Topics::new(&Settings::default(), &Identity::of("d")).unwrap();
        assert_eq!(usual.of_reading(None), Ok("devices/d/readings"));
        for address in ["", "a/#", "a\0"] {
            assert!(usual.of_reading(Some(address)).is_err(), "{address}");
        }
    }
}
