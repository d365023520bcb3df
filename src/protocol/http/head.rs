//! Header sections of responses, as RFC 9112 has a user agent read them: what servers should not write and may mean is taken
//! as it is meant, and what has two meanings is refused.

use std::mem::MaybeUninit;

use super::super::Failure;

/// Largest header section, and largest trailer section, bytes.
pub(in crate::protocol) const MAX_HEAD: usize = 256 * 1024;

/// Most header fields of one response.
pub(in crate::protocol) const MAX_FIELDS: usize = 1_000;

/// Header fields for which the stack has room.
const USUAL_FIELDS: usize = 100;

/// Header sections shorter than this are read anew with every piece, so that what is not HTTP is told at once.
const SHORT: usize = 1024;

/// A header section. Values may still be folded: see [`elements`].
#[derive(Debug, Clone, Copy)]
pub(in crate::protocol) struct Head<'a> {
    /// 100 to 999: what lies beyond 599 counts as a failure of the server (RFC 9110 §15).
    pub(in crate::protocol) status: u16,
    /// It speaks HTTP/1.0.
    pub(in crate::protocol) old: bool,
    fields: &'a [httparse::Header<'a>],
    /// One bit for each length that a name among them has: most names that are asked for are in no response.
    lengths: u64,
}

impl<'a> Head<'a> {
    /// The elements of all fields of this `name`, in order: a list may be spread over several (RFC 9110 §5.3).
    pub(in crate::protocol) fn list(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.named(name).flat_map(|value| elements(value, b','))
    }

    /// The values of all fields of this `name`.
    pub(in crate::protocol) fn named(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let fields = if self.lengths & length_bit(name) == 0 { &[] } else { self.fields };
        fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

/// The bit for the length of this name; all lengths from 63 share one.
fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// The parts of `value` between separators outside quotes, without the white space and the folds around them. Empty parts mean
/// nothing (RFC 9110 §5.6.1).
pub(in crate::protocol) fn elements(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |&byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            byte == separator && !quoted
        })
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
}

/// Has `read` take what it wants from the header section at the beginning of `unread`; `None` while that is incomplete.
/// Gives the section's length, too. `tried` is how much was there in vain.
///
/// # Errors
/// If it is not an HTTP response, is beyond a limit, or `read` refuses it.
pub(in crate::protocol) fn read<T>(
    unread: &[u8],
    tried: &mut usize,
    read: impl FnOnce(&Head<'_>) -> Result<T, Failure>,
) -> Result<Option<(usize, T)>, Failure> {
    let window = unread.get(..MAX_HEAD).unwrap_or(unread);
    let news = window.get(*tried..).unwrap_or_default();
    if window.len() > SHORT && window.len() < MAX_HEAD && !news.contains(&b'\n') {
        *tried = window.len();
        return Ok(None);
    }
    let (mut usual, mut many) = ([const { MaybeUninit::uninit() }; USUAL_FIELDS], Vec::new());
    let mut response = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    parser
        // RFC 9112 §5.1: white space before the colon is removed; §5.2: folds are white space.
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    let mut parsed = parser.parse_response_with_uninit_headers(&mut response, window, &mut usual);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many.resize(MAX_FIELDS, MaybeUninit::uninit());
        parsed = parser.parse_response_with_uninit_headers(&mut response, window, &mut many);
    }
    let size = match parsed {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if window.len() == MAX_HEAD => {
            return Err(Failure::protocol("the response's header section is larger than 256 KiB"));
        }
        Ok(httparse::Status::Partial) => {
            *tried = window.len();
            return Ok(None);
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Failure::protocol("the response has more than 1000 header fields"));
        }
        Err(error) => return Err(Failure::protocol(format!("not an HTTP response: {error}"))),
    };
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(Failure::protocol(format!("{status} is not a valid HTTP status")));
    }
    let lengths = response.headers.iter().fold(0, |lengths, field| lengths | length_bit(field.name));
    let head = Head { status, old: response.version == Some(0), fields: response.headers, lengths };
    Ok(Some((size, read(&head)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_outside_quotes_whatever_surrounds_their_parts() {
        let table: [(&str, u8, &[&str]); 5] = [
            ("a,b", b',', &["a", "b"]),
            (" a \t,\r\n b,, ", b',', &["a", "b"]),
            ("", b',', &[]),
            (r#"a; b="c,\"d"; e, f"#, b',', &[r#"a; b="c,\"d"; e"#, "f"]),
            (r#"a; b="c;d" ;e"#, b';', &["a", r#"b="c;d""#, "e"]),
        ];
        for (value, separator, expected) in table {
            let found: Vec<_> = elements(value.as_bytes(), separator).collect();
            let expected: Vec<_> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn limits_are_named_and_what_lies_within_them_is_read() {
        let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let table = [
            (with(&"A: b\r\n".repeat(1_000)), None),
            (with(&"A: b\r\n".repeat(1_001)), Some("more than 1000 header fields")),
            (with(&format!("A: {}\r\n", "x".repeat(262_100))), None),
            (with(&format!("A: {}\r\n", "x".repeat(263_000))), Some("larger than 256 KiB")),
        ];
        for (text, refusal) in table {
            let found = read(text.as_bytes(), &mut 0, |head| Ok(head.named("a").count()));
            match (&found, refusal) {
                (Ok(Some((size, _))), None) => assert_eq!(*size, text.len()),
                (Err(failure), Some(words)) => assert!(failure.reason.sentence.contains(words), "{failure}"),
                _ => panic!("{found:?} of {} bytes", text.len()),
            }
        }
    }

    #[test]
    fn a_section_is_found_in_whatever_pieces_it_comes() {
        let text = format!("HTTP/1.1 200 OK\r\nA: {}\r\nB : 1\r\n\tmore\r\n\r\nbody", "x".repeat(3_000));
        let mut tried = 0;
        let found = (0..=text.len()).find_map(|end| {
            read(&text.as_bytes()[..end], &mut tried, |head| {
                Ok(head.list("b").map(<[u8]>::to_vec).collect::<Vec<_>>())
            })
            .unwrap()
        });
        assert_eq!(found, Some((text.len() - 4, vec![b"1\r\n\tmore".to_vec()])));
    }
}
