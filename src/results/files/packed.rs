//! One histogram of `latency.hlog` as its recorded values, without the table of counts that a histogram of its own would need: a
//! log of days has a million of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::{Decompress, FlushDecompress, Status};
use hdrhistogram::Histogram;

/// `V2DeflateSerializer`'s first word, and that of what it wraps.
const COMPRESSED: u32 = 0x1c84_9314;
const PLAIN: u32 = 0x1c84_9313;
/// Bytes of the wrapped header.
const HEADER: usize = 40;
/// A histogram of three digits over all of 64 bits has fewer than 60 000 counts of at most nine bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// What most of them take.
const FIRST_BYTES: usize = 16 * 1024;

/// Range and precision of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) digits: u8,
}

impl Bounds {
    /// An empty histogram of this range; `None` if there is none.
    pub(super) fn histogram(self) -> Option<Histogram<u64>> {
        Histogram::new_with_bounds(self.low, self.high, self.digits).ok()
    }
}

/// Adds what was unpacked to `sum`, which the first one gives its range.
pub(super) fn add_values(sum: &mut Option<Histogram<u64>>, values: &[(u64, u64)], bounds: Bounds) {
    if sum.is_none() {
        *sum = bounds.histogram();
    }
    if let Some(sum) = sum {
        record(sum, values);
    }
}

pub(super) fn record(sum: &mut Histogram<u64>, values: &[(u64, u64)]) {
    for (value, count) in values {
        sum.saturating_record_n(*value, *count);
    }
}

/// Unpacks histograms, one after the other, in buffers of its own.
#[derive(Debug)]
pub(super) struct Unpacker {
    packed: Vec<u8>,
    plain: Vec<u8>,
    /// Kept from one to the next: to make one costs more than to unpack most histograms.
    inflate: Decompress,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { packed: Vec::new(), plain: vec![0; FIRST_BYTES], inflate: Decompress::new(true) }
    }
}

impl Unpacker {
    /// Inflates what was packed, and says how many bytes of `plain` that are; `None` if it is cut, broken or far too large.
    fn inflate(&mut self) -> Option<usize> {
        let packed = self.packed.get(2 * size_of::<u32>()..)?;
        loop {
            self.inflate.reset(true);
            let status = self.inflate.decompress(packed, &mut self.plain, FlushDecompress::Finish).ok()?;
            let written = usize::try_from(self.inflate.total_out()).ok()?;
            match status {
                Status::StreamEnd => return Some(written),
                _ if written == self.plain.len() && written < MOST_BYTES => self.plain.resize(written * 4, 0),
                _ => return None,
            }
        }
    }

    /// The lowest equivalent of every recorded value of `encoded`, with its count, in rising order, into `values`; `None` if it is
    /// no histogram.
    pub(super) fn unpack(&mut self, encoded: &[u8], values: &mut Vec<(u64, u64)>) -> Option<Bounds> {
        self.packed.clear();
        values.clear();
        BASE64.decode_vec(encoded, &mut self.packed).ok()?;
        let mut packed = self.packed.as_slice();
        let (cookie, _length) = (word(&mut packed)?, word(&mut packed)?);
        if cookie != COMPRESSED {
            return None;
        }
        let plain = self.inflate()?;
        let plain = self.plain.get(..plain)?;
        let mut header = plain.get(..HEADER)?;
        let (cookie, _length, _offset) = (word(&mut header)?, word(&mut header)?, word(&mut header)?);
        let digits = u8::try_from(word(&mut header)?).ok().filter(|digits| (1..=5).contains(digits))?;
        let (low, high) = (long(&mut header)?, long(&mut header)?);
        if cookie != PLAIN || low == 0 || high / 2 < low {
            return None;
        }
        let scale = Scale::of(low, digits);
        let (mut counts, mut place) = (plain.get(HEADER..)?, 0_u64);
        while !counts.is_empty() {
            let coded = varint(&mut counts)?;
            let number = (coded >> 1).cast_signed() ^ -(coded & 1).cast_signed();
            if number > 0 {
                values.push((scale.value(place)?, number.cast_unsigned()));
                place += 1;
            } else {
                // A negative number says how many counts of nought follow.
                place = place.checked_add(number.unsigned_abs().max(1))?;
            }
        }
        Some(Bounds { low, high, digits })
    }
}

/// How places in the table of counts go with values.
struct Scale {
    unit: u32,
    half: u32,
}

impl Scale {
    fn of(low: u64, digits: u8) -> Self {
        let least = 2 * 10_u64.pow(digits.into());
        Self { unit: low.ilog2(), half: least.next_power_of_two().ilog2() - 1 }
    }

    fn value(&self, place: u64) -> Option<u64> {
        let (bucket, within) = (place >> self.half, place & ((1 << self.half) - 1));
        let (shift, within) = match bucket {
            0 => (0, within),
            _ => (u32::try_from(bucket - 1).ok()?, within + (1 << self.half)),
        };
        within.checked_mul(1_u64.checked_shl(shift + self.unit)?)
    }
}

fn word(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(u32::from_be_bytes(*bytes))
}

fn long(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(u64::from_be_bytes(*bytes))
}

/// A number in seven bits a byte, lowest first; a ninth byte has all eight.
fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for nth in 0..9 {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        if nth == 8 {
            return Some(number | u64::from(byte) << 56);
        }
        number |= u64::from(byte & 0x7f) << (7 * nth);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
    use proptest::prelude::*;

    use super::*;

    fn encoded(times: &Histogram<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(times, &mut bytes).unwrap();
        BASE64.encode(bytes).into_bytes()
    }

    proptest! {
        #[test]
        fn unpacked_values_are_those_that_the_library_reads(
            values in proptest::collection::vec((0_u64..3_600_000_000_000, 1_u64..1_000_000), 0..50),
            low in prop::sample::select(vec![1_u64, 1_000]),
        ) {
            let mut times = Histogram::<u64>::new_with_bounds(low, 3_600_000_000_000, 3).unwrap();
            for (value, count) in &values {
                times.record_n(*value, *count).unwrap();
            }
            let mut read = Vec::new();
            let bounds = Unpacker::default().unpack(&encoded(&times), &mut read).unwrap();
            prop_assert_eq!(bounds, Bounds { low, high: 3_600_000_000_000, digits: 3 });
            let expected: Vec<_> = times
                .iter_recorded()
                .map(|step| (times.lowest_equivalent(step.value_iterated_to()), step.count_at_value()))
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn nothing_that_is_no_histogram_is_taken_for_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut unpacker = Unpacker::default();
            prop_assert!(unpacker.unpack(&bytes, &mut Vec::new()).is_none());
            prop_assert!(unpacker.unpack(BASE64.encode(&bytes).as_bytes(), &mut Vec::new()).is_none());
        }
    }
}
