//! The properties of MQTT 5 (§2.2.2): one table of all, by which they are read and written. Numbers in brackets are the
//! standard's statements.

use super::super::super::Failure;
use super::super::packet::remaining_length as varint;

/// What can carry properties, as bits of [`Row::carriers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(in super::super) enum Carrier {
    Connect = 1,
    Will = 1 << 1,
    Connack = 1 << 2,
    Publish = 1 << 3,
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Ack = 1 << 4,
    Subscribe = 1 << 5,
    Suback = 1 << 6,
    Disconnect = 1 << 7,
}

use Carrier as C;

impl Carrier {
    /// As the standard writes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Will => "will",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Ack => "acknowledgement",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Disconnect => "DISCONNECT",
        }
    }
}

/// How the value of a property is written (§1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One byte, 0 or 1.
    Flag,
    Two,
    Four,
    /// A variable byte integer.
    Variable,
    /// UTF-8, with its length in two bytes before it.
    Text,
    /// Bytes, with their length in two bytes before them.
    Binary,
    /// Two texts.
    Pair,
}

/// One property.
struct Row {
    id: u8,
    name: &'static str,
    form: Form,
    /// The least value, where 0 is a protocol error.
    least: u32,
    carriers: u16,
}

const fn row(id: u8, name: &'static str, form: Form, least: u32, carriers: &[Carrier]) -> Row {
    let (mut bits, mut at) = (0, 0);
    while at < carriers.len() {
        bits |= carriers[at] as u16;
        at += 1;
    }
    Row { id, name, form, least, carriers: bits }
}

const MESSAGE: &[Carrier] = &[C::Publish, C::Will];
const ANSWERS: &[Carrier] = &[C::Connack, C::Ack, C::Suback, C::Disconnect];
const ALL: &[Carrier] =
    &[C::Connect, C::Will, C::Connack, C::Publish, C::Ack, C::Subscribe, C::Suback, C::Disconnect];

pub(in super::super) const MESSAGE_EXPIRY: u8 = 2;
pub(in super::super) const RESPONSE_TOPIC: u8 = 8;
pub(in super::super) const CORRELATION_DATA: u8 = 9;
pub(in super::super) const SESSION_EXPIRY: u8 = 17;
pub(in super::super) const ASSIGNED_CLIENT: u8 = 18;
pub(in super::super) const SERVER_KEEP_ALIVE: u8 = 19;
pub(in super::super) const WILL_DELAY: u8 = 24;
pub(in super::super) const SERVER_REFERENCE: u8 = 28;
pub(in super::super) const REASON_STRING: u8 = 31;
pub(in super::super) const RECEIVE_MAXIMUM: u8 = 33;
pub(in super::super) const ALIAS_MAXIMUM: u8 = 34;
pub(in super::super) const TOPIC_ALIAS: u8 = 35;
pub(in super::super) const MAXIMUM_QOS: u8 = 36;
pub(in super::super) const RETAIN_AVAILABLE: u8 = 37;
pub(in super::super) const USER_PROPERTY: u8 = 38;
pub(in super::super) const MAXIMUM_PACKET: u8 = 39;
const SUBSCRIPTION_IDENTIFIER: u8 = 11;

/// Table 2-4 of the standard, without what only AUTH and UNSUBSCRIBE carry: those are never exchanged here.
const TABLE: &[Row] = &[
    row(1, "Payload Format Indicator", Form::Flag, 0, MESSAGE),
    row(MESSAGE_EXPIRY, "Message Expiry Interval", Form::Four, 0, MESSAGE),
    row(3, "Content Type", Form::Text, 0, MESSAGE),
    row(RESPONSE_TOPIC, "Response Topic", Form::Text, 0, MESSAGE),
    row(CORRELATION_DATA, "Correlation Data", Form::Binary, 0, MESSAGE),
    row(SUBSCRIPTION_IDENTIFIER, "Subscription Identifier", Form::Variable, 1, &[C::Publish, C::Subscribe]),
    row(SESSION_EXPIRY, "Session Expiry Interval", Form::Four, 0, &[C::Connect, C::Connack, C::Disconnect]),
    row(ASSIGNED_CLIENT, "Assigned Client Identifier", Form::Text, 0, &[C::Connack]),
    row(SERVER_KEEP_ALIVE, "Server Keep Alive", Form::Two, 0, &[C::Connack]),
    row(21, "Authentication Method", Form::Text, 0, &[C::Connect, C::Connack]),
    row(22, "Authentication Data", Form::Binary, 0, &[C::Connect, C::Connack]),
    row(23, "Request Problem Information", Form::Flag, 0, &[C::Connect]),
    row(WILL_DELAY, "Will Delay Interval", Form::Four, 0, &[C::Will]),
    row(25, "Request Response Information", Form::Flag, 0, &[C::Connect]),
    row(26, "Response Information", Form::Text, 0, &[C::Connack]),
    row(SERVER_REFERENCE, "Server Reference", Form::Text, 0, &[C::Connack, C::Disconnect]),
    row(REASON_STRING, "Reason String", Form::Text, 0, ANSWERS),
    row(RECEIVE_MAXIMUM, "Receive Maximum", Form::Two, 1, &[C::Connect, C::Connack]),
    row(ALIAS_MAXIMUM, "Topic Alias Maximum", Form::Two, 0, &[C::Connect, C::Connack]),
    row(TOPIC_ALIAS, "Topic Alias", Form::Two, 1, &[C::Publish]),
    row(MAXIMUM_QOS, "Maximum QoS", Form::Flag, 0, &[C::Connack]),
    row(RETAIN_AVAILABLE, "Retain Available", Form::Flag, 0, &[C::Connack]),
    row(USER_PROPERTY, "User Property", Form::Pair, 0, ALL),
    row(MAXIMUM_PACKET, "Maximum Packet Size", Form::Four, 1, &[C::Connect, C::Connack]),
    row(40, "Wildcard Subscription Available", Form::Flag, 0, &[C::Connack]),
    row(41, "Subscription Identifier Available", Form::Flag, 0, &[C::Connack]),
    row(42, "Shared Subscription Available", Form::Flag, 0, &[C::Connack]),
];

/// The value of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// The properties of one packet, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// None.
    pub(in super::super) const NONE: Self = Self(&[]);

    /// Reads the properties at the beginning of `bytes`; gives what follows them, too.
    ///
    /// # Errors
    /// [`Failure`], if they are malformed [MQTT-1.5.4-1] [MQTT-1.5.4-2], stand where they may not or stand twice (§2.2.2.2).
    pub(in super::super) fn split(carrier: Carrier, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Failure> {
        let (size, digits) = varint(bytes)?.ok_or_else(|| cut(carrier))?;
        let rest = bytes.get(digits..).unwrap_or_default();
        let (own, rest) = rest.split_at_checked(size).ok_or_else(|| cut(carrier))?;
        let (mut left, mut seen) = (own, 0_u64);
        while let Some((&id, after)) = left.split_first() {
            let row = row_of(carrier, id)?;
            let many = id == USER_PROPERTY || (id == SUBSCRIPTION_IDENTIFIER && carrier == Carrier::Publish);
            if seen & 1 << id != 0 && !many {
                return Err(said(carrier, &format!("the property {} twice", row.name)));
            }
            seen |= 1 << id;
            let (value, after) = read(row.form, after).ok_or_else(|| {
                said(carrier, &format!("the property {} with a value it cannot have", row.name))
            })?;
            if matches!(value, Value::Number(number) if number < row.least) {
                return Err(said(carrier, &format!("the property {} with the value 0", row.name)));
            }
            left = after;
        }
        Ok((Self(own), rest))
    }

    /// The value of the property with this identifier, the first if there are several.
    pub(in super::super) fn get(self, id: u8) -> Option<Value<'a>> {
        let mut left = self.0;
        while let Some((&found, after)) = left.split_first() {
            let row = TABLE.iter().find(|row| row.id == found)?;
            let (value, after) = read(row.form, after)?;
            if found == id {
                return Some(value);
            }
            left = after;
        }
        None
    }

    /// The same of a property that is a number.
    pub(in super::super) fn number(self, id: u8) -> Option<u32> {
        if let Value::Number(number) = self.get(id)? { Some(number) } else { None }
    }

    /// The same of one that has two bytes.
    pub(in super::super) fn small(self, id: u8) -> Option<u16> {
        self.number(id).and_then(|number| u16::try_from(number).ok())
    }

    /// The same of a property that is bytes.
    pub(in super::super) fn binary(self, id: u8) -> Option<&'a [u8]> {
        if let Value::Binary(bytes) = self.get(id)? { Some(bytes) } else { None }
    }

    /// The same of a property that is a text.
    pub(in super::super) fn text(self, id: u8) -> Option<&'a str> {
        if let Value::Text(text) = self.get(id)? { Some(text) } else { None }
    }
}

/// Appends a property. `value` must be of its form, and its texts no longer than two bytes can say: longer ones are cut.
pub(in super::super) fn put(id: u8, value: Value<'_>, out: &mut Vec<u8>) {
    out.push(id);
    let form = TABLE.iter().find(|row| row.id == id).map_or(Form::Binary, |row| row.form);
    match (form, value) {
        (Form::Flag, Value::Number(number)) => out.push(number as u8),
        (Form::Two, Value::Number(number)) => out.extend_from_slice(&(number as u16).to_be_bytes()),
        (_, Value::Number(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (_, Value::Text(text)) => put_counted(text.as_bytes(), out),
        (_, Value::Binary(bytes)) => put_counted(bytes, out),
        (_, Value::Pair(name, value)) => {
            put_counted(name.as_bytes(), out);
            put_counted(value.as_bytes(), out);
        }
    }
}

/// Appends bytes behind their number.
pub(super) fn put_counted(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn row_of(carrier: Carrier, id: u8) -> Result<&'static Row, Failure> {
    let row = TABLE.iter().find(|row| row.id == id).ok_or_else(|| {
        said(carrier, &format!("the property {id}, which MQTT 5 does not have or does not exchange here"))
    })?;
    if row.carriers & carrier as u16 == 0 {
        return Err(said(carrier, &format!("the property {}, which has no place in it", row.name)));
    }
    Ok(row)
}

fn said(carrier: Carrier, what: &str) -> Failure {
    Failure::protocol(format!("the broker sent {} with {what}", carrier.named()))
}

fn cut(carrier: Carrier) -> Failure {
    Failure::protocol(format!("the broker sent {} that is shorter than its properties", carrier.named()))
}

impl Carrier {
    fn named(self) -> String {
        let article = if self == Self::Ack { "an" } else { "a" };
        format!("{article} {}", self.name())
    }
}

/// The value at the beginning of `bytes`, and what follows it; `None` if it is malformed.
fn read(form: Form, bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    Some(match form {
        Form::Flag => {
            let (&flag, rest) = bytes.split_first().filter(|(flag, _)| **flag < 2)?;
            (Value::Number(flag.into()), rest)
        }
        Form::Two => {
            let (number, rest) = bytes.split_first_chunk::<2>()?;
            (Value::Number(u16::from_be_bytes(*number).into()), rest)
        }
        Form::Four => {
            let (number, rest) = bytes.split_first_chunk::<4>()?;
            (Value::Number(u32::from_be_bytes(*number)), rest)
        }
        Form::Variable => {
            let (number, digits) = varint(bytes).ok()??;
            (Value::Number(number as u32), bytes.get(digits..)?)
        }
        Form::Text => {
            let (text, rest) = text(bytes)?;
            (Value::Text(text), rest)
        }
        Form::Binary => {
            let (binary, rest) = counted(bytes)?;
            (Value::Binary(binary), rest)
        }
        Form::Pair => {
            let (name, rest) = text(bytes)?;
            let (value, rest) = text(rest)?;
            (Value::Pair(name, value), rest)
        }
    })
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = counted(bytes)?;
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
    Some((text, rest))
}

/// The bytes behind their number, and what follows them.
pub(super) fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIERS: &[Carrier] = ALL;

    /// Some value of each form.
    fn some(form: Form) -> Vec<u8> {
        match form {
            Form::Flag | Form::Variable => vec![1],
            Form::Two => vec![0, 1],
            Form::Four => vec![0, 0, 0, 1],
            Form::Text | Form::Binary => vec![0, 1, b'a'],
            Form::Pair => vec![0, 1, b'a', 0, 1, b'b'],
        }
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [&[bytes.len() as u8][..], bytes].concat()
    }

    #[test]
    fn every_property_stands_where_the_table_says_once_and_whole() {
        for id in 0..=u8::MAX {
            let row = TABLE.iter().find(|row| row.id == id);
            for &carrier in CARRIERS {
                let one = [&[id][..], &row.map(|row| some(row.form)).unwrap_or_default()].concat();
                let bytes = framed(&one);
                let sound = Properties::split(carrier, &bytes).is_ok();
                assert_eq!(
                    sound,
                    row.is_some_and(|row| row.carriers & carrier as u16 != 0),
                    "{id} {carrier:?}"
                );
                if !sound {
                    continue;
                }
                for size in 1..one.len() {
                    let cut = framed(&one[..size]);
                    assert!(Properties::split(carrier, &cut).is_err(), "{id}: {size} of its bytes");
                }
                let twice = Properties::split(carrier, &framed(&one.repeat(2))).is_ok();
                assert_eq!(twice, id == USER_PROPERTY || (id == 11 && carrier == Carrier::Publish), "{id}");
            }
        }
    }

    #[test]
    fn values_that_may_not_be_are_refused_by_name() {
        let table: &[(Carrier, &[u8], &str)] = &[
            (Carrier::Connack, &[33, 0, 0], "a CONNACK with the property Receive Maximum with the value 0"),
            (Carrier::Connack, &[39, 0, 0, 0, 0], "the property Maximum Packet Size with the value 0"),
            (Carrier::Publish, &[35, 0, 0], "the property Topic Alias with the value 0"),
            (Carrier::Publish, &[11, 0], "the property Subscription Identifier with the value 0"),
            (Carrier::Connack, &[36, 2], "the property Maximum QoS with a value it cannot have"),
            (Carrier::Connack, &[31, 0, 1, 0], "the property Reason String with a value it cannot have"),
            (Carrier::Connack, &[31, 0, 1, 0xff], "the property Reason String with a value it cannot have"),
            (Carrier::Publish, &[31, 0, 1, b'a'], "the property Reason String, which has no place in it"),
            (Carrier::Ack, &[99], "an acknowledgement with the property 99, which MQTT 5 does not have"),
        ];
        for (carrier, bytes, said) in table {
            let sentence = Properties::split(*carrier, &framed(bytes)).unwrap_err().to_string();
            assert!(sentence.contains(said), "{sentence}");
        }
        assert!(Properties::split(Carrier::Ack, &[]).is_err());
        assert!(Properties::split(Carrier::Ack, &[2, 31]).is_err());
    }

    #[test]
    fn what_is_put_is_found_again() {
        let mut bytes = Vec::new();
        put(RECEIVE_MAXIMUM, Value::Number(20), &mut bytes);
        put(USER_PROPERTY, Value::Pair("a", "b"), &mut bytes);
        put(MAXIMUM_PACKET, Value::Number(70_000), &mut bytes);
        put(REASON_STRING, Value::Text("é"), &mut bytes);
        let framed = framed(&bytes);
        let (properties, rest) = Properties::split(Carrier::Connack, &framed).unwrap();
        assert_eq!(rest, b"");
        assert_eq!(properties.small(RECEIVE_MAXIMUM), Some(20));
        assert_eq!(properties.get(USER_PROPERTY), Some(Value::Pair("a", "b")));
        assert_eq!(
            (properties.number(MAXIMUM_PACKET), properties.small(MAXIMUM_PACKET)),
            (Some(70_000), None)
        );
        assert_eq!((properties.text(REASON_STRING), properties.text(SERVER_REFERENCE)), (Some("é"), None));
    }
}
