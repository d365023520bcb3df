//! Why a reading or a connection attempt failed: a code that programs count by, and a sentence for people.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::is_steering;

/// Names one way to fail, as the protocol or the operating system numbers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A number of a family of codes: `HTTP 404`, `CONNACK 5`, `WebSocket close 1008`.
    Numbered(Cow<'static, str>, u32),
    /// A word where nothing is numbered: `timeout`, `ECONNREFUSED`.
    Word(Cow<'static, str>),
}

impl Code {
    /// Number `number` of `family`.
    pub const fn numbered(family: &'static str, number: u32) -> Self {
        Self::Numbered(Cow::Borrowed(family), number)
    }

    /// A word of its own.
    pub const fn word(word: &'static str) -> Self {
        Self::Word(Cow::Borrowed(word))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(family, number) => write!(f, "{family} {number}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Most bytes of a reply that are kept as a sample.
const SAMPLE_BYTES: usize = 200;

/// Why one reading or connection attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is counted by, together with the sentence.
    pub code: Code,
    /// What happened, for a person to read. Names no device and no reading, so that equal failures have equal sentences.
    pub sentence: Cow<'static, str>,
    /// The beginning of what the peer replied, if it replied: at most 200 bytes.
    pub sample: Option<Box<str>>,
    /// Whether trying again is pointless: the peer refused for good.
    pub final_refusal: bool,
}

impl Reason {
    /// A reason without a reply.
    pub fn new(code: Code, sentence: impl Into<Cow<'static, str>>) -> Self {
        let mut sentence = sentence.into();
        // A peer's words may be part of it, and reach a terminal.
        if sentence.contains(char::is_control) {
            sentence = sentence.replace(char::is_control, " ").into();
        }
        Self { code, sentence, sample: None, final_refusal: false }
    }

    /// Adds the beginning of the peer's reply.
    #[must_use]
    pub fn with_sample(self, reply: &[u8]) -> Self {
        Self { sample: sample(reply), ..self }
    }

    /// What the operating system said of a network call.
    pub fn of_io(error: &std::io::Error) -> Self {
        let word = error.raw_os_error().and_then(errno_name);
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_owned();
        match word {
            Some(word) => Self::new(Code::word(word), format!("{text} ({word})")),
            None => Self::new(Code::word(io_word(error.kind())), text),
        }
    }

    /// An HTTP status, said by `who` in answer to something: `HTTP 404 Not Found`.
    pub fn of_status(status: u16) -> Self {
        Self::new(Code::numbered("HTTP", status.into()), status_line(status))
    }
}

/// `HTTP 404 Not Found`, or `HTTP 599` where the status has no standard name.
pub(crate) fn status_line(status: u16) -> String {
    match status_name(status) {
        Some(name) => format!("HTTP {status} {name}"),
        None => format!("HTTP {status}"),
    }
}

/// The beginning of a reply as text on one line, what steers a screen escaped: at most [`SAMPLE_BYTES`]. `None` if there is nothing.
pub(crate) fn sample(reply: &[u8]) -> Option<Box<str>> {
    let cut = reply.get(..SAMPLE_BYTES).unwrap_or(reply);
    let text = String::from_utf8_lossy(cut);
    // A character cut in two at the end is not part of the reply.
    let text = if cut.len() < reply.len() { text.trim_end_matches('\u{fffd}') } else { &text };
    let mut shown = String::new();
    for letter in text.trim().chars() {
        let before = shown.len();
        match letter {
            _ if letter.is_whitespace() => shown.push(' '),
            _ if is_steering(letter) => shown.extend(letter.escape_unicode()),
            _ => shown.push(letter),
        }
        if shown.len() > SAMPLE_BYTES {
            shown.truncate(before);
            break;
        }
    }
    (!shown.is_empty()).then(|| shown.into())
}

const fn io_word(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as Io;
    match kind {
        Io::ConnectionRefused => "refused",
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe => "reset",
        Io::UnexpectedEof => "closed",
        Io::InvalidData | Io::InvalidInput => "invalid data",
        _ => "network",
    }
}

#[cfg(unix)]
fn errno_name(number: i32) -> Option<&'static str> {
    use nix::errno::Errno;
    Some(match Errno::from_raw(number) {
        Errno::ECONNREFUSED => "ECONNREFUSED",
        Errno::ECONNRESET => "ECONNRESET",
        Errno::ECONNABORTED => "ECONNABORTED",
        Errno::EPIPE => "EPIPE",
        Errno::ETIMEDOUT => "ETIMEDOUT",
        Errno::EHOSTUNREACH => "EHOSTUNREACH",
        Errno::ENETUNREACH => "ENETUNREACH",
        Errno::ENETDOWN => "ENETDOWN",
        Errno::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        Errno::EADDRINUSE => "EADDRINUSE",
        Errno::EMFILE => "EMFILE",
        Errno::ENFILE => "ENFILE",
        Errno::ENOMEM => "ENOMEM",
        Errno::ENOBUFS => "ENOBUFS",
        Errno::EACCES => "EACCES",
        Errno::EPERM => "EPERM",
        Errno::EINVAL => "EINVAL",
        _ => return None,
    })
}

#[cfg(not(unix))]
fn errno_name(_number: i32) -> Option<&'static str> {
    None
}

/// The name that the HTTP Status Code Registry gives a status (RFC 9110 §15 and those it lists).
const fn status_name(status: u16) -> Option<&'static str> {
    Some(match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn codes_and_sentences_name_what_happened() {
        let table = [
            (Reason::of_status(404), "HTTP 404", "HTTP 404 Not Found"),
            (Reason::of_status(599), "HTTP 599", "HTTP 599"),
            (
                Reason::of_io(&io::Error::from_raw_os_error(111)),
                "ECONNREFUSED",
                "Connection refused (ECONNREFUSED)",
            ),
            (
                Reason::of_io(&io::Error::new(io::ErrorKind::ConnectionRefused, "nothing listens")),
                "refused",
                "nothing listens",
            ),
            (Reason::new(Code::word("timeout"), "no answer within 5 s"), "timeout", "no answer within 5 s"),
        ];
        for (reason, code, sentence) in table {
            assert_eq!((reason.code.to_string().as_str(), &*reason.sentence), (code, sentence));
        }
    }

    #[test]
    fn samples_are_short_readable_and_whole_characters() {
        assert_eq!(sample(b""), None);
        assert_eq!(sample(b" \r\n"), None);
        assert_eq!(sample(b"{\"error\":\n\"no\"}").as_deref(), Some("{\"error\": \"no\"}"));
        assert_eq!(sample(&[0xff, b'a']).as_deref(), Some("\u{fffd}a"));
        assert_eq!(sample(b"a\x1b[31m\tb\0").as_deref(), Some("a\\u{1b}[31m b\\u{0}"));
        assert!(sample(&[0; 500]).is_some_and(|text| text.len() <= SAMPLE_BYTES && text.ends_with('}')));
        let long = format!("{}é", "a".repeat(SAMPLE_BYTES - 1));
        assert_eq!(sample(long.as_bytes()).as_deref(), Some("a".repeat(SAMPLE_BYTES - 1).as_str()));
        assert!(sample("x".repeat(5_000).as_bytes()).is_some_and(|text| text.len() == SAMPLE_BYTES));
    }
}
