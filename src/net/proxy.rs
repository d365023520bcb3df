//! A TCP proxy: network faults for whatever speaks TCP.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use super::active_fault::ActiveFault;
use super::connection_fault::ConnectionFaults;
use super::link::Link;
use super::relay::{Passed, Relay};
use super::wake_queue::WakeQueue;
use crate::clock::{Monotonic, Pacer, Tick};
use crate::fault::{Draw, Effect, Fault, Schedule};
use crate::seed::Seed;

/// How long a fault without a duration is on, nanoseconds: long enough to reach every connection, and for a reset to happen.
const INSTANT_NS: u64 = 1_000_000;

/// How often the clock is looked at in any rule, nanoseconds: timers of the system know no further future.
const LONGEST_NAP_NS: u64 = 3_600_000_000_000;

/// What a proxy is to do.
#[derive(Debug, Clone)]
pub(crate) struct ProxyPlan {
    /// Where connections are passed on to.
    pub upstream: SocketAddr,
    /// Faults of the network, with their schedules on `clock`. Their fleets are of no account; those without a schedule stay
    /// off.
    pub faults: Vec<Arc<Fault>>,
    /// Decides which connections faults hit, and everything random about them.
    pub seed: Seed,
    /// The time line.
    pub clock: Monotonic,
    /// Connections among which a fault's share is exact, at least 1: connection n, from 0, is hit as device `n % group` of a
    /// fleet of so many would be.
    pub group: u32,
    /// Connections at once, at least 1. Further ones wait until one has ended.
    pub most: usize,
}

/// A listener for a proxy.
///
/// # Errors
/// Whatever the operating system says: in use, no such address, not allowed.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// What a proxy did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProxyReport {
    /// Connections accepted.
    pub connections: u64,
    /// Those of them whose upstream could not be reached, or was refused by a fault: they were reset.
    pub failed: u64,
    /// Bytes taken from clients, and handed to them, over all.
    pub passed: Passed,
    /// How often each fault acted, in the order of the plan.
    pub acted: Vec<u64>,
}

/// A proxy. The n-th connection is device n: its random streams are that device's.
#[derive(Debug)]
pub(crate) struct Proxy {
    plan: ProxyPlan,
    wake_queue: Rc<WakeQueue>,
    tallies: Vec<Rc<Cell<u64>>>,
    /// Connections under way.
    live: RefCell<Vec<Live>>,
    report: Rc<RefCell<ProxyReport>>,
}

/// A connection under way.
#[derive(Debug)]
struct Live {
    who: u32,
    connection_faults: Rc<ConnectionFaults>,
    /// When its faults change next.
    changes: Tick,
}

impl Proxy {
    /// A proxy for `plan`.
    ///
    /// # Errors
    /// `InvalidInput`, if a fault is not one of the network: nothing else can be done to bytes whose protocol is not known.
    pub(crate) fn new(plan: ProxyPlan) -> io::Result<Self> {
        if let Some(fault) = plan.faults.iter().find(|fault| !matches!(fault.effect, Effect::Network(_))) {
            let layer = fault.effect.layer();
            let text = format!(
                "the fault {} is one of the {layer} layer; a proxy knows those of the network",
                fault.name
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let wake_queue = Rc::new(WakeQueue::new(plan.clock));
        let tallies = plan.faults.iter().map(|_| Rc::default()).collect();
        Ok(Self { plan, wake_queue, tallies, live: RefCell::default(), report: Rc::default() })
    }

    /// What it has done so far.
    pub(crate) fn report(&self) -> ProxyReport {
        let acted = self.tallies.iter().map(|tally| tally.get()).collect();
        ProxyReport { acted, ..self.report.borrow().clone() }
    }

    /// Passes on what comes to `listener` until `stop` is ready; connections still open then are cut. To be called within a
    /// tokio runtime with I/O and time, on the thread that stays with it.
    ///
    /// # Errors
    /// If the system refuses the timer. A connection that cannot be accepted, for want of descriptors or because it is gone
    /// already, is left, and a breath taken.
    pub(crate) async fn run(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> io::Result<ProxyReport> {
        LocalSet::new().run_until(self.conduct(&listener, stop)).await?;
        Ok(self.report())
    }

    async fn conduct(&self, listener: &TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut stop = pin!(stop);
        let mut pacer = Pacer::new(self.plan.clock);
        let mut tasks = JoinSet::new();
        let mut breath_until = Tick::ZERO;
        loop {
            let now = self.plan.clock.now();
            self.change(now);
            self.wake_queue.ring(now);
            let changes = self.live.borrow().iter().map(|live| live.changes).min().unwrap_or(Tick::FAR);
            let mut deadline = self.wake_queue.next().min(changes).min(now.plus_ns(LONGEST_NAP_NS));
            let accepts = tasks.len() < self.plan.most.max(1) && breath_until <= now;
            if breath_until > now {
                deadline = deadline.min(breath_until);
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                () = self.wake_queue.earlier() => {}
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => ended.into_iter().for_each(|who| self.ended(who)),
                accepted = listener.accept(), if accepts => match accepted {
                    Ok((client, _)) => drop(tasks.spawn_local(self.begin(client))),
                    Err(_) => breath_until = now.plus_ns(10 * INSTANT_NS),
                },
                woke = pacer.sleep_until(deadline) => woke?,
            }
        }
    }

    /// Gives a new connection its faults, before anything of it is passed on.
    fn begin(&self, client: TcpStream) -> impl Future<Output = u32> + use<> {
        let who = self.report.borrow().connections as u32;
        self.report.borrow_mut().connections += 1;
        let timer = Rc::clone(&self.wake_queue) as Rc<dyn super::EngineTimer>;
        let connection_faults = Rc::new(ConnectionFaults::new(timer, who, self.plan.seed, who));
        let mut live = Live { who, connection_faults: Rc::clone(&connection_faults), changes: Tick::ZERO };
        self.schedule_next(&mut live, self.plan.clock.now());
        self.live.borrow_mut().push(live);
        let (upstream, wake_queue, report) =
            (self.plan.upstream, Rc::clone(&self.wake_queue), Rc::clone(&self.report));
        async move {
            let dialing = Link::dial(upstream, None, Some(connection_faults));
            if let Ok(link) = attended(&wake_queue, who, pin!(dialing)).await {
                serve(client, link, who, &wake_queue, &report).await;
            } else {
                report.borrow_mut().failed += 1;
                // If it fails the client is gone as well.
                let _ = client.set_zero_linger();
            }
            who
        }
    }

    fn ended(&self, who: u32) {
        self.wake_queue.forget(who);
        self.live.borrow_mut().retain(|live| live.who != who);
    }

    /// Changes the faults of every connection for which it is time.
    fn change(&self, now: Tick) {
        for live in self.live.borrow_mut().iter_mut().filter(|live| live.changes <= now) {
            self.schedule_next(live, now);
            self.wake_queue.wake(live.who);
        }
    }

    /// Sets the faults of a connection at `now`, and when they change next.
    fn schedule_next(&self, live: &mut Live, now: Tick) {
        let group = self.plan.group.max(1);
        let mut active = Vec::new();
        live.changes = Tick::FAR;
        for ((number, fault), tally) in (0..).zip(&self.plan.faults).zip(&self.tallies) {
            let Some(schedule) = fault.schedule else { continue };
            let draw = Draw::new(self.plan.seed, &fault.name, "connections", group, fault.share);
            let Some(rank) = draw.rank(live.who % group) else { continue };
            let schedule = Schedule { duration_ns: schedule.duration_ns.max(INSTANT_NS), ..schedule };
            let late_ns = draw.lateness_ns(rank, fault.ramp_ns);
            live.changes = live.changes.min(schedule.changes_after(now, late_ns));
            active.extend(schedule.at(now, late_ns).map(|activation| ActiveFault {
                fault: Arc::clone(fault),
                number,
                occurrence: activation.occurrence,
                since: activation.start,
                tally: Rc::clone(tally),
            }));
        }
        if !active.is_empty() || !live.connection_faults.is_clear() {
            live.connection_faults.set(active);
        }
    }
}

/// Polls `future` whenever the wake queue rings for `who`.
async fn attended<F: Future + Unpin>(wake_queue: &WakeQueue, who: u32, mut future: F) -> F::Output {
    poll_fn(|cx| {
        wake_queue.listen(who, cx);
        Pin::new(&mut future).poll(cx)
    })
    .await
}

/// Passes on what comes until both sides have ended, and reports what passed as it does.
async fn serve(
    client: TcpStream,
    link: Link,
    who: u32,
    wake_queue: &WakeQueue,
    report: &RefCell<ProxyReport>,
) {
    // If it fails the client is gone, as reading will show.
    let _ = client.set_nodelay(true);
    let mut relay = Relay::new(client, link);
    let mut before = Passed::default();
    poll_fn(|cx| {
        wake_queue.listen(who, cx);
        let polled = relay.poll(cx);
        let passed = relay.passed();
        let sum = &mut report.borrow_mut().passed;
        sum.up += passed.up - before.up;
        sum.down += passed.down - before.down;
        before = passed;
        polled
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::fault::{DeviceFault, Direction, Ending, Toxic, ToxicKind};
    use crate::net::tests::{block_on, fault, latency, toxic};

    const MS: u64 = 1_000_000;

    fn lasting(name: &str, toxics: Vec<Toxic>) -> Fault {
        let schedule =
            Schedule { start: Tick::ZERO, duration_ns: 3_600_000 * MS, every_ns: 3_600_000 * MS, times: 1 };
        Fault { name: name.to_owned(), schedule: Some(schedule), ..fault(toxics) }
    }

    /// Runs `client` against a proxy for `faults`, behind which `server` serves one connection after the other.
    fn through<T>(
        faults: Vec<Fault>,
        server: impl AsyncFn(TcpStream),
        client: impl AsyncFnOnce(SocketAddr, Monotonic) -> T,
    ) -> (T, ProxyReport) {
        block_on(async {
            let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let clock = Monotonic::start();
            let proxy = Proxy::new(ProxyPlan {
                upstream: upstream.local_addr().unwrap(),
                faults: faults.into_iter().map(Arc::new).collect(),
                seed: Seed(1),
                clock,
                group: 4,
                most: 2,
            })
            .unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let serving = async {
                loop {
                    let (socket, _) = upstream.accept().await.unwrap();
                    server(socket).await;
                }
            };
            let asking = async {
                let result = client(addr, clock).await;
                stop.send(()).unwrap();
                result
            };
            let running = proxy.run(listener, async { stopped.await.unwrap() });
            tokio::select! {
                () = serving => unreachable!(),
                (result, report) = async { tokio::join!(asking, running) } => (result, report.unwrap()),
            }
        })
    }

    /// Sends back all it gets, and ends when the client does.
    async fn echo(mut socket: TcpStream) {
        let mut bytes = Vec::new();
        if socket.read_to_end(&mut bytes).await.is_ok() {
            let _ = socket.write_all(&bytes).await;
        }
    }

    async fn ask(addr: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(addr).await?;
        socket.write_all(message).await?;
        socket.shutdown().await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    #[test]
    fn a_half_closed_conversation_passes_in_full() {
        let message: Vec<u8> = (0..300_000_u32).map(|i| (i % 253) as u8).collect();
        let slow = lasting("slow", vec![toxic(Direction::Both, latency(3))]);
        for faults in [vec![], vec![slow]] {
            let acts = !faults.is_empty();
            let (answer, report) = through(faults, echo, async |addr, _| ask(addr, &message).await.unwrap());
            assert!(answer == message, "{} bytes", answer.len());
            assert_eq!(report.connections, 1);
            assert_eq!(report.failed, 0);
            assert_eq!(report.acted.iter().any(|times| *times > 0), acts);
        }
    }

    #[test]
    fn latency_is_on_the_way_there_and_back() {
        let slow = lasting("slow", vec![toxic(Direction::Both, latency(40))]);
        let ((), report) = through(vec![slow], echo, async |addr, clock| {
            for _ in 0..3 {
                let asked = clock.now();
                assert_eq!(ask(addr, b"ping").await.unwrap(), b"ping");
                // The handshake, the message and its answer.
                assert!(clock.now().since(asked) >= 160 * MS);
            }
        });
        assert_eq!((report.connections, report.passed), (3, Passed { up: 12, down: 12 }));
    }

    /// What a reset is to a client, by where it is when it hears of it.
    fn is_reset(error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        matches!(error.kind(), ConnectionReset | BrokenPipe | NotConnected)
    }

    #[test]
    fn resets_and_refusals_come_through() {
        let reset =
            lasting("reset", vec![toxic(Direction::Up, ToxicKind::Reset { after: None, chance: 1.0 })]);
        let refuse = lasting("refuse", vec![toxic(Direction::Both, ToxicKind::Refuse)]);
        for (fault, failed) in [(reset, 0), (refuse, 1)] {
            let (error, report) =
                through(vec![fault], echo, async |addr, _| ask(addr, b"ping").await.unwrap_err());
            assert!(is_reset(&error), "{error}");
            assert_eq!((report.connections, report.failed, report.acted[0]), (1, failed, 1));
        }
        let abrupt = async |socket: TcpStream| socket.set_zero_linger().unwrap();
        let (error, _) = through(vec![], abrupt, async |addr, _| ask(addr, b"ping").await.unwrap_err());
        assert!(is_reset(&error), "{error}");
    }

    #[test]
    fn a_share_of_the_connections_is_hit_exactly() {
        let half = Fault { share: 0.5, ..lasting("half", vec![toxic(Direction::Both, ToxicKind::Refuse)]) };
        let (refused, report) = through(vec![half], echo, async |addr, _| {
            let mut refused = 0;
            for _ in 0..8 {
                refused += u32::from(ask(addr, b"ping").await.is_err());
            }
            refused
        });
        assert_eq!((refused, report.failed, report.acted), (4, 4, vec![4]));
    }

    #[test]
    fn a_partition_ends_by_its_schedule() {
        let mut cut = lasting("cut", vec![toxic(Direction::Both, ToxicKind::Partition)]);
        cut.schedule =
            Some(Schedule { start: Tick::ZERO, duration_ns: 150 * MS, every_ns: 150 * MS, times: 1 });
        let (at, _) = through(vec![cut], echo, async |addr, clock| {
            assert_eq!(ask(addr, b"ping").await.unwrap(), b"ping");
            clock.now()
        });
        assert!(at >= Tick(150 * MS));
    }

    #[test]
    fn faults_of_other_layers_are_no_business_of_a_proxy() {
        let offline = Effect::Device(DeviceFault::Disconnect { ending: Ending::Fin });
        let plan = ProxyPlan {
            upstream: ([127, 0, 0, 1], 9).into(),
            faults: vec![Arc::new(Fault { effect: offline, ..fault(vec![]) })],
            seed: Seed(1),
            clock: Monotonic::start(),
            group: 1,
            most: 1,
        };
        let error = Proxy::new(plan).unwrap_err();
        assert!(error.to_string().contains("device layer"), "{error}");
    }
}
