//! Wakes the tasks of connections when their faults say so: one pacer for all of them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::task::{Context, Waker};

use tokio::sync::Notify;

use super::connection_fault::EngineTimer;
use crate::clock::{Monotonic, Tick};

/// The timer of connections that have a task each, on one thread.
#[derive(Debug)]
pub(super) struct WakeQueue {
    clock: Monotonic,
    due: RefCell<BinaryHeap<Reverse<(Tick, u32)>>>,
    sleepers: RefCell<HashMap<u32, Waker>>,
    /// Something is due before all that was.
    earlier: Notify,
}

impl WakeQueue {
    pub(super) fn new(clock: Monotonic) -> Self {
        Self { clock, due: RefCell::default(), sleepers: RefCell::default(), earlier: Notify::new() }
    }

    /// Makes wake-ups of `who` reach the task that polls with `cx`.
    pub(super) fn listen(&self, who: u32, cx: &Context<'_>) {
        let mut sleepers = self.sleepers.borrow_mut();
        match sleepers.get_mut(&who) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => drop(sleepers.insert(who, cx.waker().clone())),
        }
    }

    /// Forgets `who`.
    pub(super) fn forget(&self, who: u32) {
        self.sleepers.borrow_mut().remove(&who);
    }

    /// Wakes `who` now.
    pub(super) fn wake(&self, who: u32) {
        let waker = self.sleepers.borrow().get(&who).cloned();
        waker.into_iter().for_each(Waker::wake);
    }

    /// The first instant at which somebody is to be woken.
    pub(super) fn next(&self) -> Tick {
        self.due.borrow().peek().map_or(Tick::FAR, |Reverse((at, _))| *at)
    }

    /// Returns when [`WakeQueue::next`] has come earlier.
    pub(super) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    /// Wakes everybody who is due at `now`.
    pub(super) fn ring(&self, now: Tick) {
        while self.next() <= now {
            let first = self.due.borrow_mut().pop();
            if let Some(Reverse((_, who))) = first {
                self.wake(who);
            }
        }
    }
}

impl EngineTimer for WakeQueue {
    fn now(&self) -> Tick {
        self.clock.now()
    }

    fn wake_at(&self, at: Tick, who: u32) {
        let first = at < self.next();
        self.due.borrow_mut().push(Reverse((at, who)));
        if first {
            self.earlier.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Pacer;
    use crate::fault::{Direction, Toxic, ToxicKind};
    use crate::net::tests::{block_on, fault, latency, toxic};
    use crate::net::{ActiveFault, ConnectionFaults, Link};
    use crate::seed::Seed;
    use crate::units::ByteSize;

    const SIZE: usize = 400_000;

    fn byte(place: usize) -> u8 {
        (place.wrapping_mul(2_654_435_761) >> 16) as u8
    }

    /// Writes the stream in pieces of odd sizes, and its end.
    async fn speak(mut to: impl tokio::io::AsyncWrite + Unpin) {
        let stream: Vec<u8> = (0..SIZE).map(byte).collect();
        let (mut rest, mut size) = (stream.as_slice(), 1);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(size));
            to.write_all(piece).await.unwrap();
            rest = after;
            size = size * 7 % 20_011;
        }
        to.shutdown().await.unwrap();
    }

    async fn hear(mut from: impl tokio::io::AsyncRead + Unpin) -> usize {
        let mut stream = Vec::new();
        from.read_to_end(&mut stream).await.unwrap();
        assert!(stream.iter().enumerate().all(|(place, seen)| *seen == byte(place)));
        stream.len()
    }

    /// Switches between stacks of toxics until all have had their turn.
    async fn toggle(faults: &ConnectionFaults, wake_queue: &WakeQueue, peers: usize) {
        let rate = || toxic(Direction::Both, ToxicKind::Bandwidth { rate: 2e6, burst: ByteSize(3_000) });
        let late = || toxic(Direction::Both, latency(5));
        let stacks: [Vec<Toxic>; 5] =
            [vec![late()], vec![late(), rate()], vec![rate()], vec![], vec![late()]];
        for turn in 0..40 {
            let front = |(number, toxic): (u16, &Toxic)| ActiveFault {
                fault: Arc::new(fault(vec![toxic.clone()])),
                number,
                occurrence: 0,
                since: wake_queue.now(),
                tally: Rc::default(),
            };
            faults.set((0..).zip(&stacks[turn % stacks.len()]).map(front).collect());
            for who in 0..peers as u32 {
                wake_queue.wake(who);
            }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        faults.set(Vec::new());
        (0..peers as u32).for_each(|who| wake_queue.wake(who));
    }

    #[test]
    fn a_stream_survives_latency_and_bandwidth_that_come_and_go() {
        block_on(async {
            let wake_queue = Rc::new(WakeQueue::new(Monotonic::start()));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let timer = Rc::clone(&wake_queue) as Rc<dyn EngineTimer>;
            let faults = Rc::new(ConnectionFaults::new(timer, 0, Seed(3), 0));
            let addr = listener.local_addr().unwrap();
            let link = Link::dial(addr, None, Some(Rc::clone(&faults))).await.unwrap();
            let (peer_reads, peer_writes) = listener.accept().await.unwrap().0.into_split();
            let (link_reads, link_writes) = tokio::io::split(link);
            let mut ringing = pin!(async {
                let mut pacer = Pacer::new(wake_queue.clock);
                loop {
                    wake_queue.ring(wake_queue.now());
                    let next = wake_queue.next().min(wake_queue.now().plus_ns(1_000_000_000));
                    tokio::select! {
                        () = wake_queue.earlier() => {}
                        woke = pacer.sleep_until(next) => woke.unwrap(),
                    }
                }
            });
            // All of it in one task, which the wake_queue wakes.
            let mut talk = pin!(async {
                tokio::join!(
                    hear(peer_reads),
                    speak(link_writes),
                    hear(link_reads),
                    speak(peer_writes),
                    toggle(&faults, &wake_queue, 1)
                )
            });
            let heard = poll_fn(|cx| {
                wake_queue.listen(0, cx);
                let _: std::task::Poll<()> = ringing.as_mut().poll(cx);
                talk.as_mut().poll(cx)
            });
            let (up, (), down, (), ()) = heard.await;
            assert_eq!((up, down), (SIZE, SIZE));
        });
    }
}
