//! The plain MQTT target: accepts every client and acknowledges what it publishes at QoS 1, as little as a broker can do.

use squall_peers::plain::{self, Codec};

#[derive(Default)]
struct Mqtt;

impl Codec for Mqtt {
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let mut taken = 0;
        while let Some((header, size)) = packet(&input[taken..]) {
            let bytes = &input[taken..taken + size];
            match bytes[0] >> 4 {
                1 => output.extend_from_slice(&[0x20, 2, 0, 0]),
                3 if bytes[0] & 0x06 == 0x02 => {
                    let topic = usize::from(u16::from_be_bytes(*bytes.get(header..)?.first_chunk()?));
                    let &[high, low] = bytes.get(header + 2 + topic..)?.first_chunk()?;
                    output.extend_from_slice(&[0x40, 2, high, low]);
                }
                12 => output.extend_from_slice(&[0xd0, 0]),
                _ => return None,
            }
            taken += size;
        }
        Some(taken)
    }
}

/// Sizes of the first packet's fixed header and of the whole, if it is there.
fn packet(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut remaining = 0;
    for (at, &byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let size = 2 + at + remaining;
            return (bytes.len() >= size).then_some((2 + at, size));
        }
    }
    None
}

fn main() -> std::io::Result<()> {
    plain::serve::<Mqtt>()
}
