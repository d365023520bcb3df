//! One device's connection as a stream of bytes.

use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::active_fault::{Origin, mutes};
use super::connect_gate::connect_gate;
use super::connection_fault::ConnectionFaults;
use super::lingering::LingeringSocket;
use super::pipeline::{FilterContext, ToxicPipeline};
use super::toxic::CAPACITY;
use crate::clock::Tick;
use crate::fault::Ending;

/// Bytes read at once by a look at the socket: a goodbye is short.
const GLANCE: usize = 512;

/// A TCP connection with `TCP_NODELAY`, seen by the codecs as plain bytes.
///
/// Every byte of every protocol passes through here in both directions, and network faults act here. Without faults nothing
/// stands between the codec and the socket.
///
/// Bytes accepted by a write travel on by themselves as long as the link is polled, as its owner is whenever its faults'
/// [`EngineTimer`](super::EngineTimer) says so: no codec has to flush a `Link`. Polling to read, to write or to shut down sends on what
/// is due; one task has to do all of that. A link that is dropped before its bytes left resets the connection, so that no
/// peer takes a message cut short for an orderly end.
#[derive(Debug)]
pub(crate) struct Link {
    line: Line,
    faults: Option<Rc<ConnectionFaults>>,
    /// The version of the faults that the pipeline obeys.
    seen: u32,
    origin: Origin,
    filter: Option<Box<ToxicPipeline>>,
    /// Bytes that its owner wrote and read, since they were last asked for.
    traffic: (u64, u64),
    /// The next read asks the socket itself.
    looking: bool,
}

/// What has become of the socket.
#[derive(Debug)]
enum Line {
    Open(TcpStream),
    /// Ended in an orderly way by a fault: neither side gets anything more. Kept so that the peer can read to the end.
    Spent(Option<TcpStream>),
    /// Reset.
    Gone,
}

impl Link {
    /// Connects to `addr`, from the local address `source` if one is given, through `faults`.
    ///
    /// Waits as long as the operating system and the faults do; a caller who wants less drops the future. Faults may refuse
    /// the connection, hold it up while the network is down, or make it take longer: latency by the round trip that TCP's
    /// handshake takes. The caller has to poll the future again when their [`EngineTimer`](super::EngineTimer) says so, and
    /// when the faults were set.
    ///
    /// # Errors
    /// Whatever the operating system says: refused, unreachable, no port or descriptor left. A connection that reached
    /// itself (TCP's simultaneous open, possible when nothing listens on a port of the ephemeral range) is refused, and so
    /// is one that a fault refuses.
    pub(crate) async fn dial(
        addr: SocketAddr,
        source: Option<IpAddr>,
        faults: Option<Rc<ConnectionFaults>>,
    ) -> io::Result<Self> {
        let number = match &faults {
            Some(faults) => {
                let number = faults.begin_connection();
                connect_gate(faults, number).await?;
                number
            }
            None => 0,
        };
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let born = faults.as_ref().map_or(Tick::ZERO, |faults| faults.now());
        let socket = socket.connect(addr).await?;
        if socket.local_addr()? == addr {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "nothing listens: connected to itself",
            ));
        }
        socket.set_nodelay(true)?;
        Ok(Self::over(socket, faults, Origin { number, born }))
    }

    /// A connection that was made elsewhere, and begins now.
    #[cfg(test)]
    pub(crate) fn from_socket(socket: TcpStream, faults: Option<Rc<ConnectionFaults>>) -> Self {
        let number = faults.as_ref().map_or(0, |faults| faults.begin_connection());
        let born = faults.as_ref().map_or(Tick::ZERO, |faults| faults.now());
        Self::over(socket, faults, Origin { number, born })
    }

    fn over(socket: TcpStream, faults: Option<Rc<ConnectionFaults>>, origin: Origin) -> Self {
        let seen = faults.as_ref().map_or(0, |faults| {
            let version = faults.version();
            if faults.is_clear() { version } else { version.wrapping_sub(1) }
        });
        Self { line: Line::Open(socket), faults, seen, origin, filter: None, traffic: (0, 0), looking: false }
    }

    /// Resets the connection (RST). Whatever is done with it afterwards fails as after a reset by the peer.
    ///
    /// While a fault keeps the peer from hearing of it, the peer is told when the fault ends.
    pub(crate) fn abort(&mut self) {
        self.end(true);
    }

    /// Has the next read ask the socket itself, where nothing is known to have come: the runtime learns what has come only when
    /// it asks the system, which may be after a reading was sent into a connection that its peer has long closed.
    pub(crate) fn look(&mut self) {
        self.looking = true;
    }

    /// Bytes written to it and read from it since the last call.
    pub(crate) fn take_traffic(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.traffic)
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &written {
            self.traffic.0 += *n as u64;
        }
        written
    }

    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let passed = match self.path(cx) {
            Path::Plain(socket) => return socket.poll_read(cx, buf),
            Path::Over(ending) => return over(ending, Ok(())),
            Path::Filtered(filter, seat) => filter.poll_read(seat, cx, buf),
        };
        self.settle(passed, Ok(()), cx)
    }

    fn poll_write_through(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let passed = match self.path(cx) {
            Path::Plain(socket) => return socket.poll_write(cx, buf),
            Path::Over(ending) => return over(ending, broken_pipe()),
            Path::Filtered(filter, seat) => filter.poll_write(seat, cx, buf),
        };
        self.settle(passed, broken_pipe(), cx)
    }

    /// Whether polling can go straight to the socket.
    pub(super) fn is_clear(&self) -> bool {
        self.filter.is_none() && self.faults.as_ref().is_none_or(|faults| faults.version() == self.seen)
    }

    /// Lets go of the socket, with a reset or without, as soon as the peer can hear of it.
    fn end(&mut self, reset: bool) {
        let line = std::mem::replace(&mut self.line, Line::Gone);
        let filter = self.filter.take();
        let (Line::Open(socket) | Line::Spent(Some(socket))) = line else { return };
        let lost = filter.as_ref().is_some_and(|filter| filter.lost());
        let delivered = filter.as_ref().is_none_or(|filter| filter.is_delivered());
        if let Some(faults) = &self.faults
            && faults.consult(|active| mutes(active, self.origin))
        {
            let unsent = filter.map_or_else(Vec::new, |mut filter| filter.take_unsent());
            faults.keep(LingeringSocket { socket, origin: self.origin, unsent, reset: reset || lost });
        } else if reset || lost || !delivered {
            // If it fails the connection is gone already.
            let _ = socket.set_zero_linger();
        }
    }

    /// Ends the connection as a fault wants it.
    fn cut(&mut self, ending: Ending, cx: &mut Context<'_>) {
        let unheard =
            self.faults.as_ref().is_some_and(|faults| faults.consult(|active| mutes(active, self.origin)));
        match std::mem::replace(&mut self.line, Line::Gone) {
            Line::Open(mut socket) if ending == Ending::Fin && !unheard => {
                // If it fails the connection is gone already.
                let _ = Pin::new(&mut socket).poll_shutdown(cx);
                self.line = Line::Spent(Some(socket));
                self.filter = None;
            }
            line => {
                self.line = line;
                self.end(ending == Ending::Reset);
                if ending == Ending::Fin {
                    self.line = Line::Spent(None);
                }
            }
        }
    }

    /// Has the pipeline obey the present faults. Gives the instant at which it did.
    fn attend(&mut self, cx: &mut Context<'_>) -> Tick {
        let Some(faults) = self.faults.clone() else { return Tick::ZERO };
        let now = faults.now();
        let mut passed = Ok(());
        if faults.version() != self.seen {
            self.seen = faults.version();
            if self.filter.is_some() || !faults.is_clear() {
                let filter = self.filter.get_or_insert_default();
                passed = filter.reconcile(&faults, self.origin, now);
            }
        }
        if let Some(filter) = &mut self.filter
            && let Err(ending) = passed.and_then(|()| filter.tend(now))
        {
            self.cut(ending, cx);
        }
        now
    }

    /// Takes the filter away once it is of no use.
    fn relax(&mut self) {
        if self.filter.as_ref().is_some_and(|filter| filter.is_idle())
            && let Some(mut filter) = self.filter.take()
        {
            filter.release();
        }
    }

    /// What the next poll has to deal with.
    fn path(&mut self, cx: &mut Context<'_>) -> Path<'_> {
        let now = self.attend(cx);
        match (&mut self.line, &mut self.filter, &self.faults) {
            (Line::Open(socket), Some(filter), Some(faults)) => {
                Path::Filtered(filter, FilterContext { socket, faults, now })
            }
            (Line::Open(socket), ..) => Path::Plain(Pin::new(socket)),
            (Line::Spent(_), ..) => Path::Over(Ending::Fin),
            (Line::Gone, ..) => Path::Over(Ending::Reset),
        }
    }

    /// What comes of a poll through the filter; `spent` is what a connection gives that a fault has ended in an orderly way.
    fn settle<T>(
        &mut self,
        passed: Result<Poll<io::Result<T>>, Ending>,
        spent: io::Result<T>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match passed {
            Ok(polled) => {
                self.relax();
                polled
            }
            Err(ending) => {
                self.cut(ending, cx);
                over(ending, spent)
            }
        }
    }
}

/// How a poll goes on.
enum Path<'a> {
    Plain(Pin<&'a mut TcpStream>),
    Filtered(&'a mut ToxicPipeline, FilterContext<'a>),
    Over(Ending),
}

/// Reads what has come without asking the runtime, which wakes the task for anything that comes later.
fn glance(socket: &TcpStream, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let wanted = buf.remaining().min(GLANCE);
    match (&*SockRef::from(socket)).read(buf.initialize_unfilled_to(wanted)) {
        Ok(count) => {
            buf.advance(count);
            Poll::Ready(Ok(()))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Poll::Pending
        }
        Err(error) => Poll::Ready(Err(error)),
    }
}

fn over<T>(ending: Ending, spent: io::Result<T>) -> Poll<io::Result<T>> {
    Poll::Ready(match ending {
        Ending::Fin | Ending::Died => spent,
        Ending::Reset => Err(io::ErrorKind::ConnectionReset.into()),
    })
}

fn broken_pipe<T>() -> io::Result<T> {
    Err(io::ErrorKind::BrokenPipe.into())
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.faults.is_some() {
            self.end(false);
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let looking = std::mem::take(&mut self.looking);
        let before = buf.filled().len();
        let read = match (self.is_clear(), &mut self.line) {
            (true, Line::Open(socket)) => {
                let polled = Pin::new(&mut *socket).poll_read(cx, buf);
                if looking && polled.is_pending() { glance(socket, buf) } else { polled }
            }
            _ => self.poll_read_through(cx, buf),
        };
        self.traffic.1 += (buf.filled().len() - before) as u64;
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match (self.is_clear(), &mut self.line) {
            (true, Line::Open(socket)) => Pin::new(socket).poll_write(cx, buf),
            _ => self.poll_write_through(cx, buf),
        };
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match (self.is_clear(), &mut self.line) {
            (true, Line::Open(socket)) => Pin::new(socket).poll_write_vectored(cx, bufs),
            // One write is one message, however many buffers it comes in.
            _ => self.poll_write_through(cx, &gathered(bufs)),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (true, Line::Open(socket)) = (self.is_clear(), &mut self.line) {
            return Pin::new(socket).poll_flush(cx);
        }
        // What was accepted travels on by itself, as in the kernel: who waited for it here would send one message at a time.
        let passed = match self.path(cx) {
            Path::Plain(socket) => return socket.poll_flush(cx),
            Path::Over(ending) => return over(ending, broken_pipe()),
            Path::Filtered(filter, seat) => filter.poll_flush(seat, cx),
        };
        self.settle(passed, broken_pipe(), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (true, Line::Open(socket)) = (self.is_clear(), &mut self.line) {
            return Pin::new(socket).poll_shutdown(cx);
        }
        let passed = match self.path(cx) {
            Path::Plain(socket) => return socket.poll_shutdown(cx),
            Path::Over(ending) => return over(ending, Ok(())),
            Path::Filtered(filter, seat) => filter.poll_shutdown(seat, cx),
        };
        self.settle(passed, Ok(()), cx)
    }
}

fn gathered(bufs: &[IoSlice<'_>]) -> Vec<u8> {
    let mut message = Vec::new();
    for buf in bufs {
        let room = CAPACITY.saturating_sub(message.len());
        message.extend_from_slice(buf.get(..room).unwrap_or(buf));
    }
    message
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
    }

    #[test]
    fn bytes_pass_in_both_directions_and_nagle_is_off() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut link = Link::dial(listener.local_addr().unwrap(), None, None).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let Line::Open(socket) = &link.line else { panic!("closed") };
            assert!(socket.nodelay().unwrap());
            link.write_all(b"up").await.unwrap();
            peer.write_all(b"down").await.unwrap();
            let (mut up, mut down) = ([0; 2], [0; 4]);
            peer.read_exact(&mut up).await.unwrap();
            link.read_exact(&mut down).await.unwrap();
            assert_eq!((&up, &down), (b"up", b"down"));
            link.shutdown().await.unwrap();
            assert_eq!(peer.read(&mut up).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_look_finds_what_the_runtime_has_not_heard_of_and_a_later_read_the_rest() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut link = Link::dial(listener.local_addr().unwrap(), None, None).await.unwrap();
            let (peer, _) = listener.accept().await.unwrap();
            let mut peer = peer.into_std().unwrap();
            peer.set_nonblocking(false).unwrap();
            let (mut bytes, mut cx) = ([0; 2 * GLANCE], Context::from_waker(std::task::Waker::noop()));
            let mut poll = |link: &mut Link| {
                let mut buf = ReadBuf::new(&mut bytes);
                Pin::new(link).poll_read(&mut cx, &mut buf).map(|read| read.map(|()| buf.filled().len()))
            };
            assert!(poll(&mut link).is_pending());
            link.look();
            assert!(poll(&mut link).is_pending(), "nothing has come");
            // The runtime is not asked in between: nothing here waits.
            io::Write::write_all(&mut peer, &[7; GLANCE + 88]).unwrap();
            assert!(poll(&mut link).is_pending());
            link.look();
            assert!(matches!(poll(&mut link), Poll::Ready(Ok(GLANCE))));
            let mut rest = [0; 88];
            assert_eq!(link.read_exact(&mut rest).await.unwrap(), 88);
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            link.look();
            assert!(matches!(poll(&mut link), Poll::Ready(Ok(0))), "the end of the stream");
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_source_address_is_the_one_asked_for() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
            let _link = Link::dial(listener.local_addr().unwrap(), Some(source), None).await.unwrap();
            assert_eq!(listener.accept().await.unwrap().1.ip(), source);
        });
    }

    #[test]
    fn a_port_without_listener_refuses() {
        block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            drop(listener);
            assert_eq!(
                Link::dial(addr, None, None).await.unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
        });
    }
}
