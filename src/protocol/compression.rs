//! DEFLATE, without and with gzip around it. The state of a compressor takes hundreds of kilobytes and is one per thread, not one per
//! device: messages are compressed each by itself.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Read;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status, bufread};

/// What ends every flush, and is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A member without name, time or comment, of an unknown system (RFC 1952 §2.3).
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Room made at once for what comes out, bytes.
const CHUNK: usize = 4 * 1024;

thread_local! {
    static DEFLATING: RefCell<Option<Compress>> = const { RefCell::new(None) };
    static INFLATING: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// Bytes before the compressed data of the zlib format.
const ZLIB_HEADER: usize = 2;

/// Most of a body that is decoded to be shown, bytes.
const MOST_SHOWN: u64 = 1_024;

/// How a body is coded (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not at all.
    Identity,
    Gzip,
    /// DEFLATE within the zlib format, or by itself, as some servers send it.
    Deflate,
    Brotli,
    Zstd,
    /// In another way, or in several.
    Other,
}

impl Coding {
    /// By the names that RFC 9110 and IANA's registry give them.
    const NAMED: [(&'static str, Self); 6] = [
        ("gzip", Self::Gzip),
        ("x-gzip", Self::Gzip),
        ("deflate", Self::Deflate),
        ("br", Self::Brotli),
        ("zstd", Self::Zstd),
        ("identity", Self::Identity),
    ];

    /// What the elements of Content-Encoding come to.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let known =
            |name: &[u8]| Self::NAMED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        let codings = names.map(|name| known(name).map_or(Self::Other, |(_, coding)| *coding));
        let mut codings = codings.filter(|coding| *coding != Self::Identity);
        match (codings.next(), codings.next()) {
            (None, _) => Self::Identity,
            (Some(only), None) => only,
            (Some(_), Some(_)) => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        let own = Self::NAMED.iter().find(|(_, coding)| *coding == self);
        own.map_or("a compressed body", |(name, _)| name)
    }
}

/// The beginning of a body for people to read, where `body` is the beginning of `length` bytes: decoded, or, where that cannot be
/// done and it is not text as it stands, what it is.
pub(super) fn legible(body: &[u8], coding: Coding, length: u64) -> Cow<'_, [u8]> {
    // A server may compress and not say so.
    let coding =
        if coding == Coding::Identity && body.starts_with(&GZIP[..3]) { Coding::Gzip } else { coding };
    if coding == Coding::Identity || body.is_empty() {
        return Cow::Borrowed(body);
    }
    let mut plain = Vec::new();
    // What came out before the bytes ended, or turned out to be damaged, is the beginning all the same.
    let _ = match coding {
        Coding::Gzip => bufread::MultiGzDecoder::new(body).take(MOST_SHOWN).read_to_end(&mut plain),
        Coding::Deflate => {
            let bare = if is_zlib(body) { &body[ZLIB_HEADER..] } else { body };
            bufread::DeflateDecoder::new(bare).take(MOST_SHOWN).read_to_end(&mut plain)
        }
        Coding::Identity | Coding::Brotli | Coding::Zstd | Coding::Other => Ok(0),
    };
    let is_text = |bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
    };
    if !plain.is_empty() {
        Cow::Owned(plain)
    } else if is_text(body) {
        Cow::Borrowed(body)
    } else {
        Cow::Owned(format!("{length} bytes of {}", coding.name()).into_bytes())
    }
}

/// Whether `bytes` begin as the zlib format does (RFC 1950 §2.2).
fn is_zlib(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk().map(|header| u16::from_be_bytes(*header));
    header.is_some_and(|header| (header >> 8) & 0x0f == 8 && header % 31 == 0)
}

/// What speaks against compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are none.
    Malformed,
    /// They stand for more than may be read.
    Beyond,
}

/// Appends `plain` as the payload of a compressed message; false if it could not be compressed, with nothing appended.
pub(super) fn deflate(plain: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    if compress(plain, FlushCompress::Sync, out) && out[start..].ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
        return true;
    }
    out.truncate(start);
    false
}

/// Appends `plain` as a gzip member.
pub(super) fn gzip(plain: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(&GZIP);
    if !compress(plain, FlushCompress::Finish, out) {
        out.truncate(start);
        return false;
    }
    let mut sum = Crc::new();
    sum.update(plain);
    out.extend_from_slice(&sum.sum().to_le_bytes());
    out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    true
}

fn compress(plain: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> bool {
    DEFLATING.with_borrow_mut(|state| {
        let state = state.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        state.reset();
        loop {
            out.reserve(CHUNK.max(plain.len() / 2));
            let taken = state.total_in() as usize;
            let Ok(status) = state.compress_vec(plain.get(taken..).unwrap_or_default(), out, flush) else {
                return false;
            };
            let finished = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                // Room that is left says that all is out.
                _ => state.total_in() as usize == plain.len() && out.len() < out.capacity(),
            };
            if finished {
                return true;
            }
        }
    })
}

/// Appends what the payload of a compressed message stands for.
///
/// # Errors
/// [`Fault`], if that is more than `most` bytes or the payload is malformed.
pub(super) fn inflate(packed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    INFLATING.with_borrow_mut(|state| {
        let state = state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        for mut rest in [packed, &TAIL] {
            loop {
                out.reserve(CHUNK);
                let (taken, made) = (state.total_in(), out.len());
                let status =
                    state.decompress_vec(rest, out, FlushDecompress::Sync).map_err(|_| Fault::Malformed)?;
                let taken = (state.total_in() - taken) as usize;
                rest = rest.get(taken..).unwrap_or_default();
                if out.len() > most {
                    return Err(Fault::Beyond);
                }
                if status == Status::StreamEnd {
                    // A block that calls itself the last ends nothing but itself (RFC 7692 §7.2.3.4).
                    state.reset(false);
                } else if taken == 0 && out.len() == made && !rest.is_empty() {
                    return Err(Fault::Malformed);
                }
                if rest.is_empty() && (status == Status::StreamEnd || out.len() < out.capacity()) {
                    break;
                }
            }
        }
        Ok(())
    })
}

/// Appends the first `most` bytes of what `packed`, or its beginning if not `whole`, stands for.
///
/// # Errors
/// If it is not gzip.
pub(super) fn gunzip(packed: &[u8], whole: bool, most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    match bufread::MultiGzDecoder::new(packed).take(most as u64).read_to_end(out) {
        Ok(_) => Ok(()),
        Err(error) if !whole && error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(_) => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inflated(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        inflate(packed, most, &mut out).map(|()| out)
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            plain in proptest::collection::vec(any::<u8>(), 0..3_000), repeated in 1..20_usize,
        ) {
            let plain = plain.repeat(repeated);
            let (mut packed, mut member) = (b"before".to_vec(), Vec::new());
            prop_assert!(deflate(&plain, &mut packed) && gzip(&plain, &mut member));
            prop_assert_eq!(inflated(&packed[6..], plain.len()), Ok(plain.clone()));
            let mut back = Vec::new();
            gunzip(&member, true, usize::MAX, &mut back).unwrap();
            prop_assert_eq!(&back, &plain);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (_, mut out) = (inflated(&bytes, 10_000), Vec::new());
            let _ = gunzip(&bytes, true, 10_000, &mut out);
            prop_assert!(out.len() <= 10_000);
        }
    }

    #[test]
    fn the_examples_of_rfc_7692_are_read() {
        let table: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for packed in table {
            assert_eq!(inflated(packed, 5), Ok(b"Hello".to_vec()), "{packed:x?}");
            assert_eq!(inflated(packed, 4), Err(Fault::Beyond), "{packed:x?}");
        }
        assert_eq!(inflated(&[0], 0), Ok(Vec::new()));
        assert_eq!(inflated(&[0xff, 0xff], 9), Err(Fault::Malformed));
        let mut empty = Vec::new();
        assert!(deflate(b"", &mut empty));
        assert_eq!(empty, [0]);
    }

    #[test]
    fn a_bomb_takes_no_more_than_it_may() {
        let zeros = vec![0; 8 << 20];
        let (mut packed, mut member, mut out) = (Vec::new(), Vec::new(), Vec::new());
        assert!(deflate(&zeros, &mut packed) && gzip(&zeros, &mut member));
        assert!(packed.len() < zeros.len() / 64);
        assert_eq!(inflate(&packed, 100_000, &mut out), Err(Fault::Beyond));
        assert!(out.capacity() < 300_000, "{}", out.capacity());
        out = Vec::new();
        assert_eq!(gunzip(&member, true, 100_000, &mut out), Ok(()));
        assert_eq!(out.len(), 100_000);
    }

    #[test]
    fn codings_are_known_by_name() {
        for (names, coding) in [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("GZip", Coding::Gzip),
            ("identity,x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("snappy", Coding::Other),
            ("br,gzip", Coding::Other),
        ] {
            let names = names.split(',').filter(|name| !name.is_empty()).map(str::as_bytes);
            assert_eq!(Coding::of(names), coding);
        }
    }

    #[test]
    fn bodies_are_shown_decoded_as_text_or_by_what_they_are() {
        let member = |plain: &[u8]| {
            let mut out = Vec::new();
            assert!(gzip(plain, &mut out));
            out
        };
        let raw = |plain: &[u8]| {
            let mut out = Vec::new();
            assert!(compress(plain, FlushCompress::Finish, &mut out));
            out
        };
        let zlib = |plain: &[u8]| [&[0x78, 0x9c], raw(plain).as_slice(), &[0; 4]].concat();
        let long = "0123456789".repeat(10_000);
        let (half, noise) = (member(long.as_bytes()), b"\x00\xff\x01\xfe".to_vec());
        let half = half[..half.len() / 2].to_vec();
        let beginning = &long[..MOST_SHOWN as usize];
        for (body, coding, expected) in [
            (b"plain".to_vec(), Coding::Identity, "plain"),
            (member(b"out of order"), Coding::Gzip, "out of order"),
            (member(b"out of order"), Coding::Identity, "out of order"),
            (raw(b"out of order"), Coding::Deflate, "out of order"),
            (zlib(b"out of order"), Coding::Deflate, "out of order"),
            (member(long.as_bytes()), Coding::Gzip, beginning),
            (half, Coding::Gzip, beginning),
            (b"plain".to_vec(), Coding::Gzip, "plain"),
            (b"{\r\n}".to_vec(), Coding::Brotli, "{\r\n}"),
            (noise.clone(), Coding::Gzip, "9000 bytes of gzip"),
            (noise.clone(), Coding::Deflate, "9000 bytes of deflate"),
            (noise.clone(), Coding::Brotli, "9000 bytes of br"),
            (noise, Coding::Other, "9000 bytes of a compressed body"),
            (Vec::new(), Coding::Gzip, ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&legible(&body, coding, 9_000)), expected, "{coding:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_member_gives_the_beginning_of_what_it_stands_for() {
        let text: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut member, mut out) = (Vec::new(), Vec::new());
        assert!(gzip(&text, &mut member));
        let half = &member[..member.len() / 2];
        assert_eq!(gunzip(half, true, usize::MAX, &mut Vec::new()), Err(Fault::Malformed));
        assert_eq!(gunzip(half, false, usize::MAX, &mut out), Ok(()));
        assert!(out.len() > 1_000 && text.starts_with(&out));
        assert_eq!(gunzip(b"{\"seq\":1}", true, 100, &mut out), Err(Fault::Malformed));
    }
}
