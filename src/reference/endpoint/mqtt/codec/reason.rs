//! Why the service says no, or how it says yes, in the words of MQTT 5 (§2.4).

/// The reasons that the service gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum ReasonCode {
    /// All is well; at SUBACK a quality of service is said instead.
    Success = 0x00,
    /// Nobody is subscribed to the topic of a message that was taken.
    NoSubscribers = 0x10,
    /// What was to be ended was no subscription.
    NoSubscription = 0x11,
    /// The service fails, on purpose.
    Unspecified = 0x80,
    /// Not a packet.
    Malformed = 0x81,
    /// A packet that may not come here.
    ProtocolError = 0x82,
    /// A message that means nothing to the service.
    ImplementationSpecific = 0x83,
    /// Another version of MQTT.
    UnsupportedVersion = 0x84,
    /// A client identifier that cannot be had.
    ClientIdentifier = 0x85,
    /// A wrong token.
    Credentials = 0x86,
    /// The token gives no right to this.
    NotAuthorized = 0x87,
    /// The service stops.
    ShuttingDown = 0x8b,
    /// Enhanced authentication is not to be had.
    AuthenticationMethod = 0x8c,
    /// Silence for too long.
    KeepAliveTimeout = 0x8d,
    /// Another connection has shown the same client identifier.
    SessionTakenOver = 0x8e,
    /// A topic filter that the service does not take.
    FilterInvalid = 0x8f,
    /// A topic that nothing can be published to.
    TopicInvalid = 0x90,
    /// Not the identifier of an exchange under way.
    UnknownIdentifier = 0x92,
    /// More messages than may be open.
    ReceiveMaximum = 0x93,
    /// An alias out of bounds.
    AliasInvalid = 0x94,
    /// A packet that is larger than may be.
    PacketTooLarge = 0x95,
    /// More than is given to one client, or at one time.
    QuotaExceeded = 0x97,
    /// A payload that was said to be text and is not.
    PayloadFormat = 0x99,
    /// Subscription identifiers are not to be had.
    SubscriptionIdentifiers = 0xa1,
}

impl ReasonCode {
    /// Whether it says no.
    pub(in super::super) const fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }

    /// The code by which MQTT 3.1.1 refuses a connection (§3.2.2.3).
    pub(super) const fn as_return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedVersion => 1,
            Self::ClientIdentifier => 2,
            Self::Credentials => 4,
            Self::NotAuthorized => 5,
            _ => 3,
        }
    }
}
