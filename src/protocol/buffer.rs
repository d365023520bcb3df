//! Bytes on their way out of and into a session, in buffers that give their memory back when idle.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What an emptied outbox may keep allocated, bytes: enough for the short replies that protocols call for by themselves.
const REPLY: usize = 64;

/// What the buffer in which a thread's sessions compose their messages may keep allocated, bytes.
const DESK: usize = 256 * 1024;

/// Bytes taken from the socket at once, at least.
const CHUNK: usize = 8 * 1024;

thread_local! {
    /// Where messages are composed: one buffer for all sessions of a worker, since sockets take almost every message whole.
    static COMPOSING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };

    /// Memory for the session that reads next: almost every message is there whole and decoded before another session reads.
    static READING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encoded bytes that the socket has not taken yet. Holds hardly any memory while there are none.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Bytes still to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Where encoders append.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Lets `encode` append a message and writes as much as the stream takes at once; ready when everything is written.
    ///
    /// # Errors
    /// What `encode` gives; nothing of the message is written then.
    pub(super) fn compose<S: AsyncWrite + Unpin, E>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Poll<io::Result<()>>, E> {
        if !self.is_empty() {
            let before = self.bytes.len();
            return match encode(&mut self.bytes) {
                Ok(()) => Ok(self.poll_write(stream, cx)),
                Err(error) => {
                    self.bytes.truncate(before);
                    Err(error)
                }
            };
        }
        COMPOSING.with_borrow_mut(|desk| {
            desk.clear();
            encode(desk)?;
            let written = match Pin::new(&mut *stream).poll_write(cx, desk) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Ok(Poll::Ready(Err(error))),
                Poll::Pending => 0,
            };
            let rest = desk.get(written..).unwrap_or_default();
            let everything = rest.is_empty();
            self.bytes.extend_from_slice(rest);
            desk.shrink_to(DESK);
            Ok(if everything { Poll::Ready(Ok(())) } else { self.poll_write(stream, cx) })
        })
    }

    /// Writes as much as the stream takes; ready when everything is written.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.bytes.get(self.written..) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(REPLY);
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// What is on its way may hold a password.
impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Bytes received and not yet decoded. Holds memory only while there are some.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    /// Everything not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Forgets the first `n` unread bytes.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            let emptied = std::mem::take(&mut self.bytes);
            // One without memory would take the place of the one that was given back before.
            if (1..=2 * CHUNK).contains(&emptied.capacity()) {
                READING.set(emptied);
            }
        }
    }

    /// Reads once; ready with the number of bytes gained, 0 at the end of the stream.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = READING.take();
        }
        self.bytes.reserve(CHUNK);
        let read = std::pin::pin!(stream.read_buf(&mut self.bytes)).poll(cx);
        if self.bytes.is_empty() {
            READING.set(std::mem::take(&mut self.bytes));
        } else if read.is_pending() {
            // The rest may be long in coming.
            self.bytes.shrink_to_fit();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness::script::{Script, context};
    use super::*;

    #[test]
    fn an_outbox_writes_on_where_the_socket_stopped() {
        let mut stream = Script::new().accepting(3);
        let mut outbox = Outbox::default();
        outbox.tail().extend_from_slice(b"hello");
        assert!(outbox.poll_write(&mut stream, &mut context()).is_pending());
        assert_eq!((outbox.len(), stream.written()), (2, &b"hel"[..]));
        stream.accept(usize::MAX);
        assert!(outbox.poll_write(&mut stream, &mut context()).is_ready());
        assert!(outbox.is_empty());
        assert_eq!(stream.written(), b"hello");
    }

    #[test]
    fn a_composed_message_is_written_at_once_and_its_rest_follows_in_order() {
        let mut stream = Script::new().accepting(3);
        let mut outbox = Outbox::default();
        let compose = |outbox: &mut Outbox, stream: &mut Script, text: &[u8]| {
            let encode = |out: &mut Vec<u8>| {
                out.extend_from_slice(text);
                if text == b"bad" { Err("refused") } else { Ok(()) }
            };
            outbox.compose(stream, &mut context(), encode).map(|poll| poll.map(Result::unwrap))
        };
        assert_eq!(compose(&mut outbox, &mut stream, b"bad"), Err("refused"));
        assert_eq!((outbox.len(), stream.written()), (0, &b""[..]));
        assert_eq!(compose(&mut outbox, &mut stream, b"hello"), Ok(Poll::Pending));
        assert_eq!((outbox.len(), stream.written()), (2, &b"hel"[..]));
        assert_eq!(compose(&mut outbox, &mut stream, b"bad"), Err("refused"));
        assert_eq!(compose(&mut outbox, &mut stream, b" you"), Ok(Poll::Pending));
        assert_eq!(outbox.len(), 6);
        stream.accept(usize::MAX);
        assert_eq!(compose(&mut outbox, &mut stream, b"!"), Ok(Poll::Ready(())));
        assert_eq!((outbox.len(), stream.written()), (0, &b"hello you!"[..]));
    }

    #[test]
    fn buffers_give_memory_back_once_empty() {
        let big = vec![7; 100_000];
        let mut stream = Script::new().data(&big);
        let mut outbox = Outbox::default();
        outbox.tail().extend_from_slice(&big);
        assert!(outbox.poll_write(&mut stream, &mut context()).is_ready());
        assert!(outbox.bytes.capacity() <= REPLY);

        let mut inbox = Inbox::default();
        while inbox.poll_read(&mut stream, &mut context()).is_ready() {}
        assert_eq!(inbox.unread(), big);
        inbox.consume(99_999);
        assert_eq!(inbox.unread(), [7]);
        inbox.consume(1);
        assert_eq!(inbox.bytes.capacity(), 0);
    }
}
