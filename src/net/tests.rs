//! Toxics over real sockets, under a clock that the test moves.

pub(crate) mod allocation;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Tick;
use crate::fault::*;
use crate::seed::Seed;
use crate::units::{ByteSize, Span};

const MS: u64 = 1_000_000;

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn fault(toxics: Vec<Toxic>) -> Fault {
    Fault {
        name: "test".to_owned(),
        kind: "network",
        schedule: None,
        fleets: Vec::new(),
        share: 1.0,
        ramp_ns: 0,
        new_only: false,
        effect: Effect::Network(toxics),
    }
}

pub(super) fn toxic(direction: Direction, kind: ToxicKind) -> Toxic {
    Toxic { direction, kind }
}

pub(super) fn latency(ms: u64) -> ToxicKind {
    ToxicKind::Latency(Delay { law: DelayLaw::Constant(Span::from_ms(ms)), correlation: 0.0 })
}

/// A clock that stands until it is moved.
#[derive(Default)]
struct Hands {
    now: Cell<Tick>,
    ordered: RefCell<Vec<Tick>>,
}

impl EngineTimer for Hands {
    fn now(&self) -> Tick {
        self.now.get()
    }

    fn wake_at(&self, at: Tick, _who: u32) {
        self.ordered.borrow_mut().push(at);
    }
}

struct FaultHarness {
    hands: Rc<Hands>,
    faults: Rc<ConnectionFaults>,
    tally: Rc<Cell<u64>>,
    listener: TcpListener,
}

impl FaultHarness {
    async fn new() -> Self {
        let hands = Rc::<Hands>::default();
        let timer = Rc::clone(&hands) as Rc<dyn EngineTimer>;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self {
            hands,
            faults: Rc::new(ConnectionFaults::new(timer, 0, Seed(1), 7)),
            tally: Rc::default(),
            listener,
        }
    }

    fn set(&self, faults: &[Fault]) {
        let front = |(number, fault): (u16, &Fault)| ActiveFault {
            fault: Arc::new(fault.clone()),
            number,
            occurrence: 0,
            since: self.hands.now.get(),
            tally: Rc::clone(&self.tally),
        };
        self.faults.set((0..).zip(faults).map(front).collect());
    }

    fn on(&self, direction: Direction, kind: ToxicKind) {
        self.set(&[fault(vec![toxic(direction, kind)])]);
    }

    fn pass(&self, ms: u64) {
        self.hands.now.set(self.hands.now.get().plus_ns(ms * MS));
    }

    async fn dial(&self) -> io::Result<Link> {
        Link::dial(self.listener.local_addr().unwrap(), None, Some(Rc::clone(&self.faults))).await
    }

    async fn pair(&self) -> (Link, TcpStream) {
        let link = self.dial().await.unwrap();
        (link, self.listener.accept().await.unwrap().0)
    }
}

/// One poll, as after a wake-up.
async fn nudge(link: &mut Link) {
    let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut *link).poll_flush(cx))).await;
}

/// What there is to read at once.
async fn heard(peer: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1 << 20];
    let size = soon(async || peer.read(&mut bytes).await).await?.unwrap();
    Some(bytes[..size].to_vec())
}

/// What there is to read at once on the device's side.
async fn told(link: &mut Link) -> Option<io::Result<Vec<u8>>> {
    let mut bytes = [0; 4_096];
    let read = soon(async || link.read(&mut bytes).await).await?;
    Some(read.map(|size| bytes[..size].to_vec()))
}

/// What comes without anything else happening: loopback delivers at once, but the runtime has to look. A machine that stands still
/// takes one look away, not all of them.
async fn soon<T>(mut read: impl AsyncFnMut() -> T) -> Option<T> {
    for _ in 0..10 {
        tokio::task::yield_now().await;
        if let Ok(read) = tokio::time::timeout(std::time::Duration::from_millis(2), read()).await {
            return Some(read);
        }
    }
    None
}

async fn is_reset(peer: &mut TcpStream) -> bool {
    let read = peer.read(&mut [0; 16]).await;
    read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn an_idle_link_is_small_and_fair_weather_leaves_nothing_behind() {
    assert!(size_of::<Link>() <= 96, "{}", size_of::<Link>());
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        assert!(link.is_clear());
        link.write_all(b"one").await.unwrap();
        assert_eq!(heard(&mut peer).await.unwrap(), b"one");
        harness.on(Direction::Both, latency(40));
        assert!(!link.is_clear());
        link.write_all(b"two").await.unwrap();
        assert_eq!(heard(&mut peer).await, None);
        // What is on its way arrives when the fault ends.
        harness.set(&[]);
        nudge(&mut link).await;
        assert!(link.is_clear());
        assert_eq!(heard(&mut peer).await.unwrap(), b"two");
    });
}

#[test]
fn latency_delays_both_ways_and_every_pipelined_message_by_the_same() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, latency(100));
        for _ in 0..5 {
            link.write_all(b"ping").await.unwrap();
        }
        assert_eq!(*harness.hands.ordered.borrow(), [Tick(100 * MS)]);
        assert_eq!(heard(&mut peer).await, None);
        harness.pass(100);
        nudge(&mut link).await;
        assert_eq!(heard(&mut peer).await.unwrap(), b"pingpingpingpingping");
        peer.write_all(b"pong").await.unwrap();
        assert!(told(&mut link).await.is_none());
        harness.pass(99);
        assert!(told(&mut link).await.is_none());
        harness.pass(1);
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"pong");
        // The end of the stream is as late as any byte.
        peer.shutdown().await.unwrap();
        assert!(told(&mut link).await.is_none());
        harness.pass(100);
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"");
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"");
    });
}

#[test]
fn a_vectored_write_is_one_message() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, ToxicKind::Slicer { mean: 6, spread: 0, gap: Span::from_ms(1) });
        let bufs = [io::IoSlice::new(b"abc"), io::IoSlice::new(b"defgh")];
        let size = poll_fn(|cx| Pin::new(&mut link).poll_write_vectored(cx, &bufs)).await.unwrap();
        assert_eq!(size, 8);
        assert_eq!(heard(&mut peer).await.unwrap(), b"abcdef");
        harness.pass(1);
        nudge(&mut link).await;
        assert_eq!(heard(&mut peer).await.unwrap(), b"gh");
    });
}

#[test]
fn a_reset_is_seen_by_both_sides() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        let after = Some(Span::from_ms(500));
        harness.on(Direction::Both, ToxicKind::Reset { after, chance: 0.0 });
        link.write_all(b"still well").await.unwrap();
        assert_eq!(heard(&mut peer).await.unwrap(), b"still well");
        harness.pass(500);
        assert_eq!(kind(link.read(&mut [0]).await), io::ErrorKind::ConnectionReset);
        assert_eq!(kind(link.write(b"x").await), io::ErrorKind::ConnectionReset);
        assert!(is_reset(&mut peer).await);
        assert_eq!(harness.tally.get(), 1);

        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, ToxicKind::Reset { after: None, chance: 1.0 });
        assert_eq!(kind(link.write(b"x").await), io::ErrorKind::ConnectionReset);
        assert!(is_reset(&mut peer).await);
    });
}

#[test]
fn a_device_can_be_abrupt() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        link.abort();
        assert!(is_reset(&mut peer).await);
        assert_eq!(kind(link.read(&mut [0]).await), io::ErrorKind::ConnectionReset);
        let socket = TcpStream::connect(harness.listener.local_addr().unwrap()).await.unwrap();
        let mut peer = harness.listener.accept().await.unwrap().0;
        Link::from_socket(socket, None).abort();
        assert!(is_reset(&mut peer).await);
    });
}

#[test]
fn a_reset_by_the_peer_comes_through() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, peer) = harness.pair().await;
        harness.on(Direction::Down, latency(10));
        assert!(told(&mut link).await.is_none());
        peer.set_zero_linger().unwrap();
        drop(peer);
        assert!(told(&mut link).await.is_none());
        harness.pass(10);
        assert_eq!(kind(told(&mut link).await.unwrap()), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_blackhole_leaves_both_sides_in_the_dark_until_it_ends() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, ToxicKind::Blackhole);
        link.write_all(b"into the void").await.unwrap();
        peer.write_all(b"from the void").await.unwrap();
        assert!(told(&mut link).await.is_none());
        assert_eq!(heard(&mut peer).await, None);
        harness.pass(60_000);
        assert!(told(&mut link).await.is_none());
        harness.set(&[]);
        assert_eq!(kind(link.read(&mut [0]).await), io::ErrorKind::ConnectionReset);
        assert!(is_reset(&mut peer).await);

        // A connection that lost nothing goes on.
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, ToxicKind::Blackhole);
        nudge(&mut link).await;
        harness.set(&[]);
        link.write_all(b"well").await.unwrap();
        assert_eq!(heard(&mut peer).await.unwrap(), b"well");
        assert!(link.is_clear());
    });
}

#[test]
fn a_device_that_gives_up_leaves_its_peer_half_open() {
    block_on(async {
        let harness = FaultHarness::new().await;
        for (toxic, abrupt) in [(ToxicKind::Blackhole, false), (ToxicKind::Partition, true)] {
            let (mut link, mut peer) = harness.pair().await;
            harness.on(Direction::Both, toxic);
            link.write_all(b"unheard").await.unwrap();
            if abrupt {
                link.abort();
            }
            drop(link);
            assert_eq!(heard(&mut peer).await, None);
            // Another fault that ends changes nothing.
            harness.faults.set(harness.faults.active());
            assert_eq!(heard(&mut peer).await, None);
            harness.set(&[]);
            let mut end = Vec::new();
            assert_eq!(kind(peer.read_to_end(&mut end).await), io::ErrorKind::ConnectionReset);
        }
        // What a partition held is delivered, and then the end.
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, ToxicKind::Partition);
        link.write_all(b"late").await.unwrap();
        drop(link);
        assert_eq!(heard(&mut peer).await, None);
        harness.set(&[]);
        assert_eq!(heard(&mut peer).await.unwrap(), b"late");
        assert_eq!(heard(&mut peer).await.unwrap(), b"");
    });
}

#[test]
fn a_partition_holds_bytes_and_new_connections() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, ToxicKind::Partition);
        link.write_all(b"up").await.unwrap();
        peer.write_all(b"down").await.unwrap();
        let mut dialing = Box::pin(harness.dial());
        let mut dialed = poll_fn(|cx| Poll::Ready(dialing.as_mut().poll(cx))).await;
        assert!(dialed.is_pending() && told(&mut link).await.is_none());
        assert_eq!(heard(&mut peer).await, None);
        harness.set(&[]);
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"down");
        assert_eq!(heard(&mut peer).await.unwrap(), b"up");
        while dialed.is_pending() {
            dialed = poll_fn(|cx| Poll::Ready(dialing.as_mut().poll(cx))).await;
            tokio::task::yield_now().await;
        }
        assert!(matches!(dialed, Poll::Ready(Ok(_))));
    });
}

#[test]
fn a_one_way_partition_lets_the_other_way_pass() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, ToxicKind::Partition);
        link.write_all(b"up").await.unwrap();
        peer.write_all(b"down").await.unwrap();
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"down");
        assert_eq!(heard(&mut peer).await, None);
    });
}

#[test]
fn connections_are_refused_slowed_or_accepted_into_silence() {
    block_on(async {
        let harness = FaultHarness::new().await;
        harness.on(Direction::Both, ToxicKind::Refuse);
        assert_eq!(kind(harness.dial().await), io::ErrorKind::ConnectionRefused);
        assert_eq!(harness.tally.get(), 1);

        let delay = Delay { law: DelayLaw::Constant(Span::from_ms(700)), correlation: 0.0 };
        harness.set(&[fault(vec![
            toxic(Direction::Both, ToxicKind::SlowConnect(delay)),
            toxic(Direction::Both, latency(50)),
        ])]);
        let mut dialing = Box::pin(harness.dial());
        assert!(poll_fn(|cx| Poll::Ready(dialing.as_mut().poll(cx))).await.is_pending());
        assert_eq!(*harness.hands.ordered.borrow(), [Tick(800 * MS)]);
        harness.pass(799);
        assert!(poll_fn(|cx| Poll::Ready(dialing.as_mut().poll(cx))).await.is_pending());
        harness.pass(1);
        drop(dialing.await.unwrap());
        drop(harness.listener.accept().await.unwrap());

        harness.set(&[]);
        let (mut old, mut old_peer) = harness.pair().await;
        harness.pass(1);
        harness.on(Direction::Both, ToxicKind::Hang);
        let (mut link, mut peer) = harness.pair().await;
        old.write_all(b"as ever").await.unwrap();
        link.write_all(b"anyone?").await.unwrap();
        assert_eq!(heard(&mut old_peer).await.unwrap(), b"as ever");
        assert_eq!(heard(&mut peer).await, None);
        harness.set(&[]);
        assert_eq!(kind(link.read(&mut [0]).await), io::ErrorKind::ConnectionReset);
        assert!(is_reset(&mut peer).await);
    });
}

#[test]
fn a_limit_ends_the_connection_after_its_last_byte() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let limit = |ending| ToxicKind::Limit { size: ByteSize(1_000), ending };
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, limit(Ending::Fin));
        // The write that reaches the limit may tell of it already.
        let _ = link.write(&[1; 1_500]).await;
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, [1; 1_000]);
        assert_eq!(link.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(kind(link.write(b"x").await), io::ErrorKind::BrokenPipe);

        harness.set(&[]);
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Down, limit(Ending::Reset));
        peer.write_all(&[2; 1_500]).await.unwrap();
        let mut bytes = Vec::new();
        assert_eq!(kind(link.read_to_end(&mut bytes).await), io::ErrorKind::ConnectionReset);
        assert_eq!(bytes, [2; 1_000]);
        assert!(is_reset(&mut peer).await);
    });
}

#[test]
fn a_half_closed_device_still_listens() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Both, ToxicKind::HalfClose { after: Span::from_ms(10) });
        link.write_all(b"last").await.unwrap();
        harness.pass(10);
        nudge(&mut link).await;
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"last");
        assert_eq!(kind(link.write(b"x").await), io::ErrorKind::BrokenPipe);
        peer.write_all(b"heard").await.unwrap();
        assert_eq!(told(&mut link).await.unwrap().unwrap(), b"heard");
        assert_eq!(harness.tally.get(), 1);
        // Once is enough, even if the faults change.
        harness.faults.set(harness.faults.active());
        nudge(&mut link).await;
        assert_eq!(harness.tally.get(), 1);
    });
}

#[test]
fn a_slow_close_is_slow_and_comes_after_the_bytes() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, ToxicKind::SlowClose { delay: Span::from_ms(250) });
        link.write_all(b"bye").await.unwrap();
        let shut = poll_fn(|cx| Poll::Ready(Pin::new(&mut link).poll_shutdown(cx))).await;
        assert!(shut.is_pending());
        assert_eq!(heard(&mut peer).await.unwrap(), b"bye");
        assert_eq!(heard(&mut peer).await, None);
        harness.pass(250);
        link.shutdown().await.unwrap();
        assert_eq!(heard(&mut peer).await.unwrap(), b"");
    });
}

#[test]
fn a_fault_for_new_connections_spares_old_ones() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut old, mut old_peer) = harness.pair().await;
        harness.pass(1);
        let hits = toxic(Direction::Both, ToxicKind::Reset { after: None, chance: 1.0 });
        harness.set(&[Fault { new_only: true, ..fault(vec![hits]) }]);
        let (mut new, _peer) = harness.pair().await;
        old.write_all(b"well").await.unwrap();
        assert_eq!(heard(&mut old_peer).await.unwrap(), b"well");
        assert_eq!(kind(new.write(b"x").await), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_dropped_link_with_undelivered_bytes_is_no_orderly_end() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, latency(100));
        link.write_all(b"half a mess").await.unwrap();
        drop(link);
        assert!(is_reset(&mut peer).await);
    });
}

#[test]
fn a_full_pipe_holds_the_writer_back_until_there_is_room() {
    block_on(async {
        let harness = FaultHarness::new().await;
        let (mut link, mut peer) = harness.pair().await;
        harness.on(Direction::Up, ToxicKind::Partition);
        let mut sent = 0;
        loop {
            let wrote = poll_fn(|cx| Poll::Ready(Pin::new(&mut link).poll_write(cx, &[5; 10_000]))).await;
            let Poll::Ready(wrote) = wrote else { break };
            sent += wrote.unwrap();
        }
        assert_eq!(sent, 256 * 1_024);
        harness.set(&[]);
        let writing = async {
            link.write_all(&[6; 10_000]).await.unwrap();
            link.shutdown().await.unwrap();
        };
        let mut bytes = Vec::new();
        let (read, ()) = tokio::join!(peer.read_to_end(&mut bytes), writing);
        assert_eq!(read.unwrap(), sent + 10_000);
    });
}

#[test]
fn streams_are_the_same_for_the_same_device_and_connection() {
    block_on(async {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let harness = FaultHarness::new().await;
            let law = DelayLaw::Normal { mean: Span::from_ms(100), jitter: Span::from_ms(20) };
            harness.on(Direction::Up, ToxicKind::Latency(Delay { law, correlation: 0.5 }));
            harness.pass(10_000);
            let socket = TcpStream::connect(harness.listener.local_addr().unwrap()).await.unwrap();
            let _peer = harness.listener.accept().await.unwrap();
            let mut link = Link::from_socket(socket, Some(Rc::clone(&harness.faults)));
            for _ in 0..20 {
                link.write_all(b"m").await.unwrap();
                harness.pass(1_000);
                nudge(&mut link).await;
            }
            let ordered = harness.hands.ordered.borrow().clone();
            assert_eq!(ordered.len(), 20);
            seen.push(ordered);
        }
        assert_eq!(seen[0], seen[1]);
    });
}
