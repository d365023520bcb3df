//! The request that turns a connection into a WebSocket.

use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::uri::{PathAndQuery, Uri};

use super::super::http::{check_header, check_target, valid_header};
use super::super::{Endpoint, Failure, Identity};

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
    let mut request = uri.into_client_request().map_err(super::failure)?;
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
