//! TLS over a link: plain bytes on one side, what the link carries on the other.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::device::DeviceTls;
use super::failure::TlsFailure;
use super::session::TlsSession;
use crate::net::Link;

/// Bytes of a message encrypted at once.
const MOST_PLAIN: usize = 32 * 1024;

/// Bytes kept of what is incomplete: the longest handshake message, in records.
const MOST_INCOMPLETE: usize = 128 * 1024;

/// Bytes read at once: a whole record.
const CHUNK: usize = 16 * 1024 + 512;

thread_local! {
    // Neither is made zero between two uses: that would cost as much as to encrypt a reading, or to decrypt one.

    /// Memory for the connection that writes next: almost every record goes whole.
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };

    /// Memory for the connection that reads next: almost every record is there whole.
    static READING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// TLS over a [`Link`], which whoever polls it lends. Network faults act on what is encrypted.
///
/// As with a link no codec has to flush it: a write is ready when the link has all of it, and reading sends on what is left.
#[derive(Debug)]
pub(in crate::net) struct TlsLayer {
    session: TlsSession,
    /// An idle connection has nothing that is unfinished, and no memory for it.
    unfinished: Option<Box<Unfinished>>,
    /// Bytes of the present message that stand encrypted among what is unfinished, and whose writer does not know it yet.
    owed: u32,
    leaving: bool,
}

/// Bytes of a connection that wait: for the rest of their record, for their reader, or for the link.
#[derive(Debug, Default)]
struct Unfinished {
    /// Received, and no whole record yet.
    incoming: Vec<u8>,
    /// Decrypted, and not read yet.
    plain: Vec<u8>,
    /// Encrypted, and not taken by the link yet.
    outgoing: Vec<u8>,
}

impl Unfinished {
    const fn is_empty(&self) -> bool {
        self.incoming.is_empty() && self.plain.is_empty() && self.outgoing.is_empty()
    }
}

/// A connection while it is polled.
struct Turn<'t, 'c, 'w> {
    session: &'t mut TlsSession,
    rest: Unfinished,
    owed: &'t mut u32,
    leaving: &'t mut bool,
    link: &'t mut Link,
    cx: &'c mut Context<'w>,
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with lifetimes is not general enough for every turn"
)]
impl TlsLayer {
    /// Shakes hands over `link`, as `device`.
    ///
    /// Knows no time-out: drop the future to give up.
    ///
    /// # Errors
    /// A [`TlsFailure`] inside, if one side does not accept the other or what comes is not TLS; else what the link says.
    pub(in crate::net) async fn shake_hands(link: &mut Link, device: &DeviceTls) -> io::Result<Box<Self>> {
        let session = TlsSession::new(device).map_err(TlsFailure::into_io)?;
        // Over a kilobyte, and moved about while the codec above is set up.
        let mut layer = Box::new(Self { session, unfinished: None, owed: 0, leaving: false });
        std::future::poll_fn(|cx| layer.turn(link, cx, |turn| turn.poll_handshake())).await?;
        Ok(layer)
    }

    /// Whether the server took up the device's last session.
    pub(in crate::net) fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// Whether the server may still refuse the device, which takes itself for connected.
    pub(in crate::net) fn awaits_admission(&self) -> bool {
        self.session.awaits_admission()
    }

    /// Bytes of its own buffers.
    #[cfg(test)]
    pub(in crate::net) fn held(&self) -> usize {
        let held =
            |rest: &Unfinished| rest.incoming.capacity() + rest.plain.capacity() + rest.outgoing.capacity();
        self.unfinished.as_deref().map_or(0, held)
    }

    /// Lets `act` work on the connection, and keeps what it leaves unfinished.
    fn turn<T>(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Turn<'_, '_, '_>) -> T,
    ) -> T {
        let rest = self.unfinished.take().map_or_else(Unfinished::default, |rest| *rest);
        let (session, owed, leaving) = (&mut self.session, &mut self.owed, &mut self.leaving);
        let mut turn = Turn { session, rest, owed, leaving, link, cx };
        let done = act(&mut turn);
        let rest = turn.rest;
        if !rest.is_empty() {
            self.unfinished = Some(Box::new(rest));
        }
        done
    }
}

/// As [`AsyncRead`] and [`AsyncWrite`] have it, over `link`.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with lifetimes is not general enough for every turn"
)]
impl TlsLayer {
    pub(in crate::net) fn poll_read(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.turn(link, cx, |turn| turn.poll_read(buf))
    }

    pub(in crate::net) fn poll_write(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.turn(link, cx, |turn| turn.poll_write(buf))
    }

    pub(in crate::net) fn poll_flush(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.turn(link, cx, |turn| turn.poll_drain()))?;
        Pin::new(link).poll_flush(cx)
    }

    pub(in crate::net) fn poll_shutdown(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.turn(link, cx, |turn| turn.poll_goodbye()))?;
        Pin::new(link).poll_shutdown(cx)
    }
}

impl Turn<'_, '_, '_> {
    fn poll_handshake(&mut self) -> Poll<io::Result<()>> {
        self.process(&mut [], None)?;
        loop {
            if let Err(error) = ready!(self.poll_drain()) {
                return Poll::Ready(Err(self.last_word(error)));
            }
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(None))? == 0 {
                return Poll::Ready(Err(TlsFailure::unfinished().into_io()));
            }
        }
    }

    /// Hands what is encrypted to the link; ready when there is nothing left.
    fn poll_drain(&mut self) -> Poll<io::Result<()>> {
        while !self.rest.outgoing.is_empty() {
            match ready!(Pin::new(&mut *self.link).poll_write(self.cx, &self.rest.outgoing))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => drop(self.rest.outgoing.drain(..n)),
            }
        }
        // What was not taken at once is rare, and its memory another connection's.
        self.rest.outgoing = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and works through what came; messages go to `buf` as far as they fit. Ready with the number of bytes read, 0 at the
    /// end of the stream.
    fn poll_receive(&mut self, buf: Option<&mut ReadBuf<'_>>) -> Poll<io::Result<usize>> {
        if self.rest.incoming.len() > MOST_INCOMPLETE {
            return Poll::Ready(Err(
                TlsFailure::new("the server sent a TLS message that is too long").into_io()
            ));
        }
        READING.with_borrow_mut(|memory| {
            if memory.is_empty() {
                memory.resize(CHUNK, 0);
            }
            let mut free = ReadBuf::new(memory);
            ready!(Pin::new(&mut *self.link).poll_read(self.cx, &mut free))?;
            let received = free.filled_mut();
            let gained = received.len();
            if gained > 0 {
                self.process(received, buf)?;
            }
            Poll::Ready(Ok(gained))
        })
    }

    /// Works through `received`, behind what was incomplete before; messages go to `buf` as far as they fit.
    fn process(&mut self, received: &mut [u8], mut buf: Option<&mut ReadBuf<'_>>) -> io::Result<()> {
        let plain = &mut self.rest.plain;
        let keep = |message: &[u8]| {
            let fits = buf.as_ref().map_or(0, |buf| if plain.is_empty() { buf.remaining() } else { 0 });
            let (now, later) = message.split_at(fits.min(message.len()));
            if let Some(buf) = &mut buf {
                buf.put_slice(now);
            }
            plain.extend_from_slice(later);
        };
        let passed = if self.rest.incoming.is_empty() {
            let (done, passed) = self.session.process(received, keep, &mut self.rest.outgoing);
            self.rest.incoming.extend_from_slice(received.get(done..).unwrap_or_default());
            passed
        } else {
            self.rest.incoming.reserve_exact(received.len());
            self.rest.incoming.extend_from_slice(received);
            let (done, passed) = self.session.process(&mut self.rest.incoming, keep, &mut self.rest.outgoing);
            self.rest.incoming.drain(..done.min(self.rest.incoming.len()));
            // The rest may be long in coming.
            self.rest.incoming.shrink_to_fit();
            passed
        };
        passed.map_err(|failure| {
            // The server learns why, if it still listens.
            let unheard = self.poll_drain();
            drop(unheard);
            failure.into_io()
        })
    }

    /// Why a write failed: what the server said last, if it said something.
    fn last_word(&mut self, error: io::Error) -> io::Error {
        match self.poll_receive(None) {
            Poll::Ready(Err(said)) if TlsFailure::of(&said).is_some() => said,
            _ => error,
        }
    }

    fn poll_encrypted(&mut self, message: &[u8]) -> Poll<io::Result<()>> {
        WRITING.with_borrow_mut(|memory| {
            let length = self
                .session
                .encrypt(message, &mut self.rest.incoming, memory)
                .map_err(TlsFailure::into_io)?;
            let record = memory.get(..length).unwrap_or_default();
            *self.owed = message.len() as u32;
            let mut written = 0;
            while self.rest.outgoing.is_empty() && written < record.len() {
                match Pin::new(&mut *self.link).poll_write(self.cx, record.get(written..).unwrap_or_default())
                {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => written += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            if written == record.len() {
                return Poll::Ready(Ok(()));
            }
            self.rest.outgoing.extend_from_slice(record.get(written..).unwrap_or_default());
            self.poll_drain()
        })
    }

    fn poll_read(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            if !self.rest.plain.is_empty() {
                let fits = self.rest.plain.len().min(buf.remaining());
                buf.put_slice(self.rest.plain.get(..fits).unwrap_or_default());
                self.rest.plain.drain(..fits);
                if self.rest.plain.is_empty() {
                    self.rest.plain = Vec::new();
                }
            }
            if buf.filled().len() > before || buf.remaining() == 0 || self.session.peer_closed() {
                return Poll::Ready(Ok(()));
            }
            if !self.rest.outgoing.is_empty() {
                // What was left of a write goes on; if it cannot, reading will say why.
                let _ = self.poll_drain();
            }
            if ready!(self.poll_receive(Some(buf)))? == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the connection ended without TLS' goodbye (close_notify)",
                )));
            }
        }
    }

    fn poll_write(&mut self, buf: &[u8]) -> Poll<io::Result<usize>> {
        let passed = if *self.owed > 0 || buf.is_empty() {
            self.poll_drain()
        } else {
            self.poll_encrypted(buf.get(..MOST_PLAIN).unwrap_or(buf))
        };
        if let Err(error) = ready!(passed) {
            return Poll::Ready(Err(self.last_word(error)));
        }
        let written = (std::mem::take(self.owed) as usize).min(buf.len());
        Poll::Ready(Ok(written))
    }

    /// Says goodbye; ready when the link has all of it.
    fn poll_goodbye(&mut self) -> Poll<io::Result<()>> {
        if !*self.leaving {
            *self.leaving = true;
            // A ticket that has come is kept only once it is read: a device that sends and leaves would never resume.
            self.link.look();
            while !self.session.peer_closed() {
                match self.poll_receive(None) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Err(said)) if TlsFailure::of(&said).is_some() => {
                        return Poll::Ready(Err(said));
                    }
                    _ => break,
                }
            }
            self.session
                .say_goodbye(&mut self.rest.incoming, &mut self.rest.outgoing)
                .map_err(TlsFailure::into_io)?;
        }
        self.poll_drain()
    }
}
