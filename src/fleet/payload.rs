//! Encodings of a reading. They append to a buffer the caller reuses and allocate nothing else.

use super::device::Reading;

/// `{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}`.
///
/// `device` consists of characters that JSON takes as they are; scenarios allow no others in a fleet's name.
pub(super) fn json(device: &str, reading: &Reading, out: &mut Vec<u8>) {
    debug_assert!(device.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')));
    out.extend_from_slice(b"{\"device\":\"");
    out.extend_from_slice(device.as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    integer(reading.seq, out);
    out.extend_from_slice(b",\"intended_ns\":");
    integer(reading.intended.0, out);
    out.extend_from_slice(b",\"value\":");
    decimal(reading.values.as_slice().first().copied().unwrap_or_default(), out);
    out.push(b'}');
}

fn integer(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// At most four decimals, without trailing zeros. Formatting by hand is a fifth of the cost of `{}` on a float,
/// and the same on every machine. Values beyond ±9 × 10¹⁴ stop there; signals are bounded far below.
fn decimal(value: f64, out: &mut Vec<u8>) {
    let scaled = (value * 1e4).round() as i64;
    if scaled < 0 {
        out.push(b'-');
    }
    let scaled = scaled.unsigned_abs();
    integer(scaled / 10_000, out);
    let mut fraction = scaled % 10_000;
    if fraction == 0 {
        return;
    }
    let mut digits = *b".0000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
    out.extend_from_slice(&digits[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::fleet::Values;
    use proptest::prelude::*;

    fn encoded(seq: u64, intended: u64, value: f64) -> String {
        let mut out = Vec::new();
        json(
            "meters-00017",
            &Reading { seq, intended: Tick(intended), values: Values::One(value), mark: None },
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_documented_form_is_the_exact_form() {
        assert_eq!(
            encoded(42, 123_456_789, 21.5),
            r#"{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}"#
        );
    }

    #[test]
    fn values_are_rounded_to_four_decimals_without_trailing_zeros() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-0.000_04, "0"),
            (-0.000_06, "-0.0001"),
            (20.0, "20"),
            (1.05, "1.05"),
            (-3.000_1, "-3.0001"),
            (0.123_46, "0.1235"),
            (99.999_96, "100"),
            (1e12, "1000000000000"),
        ] {
            let mut out = Vec::new();
            decimal(value, &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap(), text, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_json_reader_gives_the_reading_back(
            seq in any::<u64>(), intended in any::<u64>(), value in -1e9..1e9_f64
        ) {
            let json: serde_json::Value = serde_json::from_str(&encoded(seq, intended, value)).unwrap();
            prop_assert_eq!(&json["device"], "meters-00017");
            prop_assert_eq!(json["seq"].as_u64(), Some(seq));
            prop_assert_eq!(json["intended_ns"].as_u64(), Some(intended));
            prop_assert!((json["value"].as_f64().unwrap() - value).abs() <= 0.5e-4 + 1e-6);
        }
    }
}
