//! What the bundled service tells whoever listens.

use crate::units::word::words;

words! {
    /// What the bundled service tells whoever listens, over every transport.
    Topic {
        /// That something is wrong.
        Alerts = "alerts",
        /// The verdict on every reading, whichever way that came in.
        Verdicts = "verdicts",
        /// What somebody says to all.
        Broadcast = "broadcast",
    }
}

impl Topic {
    /// Where it is listed over HTTP; streams and sockets are beneath.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Alerts => "/v1/alerts",
            Self::Verdicts => "/v1/verdicts",
            Self::Broadcast => "/v1/broadcast",
        }
    }

    /// Where it is a stream of server-sent events.
    pub const fn stream(self) -> &'static str {
        match self {
            Self::Alerts => "/v1/alerts/stream",
            Self::Verdicts => "/v1/verdicts/stream",
            Self::Broadcast => "/v1/broadcast/stream",
        }
    }

    /// Where it is told over WebSocket.
    pub const fn socket(self) -> &'static str {
        match self {
            Self::Alerts => "/v1/alerts/ws",
            Self::Verdicts => "/v1/verdicts/ws",
            Self::Broadcast => "/v1/broadcast/ws",
        }
    }

    /// JSON pointer to the messages in an answer that lists them.
    pub const fn list(self) -> &'static str {
        match self {
            Self::Alerts => "/alerts",
            Self::Verdicts => "/verdicts",
            Self::Broadcast => "/broadcasts",
        }
    }

    /// The MQTT topic filter that has all of it.
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Alerts => "alerts/#",
            Self::Verdicts => "verdicts/#",
            Self::Broadcast => "broadcast",
        }
    }
}
