//! The plain WebSocket target: every text or binary message comes back as it was.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use squall_peers::plain::{self, Codec};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[derive(Default)]
struct Ws {
    open: bool,
}

impl Codec for Ws {
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let mut taken = 0;
        if !self.open {
            let Some(head) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Some(0);
            };
            upgrade(&input[..head], output)?;
            self.open = true;
            taken = head + 4;
        }
        while let Some(frame) = frame(&input[taken..])? {
            let payload = &input[taken + frame.payload..taken + frame.size];
            match frame.opcode {
                8 => return None,
                9 | 10 => {}
                opcode => echo(opcode, frame.mask, payload, output),
            }
            taken += frame.size;
        }
        Some(taken)
    }
}

fn upgrade(head: &[u8], output: &mut Vec<u8>) -> Option<()> {
    let head = std::str::from_utf8(head).ok()?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    })?;
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    output.extend_from_slice(answer.as_bytes());
    Some(())
}

struct Frame {
    opcode: u8,
    mask: [u8; 4],
    payload: usize,
    size: usize,
}

/// The first frame, `Some(None)` if it is not there whole, `None` if it is not one of a client's of less than 64 KiB.
#[expect(clippy::option_option, reason = "three answers, told apart where they are used")]
fn frame(bytes: &[u8]) -> Option<Option<Frame>> {
    let &[first, second, ref rest @ ..] = bytes else { return Some(None) };
    if second & 0x80 == 0 || first & 0x80 == 0 {
        return None;
    }
    let (length, header) = match second & 0x7f {
        126 => match rest {
            &[high, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Some(None),
        },
        127 => return None,
        length => (usize::from(length), 2),
    };
    let Some(&mask) = bytes.get(header..).and_then(<[u8]>::first_chunk::<4>) else { return Some(None) };
    let (payload, size) = (header + 4, header + 4 + length);
    Some((bytes.len() >= size).then_some(Frame { opcode: first & 0x0f, mask, payload, size }))
}

fn echo(opcode: u8, mask: [u8; 4], payload: &[u8], output: &mut Vec<u8>) {
    output.push(0x80 | opcode);
    match payload.len() {
        length @ 0..126 => output.push(length as u8),
        length => {
            output.push(126);
            output.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    output.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn main() -> std::io::Result<()> {
    plain::serve::<Ws>()
}
