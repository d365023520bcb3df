//! `mqtt` of a fleet: sessions, topics and quality of service as a broker of its own wants them.

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, correlation, pattern, source};
use super::super::{Correlation, Identity, Login, OwnSettings, Settings, Will};
use super::grammar::is_filter;
use super::share::{self, PatternFilter};
use super::v5::settings::{V5Settings, by_data, five, user_properties};
use crate::fleet::Scope;
use crate::language::{Field, Fields, Kind, Reporter, Section, quote};
use crate::record::{Close, MessagePattern, Qos};
use crate::service::Topic;
use crate::units::{Secret, Span};

pub(super) static MQTT: Section = Section {
    title: "mqtt = { … }",
    about: "mqtt only: session, topics and quality of service",
    by: None,
    fields: &[
        Field::with(
            "version",
            Kind::Integer(4, 5),
            "4",
            "protocol level that CONNECT names: 4 is MQTT 3.1.1, 5 is MQTT 5",
        ),
        Field::with("qos", Kind::Integer(0, 2), "1", "quality of service of messages and subscriptions"),
        Field::with(
            "keep_alive",
            Kind::Span(Span::ZERO, Span::from_ms(65_535_000)),
            "30s",
            "keep-alive interval that CONNECT announces, in whole seconds; 0 turns it off. A device that was silent for half of it pings",
        ),
        Field::optional(
            "topic",
            Kind::Text,
            "topic of readings; may name device and reading; devices/{{device}}/readings unless stated",
        ),
        Field::optional(
            "reply_topic",
            Kind::Text,
            "topic filter of verdicts or replies (+ and # stand for levels); may name the device; devices/{{device}}/verdicts unless stated",
        ),
        Field::with("retain", Kind::Flag, "false", "the broker keeps the last reading for later subscribers"),
        Field::with(
            "clean_session",
            Kind::Flag,
            "true",
            "the broker forgets the session when the connection ends",
        ),
        Field::with(
            "wipe_sessions",
            Kind::Flag,
            "false",
            "clean_session = false only: after the run the broker is made to forget its devices' sessions even if `client_id` names \
             no run; of those that do it always is",
        ),
        Field::with(
            "session_expiry",
            Kind::Span(Span::ZERO, Span::from_ms(4_294_967_294_000)),
            "1h",
            "version = 5 and clean_session = false only: how long the broker keeps a session once its connection has ended, in whole seconds",
        ),
        Field::optional(
            "message_expiry",
            Kind::Span(Span::from_ms(1_000), Span::from_ms(4_294_967_294_000)),
            "version = 5 only: how long the broker may keep a reading that it could not deliver, in whole seconds",
        ),
        Field::with(
            "receive_maximum",
            Kind::Integer(1, 65_535),
            "65535",
            "version = 5 only: messages at QoS 1 and 2 that the device takes without having acknowledged them; the broker's own limit always holds",
        ),
        Field::with(
            "topic_aliases",
            Kind::Integer(0, 65_535),
            "0",
            "version = 5 only: aliases of topics that the device states, as far as the broker allows, and that it takes",
        ),
        Field::with(
            "user_properties",
            Kind::Map(&Kind::Text, "name"),
            "",
            "version = 5 only: user properties of readings; may name the device",
        ),
        Field::optional(
            "client_id",
            Kind::Text,
            "client identifier; may name the device and the run; {{device}}-{{run}} unless stated",
        ),
        Field::optional("username", Kind::Text, "user name; may name the device"),
        Field::optional(
            "password",
            Kind::Text,
            "password; may name the device; keep it in an environment variable: ${PASSWORD}",
        ),
        Field::optional(
            "subscribe",
            Kind::Text,
            "model = \"subscriber\" only, and required there unless it states a pattern: the topic filter; may name the device",
        ),
        Field::optional(
            "subscribers",
            Kind::Name,
            "close = \"delivery\" only: the fleet of subscribers whose first delivery ends a reading; the device itself unless stated",
        ),
        Field::optional("will", Kind::Table(&WILL), "what the broker publishes when the connection breaks"),
        Field::optional(
            "correlate",
            Kind::List(&Kind::Text),
            "close = \"reply\": required, a JSON pointer to the sequence number in the reply (/id; empty where the reply is the number), or order, or with version = 5 data: readings name `reply_topic` as their response topic, and replies return their correlation data; model = \"subscriber\": two, to the device whose reading a message is and to the reading's number, /device and /seq unless stated",
        ),
    ],
};

pub(super) static WILL: Section = Section {
    title: "will = { … }",
    about: "mqtt only: a last will",
    by: None,
    fields: &[
        Field::required("topic", Kind::Text, "its topic; may name the device"),
        Field::with("payload", Kind::Text, "", "what it says; may name the device"),
        Field::with("qos", Kind::Integer(0, 2), "0", "its quality of service"),
        Field::with("retain", Kind::Flag, "false", "the broker keeps it for later subscribers"),
        Field::with(
            "delay",
            Kind::Span(Span::ZERO, Span::from_ms(4_294_967_294_000)),
            "0s",
            "version = 5 only: how long the broker waits for the device to come back before it publishes, in whole seconds",
        ),
    ],
};

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
    /// What MQTT 5 adds; `None` for MQTT 3.1.1.
    pub five: Option<V5Settings>,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self { qos: Qos::AtLeastOnce, retain: false, clean_session: true, five: None }
    }
}

/// What a session has to know of its settings all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) clean_session: bool,
}

impl From<&MqttSettings> for Usage {
    fn from(&MqttSettings { qos, retain, clean_session, .. }: &MqttSettings) -> Self {
        Self { qos, retain, clean_session }
    }
}

/// Settings of an MQTT fleet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MqttExchange {
    /// Quality of service of messages published and of subscriptions.
    qos: Qos,
    /// Keep-alive interval sent in CONNECT, whole seconds; zero turns it off.
    keep_alive: Span,
    /// Topic of readings; may name the reading. `None`: `devices/<device>/readings`.
    topic: Option<Pattern>,
    /// Topic filter of verdicts or replies; may name the device. `None`: `devices/<device>/verdicts`.
    reply_topic: Option<Pattern>,
    /// Whether the broker keeps the last reading for later subscribers.
    retain: bool,
    /// Whether the broker forgets the session when the connection ends.
    clean_session: bool,
    /// Whether sessions of identifiers that name no run are removed after the run.
    wipe_sessions: bool,
    /// Client identifier; may name the device. `None`: the device's name and the run's token.
    client_id: Option<Pattern>,
    /// User name; may name the device.
    username: Option<Pattern>,
    /// Password; may name the device.
    password: Option<Pattern>,
    /// What the broker publishes when the connection breaks.
    will: Option<WillPattern>,
    /// How a reply names its reading, for `close = "reply"`.
    correlation: Correlation,
    /// What a subscriber subscribes to; may name the device.
    subscribe: Option<Pattern>,
    /// What subscribers of a stated pattern subscribe to, where they do not say so themselves.
    usual: Option<PatternFilter>,
    /// As what the bundled service is to tell what it publishes: it answers none of that.
    told_as: Option<Topic>,
    /// The fleet of subscribers whose first delivery closes a reading; `None`: the device's own.
    subscribers: Option<String>,
    /// What MQTT 5 adds; `None` for MQTT 3.1.1.
    five: Option<V5Settings>,
    /// User properties of readings by name; may name the device.
    user_properties: Vec<(String, Pattern)>,
}

/// A last will.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WillPattern {
    /// Its topic; may name the device.
    topic: Pattern,
    /// What it says; may name the device.
    payload: Pattern,
    /// Its quality of service.
    qos: Qos,
    /// Whether the broker keeps it.
    retain: bool,
}

pub(super) fn mqtt(stated: &Stated<'_>, report: &mut Reporter<'_>) -> MqttExchange {
    let (fields, reply) = (stated.own, stated.reply);
    let keep_alive = fields.span("keep_alive");
    if !keep_alive.as_ns().is_multiple_of(1_000_000_000) {
        let message = format!("`{keep_alive}` is not in whole seconds, as MQTT counts it");
        fields.refuse("keep_alive", report, message, "write for example \"30s\"");
    }
    let password = pattern(fields, "password", &[], Scope::Device, report);
    if let Some(password) = &password {
        report.context().conceal(password.written.value());
    }
    let five = five(fields, report);
    if five.is_none() && password.is_some() && fields.given("username").is_none() {
        fields.refuse("password", report, "MQTT 3.1.1 takes no password without a user", "add `username`");
    }
    let will = fields.table("will").and_then(|will| {
        Some(WillPattern {
            topic: topic(&will, "topic", &[], Scope::Device, report)?,
            payload: pattern(&will, "payload", &[], Scope::Device, report)?,
            qos: qos(&will),
            retain: will.flag("retain"),
        })
    });
    let correlation = if stated.hears {
        source(fields, report)
    } else if by_data(fields, reply, report) {
        Correlation::Data
    } else {
        correlation(fields, reply, report)
    };
    let clean_session = fields.flag("clean_session");
    if reply && correlation == Correlation::Order && !clean_session {
        let message =
            "replies cannot be told apart by their order when the broker keeps those of earlier connections";
        fields.refuse("correlate", report, message, "write a JSON pointer, or clean_session = true");
    }
    if clean_session {
        fields.refuse_given(&["wipe_sessions"], report, "requires clean_session = false");
    }
    let told = stated.told_place(if stated.hears { &["subscribe"] } else { &["topic"] }, report);
    let (published, heard) = if stated.hears { (None, told) } else { (told, None) };
    let told_as = stated.topic.filter(|_| published.is_some()).map(|stated| stated.topic);
    MqttExchange {
        qos: qos(fields),
        keep_alive,
        topic: published.or_else(|| topic(fields, "topic", stated.channels, Scope::Reading, report)),
        reply_topic: filter(fields, "reply_topic", report),
        retain: fields.flag("retain"),
        clean_session,
        wipe_sessions: fields.flag("wipe_sessions"),
        client_id: pattern(fields, "client_id", &[], Scope::Device, report),
        username: pattern(fields, "username", &[], Scope::Device, report),
        password,
        will,
        correlation,
        subscribe: heard.or_else(|| subscription(stated, report)),
        told_as,
        usual: stated.spread.as_ref().map(PatternFilter::of),
        subscribers: fields.text("subscribers").map(|name| name.value().to_owned()),
        five,
        user_properties: user_properties(fields, report),
    }
}

/// What a fleet of subscribers says that it subscribes to, which has to go with its pattern.
fn subscription(stated: &Stated<'_>, report: &mut Reporter<'_>) -> Option<Pattern> {
    let filter = filter(stated.own, "subscribe", report)?;
    let is_shared = share::split(filter.written.value()).is_some();
    if let Some(spread) = stated.spread
        && (spread.pattern == MessagePattern::Shared) != is_shared
    {
        let (message, help) = if is_shared {
            (
                format!("is a shared subscription, which `{}` is not", spread.pattern),
                "write pattern = \"shared\", or a filter without $share",
            )
        } else {
            (
                "is no shared subscription".to_owned(),
                "write $share/, the name of the group, and the filter: $share/group/devices/+/readings",
            )
        };
        stated.own.refuse("subscribe", report, message, help);
    }
    Some(filter)
}

fn qos(fields: &Fields) -> Qos {
    match fields.optional_integer("qos") {
        Some(0) => Qos::AtMostOnce,
        Some(2) => Qos::ExactlyOnce,
        _ => Qos::AtLeastOnce,
    }
}

fn topic(
    fields: &Fields,
    key: &str,
    channels: &[&str],
    scope: Scope,
    report: &mut Reporter<'_>,
) -> Option<Pattern> {
    let pattern = pattern(fields, key, channels, scope, report)?;
    let text = pattern.written.value();
    if text.is_empty() || text.contains(['+', '#', '\0']) {
        let message =
            format!("`{}` is not a topic that can be published to", quote(pattern.written.written()));
        fields.refuse(key, report, message, "write a topic without + and #");
        return None;
    }
    Some(pattern)
}

fn filter(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> Option<Pattern> {
    let pattern = pattern(fields, key, &[], Scope::Device, report)?;
    if !is_filter(pattern.written.value()) {
        let message = format!("`{}` is not a topic filter", quote(pattern.written.written()));
        let help = "write + in place of a whole level, and # only as the last: devices/+/verdicts";
        fields.refuse(key, report, message, help);
        return None;
    }
    Some(pattern)
}

impl Exchange for MqttExchange {
    fn settings(&self, usual: Settings) -> Settings {
        let Self { qos, retain, clean_session, five, .. } = *self;
        Settings {
            correlation: self.correlation.clone(),
            // The session announces twice the period in which it looks whether it has to ping.
            keep_alive: self.keep_alive.as_duration() / 2,
            own: OwnSettings::of(MqttSettings { qos, retain, clean_session, five }),
            ..usual
        }
    }

    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity {
        let fixed = |pattern: &Option<Pattern>| rendering.fixed(pattern.as_ref());
        let render = |pattern: &Pattern| rendering.of(pattern);
        Identity {
            headers: rendering.headers(&self.user_properties),
            address: fixed(&self.topic),
            reply_topic: fixed(&self.reply_topic)
                .or_else(|| fixed(&self.subscribe))
                .or_else(|| self.usual.as_ref().map(|usual| usual.of_device(rendering.device.id()))),
            client_id: fixed(&self.client_id).or_else(|| Some(rendering.of_run(&usual.device))),
            login: self.username.as_ref().map(|user| Login {
                user: render(user),
                password: self.password.as_ref().map(|password| Secret::new(render(password))),
            }),
            will: self.will.as_ref().map(|will| Will {
                topic: render(&will.topic),
                payload: render(&will.payload).into_bytes(),
                qos: will.qos,
                retain: will.retain,
            }),
            ..usual
        }
    }

    fn place(&self) -> Option<&Pattern> {
        self.topic.as_ref()
    }

    fn usual_place(&self) -> Option<&'static str> {
        Some("devices/{{device}}/readings")
    }

    fn heard(&self) -> Option<&Pattern> {
        self.subscribe.as_ref()
    }

    fn shares(&self) -> bool {
        match &self.subscribe {
            Some(subscribe) => share::split(subscribe.written.value()).is_some(),
            None => matches!(self.usual, Some(PatternFilter::Shared(_))),
        }
    }

    fn method(&self, subscribes: bool) -> Option<&str> {
        Some(if subscribes { "SUBSCRIBE" } else { "PUBLISH" })
    }

    fn heard_by(&self) -> Option<&str> {
        self.subscribers.as_deref()
    }

    fn is_lasting(&self) -> bool {
        !self.clean_session && self.qos != Qos::AtMostOnce
    }

    fn traces_readings(&self) -> bool {
        self.five.is_some()
    }

    fn has_shared_ids(&self, token_is_drawn: bool) -> bool {
        match &self.client_id {
            None => !token_is_drawn,
            // The broker makes one up for every connection.
            Some(id) if id.written.value().is_empty() => false,
            Some(id) => !(token_is_drawn && id.template.names_run()),
        }
    }

    fn forgetting(&self, usual: Settings) -> Option<Settings> {
        let wipes = !self.clean_session && (self.wipe_sessions || !self.has_shared_ids(true));
        let clean = MqttSettings { five: self.five, ..MqttSettings::default() };
        wipes.then(|| Settings { close: Close::Sent, own: OwnSettings::of(clean), ..usual })
    }

    fn is_isolated(&self, close: Close) -> bool {
        let place = match close {
            _ if self.subscribe.is_some() => &self.subscribe,
            Close::Verdict | Close::Reply => &self.reply_topic,
            Close::Delivery => &self.topic,
            Close::Response | Close::Ack | Close::Sent => return true,
        };
        place.as_ref().is_some_and(|place| place.template.names_run())
    }

    fn claim(&self, rendering: &Rendering<'_>) -> Option<(&'static str, String, bool)> {
        let stated = rendering.fixed(self.client_id.as_ref());
        let is_stated = stated.is_some();
        Some(("client_id", stated.unwrap_or_else(|| rendering.device.id().to_owned()), is_stated))
    }

    /// A PUBLISH.
    fn framing(&self, name: usize) -> usize {
        7 + self.topic.as_ref().map_or(17 + name, |topic| topic.written.value().len())
    }

    fn objection(&self, close: Close) -> Option<(&'static str, &'static str)> {
        if close == Close::Ack && self.qos == Qos::AtMostOnce {
            let help = "raise `qos`, or write \"verdict\", \"delivery\" or \"sent\"";
            return Some(("there is no acknowledgement at qos 0", help));
        }
        if self.told_as.is_some() && matches!(close, Close::Verdict | Close::Reply) {
            return Some(("the service answers no broadcast", "write \"ack\", \"delivery\" or \"sent\""));
        }
        let per_reading = self.topic.as_ref().is_some_and(|topic| topic.template.per_reading());
        let unheard = close == Close::Delivery && self.subscribers.is_none() && per_reading;
        unheard.then_some((
            "a device cannot subscribe to a topic that changes with every reading",
            "take {{seq}} and the like out of `topic`",
        ))
    }
}
