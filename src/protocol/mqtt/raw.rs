//! As little as an MQTT broker can do.

/// CONNECT, PUBLISH up to `QoS` 1 and PINGREQ.
pub(super) fn answer(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    while let Some((header, size)) = packet(bytes.get(taken..)?) {
        let packet = bytes.get(taken..taken + size)?;
        let first = *packet.first()?;
        match first >> 4 {
            // The protocol level stands behind the name; MQTT 5 has properties in CONNACK.
            1 if packet.get(header + 6) == Some(&5) => output.extend_from_slice(&[0x20, 3, 0, 0, 0]),
            1 => output.extend_from_slice(&[0x20, 2, 0, 0]),
            3 if first & 0x06 == 0x02 => {
                let topic = usize::from(u16::from_be_bytes(*packet.get(header..)?.first_chunk()?));
                let &[high, low] = packet.get(header + 2 + topic..)?.first_chunk()?;
                output.extend_from_slice(&[0x40, 2, high, low]);
            }
            12 => output.extend_from_slice(&[0xd0, 0]),
            _ => return None,
        }
        taken += size;
    }
    Some(taken)
}

/// Sizes of the first packet's fixed header and of the whole packet, if it is there (MQTT 3.1.1 §2.2.3).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_acknowledged_by_their_identifier() {
        let mut output = Vec::new();
        let publish = [0x32, 8, 0, 1, b't', 0x12, 0x34, b'p', b'a', b'y'];
        assert_eq!(answer(&publish[..9], &mut output), Some(0));
        assert_eq!(answer(&publish, &mut output), Some(10));
        assert_eq!(output, [0x40, 2, 0x12, 0x34]);
        for (level, connack) in [(4, &[0x20, 2, 0, 0][..]), (5, &[0x20, 3, 0, 0, 0])] {
            let connect = [0x10, 7, 0, 4, b'M', b'Q', b'T', b'T', level];
            output.clear();
            assert_eq!(answer(&connect, &mut output), Some(9));
            assert_eq!(output, connack);
        }
        assert_eq!(answer(&[0x82, 1, 0], &mut output), None);
        assert_eq!(answer(&[0x32, 3, 0, 9, b't'], &mut output), None);
    }
}
