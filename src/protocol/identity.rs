//! Who a device is to the service, and what one of its messages is.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use super::SessionState;
use crate::net::{ConnectionFaults, DeviceTls};
use crate::record::{Qos, TraceContext};
use crate::units::Secret;

/// What one device presents and asks for, as it stands at one connection attempt.
///
/// Printed for debugging it keeps secrets: of headers only the names, of the address not the query, of a login not the
/// password, of a will not the payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The device's id.
    pub device: String,
    /// HTTP method of its requests: any token but CONNECT.
    pub method: String,
    /// Where its readings go: the HTTP or WebSocket request target, or the
    /// MQTT topic. `None` stands for the endpoint's own path, or the topic `devices/<device>/readings`.
    ///
    /// With [`Close::Delivery`](crate::record::Close::Delivery) it may be an MQTT topic filter, if every message has an
    /// address of its own.
    pub address: Option<String>,
    /// Header fields of HTTP requests and of the WebSocket upgrade. They take the place of fields the session would write
    /// itself, except reserved ones, such as the length of the body.
    pub headers: Vec<(String, String)>,
    /// `Content-Type` of HTTP requests; `None` for `application/json`, unless one of `headers` says otherwise.
    pub content_type: Option<&'static str>,
    /// The WebSocket sub-protocol that is offered, and that the server has to select.
    pub subprotocol: Option<String>,
    /// MQTT client identifier; `None` for the device's id. An empty one has the broker choose, in clean sessions.
    pub client_id: Option<String>,
    /// What MQTT presents to the broker, instead of credentials in the endpoint's URL.
    pub login: Option<Login>,
    /// What the MQTT broker publishes when the connection ends without a goodbye.
    pub will: Option<Will>,
    /// The local address its connection comes from; `None` where the system chooses.
    pub source: Option<IpAddr>,
    /// MQTT topic filter under which verdicts and replies arrive; `None` for `devices/<device>/verdicts`.
    pub reply_topic: Option<String>,
    /// What it shakes hands with; `None`: its connections are plain.
    pub tls: Option<DeviceTls>,
    /// What acts on its connections; `None`: nothing ever will.
    pub faults: Option<Rc<ConnectionFaults>>,
    /// What the connection is known by in the traces of the service, where it begins with a request.
    pub trace: Option<TraceContext>,
    /// What was in flight when its last MQTT connection ended, to be taken up again by this one.
    pub resume: Option<SessionState>,
}

impl Identity {
    /// A device as the bundled service knows it.
    pub fn of(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            method: "POST".to_owned(),
            address: None,
            headers: Vec::new(),
            content_type: None,
            subprotocol: None,
            client_id: None,
            login: None,
            will: None,
            source: None,
            reply_topic: None,
            tls: None,
            faults: None,
            trace: None,
            resume: None,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            method,
            address,
            headers,
            content_type,
            subprotocol: _,
            client_id,
            login,
            will,
            source,
            reply_topic,
            tls: _,
            faults: _,
            trace: _,
            resume,
        } = self;
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Identity")
            .field("device", device)
            .field("method", method)
            .field("path", &path(address.as_deref()))
            .field("headers", &names)
            .field("content_type", content_type)
            .field("client_id", client_id)
            .field("login", login)
            .field("will", will)
            .field("source", source)
            .field("reply_topic", reply_topic)
            .field("resume", resume)
            // Services that cannot be given headers by browsers take their tokens as a sub-protocol.
            .finish_non_exhaustive()
    }
}

/// An address without its query, where services without better means take tokens.
fn path(address: Option<&str>) -> Option<&str> {
    address.map(|address| address.split_once('?').map_or(address, |(path, _)| path))
}

/// A user name and password. Printed for debugging it does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<Secret>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A message left with the MQTT broker, which publishes it when the connection ends without a goodbye.
#[derive(Clone, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: String,
    /// What it says, at most 65 535 bytes.
    pub payload: Vec<u8>,
    /// Its quality of service.
    pub qos: Qos,
    /// Whether the broker is to keep it as the topic's retained message.
    pub retain: bool,
}

impl fmt::Debug for Will {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

/// One reading on its way into a session. Printed for debugging it shows neither payload nor the address's query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The reading's sequence number, by which its answer will be known.
    pub seq: u64,
    /// The encoded reading.
    pub payload: &'a [u8],
    /// HTTP request target or MQTT topic for this one reading, instead of the identity's. A WebSocket has one request
    /// target for all its messages, and ignores this.
    pub address: Option<&'a str>,
    /// What it is known by in the traces of the service, where it has header fields of its own to say it in.
    pub trace: Option<TraceContext>,
}

impl<'a> Message<'a> {
    /// Reading `seq`, to the usual address and with nothing but `payload`.
    pub const fn new(seq: u64, payload: &'a [u8]) -> Self {
        Self { seq, payload, address: None, trace: None }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("seq", &self.seq)
            .field("path", &path(self.address))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let identity = Identity {
            address: Some("/ingest?token=s3cret".to_owned()),
            headers: vec![("Authorization".to_owned(), "Bearer s3cret".to_owned())],
            subprotocol: Some("bearer.s3cret".to_owned()),
            login: Some(Login { user: "ann".to_owned(), password: Some(Secret::new("s3cret")) }),
            will: Some(Will {
                topic: "gone".to_owned(),
                payload: b"s3cret".to_vec(),
                qos: Qos::AtMostOnce,
                retain: false,
            }),
            ..Identity::of("d")
        };
        let message = Message { address: identity.address.as_deref(), ..Message::new(7, b"s3cret") };
        assert_eq!(format!("{message:?}"), r#"Message { seq: 7, path: Some("/ingest"), .. }"#);
        for shown in [format!("{identity:?}"), format!("{identity:#?}")] {
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(
                ["/ingest", "Authorization", "ann", "gone"].iter().all(|part| shown.contains(part)),
                "{shown}"
            );
        }
    }
}
