//! Writing requests: everything but length and payload is rendered once per session.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use super::super::{Endpoint, Failure, HttpSettings, Identity};
use super::syntax::{reserved_header, valid_header, valid_method, valid_target};

/// The unchanging parts of one device's requests: request line, header fields, and `Content-Length: ` for those with a body.
pub(super) struct Template {
    bytes: Box<[u8]>,
    /// Where the request target begins and ends.
    target: (usize, usize),
    /// Where the fields begin that only a request with a body has.
    body_fields: usize,
    /// The method gives a request without a payload no body, not even an empty one (RFC 9110 §8.6).
    bodiless: bool,
    /// The method's responses have no body.
    is_head: bool,
}

impl Template {
    pub(super) fn new(
        endpoint: &Endpoint,
        settings: &HttpSettings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let Identity { method, address, headers, content_type, .. } = identity;
        if !valid_method(method) {
            return Err(Failure::protocol(format!("`{method}` is no HTTP method for readings")));
        }
        let target = address.as_deref().unwrap_or(endpoint.target());
        check_target(target)?;
        let named = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut text = format!("{method} ");
        let start = text.len();
        text.push_str(target);
        let target = (start, text.len());
        text.push_str(" HTTP/1.1\r\n");
        // Writing to a string cannot fail.
        if !named("host") {
            let _ = write!(text, "Host: {}\r\n", endpoint.authority());
        }
        if !named("user-agent") {
            let _ = write!(text, "User-Agent: squall/{}\r\n", env!("CARGO_PKG_VERSION"));
        }
        for (name, value) in headers {
            check_header(name, value)?;
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if settings.fresh {
            text.push_str("Connection: close\r\n");
        }
        let body_fields = text.len();
        if !named("content-type") {
            let _ = write!(text, "Content-Type: {}\r\n", content_type.unwrap_or("application/json"));
        }
        text.push_str("Content-Length: ");
        Ok(Self {
            bytes: text.into_bytes().into(),
            target,
            body_fields,
            bodiless: matches!(&**method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE"),
            is_head: method == "HEAD",
        })
    }

    /// Whether the responses have no body, whatever their header fields say (RFC 9112 §6.3).
    pub(super) const fn is_head(&self) -> bool {
        self.is_head
    }

    /// Appends one request with `payload` as its body, to `address` instead of the usual target if there is one.
    pub(super) fn encode(
        &self,
        address: Option<&str>,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        let has_body = !(payload.is_empty() && self.bodiless);
        let end = if has_body { self.bytes.len() } else { self.body_fields };
        match address {
            None => out.extend_from_slice(part(0, end)),
            Some(address) => {
                check_target(address)?;
                let (start, after) = self.target;
                out.extend_from_slice(part(0, start));
                out.extend_from_slice(address.as_bytes());
                out.extend_from_slice(part(after, end));
            }
        }
        if has_body {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{}\r\n", payload.len());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(payload);
        Ok(())
    }
}

/// Header fields may hold secrets.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// # Errors
/// The failure does not repeat the target, whose query may hold a secret.
pub(in crate::protocol) fn check_target(target: &str) -> Result<(), Failure> {
    if valid_target(target) {
        return Ok(());
    }
    Err(Failure::protocol("an address is no request target: it must begin with `/` and be percent-encoded"))
}

/// # Errors
/// The failure names the field, and does not repeat its value, which may be a secret.
pub(in crate::protocol) fn check_header(name: &str, value: &str) -> Result<(), Failure> {
    if reserved_header(name) {
        return Err(Failure::protocol(format!("the header field `{name}` is reserved")));
    }
    if !valid_header(name, value) {
        return Err(Failure::protocol(format!("`{}` is no valid header field", name.escape_debug())));
    }
    Ok(())
}
