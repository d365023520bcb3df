//! How a fleet's requests and messages look to a service that is not the bundled one.

use crate::fleet::Template;
use crate::language::Text;
use crate::record::Qos;
use crate::units::Span;

/// What surrounds a reading on the wire, by protocol. Templates see the device, and where stated the reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Exchange {
    /// An HTTP request per reading.
    Http(HttpExchange),
    /// A WebSocket message per reading.
    Ws(WsExchange),
    /// An MQTT PUBLISH per reading.
    Mqtt(Box<MqttExchange>),
}

/// A template, and the text it stands for in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// To be rendered.
    pub template: Template,
    /// As it stands in the file, environment variables unread.
    pub written: Text,
}

/// Settings of an HTTP fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpExchange {
    /// The method, a token of RFC 9110 §9.
    pub method: String,
    /// The request target, from `/`; may name the reading. `None`: that of the target's URL.
    pub path: Option<Pattern>,
    /// Header fields by name; may name the device.
    pub headers: Vec<(String, Pattern)>,
    /// Statuses that mean success, as inclusive ranges.
    pub ok: Vec<(u16, u16)>,
    /// Statuses by which the service says no.
    pub shed: Vec<(u16, u16)>,
    /// Whether every reading has a connection of its own.
    pub fresh: bool,
}

/// Settings of a WebSocket fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct WsExchange {
    /// The request target, from `/`; may name the device. `None`: that of the target's URL.
    pub path: Option<Pattern>,
    /// Header fields of the upgrade by name; may name the device.
    pub headers: Vec<(String, Pattern)>,
    /// The sub-protocol asked for.
    pub subprotocol: Option<String>,
    /// Whether messages are text; `None`: text where the payload is UTF-8.
    pub text: Option<bool>,
    /// How a reply names its reading, for `close = "reply"`.
    pub correlation: Correlation,
}

/// Settings of an MQTT fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttExchange {
    /// Quality of service of messages published and of subscriptions.
    pub qos: Qos,
    /// Keep-alive interval sent in CONNECT, whole seconds; zero turns it off.
    pub keep_alive: Span,
    /// Topic of readings; may name the reading. `None`: `devices/<device>/readings`.
    pub topic: Option<Pattern>,
    /// Topic of verdicts or replies; may name the device. `None`: `devices/<device>/verdicts`.
    pub reply_topic: Option<Pattern>,
    /// Whether the broker keeps the last reading for later subscribers.
    pub retain: bool,
    /// Whether the broker forgets the session when the connection ends.
    pub clean_session: bool,
    /// Client identifier; may name the device. `None`: the device's name.
    pub client_id: Option<Pattern>,
    /// User name; may name the device.
    pub username: Option<Pattern>,
    /// Password; may name the device.
    pub password: Option<Pattern>,
    /// What the broker publishes when the connection breaks.
    pub will: Option<Will>,
    /// How a reply names its reading, for `close = "reply"`.
    pub correlation: Correlation,
    /// What a subscriber subscribes to; may name the device.
    pub subscribe: Option<Pattern>,
    /// The fleet of subscribers whose first delivery closes a reading; `None`: the device's own.
    pub subscribers: Option<String>,
}

/// A last will.
#[derive(Debug, Clone, PartialEq)]
pub struct Will {
    /// Its topic; may name the device.
    pub topic: Pattern,
    /// What it says; may name the device.
    pub payload: Pattern,
    /// Its quality of service.
    pub qos: Qos,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// How a reply names the reading it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correlation {
    /// The n-th reply answers the n-th reading still unanswered.
    Order,
    /// This JSON pointer (RFC 6901) leads to the sequence number.
    Pointer(String),
}
