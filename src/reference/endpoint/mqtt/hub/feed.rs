//! What the service tells of its own accord: alerts, verdicts for those who listen to all of them, and what is said to all.

use mqtt_proto::QoS;

use super::Hub;
use crate::clock::Tick;
use crate::reference::alert::LoggedAlert;
use crate::reference::broadcast::Broadcast;
use crate::reference::endpoint::mqtt::codec::Message;
use crate::reference::endpoint::mqtt::codec::reason::ReasonCode;
use crate::reference::endpoint::mqtt::topic;
use crate::reference::metric::Endpoint;

impl Hub {
    /// Publishes an alert.
    pub(in crate::reference) fn alert(&self, logged: &LoggedAlert) {
        self.tell(
            &topic::alert_topic(logged.alert.level.name(), logged.alert.device.as_deref()),
            &logged.text,
        );
    }

    /// Publishes a verdict for those who listen to all of them.
    pub(in crate::reference) fn verdict(&self, device: &str, text: &str) {
        self.tell(&topic::told_verdict_topic(device), text);
    }

    /// Publishes what is said to all.
    pub(in crate::reference) fn broadcast(&self, text: &str) {
        self.tell(topic::BROADCAST, text);
    }

    fn tell(&self, topic: &str, text: &str) {
        self.publish(&Message::plain(topic, text.as_bytes(), QoS::Level1), None);
    }

    /// Takes what a client says to all; what an acknowledgement is to say.
    pub(in crate::reference::endpoint::mqtt) fn take_broadcast(
        &self,
        payload: &[u8],
        arrived: Tick,
    ) -> ReasonCode {
        match Broadcast::parse(payload) {
            Err(reason) => {
                self.dispatcher.bad(arrived, Endpoint::Mqtt, &reason, payload);
                ReasonCode::ImplementationSpecific
            }
            Ok(broadcast) if self.dispatcher.broadcast(broadcast.clone()) => ReasonCode::Success,
            Ok(_) => {
                self.dispatcher.metrics.mqtt_dropped.inc();
                ReasonCode::QuotaExceeded
            }
        }
    }
}
