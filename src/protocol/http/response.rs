//! Reading responses: RFC 9112 message framing, in whatever pieces the bytes arrive.

use std::mem::MaybeUninit;

use super::super::Failure;
use super::super::buffer::Inbox;

/// Largest status line and header section, and largest trailer section, bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Most header fields of one response.
const MAX_FIELDS: usize = 100;

/// Largest body that is read through, bytes.
const MAX_BODY: u64 = 16 * 1024 * 1024;

/// Most of a body that is kept for reading a verdict from it, bytes; the rest is read and forgotten.
const MAX_KEPT: usize = 64 * 1024;

/// Longest chunk-size line with its extensions, bytes.
const MAX_CHUNK_LINE: usize = 1024;

/// What the buffer for bodies in pieces keeps allocated, bytes.
const IDLE_KEPT: usize = 256;

/// How far the response has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers { read: usize },
    UntilEnd,
    Done,
}

/// What the header section says.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    persistent: bool,
    body: State,
}

/// One response after another, read from an [`Inbox`].
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// They answer HEAD: none has a body.
    to_head: bool,
    status: u16,
    persistent: bool,
    length: u64,
    kept: Vec<u8>,
}

/// A response read in full. `body` is its beginning, as far as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) persistent: bool,
    /// Length of the whole body, bytes.
    pub(super) length: u64,
    pub(super) body: &'a [u8],
}

impl Reader {
    pub(super) const fn new(to_head: bool) -> Self {
        Self { state: State::Head, to_head, status: 0, persistent: true, length: 0, kept: Vec::new() }
    }

    /// Whether nothing of a response has been read yet; `unread` is what waits in the inbox.
    pub(super) fn is_idle(&self, unread: &[u8]) -> bool {
        self.state == State::Head && unread.is_empty()
    }

    /// Reads on; true once the response is complete and [`Self::reply`] may be asked for.
    pub(super) fn advance(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        loop {
            let moved = match self.state {
                State::Done => return Ok(true),
                State::Head => self.head(inbox)?,
                State::Length { left } => self.data(inbox, left, |left| State::Length { left }, State::Done),
                State::ChunkData { left } => {
                    self.data(inbox, left, |left| State::ChunkData { left }, State::ChunkEnd)
                }
                State::ChunkSize => self.chunk_size(inbox)?,
                State::ChunkEnd => self.chunk_end(inbox)?,
                State::Trailers { read } => self.trailer(inbox, read)?,
                State::UntilEnd => {
                    let n = inbox.unread().len() as u64;
                    self.grow(n)?;
                    self.data(inbox, n + 1, |_| State::UntilEnd, State::UntilEnd)
                }
            };
            if !moved {
                return Ok(false);
            }
        }
    }

    /// The peer closed the connection; true if that completes the response.
    pub(super) fn end(&mut self) -> bool {
        if self.state == State::UntilEnd {
            self.state = State::Done;
        }
        self.state == State::Done
    }

    /// The complete response.
    pub(super) fn reply(&self) -> Reply<'_> {
        Reply { status: self.status, persistent: self.persistent, length: self.length, body: &self.kept }
    }

    /// Makes ready for the next response.
    pub(super) fn next(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(IDLE_KEPT);
        self.length = 0;
        self.state = State::Head;
    }

    fn head(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        let unread = inbox.unread();
        let window = unread.get(..MAX_HEAD).unwrap_or(unread);
        let Some((size, head)) = parse_head(window, self.to_head)? else {
            if window.len() == MAX_HEAD {
                return Err(Failure::protocol("the response's header section is larger than 16 KiB"));
            }
            return Ok(false);
        };
        inbox.consume(size);
        if head.status == 101 {
            return Err(Failure::protocol("the server switched protocols without being asked"));
        }
        if head.status >= 200 {
            self.status = head.status;
            self.persistent = head.persistent;
            self.state = head.body;
            if let State::Length { left } = head.body {
                self.grow(left)?;
            }
        }
        Ok(true)
    }

    /// Takes up to `left` bytes of body; `more` tells the state while some are missing, `then` the one after.
    fn data(&mut self, inbox: &mut Inbox, left: u64, more: fn(u64) -> State, then: State) -> bool {
        let unread = inbox.unread();
        let n = usize::try_from(left).map_or(unread.len(), |left| left.min(unread.len()));
        let keep = n.min(MAX_KEPT.saturating_sub(self.kept.len()));
        self.kept.extend_from_slice(unread.get(..keep).unwrap_or_default());
        inbox.consume(n);
        let left = left - n as u64;
        self.state = if left == 0 { then } else { more(left) };
        left == 0
    }

    fn grow(&mut self, by: u64) -> Result<(), Failure> {
        self.length = self.length.saturating_add(by);
        if self.length > MAX_BODY {
            return Err(Failure::protocol("the response's body is larger than 16 MiB"));
        }
        Ok(())
    }

    fn chunk_size(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        let Some(line) = line(inbox.unread(), MAX_CHUNK_LINE)? else { return Ok(false) };
        let size = parse_chunk_size(line).ok_or_else(|| Failure::protocol("malformed chunk size"))?;
        let consumed = line.len() + 2;
        self.grow(size)?;
        inbox.consume(consumed);
        self.state = if size == 0 { State::Trailers { read: 0 } } else { State::ChunkData { left: size } };
        Ok(true)
    }

    fn chunk_end(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        match inbox.unread() {
            [b'\r', b'\n', ..] => {
                inbox.consume(2);
                self.state = State::ChunkSize;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            _ => Err(Failure::protocol("a chunk is longer than its size says")),
        }
    }

    fn trailer(&mut self, inbox: &mut Inbox, read: usize) -> Result<bool, Failure> {
        let Some(line) = line(inbox.unread(), MAX_HEAD.saturating_sub(read))? else { return Ok(false) };
        let (empty, size) = (line.is_empty(), line.len() + 2);
        inbox.consume(size);
        self.state = if empty { State::Done } else { State::Trailers { read: read + size } };
        Ok(true)
    }
}

/// The first line without its CRLF, if it is complete.
fn line(unread: &[u8], max: usize) -> Result<Option<&[u8]>, Failure> {
    let window = unread.get(..max).unwrap_or(unread);
    match window.iter().position(|&byte| byte == b'\n') {
        Some(end) => match window.get(..end).and_then(|line| line.strip_suffix(b"\r")) {
            Some(line) => Ok(Some(line)),
            None => Err(Failure::protocol("a line of a chunked body ends without CR")),
        },
        None if window.len() == max => Err(Failure::protocol("a line of a chunked body is too long")),
        None => Ok(None),
    }
}

/// Hexadecimal size, then optionally white space and extensions (RFC 9112 §7.1).
fn parse_chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    if !matches!(rest.trim_ascii_start().first(), None | Some(b';')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn parse_head(bytes: &[u8], to_head: bool) -> Result<Option<(usize, Head)>, Failure> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut fields,
    );
    let size = match parsed {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Failure::protocol(format!("not an HTTP response: {error}"))),
    };
    let status = response.code.unwrap_or_default();
    if !(100..600).contains(&status) {
        return Err(Failure::protocol(format!("{status} is no HTTP status")));
    }
    let fields = Fields::of(response.headers)?;
    let old = response.version == Some(0);
    let body = match (fields.transfer, fields.length) {
        _ if to_head || status == 204 || status == 304 => State::Done,
        (Some(Transfer::Chunked), _) => State::ChunkSize,
        (Some(Transfer::UntilEnd), _) | (None, None) => State::UntilEnd,
        (None, Some(0)) => State::Done,
        (None, Some(left)) => State::Length { left },
    };
    // Both framings at once, or an encoding HTTP/1.0 does not know, may be an attempt at smuggling: RFC 9112 §6.1
    // and §6.3 have the connection closed after the response.
    let doubtful = fields.transfer.is_some() && (old || fields.length.is_some());
    let persistent = !fields.close && (!old || fields.keep_alive) && !doubtful && body != State::UntilEnd;
    Ok(Some((size, Head { status, persistent, body })))
}

/// How the last transfer encoding frames the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Chunked,
    UntilEnd,
}

/// The header fields that decide framing and persistence.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    transfer: Option<Transfer>,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Failure> {
        let mut found = Self::default();
        for header in headers {
            let elements = || header.value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            if header.name.eq_ignore_ascii_case("content-length") {
                for element in elements() {
                    let length = decimal(element)
                        .filter(|length| found.length.is_none_or(|earlier| earlier == *length))
                        .ok_or_else(|| Failure::protocol("malformed or contradictory Content-Length"))?;
                    found.length = Some(length);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                for element in elements() {
                    let chunked = element.eq_ignore_ascii_case(b"chunked");
                    found.transfer = Some(if chunked { Transfer::Chunked } else { Transfer::UntilEnd });
                }
            } else if header.name.eq_ignore_ascii_case("connection") {
                found.close |= elements().any(|element| element.eq_ignore_ascii_case(b"close"));
                found.keep_alive |= elements().any(|element| element.eq_ignore_ascii_case(b"keep-alive"));
            }
        }
        Ok(found)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
