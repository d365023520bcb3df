//! The request that turns a connection into a WebSocket.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::header::{
    HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::http::uri::{PathAndQuery, Uri};

use super::super::buffer::Inbox;
use super::super::compression::Coding;
use super::super::http::{
    self, Answered, Head, TRACEPARENT, Wording, check_header, check_target, valid_header,
};
use super::super::{Endpoint, Failure, Identity};
use super::extension::{self, shown};

/// What an upgrade has come to.
#[derive(Debug)]
pub(super) struct Opened {
    /// What the server sent right behind it.
    pub(super) inbox: Inbox,
    /// Messages may be compressed.
    pub(super) deflate: bool,
}

/// Upgrades the connection of one device, and offers compression where `deflate` says so.
///
/// # Errors
/// If the connection breaks, or the server refuses or does not do what RFC 6455 §4.2.2 asks.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    endpoint: &Endpoint,
    identity: &Identity,
    deflate: bool,
) -> Result<Opened, Failure> {
    let (bytes, key) = generate_request(request(endpoint, identity, deflate)?)
        .map_err(|error| Failure::protocol(error.to_string()))?;
    let offer = Offer { accept: derive_accept_key(key.as_bytes()), identity, deflate };
    let (inbox, deflate) = http::ask(stream, &bytes, &WORDING, |head| offer.answered(head)).await?;
    Ok(Opened { inbox, deflate })
}

const WORDING: Wording = Wording {
    request: "the upgrade",
    unanswered: "the server closed the connection without answering the upgrade",
    cut: "the server closed the connection in the middle of the upgrade",
};

/// What was asked for.
struct Offer<'a> {
    /// What the answer has to prove that the request was read.
    accept: String,
    identity: &'a Identity,
    deflate: bool,
}

impl Offer<'_> {
    /// Whether messages may be compressed, once the upgrade is granted.
    fn answered(&self, head: &Head<'_>) -> Result<Answered<bool>, Failure> {
        match head.status {
            101 => {}
            100..=199 => return Ok(Answered::Interim),
            status => return Ok(Answered::Refused(status, Coding::of(head.list("content-encoding")))),
        }
        if head.old {
            return Err(Failure::protocol("the server upgraded over HTTP/1.0, which knows no upgrade"));
        }
        let has =
            |name, wanted: &str| head.list(name).any(|word| word.eq_ignore_ascii_case(wanted.as_bytes()));
        if !has("upgrade", "websocket") {
            return Err(lacking(head, "Upgrade", "websocket"));
        }
        if !has("connection", "upgrade") {
            return Err(lacking(head, "Connection", "Upgrade"));
        }
        let mut proofs = head.named("sec-websocket-accept");
        let proof = proofs.next();
        if proof.map(<[u8]>::trim_ascii) != Some(self.accept.as_bytes()) || proofs.next().is_some() {
            return Err(Failure::protocol(match proof {
                None => "the server's answer to the upgrade has no Sec-WebSocket-Accept",
                Some(_) => "the server's Sec-WebSocket-Accept is not the answer to the key that was sent",
            }));
        }
        let deflate = extension::agreed(head, self.deflate)?;
        self.subprotocol(head)?;
        Ok(Answered::Granted(deflate))
    }

    /// The one that was offered has to be selected, and no other (RFC 6455 §4.1). What was offered may be a secret.
    fn subprotocol(&self, head: &Head<'_>) -> Result<(), Failure> {
        let offered = self.identity.subprotocol.as_deref().map(str::as_bytes);
        let mut selected = head.list("sec-websocket-protocol");
        if let Some(other) = selected.clone().find(|selected| Some(*selected) != offered) {
            return Err(Failure::protocol(format!(
                "the server selected the sub-protocol `{}`, which was not offered",
                shown(other)
            )));
        }
        if offered.is_some() && selected.next().is_none() {
            return Err(Failure::protocol("the server did not select the sub-protocol that was offered"));
        }
        Ok(())
    }
}

/// A 101 without `word` in the field `name`.
fn lacking(head: &Head<'_>, name: &str, word: &str) -> Failure {
    let found: Vec<String> = head.list(name).map(shown).collect();
    let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{}`", found.join(", ")) };
    Failure::protocol(format!("the server's answer to the upgrade says {found} in {name}, and not `{word}`"))
}

/// The upgrade of one device: its own request target, sub-protocol and header fields, where it has some.
///
/// # Errors
/// If something cannot be part of a request. No failure repeats what may be a secret.
fn request(endpoint: &Endpoint, identity: &Identity, deflate: bool) -> Result<Request, Failure> {
    let Identity { address, headers, subprotocol, trace, .. } = identity;
    let no_url = || Failure::protocol("the address is not a WebSocket URL");
    let mut uri: Uri = endpoint.url().parse().map_err(|_| no_url())?;
    if let Some(address) = address {
        check_target(address)?;
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(address.as_str()).map_err(|_| no_url())?);
        uri = Uri::from_parts(parts).map_err(|_| no_url())?;
    }
    let mut request = uri.into_client_request().map_err(|_| no_url())?;
    let fields = request.headers_mut();
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(HOST.as_str())) {
        fields.remove(HOST);
    }
    for (name, value) in headers {
        check_header(name, value)?;
        let field =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        if field.is_none_or(|(name, value)| fields.try_append(name, value).is_err()) {
            return Err(Failure::protocol(format!("the upgrade cannot carry the header field `{name}`")));
        }
    }
    if let Some(subprotocol) = subprotocol {
        // One token: a list would leave open what the peers speak (RFC 6455 §4.1).
        let value = HeaderValue::from_str(subprotocol).ok().filter(|_| valid_header(subprotocol, ""));
        fields.insert(
            SEC_WEBSOCKET_PROTOCOL,
            value.ok_or_else(|| Failure::protocol("the sub-protocol is not a token"))?,
        );
    }
    if let Some(value) = trace.and_then(|trace| HeaderValue::from_bytes(&trace.bytes()).ok()) {
        fields.insert(TRACEPARENT, value);
    }
    if deflate {
        fields.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(extension::OFFER));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Protocol, RunToken, TraceContext, Traced};

    fn upgrade(identity: &Identity) -> Result<Request, Failure> {
        request(
            &Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9/v1/stream?x=1").unwrap(),
            identity,
            false,
        )
    }

    /// Target and header fields, names in small letters, as an independent parser reads them.
    fn parsed(identity: &Identity) -> (String, Vec<(String, String)>) {
        let (bytes, _) = generate_request(upgrade(identity).unwrap()).unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        assert!(request.parse(&bytes).unwrap().is_complete());
        assert_eq!(request.method, Some("GET"));
        let field = |header: &httparse::Header<'_>| {
            (header.name.to_lowercase(), String::from_utf8(header.value.to_vec()).unwrap())
        };
        (request.path.unwrap().to_owned(), request.headers.iter().map(field).collect())
    }

    fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn an_upgrade_is_what_an_independent_parser_reads() {
        let (target, fields) = parsed(&Identity::of("d"));
        assert_eq!(target, "/v1/stream?x=1");
        assert_eq!(values(&fields, "host"), ["127.0.0.1:9"]);
        assert_eq!(values(&fields, "upgrade"), ["websocket"]);
        assert_eq!(fields.len(), 5);

        let trace = TraceContext::of(RunToken::UNSET, "d", Traced::Connection(1), 1.0);
        let (_, fields) = parsed(&Identity { trace: Some(trace), ..Identity::of("d") });
        assert_eq!(values(&fields, "traceparent"), [trace.to_string()]);
        assert_eq!(fields.len(), 6);

        let headers = [("Host", "a.example"), ("Authorization", "Bearer é"), ("X-Tag", "a"), ("x-tag", "b")];
        let identity = Identity {
            address: Some("/devices/7?token=a+b".to_owned()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            subprotocol: Some("ocpp1.6".to_owned()),
            ..Identity::of("d")
        };
        let (target, fields) = parsed(&identity);
        assert_eq!(target, "/devices/7?token=a+b");
        assert_eq!(values(&fields, "host"), ["a.example"]);
        assert_eq!(values(&fields, "authorization"), ["Bearer é"]);
        assert_eq!(values(&fields, "x-tag"), ["a", "b"]);
        assert_eq!(values(&fields, "sec-websocket-protocol"), ["ocpp1.6"]);
        assert_eq!(fields.len(), 9);
    }

    #[test]
    fn what_would_break_an_upgrade_is_refused_without_repeating_secrets() {
        let with = |name: &str, value: &str| Identity {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..Identity::of("d")
        };
        let table = [
            (with("Sec-WebSocket-Protocol", "s3cret"), "reserved"),
            (with("Upgrade", "h2c"), "reserved"),
            (with("Cookie", "s3cret\r\nX: y"), "`Cookie` is not a valid header field"),
            (Identity { address: Some("s3cret".to_owned()), ..Identity::of("d") }, "not a request target"),
            (Identity { subprotocol: Some("s3cret, b".to_owned()), ..Identity::of("d") }, "not a token"),
            (Identity { subprotocol: Some(String::new()), ..Identity::of("d") }, "not a token"),
        ];
        for (identity, expected) in table {
            let refusal = upgrade(&identity).unwrap_err().to_string();
            assert!(refusal.contains(expected) && !refusal.contains("s3cret"), "{refusal}");
        }
    }
}
