//! MQTT through a front: bytes, once the client's CONNECT has said who it is.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::Instances;

/// A CONNECT is looked at as far as this.
const HEAD: usize = 4_096;
/// How long a client may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes a connection on to an instance, until either side ends it.
pub(super) async fn pass(mut client: TcpStream, peer: SocketAddr, instances: &Rc<Instances>) {
    let mut head = Vec::with_capacity(256);
    let Ok(Some(name)) = tokio::time::timeout(PATIENCE, introduce(&mut client, &mut head)).await else {
        return;
    };
    let key = if name.is_empty() { peer.to_string() } else { name };
    let mut tried = Vec::new();
    while let Some(seat) = instances.choose(&key, &tried) {
        let Ok(mut instance) = instances.connect_mqtt(seat.index()).await else {
            tried.push(seat.index());
            continue;
        };
        if instance.write_all(&head).await.is_ok() {
            // Whoever ends it, both ends hear of it when the streams are dropped.
            let _ = copy_bidirectional(&mut client, &mut instance).await;
        }
        return;
    }
}

/// Reads until the client identifier is known; an empty one where there is none to be read. None if the client goes away.
async fn introduce(client: &mut TcpStream, head: &mut Vec<u8>) -> Option<String> {
    loop {
        if client.read_buf(head).await.ok()? == 0 {
            return None;
        }
        match client_identifier(head) {
            Name::Cut if head.len() < HEAD => {}
            Name::Cut | Name::Unknown => return Some(String::new()),
            Name::Known(name) => return Some(name),
        }
    }
}

/// What the beginning of a connection says of who makes it.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Known(String),
    /// It is not said: what comes is no CONNECT, as far as it is understood here.
    Unknown,
    /// More bytes will tell.
    Cut,
}

/// The client identifier of a CONNECT (MQTT 3.1.1 §3.1, MQTT 5 §3.1).
fn client_identifier(bytes: &[u8]) -> Name {
    if bytes.first().is_some_and(|first| *first != 0x10) {
        return Name::Unknown;
    }
    read(bytes).unwrap_or(Name::Cut)
}

fn read(bytes: &[u8]) -> Option<Name> {
    let (_, rest) = number(bytes.get(1..)?)?;
    let (_protocol, rest) = text(rest)?;
    // Level, flags, and two bytes of keep-alive.
    let (level, rest) = (*rest.first()?, rest.get(4..)?);
    let rest = if level < 5 {
        rest
    } else {
        let (length, rest) = number(rest)?;
        rest.get(length..)?
    };
    let (name, _) = text(rest)?;
    Some(std::str::from_utf8(name).map_or(Name::Unknown, |name| Name::Known(name.to_owned())))
}

/// A length of up to four bytes (MQTT 5 §1.5.5).
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    // A fifth byte there cannot be: then it is as good as endless.
    (bytes.len() >= 4).then_some((usize::MAX, bytes))
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    Some((bytes.get(2..2 + length)?, bytes.get(2 + length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_its_connect_once_that_is_long_enough() {
        let old = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05m-123";
        let new = b"\x10\x15\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x14\x00\x05m-123";
        for connect in [old.as_slice(), new] {
            assert_eq!(client_identifier(connect), Name::Known("m-123".to_owned()));
            for length in 0..connect.len() {
                assert_eq!(client_identifier(&connect[..length]), Name::Cut, "{length} of {connect:?}");
            }
        }
        for wrong in [b"GET / HTTP/1.1".as_slice(), b"\x30\x02\x00\x00"] {
            assert_eq!(client_identifier(wrong), Name::Unknown);
        }
        // A length without an end reaches no identifier, and none that is not UTF-8 is one.
        assert_eq!(client_identifier(b"\x10\xff\xff\xff\xff\xff"), Name::Cut);
        assert_eq!(client_identifier(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02\xff\xfe"), Name::Unknown);
    }
}
