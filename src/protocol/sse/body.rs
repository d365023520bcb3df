//! How a response without end is framed (RFC 9112 §6.3).

use super::super::Failure;
use super::super::http::{Head, Transfer, chunk_end, chunk_size, content_length};

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk.
    ChunkEnd,
    /// So many bytes of content, and then nothing.
    Length(u64),
    /// Content until the connection ends.
    UntilEnd,
    /// Nothing: the response is over.
    Over,
}

/// What received bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// So many bytes of content.
    Content(usize),
    /// So many bytes that only frame it.
    Framing(usize),
    /// Less than can be told.
    Incomplete,
    /// The response is over.
    End,
}

impl Body {
    /// As the header section says.
    pub(super) fn of(head: &Head<'_>) -> Result<Self, Failure> {
        Ok(match Transfer::of(head) {
            Some(Transfer::Chunked) => Self::Size,
            Some(Transfer::UntilEnd) => Self::UntilEnd,
            None => content_length(head)?.map_or(Self::UntilEnd, Self::Length),
        })
    }

    /// What `unread` begins with; framing is taken note of, content is not until [`Self::took`].
    pub(super) fn next(&mut self, unread: &[u8]) -> Result<Framed, Failure> {
        let most = |left: u64| usize::try_from(left).map_or(unread.len(), |left| left.min(unread.len()));
        Ok(match *self {
            Self::Over | Self::Length(0) => Framed::End,
            _ if unread.is_empty() => Framed::Incomplete,
            Self::Chunk(left) | Self::Length(left) => Framed::Content(most(left)),
            Self::UntilEnd => Framed::Content(unread.len()),
            Self::Size => {
                let Some((size, line)) = chunk_size(unread)? else { return Ok(Framed::Incomplete) };
                *self = if size == 0 { Self::Over } else { Self::Chunk(size) };
                Framed::Framing(line)
            }
            Self::ChunkEnd => {
                let Some(end) = chunk_end(unread)? else { return Ok(Framed::Incomplete) };
                *self = Self::Size;
                Framed::Framing(end)
            }
        })
    }

    /// So many bytes of content were taken.
    pub(super) const fn took(&mut self, bytes: usize) {
        match self {
            Self::Chunk(left) | Self::Length(left) => {
                *left = left.saturating_sub(bytes as u64);
                if matches!(self, Self::Chunk(0)) {
                    *self = Self::ChunkEnd;
                }
            }
            _ => {}
        }
    }
}
