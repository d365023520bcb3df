//! How a server ends a WebSocket (RFC 6455 §7.4).

use super::super::Failure;

/// The code of an ordinary end.
pub(super) const NORMAL: u16 = 1000;

/// What the payload of a closing frame says.
pub(super) fn read(payload: &[u8]) -> Failure {
    let (code, reason) = match payload {
        [] => return Failure::closed("the server closed the WebSocket"),
        [_] => return Failure::protocol("the server closed the WebSocket with half a code"),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_allowed(code) {
        return Failure::protocol("the server closed the WebSocket with a code that is not allowed");
    }
    let Ok(reason) = std::str::from_utf8(reason) else {
        return Failure::protocol("the server closed the WebSocket with a reason that is not UTF-8");
    };
    let meaning = meaning(code).map_or_else(String::new, |meaning| format!(" ({meaning})"));
    let words = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Failure::closed(format!("the server closed the WebSocket with code {code}{meaning}{words}"))
        .with_code("WebSocket close", code.into())
}

/// Whether a peer may send the code.
const fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What a close code means (RFC 6455 §7.4.1 and the IANA registry).
const fn meaning(code: u16) -> Option<&'static str> {
    Some(match code {
        NORMAL => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}
