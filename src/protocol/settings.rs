//! How the devices of one fleet use their sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::status::StatusSet;
use crate::record::{Close, Qos};

/// How a reply names the reading it answers, where [`Close::Reply`] closes readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Correlation {
    /// A JSON pointer (RFC 6901) into the reply, to its sequence number: a number, or a string of its digits. A reply
    /// without one is stray.
    Pointer(Box<str>),
    /// The n-th reply of a connection answers the n-th of its readings still unanswered.
    ///
    /// For peers that answer everything in turn; any message that can be a reply is taken for one. A reply that never
    /// came would make each later one count for the reading before its own, so a WebSocket session does not
    /// [survive](super::Session::survives_timeout) a time-out. Over MQTT replies belong to no connection: one that is
    /// lost delays all later answers by one, and one that comes only after a reconnection answers a newer reading. Prefer
    /// a pointer there.
    Order,
}

/// Settings of HTTP sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Statuses that close a reading well. One that is in both sets counts as this.
    pub ok: StatusSet,
    /// Statuses by which the service says no. All others are errors.
    pub shed: StatusSet,
    /// A new connection for every reading: each request says `Connection: close`, and the session ends, in an orderly
    /// way, with its first response.
    pub fresh: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { ok: StatusSet::success(), shed: StatusSet::overload(), fresh: false }
    }
}

/// Settings of WebSocket sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WsSettings {
    /// In which messages readings travel. Replies are understood in either.
    pub mode: WsMode,
}

/// The kind of WebSocket message that carries a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WsMode {
    /// Text if the payload is UTF-8, else binary.
    #[default]
    Auto,
    /// Text always; a payload that is not UTF-8 ends the session.
    Text,
    /// Binary always.
    Binary,
}

/// Settings of MQTT sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqttSettings {
    /// Quality of service of publishes, and of the subscription to the device's own topic for [`Close::Delivery`].
    pub qos: Qos,
    /// Whether the broker is to keep each reading as its topic's retained message.
    pub retain: bool,
    /// Whether the broker is to forget the device when its connection ends.
    ///
    /// If not, the broker keeps subscriptions, and messages at quality of service 1 and 2, for the device's next
    /// connection. That one subscribes again all the same, which changes nothing, tells what has come for earlier
    /// connections, and takes up what was in flight, if it is [given it](super::Identity::resume).
    pub clean_session: bool,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self { qos: Qos::AtLeastOnce, retain: false, clean_session: true }
    }
}

/// How the devices of one fleet use their sessions; the default is what the bundled service needs, closed as HTTP is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What closes a reading.
    pub close: Close,
    /// How replies name their readings, for [`Close::Reply`].
    ///
    /// A [pointer](Correlation::Pointer) also serves [`Close::Delivery`], for payloads that do not carry the sequence
    /// number where the built-in encoding has it.
    pub correlation: Correlation,
    /// How often [`Session::keep_alive`](super::Session::keep_alive) is called; zero if never.
    ///
    /// MQTT announces twice this to the broker (in whole seconds, at most 65 535), so that the calls come at half of what was
    /// announced: a device that sent something just after one call may stay silent until the call after next.
    pub keep_alive: Duration,
    /// What only HTTP uses.
    pub http: HttpSettings,
    /// What only WebSocket uses.
    pub ws: WsSettings,
    /// What only MQTT uses.
    pub mqtt: MqttSettings,
    /// What the session listens for besides answers to its own readings.
    pub hearing: Hearing,
}

/// Whether a session hears the readings of other devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hearing {
    /// It does not.
    #[default]
    Own,
    /// Its own readings are heard by another session: with [`Close::Delivery`] it subscribes to nothing, and no message closes
    /// a reading.
    Relayed,
    /// It hears the readings of the devices that the roster knows, in a built-in encoding or as the correlation points, and
    /// tells each as [`Event::Heard`](super::Event::Heard). MQTT only: the filter is the identity's `reply_topic`.
    Others(Roster),
}

/// Finds the number of a device by its name.
pub(crate) type Lookup = dyn Fn(&str) -> Option<u32> + Send + Sync;

/// Gives the number of a device by its name.
#[derive(Clone)]
pub struct Roster(pub Arc<Lookup>);

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roster")
    }
}

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Roster {}

impl Default for Settings {
    fn default() -> Self {
        Self {
            close: Close::Response,
            correlation: Correlation::Order,
            keep_alive: Duration::from_secs(30),
            http: HttpSettings::default(),
            ws: WsSettings::default(),
            mqtt: MqttSettings::default(),
            hearing: Hearing::Own,
        }
    }
}
