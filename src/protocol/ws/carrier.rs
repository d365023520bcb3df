//! WebSocket as a carrier: bytes of another protocol in binary messages, cut wherever it suits (MQTT 5 §6).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::buffer::{Inbox, Outbox};
use super::super::session::Carrier;
use super::super::{Endpoint, Failure, Identity};
use super::frame::{self, Opcode};
use super::reader::Reader;
use super::{goodbye, upgrade};

/// Largest message from the server, bytes: what it holds is read as it comes, and packets have bounds of their own.
const MOST: usize = 1024 * 1024;

/// What a message calls for.
enum Call {
    Nothing,
    Answer(Box<[u8]>),
    Fail(Failure),
}

/// A stream of bytes within a WebSocket. Holds hardly any memory while nothing is under way.
pub(in super::super) struct WsBytes<S> {
    stream: S,
    inbox: Inbox,
    reader: Reader,
    /// What has come in messages and was not read yet.
    plain: Vec<u8>,
    /// Frames that the socket has not taken yet.
    outbox: Outbox,
    /// Bytes that a frame in the outbox, or one just written, holds, and whose writer has not been told.
    framed: usize,
    /// What the last ping carried that is still to be answered.
    ping: Option<Box<[u8]>>,
    leaving: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsBytes<S> {
    /// Upgrades the connection of `device` and asks for `subprotocol`.
    ///
    /// # Errors
    /// If the connection breaks, or the server refuses.
    pub(in super::super) async fn open(
        mut stream: S,
        endpoint: &Endpoint,
        device: &str,
        subprotocol: &str,
    ) -> Result<Self, Failure> {
        let asked = Identity { subprotocol: Some(subprotocol.to_owned()), ..Identity::of(device) };
        let inbox = upgrade::open(&mut stream, endpoint, &asked, false).await?.inbox;
        Ok(Self::over(stream, inbox))
    }

    fn over(stream: S, inbox: Inbox) -> Self {
        Self {
            stream,
            inbox,
            reader: Reader::new(MOST, false),
            plain: Vec::new(),
            outbox: Outbox::default(),
            framed: 0,
            ping: None,
            leaving: false,
        }
    }

    /// Writes what waits for the socket, then the pong that is owed, as far as the socket takes it.
    fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Poll::Ready(written) = self.outbox.poll_write(&mut self.stream, cx) {
            written?;
            // The latest ping is answered for all before it (RFC 6455 §5.5.3).
            if let Some(ping) = self.ping.take() {
                frame::encode(Opcode::Pong, false, &ping, self.outbox.tail());
                if let Poll::Ready(written) = self.outbox.poll_write(&mut self.stream, cx) {
                    written?;
                }
            }
        }
        Ok(())
    }

    /// Takes the next message, if it is there; whether it was.
    fn take(&mut self) -> Result<bool, Failure> {
        let Self { reader, inbox, plain, .. } = self;
        let call = reader.read(inbox, |opcode, payload| match opcode {
            Opcode::Binary | Opcode::Continuation => {
                plain.extend_from_slice(payload);
                Call::Nothing
            }
            // [MQTT-6.0.0-1]
            Opcode::Text => Call::Fail(Failure::protocol(
                "the server sent a text message, where binary ones carry the protocol",
            )),
            Opcode::Ping => Call::Answer(payload.into()),
            Opcode::Pong => Call::Nothing,
            Opcode::Close => Call::Fail(goodbye::read(payload)),
        })?;
        match call {
            None => return Ok(false),
            Some(Call::Nothing) => {}
            Some(Call::Answer(ping)) => self.ping = Some(ping),
            Some(Call::Fail(failure)) => return Err(failure),
        }
        Ok(true)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsBytes<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.plain.is_empty() {
                let size = buf.remaining().min(this.plain.len());
                buf.put_slice(&this.plain[..size]);
                this.plain.drain(..size);
                if this.plain.is_empty() {
                    this.plain = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.take().map_err(io::Error::other)? {
                continue;
            }
            this.push(cx)?;
            if ready!(this.inbox.poll_read(&mut this.stream, cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WsBytes<S> {
    /// Ready once the socket has taken the frame: whoever writes is told no sooner. Until then it has to offer the same bytes first.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.framed == 0 {
            ready!(this.outbox.poll_write(&mut this.stream, cx))?;
            frame::encode(Opcode::Binary, false, bytes, this.outbox.tail());
            this.framed = bytes.len();
        }
        ready!(this.outbox.poll_write(&mut this.stream, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut this.framed)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.outbox.poll_write(&mut this.stream, cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Says goodbye and waits until the server has ended the connection (RFC 6455 §7.1.1).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.leaving {
            this.leaving = true;
            frame::encode(Opcode::Close, false, &goodbye::NORMAL.to_be_bytes(), this.outbox.tail());
        }
        ready!(this.outbox.poll_write(&mut this.stream, cx))?;
        loop {
            let unread = this.inbox.unread().len();
            this.inbox.consume(unread);
            if !matches!(ready!(this.inbox.poll_read(&mut this.stream, cx)), Ok(1..)) {
                return Pin::new(&mut this.stream).poll_shutdown(cx);
            }
        }
    }
}

impl<S: Carrier> Carrier for WsBytes<S> {
    fn look(&mut self) {
        self.stream.look();
    }

    fn awaits_admission(&self) -> bool {
        self.stream.awaits_admission()
    }

    fn abort(&mut self) {
        self.stream.abort();
    }

    fn take_traffic(&mut self) -> (u64, u64) {
        self.stream.take_traffic()
    }
}

impl<S: fmt::Debug> fmt::Debug for WsBytes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsBytes").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::harness::script::{Script, context};
    use super::*;

    fn read(bytes: &mut WsBytes<Script>) -> Poll<io::Result<Vec<u8>>> {
        let mut room = [0; 5];
        let mut buf = ReadBuf::new(&mut room);
        Pin::new(bytes).poll_read(&mut context(), &mut buf).map_ok(|()| buf.filled().to_vec())
    }

    fn write(bytes: &mut WsBytes<Script>, what: &[u8]) -> Poll<Option<usize>> {
        Pin::new(bytes).poll_write(&mut context(), what).map(Result::ok)
    }

    #[test]
    fn bytes_come_in_whatever_messages_and_pieces_and_pings_are_answered() {
        // A message of two frames with a ping in between, an empty one, and another.
        let stream = b"\x02\x03abc\x89\x02hi\x80\x04defg\x82\x00\x82\x01h";
        for split in 0..stream.len() {
            let script = Script::new().data(&stream[..split]).data(&stream[split..]);
            let mut bytes = WsBytes::over(script, Inbox::default());
            let mut found = Vec::new();
            while let Poll::Ready(Ok(more)) = read(&mut bytes) {
                assert!(!more.is_empty(), "no end in sight");
                found.extend(more);
            }
            assert_eq!(found, b"abcdefgh", "cut at {split}");
            let written = bytes.stream.take_written();
            let [0x8a, 0x82, mask @ .., _, _] = &written[..] else { panic!("{written:x?}") };
            assert_eq!([written[6] ^ mask[0], written[7] ^ mask[1]], *b"hi");
        }
    }

    #[test]
    fn what_no_carrier_may_bring_ends_the_stream_with_its_own_words() {
        for (message, said) in [
            (&b"\x81\x01x"[..], "a text message, where binary ones carry the protocol"),
            (b"\x88\x02\x03\xf3", "closed the WebSocket with code 1011 (internal error)"),
            (b"\x82\x81\0\0\0\0x", "a masked frame, as only clients may"),
        ] {
            let mut bytes = WsBytes::over(Script::new().data(message), Inbox::default());
            let Poll::Ready(Err(error)) = read(&mut bytes) else { panic!("{said}") };
            assert!(Failure::io(&error).to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_writer_is_told_once_the_socket_has_taken_its_frame() {
        let mut bytes = WsBytes::over(Script::new().accepting(3), Inbox::default());
        assert_eq!(write(&mut bytes, b"hello"), Poll::Pending);
        assert_eq!(write(&mut bytes, b"hello, you"), Poll::Pending);
        bytes.stream.accept(usize::MAX);
        assert_eq!(write(&mut bytes, b"hello, you"), Poll::Ready(Some(5)));
        assert_eq!(write(&mut bytes, b", you"), Poll::Ready(Some(5)));
        let written = bytes.stream.take_written();
        let unmasked = |frame: &[u8]| -> Vec<u8> {
            let (mask, payload) = frame[2..].split_at(4);
            payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
        };
        assert_eq!([&written[..2], &written[11..13]], [b"\x82\x85"; 2]);
        assert_eq!([unmasked(&written[..11]), unmasked(&written[11..])], [&b"hello"[..], b", you"]);
    }
}
