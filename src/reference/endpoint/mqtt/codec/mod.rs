//! Packets out of and into bytes, in both versions of MQTT. They are decoded by `mqtt-proto`; what it lets pass against the
//! specification is caught here.

mod message;
pub(super) mod packet;
pub(super) mod reason;
#[cfg(test)]
mod tests;
mod v3;
mod v5;

pub(super) use self::message::{Expiry, Message};
use self::packet::{AckKind, Packet, Reply, Version};
use self::reason::ReasonCode;

/// Largest packet taken, bytes. What claims to be larger is refused before anything is kept of it.
pub(super) const LARGEST_PACKET: usize = 256 * 1024;

/// Why bytes are not a packet that this service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Against the specification, as MQTT 5 names it.
    Breach(ReasonCode),
    /// A CONNECT of another version of MQTT.
    Version,
}

impl Fault {
    const MALFORMED: Self = Self::Breach(ReasonCode::Malformed);
}

/// The first packet of `bytes` and its whole length, or nothing if more bytes are needed; `None` as version: the packet is to be
/// CONNECT, which says itself in which it is.
///
/// # Errors
/// As soon as what is there can no longer become a packet.
pub(super) fn decode(bytes: &[u8], version: Option<Version>) -> Result<Option<(Packet, usize)>, Fault> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, width)) = remaining_length(rest)? else { return Ok(None) };
    // Types 0 and 15 are none of a client's, whichever the version.
    if matches!(first >> 4, 0 | 15) && version != Some(Version::V5) {
        return Err(Fault::MALFORMED);
    }
    let total = 1 + width + length;
    if total > LARGEST_PACKET {
        return Err(Fault::Breach(ReasonCode::PacketTooLarge));
    }
    let Some(body) = bytes.get(1 + width..total) else { return Ok(None) };
    let packet = match version.unwrap_or_else(|| version_of(first, body)) {
        Version::V3 => v3::decode(first, body, total)?,
        Version::V5 => v5::decode(first, body, total)?,
    };
    Ok(Some((packet, total)))
}

/// The version in which CONNECT is, if it is one.
fn version_of(first: u8, body: &[u8]) -> Version {
    let is_five = first == 0x10 && body.starts_with(b"\0\x04MQTT\x05");
    if is_five { Version::V5 } else { Version::V3 }
}

/// Whether the flags of CONNECT, which follow the name "MQTT" (2 + 4 bytes) and the level (1 byte), say nothing of a will where
/// there is none.
fn has_sound_flags(connect: &[u8]) -> bool {
    let flags = connect.get(7).copied().unwrap_or_default();
    let (will, will_retain) = (flags & 0b100 != 0, flags & 0b10_0000 != 0);
    will || !will_retain
}

/// The remaining length of the fixed header and how many bytes it takes (MQTT 3.1.1 §2.2.3), if they are all there.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Fault::MALFORMED) }
}

/// Appends what the service says, as far as the version has words for it.
pub(super) fn encode(reply: &Reply<'_>, version: Version, out: &mut Vec<u8>) {
    match version {
        Version::V3 => v3::encode(reply, out),
        Version::V5 => v5::encode(reply, out),
    }
}

/// Appends a PUBREL, which is the same in all versions where all is well.
pub(super) fn encode_pubrel(pid: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[AckKind::Pubrel.first_byte(), 2]);
    out.extend_from_slice(&pid.to_be_bytes());
}

/// Marks a PUBLISH as one that is sent again (MQTT 3.1.1 §3.3.1.1).
pub(super) fn mark_repeated(publish: &mut [u8]) {
    if let Some(first) = publish.first_mut() {
        *first |= 0x08;
    }
}

fn encode_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Bytes of a variable byte integer.
const fn digits(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

impl AckKind {
    /// Type and flags.
    const fn first_byte(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
        }
    }
}
