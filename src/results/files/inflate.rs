//! Short zlib streams (RFC 1950, RFC 1951). A histogram of one interval is some hundred bytes long; for so few a general library spends
//! most of its time on tables that only long streams pay for: two thirds of all that reading a log of days takes.

/// The order in which a block states how long the codes of its lengths are.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Symbols of literals and lengths at most, and of both codes of a block together.
const SYMBOLS: usize = 288;
const BOTH: usize = SYMBOLS + 32;
/// Codes of so many bits at most are looked up.
const QUICK: u32 = 8;

/// Unpacks streams, one after the other, with codes that are kept.
#[derive(Debug)]
pub(super) struct Inflater {
    lengths: Code,
    literals: Code,
    distances: Code,
}

impl Inflater {
    pub(super) const fn new() -> Self {
        Self { lengths: Code::EMPTY, literals: Code::EMPTY, distances: Code::EMPTY }
    }

    /// Unpacks `packed` into `out`; `None` if it is cut, broken, or more than `most` bytes. What follows a stream is passed over.
    pub(super) fn inflate(&mut self, packed: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
        out.clear();
        let (&[method, flags], bytes) = packed.split_first_chunk()?;
        let is_zlib = method & 0x0f == 8 && flags & 0x20 == 0;
        if !is_zlib || u16::from_be_bytes([method, flags]) % 31 != 0 {
            return None;
        }
        let mut bits = Bits { bytes, held: 0, count: 0 };
        loop {
            let is_last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => stored(&mut bits, out, most)?,
                1 => {
                    self.set_fixed()?;
                    self.data(&mut bits, out, most)?;
                }
                2 => {
                    self.read_codes(&mut bits)?;
                    self.data(&mut bits, out, most)?;
                }
                _ => return None,
            }
            if is_last {
                break;
            }
        }
        bits.align();
        let sum = (0..4).try_fold(0, |sum: u32, _| Some(sum << 8 | bits.take(8)?))?;
        (sum == adler32(out)).then_some(())
    }

    fn set_fixed(&mut self) -> Option<()> {
        let mut lengths = [8; SYMBOLS];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.set(&lengths)?;
        self.distances.set(&[5; 30])
    }

    fn read_codes(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let stated = bits.take(4)? as usize + 4;
        let mut of_lengths = [0; ORDER.len()];
        for place in ORDER.into_iter().take(stated) {
            of_lengths[place] = bits.take(3)? as u8;
        }
        self.lengths.set(&of_lengths)?;
        let (mut lengths, mut read) = ([0; BOTH], 0);
        while read < literals + distances {
            let symbol = self.lengths.next(bits)?;
            let (length, times) = match symbol {
                16 => (*lengths.get(read.checked_sub(1)?)?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length as u8, 1),
            };
            let next = read + times as usize;
            lengths.get_mut(read..next)?.fill(length);
            read = next;
        }
        if read != literals + distances {
            return None;
        }
        self.literals.set(lengths.get(..literals).filter(|lengths| lengths.len() <= SYMBOLS)?)?;
        self.distances.set(&lengths[literals..read])
    }

    /// The symbols of a block.
    fn data(&self, bits: &mut Bits<'_>, out: &mut Vec<u8>, most: usize) -> Option<()> {
        loop {
            let symbol = self.literals.next(bits)?;
            if let Ok(literal) = u8::try_from(symbol) {
                if out.len() == most {
                    return None;
                }
                out.push(literal);
                continue;
            }
            let Some(nth) = usize::from(symbol).checked_sub(257) else { return Some(()) };
            let length = length(nth, bits)?;
            let from = out.len().checked_sub(distance(self.distances.next(bits)?.into(), bits)?)?;
            if out.len() + length > most {
                return None;
            }
            for place in from..from + length {
                out.push(out[place]);
            }
        }
    }
}

/// What the `nth` symbol of a length stands for, with the bits that follow it.
fn length(nth: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match nth {
        0..8 => Some(3 + nth),
        8..28 => {
            let more = nth / 4 - 1;
            Some(3 + ((4 + nth % 4) << more) + bits.take(more as u32)? as usize)
        }
        28 => Some(258),
        _ => None,
    }
}

/// The same of a distance.
fn distance(nth: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match nth {
        0..4 => Some(1 + nth),
        4..30 => {
            let more = nth / 2 - 1;
            Some(1 + ((2 + nth % 2) << more) + bits.take(more as u32)? as usize)
        }
        _ => None,
    }
}

/// A block of bytes as they are.
fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>, most: usize) -> Option<()> {
    bits.align();
    let (length, check) = (bits.take(16)?, bits.take(16)?);
    if length ^ check != 0xffff || out.len() + length as usize > most {
        return None;
    }
    for _ in 0..length {
        out.push(bits.take(8)? as u8);
    }
    Some(())
}

/// The bits of a stream, lowest first.
struct Bits<'b> {
    bytes: &'b [u8],
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 56
            && let Some((byte, rest)) = self.bytes.split_first()
        {
            self.held |= u64::from(*byte) << self.count;
            (self.bytes, self.count) = (rest, self.count + 8);
        }
    }

    /// The next `count` bits, 16 at most; `None` where there are fewer.
    fn take(&mut self, count: u32) -> Option<u32> {
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        let taken = self.held & ((1 << count) - 1);
        self.held >>= count;
        Some(taken as u32)
    }

    /// Goes to the beginning of a byte.
    fn align(&mut self) {
        let odd = self.count % 8;
        self.held >>= odd;
        self.count -= odd;
    }
}

/// A canonical prefix code.
#[derive(Debug)]
struct Code {
    /// By the next `width` bits, symbol and length of a code that is no longer; 0 where it is.
    quick: [u16; 1 << QUICK],
    /// As many as the longest code has, [`QUICK`] at most: the fewer, the sooner the code is set up.
    width: u32,
    /// How many codes there are of each length.
    counts: [u16; 16],
    /// Those that have a code, by it.
    symbols: [u16; SYMBOLS],
}

impl Code {
    const EMPTY: Self = Self { quick: [0; 1 << QUICK], width: 0, counts: [0; 16], symbols: [0; SYMBOLS] };

    /// Makes it the code in which symbols have these `lengths`, 15 bits at most; `None` if there is no such code.
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        self.counts.fill(0);
        for length in lengths.iter().filter(|length| **length > 0) {
            self.counts[usize::from(*length)] += 1;
        }
        let (mut codes, mut places) = ([0_u32; 17], [0_usize; 17]);
        for length in 1..16 {
            let count = self.counts[length];
            if codes[length] + u32::from(count) > 1 << length {
                return None;
            }
            codes[length + 1] = (codes[length] + u32::from(count)) << 1;
            places[length + 1] = places[length] + usize::from(count);
        }
        let longest = self.counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        self.width = QUICK.min(longest as u32);
        let quick = &mut self.quick[..1 << self.width];
        quick.fill(0);
        for (symbol, length) in (0..).zip(lengths).filter(|(_, length)| **length > 0) {
            let (nth, bits) = (usize::from(*length), u32::from(*length));
            self.symbols[places[nth]] = symbol;
            if bits <= self.width {
                let mut place = (codes[nth].reverse_bits() >> (32 - bits)) as usize;
                while let Some(entry) = quick.get_mut(place) {
                    *entry = symbol << 4 | u16::from(*length);
                    place += 1 << bits;
                }
            }
            places[nth] += 1;
            codes[nth] += 1;
        }
        Some(())
    }

    /// The next symbol; `None` where there is none.
    fn next(&self, bits: &mut Bits<'_>) -> Option<u16> {
        bits.fill();
        let entry = self.quick[(bits.held & ((1 << self.width) - 1)) as usize];
        let length = u32::from(entry & 15);
        if length > 0 && length <= bits.count {
            bits.held >>= length;
            bits.count -= length;
            return Some(entry >> 4);
        }
        let (mut code, mut first, mut place) = (0, 0, 0);
        for count in self.counts.iter().skip(1).map(|count| u32::from(*count)) {
            code = code << 1 | bits.take(1)?;
            first <<= 1;
            if code < first + count {
                return self.symbols.get((place + code - first) as usize).copied();
            }
            first += count;
            place += count;
        }
        None
    }
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1, 0);
    // So many bytes do not overflow.
    for part in bytes.chunks(5_552) {
        for byte in part {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % MODULUS, high % MODULUS);
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 1 << 20;

    fn packed(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Bytes as they come in histograms and others, with what repeats near and far.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let few = proptest::collection::vec(0_u8..5, 0..300);
        let noise = proptest::collection::vec(any::<u8>(), 0..300);
        let again = (proptest::collection::vec(any::<u8>(), 1..60), 1_usize..2_000)
            .prop_map(|(part, times)| part.repeat(times));
        proptest::collection::vec(prop_oneof![few, noise, again], 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_the_library_packs_comes_back(bytes in bytes(), level in 0_u32..10) {
            let (packed, mut out) = (packed(&bytes, level), vec![1, 2, 3]);
            let mut inflater = Inflater::new();
            prop_assert_eq!(inflater.inflate(&packed, &mut out, MOST), Some(()));
            prop_assert!(out == bytes);
            // With the codes of the stream before.
            prop_assert_eq!(inflater.inflate(&packed, &mut out, bytes.len()), Some(()));
            if let Some(less) = bytes.len().checked_sub(1) {
                prop_assert_eq!(inflater.inflate(&packed, &mut out, less), None, "more than may be");
            }
        }

        #[test]
        fn a_stream_that_is_cut_or_changed_is_none(bytes in bytes(), cut in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (whole, mut out) = (packed(&bytes, 6), Vec::new());
            let mut inflater = Inflater::new();
            let place = cut.index(whole.len());
            prop_assert_eq!(inflater.inflate(&whole[..place], &mut out, MOST), None);
            let mut changed = whole;
            changed[place] ^= 1 << bit;
            // A bit that fills up a byte, or the size of a window, says nothing.
            let well = inflater.inflate(&changed, &mut out, MOST).is_some();
            prop_assert!(!well || out == bytes);
        }

        #[test]
        fn whatever_it_is_given_it_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            let framed = [&[0x78, 0x9c], bytes.as_slice()].concat();
            for packed in [bytes, framed] {
                let _ = Inflater::new().inflate(&packed, &mut out, 10_000);
                prop_assert!(out.len() <= 10_000);
            }
        }
    }
}
