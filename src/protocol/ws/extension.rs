//! `permessage-deflate` (RFC 7692): what is offered, and which answers to it are understood.
//!
//! No side may go on from earlier messages, so that a device needs no window of its own: 32 KiB and more for each.

use super::super::Failure;
use super::super::http::{Head, elements};
use crate::language::quote;

/// The offer.
pub(super) const OFFER: &str = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";

/// The field in which extensions are offered and selected.
pub(super) const FIELD: &str = "Sec-WebSocket-Extensions";

const DEFLATE: &str = "permessage-deflate";

/// Whether the server compresses messages and takes compressed ones.
///
/// # Errors
/// If it selected what was not offered, or what the offer rules out; the extension or its parameter is named.
pub(super) fn agreed(head: &Head<'_>, offered: bool) -> Result<bool, Failure> {
    let mut agreed = false;
    for selected in head.list(FIELD) {
        let mut parts = elements(selected, b';');
        let name = parts.next().unwrap_or_default();
        if !(offered && name.eq_ignore_ascii_case(DEFLATE.as_bytes())) {
            return Err(Failure::protocol(format!(
                "the server selected the extension `{}`, which was not offered",
                shown(name)
            )));
        }
        if agreed {
            return Err(Failure::protocol(format!("the server selected the extension `{DEFLATE}` twice")));
        }
        parameters(parts)?;
        agreed = true;
    }
    Ok(agreed)
}

/// Accepts what leaves every message readable by itself.
fn parameters<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<(), Failure> {
    let mut seen: Vec<&[u8]> = Vec::new();
    for part in parts {
        let mut sides = part.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
        let name = sides.next().unwrap_or_default();
        let value = sides.next().map(|value| {
            value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
        });
        let sound = match name {
            b"server_no_context_takeover" | b"client_no_context_takeover" => value.is_none(),
            // However small the server's window is, ours holds what it refers to.
            b"server_max_window_bits" => {
                matches!(value, Some(b"8" | b"9" | b"10" | b"11" | b"12" | b"13" | b"14" | b"15"))
            }
            _ => false,
        };
        if !sound || seen.contains(&name) {
            return Err(Failure::protocol(format!(
                "the server accepted {DEFLATE} with the parameter `{}`, which was not offered",
                shown(part)
            )));
        }
        seen.push(name);
    }
    if seen.contains(&&b"server_no_context_takeover"[..]) {
        return Ok(());
    }
    Err(Failure::protocol(format!(
        "the server accepted {DEFLATE} without server_no_context_takeover, which was demanded"
    )))
}

/// A server's word in a sentence.
pub(super) fn shown(word: &[u8]) -> String {
    quote(&String::from_utf8_lossy(word))
}
