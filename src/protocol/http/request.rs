//! Writing requests: everything but length and payload is rendered once per session.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use super::super::compression;
use super::super::{Endpoint, Failure, Identity, Message};
use super::settings::HttpSettings;
use super::syntax::{TRACEPARENT, reserved_header, valid_header, valid_method, valid_target};

/// The unchanging parts of one device's requests: request line, header fields, and `Content-Length: ` for those with a body.
pub(in crate::protocol) struct Template {
    bytes: Box<[u8]>,
    /// Where the request target begins and ends.
    target: (usize, usize),
    /// Where the fields begin that only a request with a body has.
    body_fields: usize,
    /// The method gives a request without a payload no body, not even an empty one (RFC 9110 §8.6).
    bodiless: bool,
    /// The method's responses have no body.
    is_head: bool,
    /// Bodies are compressed.
    gzip: bool,
}

impl Template {
    pub(in crate::protocol) fn new(
        endpoint: &Endpoint,
        settings: &HttpSettings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let Identity { method, address, headers, content_type, .. } = identity;
        if !valid_method(method) {
            return Err(Failure::protocol(format!("`{method}` is not a valid HTTP method for readings")));
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
        if settings.gzip_replies {
            text.push_str("Accept-Encoding: gzip\r\n");
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
            gzip: settings.gzip_requests,
        })
    }

    /// Whether the responses have no body, whatever their header fields say (RFC 9112 §6.3).
    pub(super) const fn is_head(&self) -> bool {
        self.is_head
    }

    /// Appends the request that carries `message`.
    pub(in crate::protocol) fn encode(
        &self,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let &Message { payload, address, trace, .. } = message;
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        match address {
            None => out.extend_from_slice(part(0, self.body_fields)),
            Some(address) => {
                check_target(address)?;
                let (start, after) = self.target;
                out.extend_from_slice(part(0, start));
                out.extend_from_slice(address.as_bytes());
                out.extend_from_slice(part(after, self.body_fields));
            }
        }
        if let Some(trace) = trace {
            out.extend_from_slice(TRACEPARENT.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&trace.bytes());
            out.extend_from_slice(b"\r\n");
        }
        let mut packed = Vec::new();
        let body = if self.gzip && !payload.is_empty() && compression::gzip(payload, &mut packed) {
            out.extend_from_slice(b"Content-Encoding: gzip\r\n");
            &packed
        } else {
            payload
        };
        if !(body.is_empty() && self.bodiless) {
            out.extend_from_slice(part(self.body_fields, self.bytes.len()));
            // Writing to a vector cannot fail.
            let _ = write!(out, "{}\r\n", body.len());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
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
    Err(Failure::protocol(
        "an address is not a request target: it must begin with `/` and be percent-encoded",
    ))
}

/// # Errors
/// The failure names the field, and does not repeat its value, which may be a secret.
pub(in crate::protocol) fn check_header(name: &str, value: &str) -> Result<(), Failure> {
    if reserved_header(name) {
        return Err(Failure::protocol(format!("the header field `{name}` is reserved")));
    }
    if !valid_header(name, value) {
        return Err(Failure::protocol(format!("`{}` is not a valid header field", name.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Protocol, RunToken, TraceContext, Traced};

    fn template(http: &HttpSettings, identity: &Identity) -> Result<Template, Failure> {
        let endpoint =
            Endpoint::resolve(Protocol::named("http"), "http://127.0.0.1:81/v1/readings?x=1").unwrap();
        Template::new(&endpoint, http, identity)
    }

    /// What an independent parser reads: method, target, header fields and body.
    type Parsed = (String, String, Vec<(String, String)>, Vec<u8>);

    fn parsed(template: &Template, address: Option<&str>, payload: &[u8]) -> Parsed {
        let mut bytes = Vec::new();
        template.encode(&Message { address, ..Message::new(1, payload) }, &mut bytes).unwrap();
        read(&bytes)
    }

    fn read(bytes: &[u8]) -> Parsed {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(body) = request.parse(bytes).unwrap() else { panic!("incomplete") };
        assert_eq!(request.version, Some(1));
        let field = |header: &httparse::Header<'_>| {
            (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap())
        };
        let fields = request.headers.iter().map(field).collect();
        (request.method.unwrap().into(), request.path.unwrap().into(), fields, bytes[body..].to_vec())
    }

    fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
    }

    fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_request_is_what_an_independent_parser_reads() {
        let template = template(&HttpSettings::default(), &Identity::of("d")).unwrap();
        let (method, target, fields, body) = parsed(&template, None, b"{\"seq\":1}");
        assert_eq!((&*method, &*target), ("POST", "/v1/readings?x=1"));
        let agent = concat!("squall/", env!("CARGO_PKG_VERSION"));
        let expected = [
            ("Host", "127.0.0.1:81"),
            ("User-Agent", agent),
            ("Content-Type", "application/json"),
            ("Content-Length", "9"),
        ];
        assert_eq!(fields, owned(&expected));
        assert_eq!(body, b"{\"seq\":1}");
    }

    #[test]
    fn a_trace_context_is_a_field_of_the_request_whose_reading_has_one() {
        let template = template(&HttpSettings::default(), &Identity::of("d")).unwrap();
        let trace = Some(TraceContext::of(RunToken::UNSET, "d", Traced::Reading(1), 1.0));
        for (trace, address) in [(trace, None), (trace, Some("/other")), (None, None)] {
            let mut bytes = Vec::new();
            template.encode(&Message { address, trace, ..Message::new(1, b"{}") }, &mut bytes).unwrap();
            let found = read(&bytes).2;
            let expected: Vec<String> = trace.iter().map(ToString::to_string).collect();
            assert_eq!(values(&found, "traceparent"), expected);
        }
    }

    #[test]
    fn only_methods_that_expect_a_body_announce_an_empty_one() {
        for (method, empty) in [
            ("POST", Some("0")),
            ("PUT", Some("0")),
            ("PATCH", Some("0")),
            ("M-SEARCH", Some("0")),
            ("GET", None),
            ("HEAD", None),
            ("DELETE", None),
            ("OPTIONS", None),
        ] {
            let identity = Identity { method: method.to_owned(), ..Identity::of("d") };
            let template = template(&HttpSettings::default(), &identity).unwrap();
            assert_eq!(template.is_head(), method == "HEAD");
            for (payload, length) in [(&b""[..], empty), (b"xyz", Some("3"))] {
                let (found, _, fields, body) = parsed(&template, None, payload);
                assert_eq!((&*found, &*body), (method, payload));
                assert_eq!(values(&fields, "content-length"), Vec::from_iter(length), "{method}");
                assert_eq!(values(&fields, "content-type").len(), usize::from(length.is_some()), "{method}");
            }
        }
    }

    #[test]
    fn fields_of_the_device_take_the_place_of_ours() {
        let identity = |headers: &[(&str, &str)], content_type| Identity {
            headers: owned(headers),
            content_type,
            ..Identity::of("d")
        };
        let table = [
            (
                identity(&[("HOST", "a.example"), ("user-agent", "x/1")], None),
                "a.example",
                "x/1",
                "application/json",
            ),
            (identity(&[("content-type", "text/csv")], None), "127.0.0.1:81", "squall", "text/csv"),
            (identity(&[], Some("text/plain")), "127.0.0.1:81", "squall", "text/plain"),
            (identity(&[("Content-Type", "a/b")], Some("text/plain")), "127.0.0.1:81", "squall", "a/b"),
        ];
        for (identity, host, agent, content_type) in table {
            let template = template(&HttpSettings::default(), &identity).unwrap();
            let (_, _, fields, _) = parsed(&template, None, b"1");
            assert_eq!(values(&fields, "host"), [host]);
            assert!(matches!(*values(&fields, "user-agent"), [found] if found.starts_with(agent)));
            assert_eq!(values(&fields, "content-type"), [content_type]);
            assert_eq!(values(&fields, "connection"), [""; 0]);
        }
        let twice = identity(&[("X-Tag", "a"), ("X-Tag", "b")], None);
        let fresh = HttpSettings { fresh: true, ..HttpSettings::default() };
        let (_, _, fields, _) = parsed(&template(&fresh, &twice).unwrap(), None, b"1");
        assert_eq!(values(&fields, "x-tag"), ["a", "b"]);
        assert_eq!(values(&fields, "connection"), ["close"]);
    }

    #[test]
    fn an_address_changes_the_target_of_one_request_and_nothing_else() {
        let identity = Identity {
            method: "PUT".to_owned(),
            address: Some("/devices/7?y".to_owned()),
            ..Identity::of("d")
        };
        let template = template(&HttpSettings::default(), &identity).unwrap();
        let usual = parsed(&template, None, b"abc");
        assert_eq!(usual.1, "/devices/7?y");
        let mut other = parsed(&template, Some("/a/much/longer/target?than=before"), b"abc");
        assert_eq!(std::mem::replace(&mut other.1, usual.1.clone()), "/a/much/longer/target?than=before");
        assert_eq!(other, usual);
        let mut bytes = Vec::new();
        let split = Message { address: Some("/a HTTP/1.1\r\nX: y"), ..Message::new(1, b"") };
        assert!(template.encode(&split, &mut bytes).is_err());
        assert_eq!(bytes, b"");
    }

    #[test]
    fn what_would_break_a_request_is_refused_without_repeating_secrets() {
        let with =
            |name: &str, value: &str| Identity { headers: owned(&[(name, value)]), ..Identity::of("d") };
        let table = [
            (Identity { method: "PO ST".to_owned(), ..Identity::of("d") }, "not a valid HTTP method"),
            (Identity { address: Some("s3cret x".to_owned()), ..Identity::of("d") }, "not a request target"),
            (with("Content-length", "3"), "reserved"),
            (with("Transfer-Encoding", "chunked"), "reserved"),
            (with("Connection", "close"), "reserved"),
            (with("Authorization", "s3cret\r\nX: y"), "`Authorization` is not a valid header field"),
            (with("X\nY", "s3cret"), "not a valid header field"),
        ];
        for (identity, expected) in table {
            let refusal = template(&HttpSettings::default(), &identity).unwrap_err().to_string();
            assert!(refusal.contains(expected) && !refusal.contains("s3cret"), "{refusal}");
        }
        let template = template(&HttpSettings::default(), &with("Authorization", "s3cret")).unwrap();
        let hidden = format!("{:?}", b"s3cret").trim_matches(['[', ']']).to_owned();
        assert!(!format!("{template:?}").contains("s3cret") && !format!("{template:?}").contains(&hidden));
    }
}
