//! The request that turns a connection into a WebSocket.

use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::uri::{PathAndQuery, Uri};

use super::super::http::{check_header, check_target, valid_header};
use super::super::{Endpoint, Failure, Identity};
use super::failure::failure;

/// The upgrade of one device: its own request target, sub-protocol and header fields, where it has some.
///
/// # Errors
/// If something cannot be part of a request. No failure repeats what may be a secret.
pub(super) fn request(endpoint: &Endpoint, identity: &Identity) -> Result<Request, Failure> {
    let Identity { address, headers, subprotocol, .. } = identity;
    let no_url = || Failure::protocol("the address is no WebSocket URL");
    let mut uri: Uri = endpoint.url().parse().map_err(|_| no_url())?;
    if let Some(address) = address {
        check_target(address)?;
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(address.as_str()).map_err(|_| no_url())?);
        uri = Uri::from_parts(parts).map_err(|_| no_url())?;
    }
    let mut request = uri.into_client_request().map_err(failure)?;
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
            value.ok_or_else(|| Failure::protocol("the sub-protocol is no token"))?,
        );
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::handshake::client::generate_request;

    use super::*;
    use crate::record::Protocol;

    fn upgrade(identity: &Identity) -> Result<Request, Failure> {
        request(
            &Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9/v1/stream?x=1").unwrap(),
            identity,
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
            (with("Cookie", "s3cret\r\nX: y"), "`Cookie` is no valid header field"),
            (Identity { address: Some("s3cret".to_owned()), ..Identity::of("d") }, "no request target"),
            (Identity { subprotocol: Some("s3cret, b".to_owned()), ..Identity::of("d") }, "no token"),
            (Identity { subprotocol: Some(String::new()), ..Identity::of("d") }, "no token"),
        ];
        for (identity, expected) in table {
            let refusal = upgrade(&identity).unwrap_err().to_string();
            assert!(refusal.contains(expected) && !refusal.contains("s3cret"), "{refusal}");
        }
    }
}
