//! What fuzzing feeds: the bundled system's readers of what devices send. Only compiled for `cargo fuzz`.

use super::super::endpoint::mqtt::decode_packet;
use super::super::reading::{LONGEST_DEVICE, Reading};

/// A reading in any of its encodings: what is taken is within the bounds that the rest relies on.
pub fn reading(bytes: &[u8]) {
    match Reading::parse(bytes) {
        Ok(reading) => {
            assert!(reading.value.is_finite(), "a value that cannot be reckoned with");
            assert!(reading.device.chars().count() <= LONGEST_DEVICE, "a name that is too long");
        }
        Err(bad) => assert!(!bad.reason.is_empty(), "a refusal without a reason"),
    }
}

/// The packets of an MQTT client, read by either version: each is within the bytes there are, and is the same when only its own bytes
/// are there.
pub fn mqtt(bytes: &[u8]) {
    for is_five in [false, true] {
        let mut bytes = bytes;
        while let Ok(Some((packet, size))) = decode_packet(bytes, is_five) {
            assert!(size > 0 && size <= bytes.len(), "a packet of {size} bytes in {}", bytes.len());
            let (own, rest) = bytes.split_at(size);
            assert_eq!(
                decode_packet(own, is_five),
                Ok(Some((packet, size))),
                "what follows a packet changed it"
            );
            assert_eq!(
                decode_packet(&own[..size - 1], is_five),
                Ok(None),
                "a packet came before its last byte"
            );
            bytes = rest;
        }
    }
}
