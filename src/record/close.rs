//! What closes a reading, declared per fleet.

use std::fmt;

/// The event that ends a reading successfully.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The HTTP response, read in full, with a success status.
    Response,
    /// The verdict carrying the same device and sequence number.
    Verdict,
    /// A message that names the reading in the way the fleet declares.
    Reply,
    /// The MQTT acknowledgement: PUBACK for `QoS` 1, PUBCOMP for `QoS` 2.
    Ack,
    /// The reading's own delivery to a subscriber of its topic.
    Delivery,
    /// Its last byte being handed to the transport: fire and forget.
    Sent,
}

impl Close {
    /// All of them, in the order documents list them.
    pub const ALL: [Self; 6] =
        [Self::Response, Self::Verdict, Self::Reply, Self::Ack, Self::Delivery, Self::Sent];

    /// The word used in scenarios and manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Verdict => "verdict",
            Self::Reply => "reply",
            Self::Ack => "ack",
            Self::Delivery => "delivery",
            Self::Sent => "sent",
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// MQTT quality of service of what a fleet publishes and subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qos {
    /// At most once: no acknowledgement.
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}
