//! How a WebSocket ends, in words.

use tokio_tungstenite::tungstenite::error::{Error, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};

use super::super::Failure;
use crate::record::status_line;

/// The server's goodbye.
pub(super) fn goodbye(frame: Option<&CloseFrame>) -> Failure {
    let Some(CloseFrame { code, reason }) = frame else {
        return Failure::closed("the server closed the WebSocket");
    };
    // What the library makes of a code that no peer may send.
    if *code == CloseCode::Protocol && reason.as_str() == "Protocol violation" {
        return Failure::protocol("the server closed the WebSocket with a code that is not allowed");
    }
    let number = u16::from(*code);
    let meaning = close_meaning(number).map_or_else(String::new, |meaning| format!(" ({meaning})"));
    let words = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Failure::closed(format!("the server closed the WebSocket with code {number}{meaning}{words}"))
        .with_code("WebSocket close", number.into())
}

/// What a close code means (RFC 6455 §7.4.1 and the IANA registry).
const fn close_meaning(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
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

/// Whether an upgrade answered with `status` will never succeed as it is: a client error other than those that ask to wait
/// (RFC 9110 §15.5, RFC 6585, RFC 8470).
const fn refuses_for_good(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}

/// What the library calls an error.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Failure::closed("the WebSocket is closed"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            Failure::closed("the server closed the connection without a closing handshake")
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(error)) => {
            Failure::protocol(match error {
                SubProtocolError::NoSubProtocol => {
                    "the server did not select the sub-protocol that was offered"
                }
                SubProtocolError::InvalidSubProtocol => {
                    "the server selected a sub-protocol that was not offered"
                }
                SubProtocolError::ServerSentSubProtocolNoneRequested => {
                    "the server selected a sub-protocol though none was offered"
                }
            })
        }
        Error::Io(error) => Failure::io(&error),
        Error::Http(response) => {
            let status = response.status().as_u16();
            Failure::protocol(format!("the server answered the upgrade with {}", status_line(status)))
                .with_code("HTTP", status.into())
                .with_sample(response.body().as_deref().unwrap_or_default())
                .final_if(refuses_for_good(status))
        }
        Error::WriteBufferFull(_) => Failure::protocol("the reading is larger than 16 MiB"),
        other => Failure::protocol(other.to_string()),
    }
}
