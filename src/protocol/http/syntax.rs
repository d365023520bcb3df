//! What may stand in a request: the rules a scenario is checked against, and that no session breaks.

use super::super::{Identity, Misfit};

/// Header fields that frame messages or belong to the connection: the sessions write them, and nobody else.
const RESERVED: [&str; 4] = ["content-length", "transfer-encoding", "connection", "upgrade"];

/// The WebSocket upgrade's own header fields begin like this.
const RESERVED_PREFIX: &str = "sec-websocket-";

/// Whether `name` is a header field that sessions write themselves: `Content-Length`, `Transfer-Encoding`, `Connection`,
/// `Upgrade` and all that begin with `Sec-WebSocket-`, in any case.
pub(crate) fn reserved_header(name: &str) -> bool {
    let begins = name.get(..RESERVED_PREFIX.len());
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
        || begins.is_some_and(|begin| begin.eq_ignore_ascii_case(RESERVED_PREFIX))
}

/// Whether `name: value` is a header field (RFC 9110 §5): a token, and a value without control characters but the tab.
pub(crate) fn valid_header(name: &str, value: &str) -> bool {
    is_token(name) && value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// Whether `method` is an HTTP method that readings can be sent with: any token (RFC 9110 §9.1) but `CONNECT`, after
/// which a connection carries no further requests. Methods are written in capitals; case matters.
pub(crate) fn valid_method(method: &str) -> bool {
    is_token(method) && method != "CONNECT"
}

/// Whether `target` is a request target in origin form (RFC 9112 §3.2.1): it begins with `/`, and has no spaces, no
/// fragment, and nothing outside ASCII, which would have to be percent-encoded.
pub(crate) fn valid_target(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// What is wrong with a request target.
pub(in crate::protocol) fn misplaced(target: &str) -> Option<Misfit> {
    (!valid_target(target)).then_some(Misfit {
        key: "path",
        subject: "the path",
        fault: "is not a valid path",
        help: "begin with /, leave out what stands behind #, which is never sent, and write other than ASCII letters as %XX",
    })
}

/// What is wrong with the request target and the header fields that a device states.
pub(in crate::protocol) fn misfits(identity: &Identity) -> impl Iterator<Item = Misfit> + use<> {
    identity.address.as_deref().and_then(misplaced).into_iter().chain(misheaded(identity))
}

/// What is wrong with the header fields that a device states.
pub(in crate::protocol) fn misheaded(identity: &Identity) -> impl Iterator<Item = Misfit> + use<> {
    let unfit = |(name, value): &(String, String)| reserved_header(name) || !valid_header(name, value);
    let unfit = identity.headers.iter().any(unfit).then_some(Misfit {
        key: "headers",
        subject: "a header field",
        fault: "is reserved, or not a token and a line of text",
        help: "leave framing and the connection to squall, and write visible characters",
    });
    unfit.into_iter().chain(retraced(identity))
}

/// The header field of a trace context (W3C Trace Context §3.2).
pub(in crate::protocol) const TRACEPARENT: &str = "traceparent";

/// What is wrong where a device both states a trace context and is to be given one.
fn retraced(identity: &Identity) -> Option<Misfit> {
    let stated = identity.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(TRACEPARENT));
    (stated && identity.trace.is_some()).then_some(Misfit {
        key: "headers",
        subject: "the header field `traceparent`",
        fault: "stands beside `trace`, which writes one of its own",
        help: "keep one of the two",
    })
}

/// RFC 9110 §5.6.2.
pub(in crate::protocol) fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn methods_are_tokens_but_connect() {
        for method in
            ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "M-SEARCH", "get"]
        {
            assert!(valid_method(method), "{method}");
        }
        for method in ["", "CONNECT", "GET /", "PO ST", "P:T", "PÖST", "POST\r\n", "(GET)"] {
            assert!(!valid_method(method), "{method}");
        }
    }

    #[test]
    fn header_fields_cannot_break_out_of_their_line() {
        for (name, value) in [("X-Id", "a b\tc"), ("Authorization", "Bearer x.y=="), ("x", ""), ("X", "né")]
        {
            assert!(valid_header(name, value), "{name}: {value}");
        }
        let table = [
            ("", "a"),
            ("X Id", "a"),
            ("X:", "a"),
            ("Xé", "a"),
            ("X\r\nY", "a"),
            ("X", "a\r\nY: b"),
            ("X", "a\0"),
        ];
        for (name, value) in table {
            assert!(!valid_header(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn framing_and_the_connection_are_reserved() {
        let reserved = [
            "Content-Length",
            "CONTENT-LENGTH",
            "transfer-encoding",
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Key",
            "sec-websocket-protocol",
        ];
        for name in reserved {
            assert!(reserved_header(name), "{name}");
        }
        for name in [
            "Host",
            "User-Agent",
            "Content-Type",
            "Authorization",
            "Content-Encoding",
            "Sec-WebSocketé",
            "Se",
            "",
        ] {
            assert!(!reserved_header(name), "{name}");
        }
    }

    #[test]
    fn targets_are_in_origin_form() {
        for target in ["/", "/v1/readings?x=1&y=%20", "/a:b@c/{d}", "//"] {
            assert!(valid_target(target), "{target}");
        }
        for target in ["", "v1", "*", "http://host/", "/a b", "/a#b", "/é", "/a\r\nX: y", "?x"] {
            assert!(!valid_target(target), "{target}");
        }
    }

    proptest! {
        #[test]
        fn what_is_valid_is_read_back_by_an_independent_parser(
            method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", target in "/[!-\"$-~]{0,20}",
            name in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", value in "[ -~é\t]{0,20}",
        ) {
            prop_assert!(valid_method(&method) && valid_target(&target) && valid_header(&name, &value));
            let text = format!("{method} {target} HTTP/1.1\r\n{name}: {value}\r\n\r\n");
            let mut headers = [httparse::EMPTY_HEADER; 2];
            let mut request = httparse::Request::new(&mut headers);
            prop_assert!(request.parse(text.as_bytes()).unwrap().is_complete());
            prop_assert_eq!((request.method, request.path), (Some(&*method), Some(&*target)));
            let trimmed = value.trim_matches([' ', '\t']).as_bytes();
            prop_assert_eq!((request.headers[0].name, request.headers[0].value), (&*name, trimmed));
        }
    }
}
