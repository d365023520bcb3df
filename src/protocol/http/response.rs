//! Reading responses: RFC 9112 message framing, in whatever pieces the bytes arrive.

use super::super::buffer::Inbox;
use super::super::compression::Coding;
use super::super::{Failure, RetryAfter};
use super::head::{self, Head, MAX_HEAD};

/// Most of a body that is kept for reading a verdict from it, bytes, compressed or not; the rest is counted and forgotten.
pub(super) const MAX_KEPT: usize = 64 * 1024;

/// Longest chunk-size line with its extensions, bytes.
const MAX_CHUNK_LINE: usize = 16 * 1024;

/// What the buffer for bodies in pieces keeps allocated, bytes.
const IDLE_KEPT: usize = 256;

/// How far the response has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head { tried: usize },
    Length { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers { read: usize },
    UntilEnd,
    Done,
}

/// What the header section says.
#[derive(Debug)]
struct Start {
    status: u16,
    persistent: bool,
    coding: Coding,
    retry_after: Option<Box<RetryAfter>>,
    body: State,
}

/// Before a response.
const START: State = State::Head { tried: 0 };

/// One response after another, read from an [`Inbox`].
#[derive(Debug)]
pub(in crate::protocol) struct Reader {
    state: State,
    /// They answer HEAD: none has a body.
    to_head: bool,
    status: u16,
    persistent: bool,
    /// An interim response has come before it.
    interim: bool,
    coding: Coding,
    length: u64,
    kept: Vec<u8>,
    /// Boxed: few readers have any.
    besides: Option<Box<Besides>>,
}

/// What few readers keep.
#[derive(Debug)]
struct Besides {
    retry_after: Option<Box<RetryAfter>>,
    /// Most of a body that is kept, bytes.
    most: usize,
    keeps_tags: bool,
    /// The entity tag of the response.
    tag: Option<Box<[u8]>>,
}

impl Default for Besides {
    fn default() -> Self {
        Self { retry_after: None, most: MAX_KEPT, keeps_tags: false, tag: None }
    }
}

/// A response read in full. `body` is its beginning, as far as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) struct Reply<'a> {
    pub(in crate::protocol) status: u16,
    pub(in crate::protocol) persistent: bool,
    /// Length of the whole body, bytes.
    pub(in crate::protocol) length: u64,
    /// How it was compressed; `body` is as it came.
    pub(in crate::protocol) coding: Coding,
    pub(in crate::protocol) body: &'a [u8],
}

impl Reader {
    pub(super) const fn new(to_head: bool) -> Self {
        Self {
            state: START,
            to_head,
            status: 0,
            persistent: true,
            interim: false,
            coding: Coding::Identity,
            length: 0,
            kept: Vec::new(),
            besides: None,
        }
    }

    /// Keeps bodies of up to `most` bytes, and entity tags.
    pub(in crate::protocol) fn keeping(most: usize) -> Self {
        Self {
            besides: Some(Box::new(Besides { most, keeps_tags: true, ..Besides::default() })),
            ..Self::new(false)
        }
    }

    /// Bytes of the body so far.
    pub(in crate::protocol) const fn length(&self) -> u64 {
        self.length
    }

    /// The entity tag of the response (RFC 9110 §8.8.3) as it stands there, once.
    pub(in crate::protocol) fn take_tag(&mut self) -> Option<Box<[u8]>> {
        self.besides.as_mut()?.tag.take()
    }

    /// Whether nothing of a response has been read yet; `unread` is what waits in the inbox.
    pub(in crate::protocol) fn is_idle(&self, unread: &[u8]) -> bool {
        matches!(self.state, State::Head { .. }) && unread.is_empty()
    }

    /// What has been read of a response that is not complete; `unread` is what waits in the inbox.
    pub(super) fn half_read(&self, unread: &[u8]) -> Option<&'static str> {
        match self.state {
            State::Head { .. } if !unread.is_empty() => {
                Some("the response's header section had begun and did not end")
            }
            State::Head { .. } if self.interim => Some("only interim responses (1xx) had come"),
            State::Head { .. } | State::Done => None,
            State::Trailers { .. } => Some("the response's trailer section had begun and did not end"),
            State::UntilEnd => {
                Some("the response's body lasts until the connection is closed, which it was not")
            }
            State::Length { .. } | State::ChunkSize | State::ChunkData { .. } | State::ChunkEnd => {
                Some("the response's body had begun and did not end")
            }
        }
    }

    /// Reads on; true once the response is complete and [`Self::reply`] may be asked for.
    pub(in crate::protocol) fn advance(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        loop {
            let moved = match self.state {
                State::Done => return Ok(true),
                State::Head { tried } => self.head(inbox, tried)?,
                State::Length { left } => self.data(inbox, left, |left| State::Length { left }, State::Done),
                State::ChunkData { left } => {
                    self.data(inbox, left, |left| State::ChunkData { left }, State::ChunkEnd)
                }
                State::ChunkSize => self.chunk_size(inbox)?,
                State::ChunkEnd => self.chunk_end(inbox)?,
                State::Trailers { read } => self.trailer(inbox, read)?,
                State::UntilEnd => {
                    let n = inbox.unread().len() as u64;
                    self.grow(n);
                    self.data(inbox, n + 1, |_| State::UntilEnd, State::UntilEnd)
                }
            };
            if !moved {
                return Ok(false);
            }
        }
    }

    /// The peer closed the connection; true if that completes the response.
    pub(in crate::protocol) fn end(&mut self) -> bool {
        if self.state == State::UntilEnd {
            self.state = State::Done;
        }
        self.state == State::Done
    }

    /// The complete response.
    pub(in crate::protocol) fn reply(&self) -> Reply<'_> {
        let Self { status, persistent, coding, length, .. } = *self;
        Reply { status, persistent, length, coding, body: &self.kept }
    }

    /// What the response asks for that refuses a reading, once.
    pub(super) fn take_retry_after(&mut self) -> Option<RetryAfter> {
        self.besides.as_mut()?.retry_after.take().map(|asked| *asked)
    }

    /// Memory kept for bodies, bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    /// Makes ready for the next response.
    pub(in crate::protocol) fn next(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(IDLE_KEPT);
        self.length = 0;
        self.interim = false;
        self.state = START;
    }

    fn head(&mut self, inbox: &mut Inbox, mut tried: usize) -> Result<bool, Failure> {
        let (to_head, keeps_tags) = (self.to_head, self.besides.as_ref().is_some_and(|it| it.keeps_tags));
        let begin = |head: &Head<'_>| {
            let tag = keeps_tags.then(|| head.named("etag").next().map(Box::from)).flatten();
            start(head, to_head).map(|start| (start, tag))
        };
        let Some((size, (start, tag))) = head::read(inbox.unread(), &mut tried, begin)? else {
            self.state = State::Head { tried };
            return Ok(false);
        };
        inbox.consume(size);
        self.state = START;
        if start.status >= 200 {
            self.status = start.status;
            self.persistent = start.persistent;
            self.coding = start.coding;
            if self.besides.is_some() || start.retry_after.is_some() {
                let besides = self.besides.get_or_insert_default();
                (besides.retry_after, besides.tag) = (start.retry_after, tag);
            }
            self.state = start.body;
            if let State::Length { left } = start.body {
                self.grow(left);
            }
        } else {
            self.interim = true;
        }
        Ok(true)
    }

    /// Takes up to `left` bytes of body; `more` tells the state while some are missing, `then` the one after.
    fn data(&mut self, inbox: &mut Inbox, left: u64, more: fn(u64) -> State, then: State) -> bool {
        let unread = inbox.unread();
        let n = usize::try_from(left).map_or(unread.len(), |left| left.min(unread.len()));
        let keep =
            n.min(self.besides.as_ref().map_or(MAX_KEPT, |it| it.most).saturating_sub(self.kept.len()));
        self.kept.extend_from_slice(unread.get(..keep).unwrap_or_default());
        inbox.consume(n);
        let left = left - n as u64;
        self.state = if left == 0 { then } else { more(left) };
        left == 0
    }

    const fn grow(&mut self, by: u64) {
        self.length = self.length.saturating_add(by);
    }

    fn chunk_size(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        let Some((size, consumed)) = chunk_size(inbox.unread())? else { return Ok(false) };
        self.grow(size);
        inbox.consume(consumed);
        self.state = if size == 0 { State::Trailers { read: 0 } } else { State::ChunkData { left: size } };
        Ok(true)
    }

    fn chunk_end(&mut self, inbox: &mut Inbox) -> Result<bool, Failure> {
        let Some(size) = chunk_end(inbox.unread())? else { return Ok(false) };
        inbox.consume(size);
        self.state = State::ChunkSize;
        Ok(true)
    }

    fn trailer(&mut self, inbox: &mut Inbox, read: usize) -> Result<bool, Failure> {
        let room = MAX_HEAD.saturating_sub(read);
        let Some((line, size)) =
            line(inbox.unread(), room, "the response's trailer section is larger than 256 KiB")?
        else {
            return Ok(false);
        };
        self.state = if line.is_empty() { State::Done } else { State::Trailers { read: read + size } };
        inbox.consume(size);
        Ok(true)
    }
}

/// The first line without its end, and its length with that, if it is complete. A line feed alone ends a line, too (RFC 9112
/// §2.2); one longer than `max` is refused with the sentence `beyond`.
fn line<'a>(
    unread: &'a [u8],
    max: usize,
    beyond: &'static str,
) -> Result<Option<(&'a [u8], usize)>, Failure> {
    let window = unread.get(..max).unwrap_or(unread);
    match window.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = window.get(..end).unwrap_or_default();
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if window.len() == max => Err(Failure::protocol(beyond)),
        None => Ok(None),
    }
}

/// The size of the chunk that `unread` begins with, and the length of the line that says it, if that is complete.
///
/// # Errors
/// If it is malformed, or beyond a limit.
pub(in crate::protocol) fn chunk_size(unread: &[u8]) -> Result<Option<(u64, usize)>, Failure> {
    let beyond = "a chunk's size and its extensions are longer than 16 KiB";
    let Some((line, consumed)) = line(unread, MAX_CHUNK_LINE, beyond)? else { return Ok(None) };
    let size = parse_chunk_size(line).ok_or_else(|| Failure::protocol("malformed chunk size"))?;
    Ok(Some((size, consumed)))
}

/// The length of the line end behind a chunk that `unread` begins with, if it is there.
///
/// # Errors
/// If something else is.
pub(in crate::protocol) fn chunk_end(unread: &[u8]) -> Result<Option<usize>, Failure> {
    match unread {
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\n', ..] => Ok(Some(1)),
        [] | [b'\r'] => Ok(None),
        _ => Err(Failure::protocol("a chunk is longer than its size says")),
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

/// How the last transfer coding frames the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Transfer {
    Chunked,
    UntilEnd,
}

impl Transfer {
    /// `None` without a coding. The one that is none says nothing: RFC 9112 has abolished it, and servers still write it.
    pub(in crate::protocol) fn of(head: &Head<'_>) -> Option<Self> {
        let codings =
            head.list("transfer-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        codings.last().map(|coding| {
            if coding.eq_ignore_ascii_case(b"chunked") { Self::Chunked } else { Self::UntilEnd }
        })
    }
}

/// The framing and the persistence of a response.
fn start(head: &Head<'_>, to_head: bool) -> Result<Start, Failure> {
    let status = head.status;
    if status == 101 {
        return Err(Failure::protocol("the server switched protocols without being asked"));
    }
    let length = content_length(head)?;
    let transfer = Transfer::of(head);
    let body = match (transfer, length) {
        _ if to_head || status < 200 || status == 204 || status == 304 => State::Done,
        (Some(Transfer::Chunked), _) => State::ChunkSize,
        (Some(Transfer::UntilEnd), _) | (None, None) => State::UntilEnd,
        (None, Some(0)) => State::Done,
        (None, Some(left)) => State::Length { left },
    };
    let says = |option: &[u8]| head.list("connection").any(|element| element.eq_ignore_ascii_case(option));
    // Both framings at once, or an encoding HTTP/1.0 does not know, may be an attempt at smuggling: RFC 9112 §6.1
    // and §6.3 have the connection closed after the response.
    let doubtful = transfer.is_some() && (head.old || length.is_some());
    let persistent =
        !says(b"close") && (!head.old || says(b"keep-alive")) && !doubtful && body != State::UntilEnd;
    let coding = Coding::of(head.list("content-encoding"));
    // Only one that refuses asks for anything.
    let mut asked = (status >= 400).then(|| head.named("retry-after")).into_iter().flatten();
    let retry_after = asked.find_map(RetryAfter::of_field).map(Box::new);
    Ok(Start { status, persistent, coding, retry_after, body })
}

/// The length that the header section states, once or several times alike.
///
/// # Errors
/// If it is malformed, or contradicts itself.
pub(in crate::protocol) fn content_length(head: &Head<'_>) -> Result<Option<u64>, Failure> {
    let mut found = None;
    for value in head.named("content-length") {
        for element in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let length = decimal(element)
                .filter(|length| found.is_none_or(|earlier| earlier == *length))
                .ok_or_else(|| Failure::protocol("malformed or contradictory Content-Length"))?;
            found = Some(length);
        }
    }
    Ok(found)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
