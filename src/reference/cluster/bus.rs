//! Alerts, broadcasts and heartbeats between instances, on threads of their own.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::{Connection, RedisError, RedisResult, cmd};

use super::gate::SharedGate;
use super::instance::Instances;
use super::late::LateMessages;
use super::link::Link;
use super::order::CacheOrder;
use super::registry;
use super::replica::{self, Replica};
use crate::clock::Monotonic;
use crate::reference::alert::Alert;
use crate::reference::answer::{ReplySender, WorkerMessage};
use crate::reference::broadcast::Broadcast;
use crate::reference::fault::FaultRegistry;
use crate::service::{Cluster as Setup, FaultKind};

const ALERTS: &str = "squall:alerts";
const BROADCASTS: &str = "squall:broadcasts";

/// Events that wait for Redis; what comes beyond that is lost to other instances and counted.
const WAITING: usize = 4_096;
/// Devices that are remembered while Redis is away.
const MOST_NEWS: usize = 100_000;
/// How often a thread that waits looks whether the service stops.
const LOOK: Duration = Duration::from_millis(200);

/// Something that other instances are to know.
#[derive(Debug)]
pub(in crate::reference) enum ClusterEvent {
    /// An alert was raised here.
    Alert(Alert),
    /// A device spoke to this instance.
    Device(Arc<str>),
    /// Something was said to all, here.
    Broadcast(Broadcast),
}

/// What all instances tell whoever listens to them: a channel, and the text.
type Publication = (&'static str, String);

#[derive(Debug)]
struct Shared {
    link: Link,
    setup: Setup,
    stopping: AtomicBool,
    lost: AtomicU64,
    instances: Mutex<Instances>,
    living: AtomicUsize,
    replica: Replica,
    /// What goes wrong on purpose.
    faults: Arc<FaultRegistry>,
}

/// This instance's end of the bus.
#[derive(Debug)]
pub(in crate::reference) struct ClusterBus {
    shared: Arc<Shared>,
    gate: Option<SharedGate>,
    events: SyncSender<ClusterEvent>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ClusterBus {
    /// Starts the threads; alerts of other instances go to `back`. With `shares_quotas` all have one gate.
    ///
    /// # Errors
    /// If the address is none of a Redis, or a thread cannot be started.
    pub(in crate::reference) fn start(
        setup: &Setup,
        shares_quotas: bool,
        clock: Monotonic,
        back: ReplySender,
        faults: Arc<FaultRegistry>,
    ) -> io::Result<Self> {
        let gate = shares_quotas.then(|| SharedGate::start(setup, clock)).transpose()?;
        let link = Link::new(&setup.redis, setup.timeout.as_duration(), clock).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            link,
            setup: setup.clone(),
            stopping: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            instances: Mutex::new(Instances { this: setup.instance.clone(), ..Instances::default() }),
            living: AtomicUsize::new(1),
            replica: Replica::new(),
            faults,
        });
        let (events, waiting) = sync_channel(WAITING);
        let (speaker, listener) = (Arc::clone(&shared), Arc::clone(&shared));
        let orders = back.clone();
        let threads = vec![
            thread::Builder::new().name("squall-bus-out".into()).spawn(move || {
                speak(&speaker, &waiting, &orders);
            })?,
            thread::Builder::new().name("squall-bus-in".into()).spawn(move || listen(&listener, &back))?,
        ];
        Ok(Self { shared, gate, events, threads: Mutex::new(threads) })
    }

    /// Lets other instances know. Never blocks: what finds no room is counted as lost.
    pub(in crate::reference) fn tell(&self, event: ClusterEvent) {
        if self.events.try_send(event).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has the caches of other instances forget what this one forgot; those that cannot hear of it now do so when they can.
    pub(in crate::reference) fn order(&self, order: CacheOrder) {
        self.shared.replica.order(order);
    }

    /// The instances that were heard of last.
    pub(in crate::reference) fn instances(&self) -> Instances {
        self.shared.instances.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them there are, at least 1.
    pub(in crate::reference) fn living(&self) -> usize {
        self.shared.living.load(Ordering::Relaxed).max(1)
    }

    /// Events that other instances did not get.
    pub(in crate::reference) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// What it leads over.
    pub(in crate::reference) fn link(&self) -> &Link {
        &self.shared.link
    }

    /// Where quotas are asked about that all instances share, if they do.
    pub(in crate::reference) const fn gate(&self) -> Option<&SharedGate> {
        self.gate.as_ref()
    }

    /// Says goodbye and ends the threads.
    pub(in crate::reference) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(gate) = &self.gate {
            gate.stop();
        }
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Whether it is to hear nothing of others, nor they of it, on purpose.
    fn is_cut_off(&self) -> bool {
        self.faults.is_on(FaultKind::BusPartition)
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What is heard on a channel; none if it is this instance's own, or somebody else's business.
    fn understand(&self, channel: &str, text: &str) -> Option<WorkerMessage> {
        if channel == replica::CHANNEL {
            return self.replica.hear(text, &self.setup.instance).map(WorkerMessage::Forget);
        }
        if channel == BROADCASTS {
            let said = Broadcast::decode(text);
            return said
                .filter(|said| said.instance.as_deref() != Some(&*self.setup.instance))
                .map(WorkerMessage::Broadcast);
        }
        let alert =
            Alert::decode(text).filter(|alert| alert.instance.as_deref() != Some(&*self.setup.instance));
        alert.map(|alert| WorkerMessage::Alert(alert, None))
    }

    /// Hands what was heard to the serving thread.
    fn pass_on(&self, message: WorkerMessage, back: &ReplySender) {
        if back.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pause(&self) {
        if !self.stops() {
            thread::sleep(LOOK);
        }
    }
}

/// Publishes events and says regularly that this instance lives.
fn speak(shared: &Shared, events: &Receiver<ClusterEvent>, back: &ReplySender) {
    let expiry_ms = (shared.setup.expiry.as_ns() / 1_000_000).max(100);
    let beat = Duration::from_millis(expiry_ms / 3).min(Duration::from_secs(1));
    let mut connection: Option<Connection> = None;
    let mut news: BTreeSet<String> = BTreeSet::new();
    let clock = Monotonic::start();
    let mut due = clock.now();
    while !shared.stops() {
        let mut publications: Vec<Publication> = Vec::new();
        match events.recv_timeout(beat.min(LOOK)) {
            Ok(event) => {
                for event in std::iter::once(event).chain(events.try_iter().take(WAITING)) {
                    match event {
                        ClusterEvent::Alert(alert) => {
                            publications.push((ALERTS, alert.encode(0, Some(&shared.setup.instance))));
                        }
                        ClusterEvent::Broadcast(said) => {
                            publications.push((BROADCASTS, said.encode(0, Some(&shared.setup.instance))));
                        }
                        ClusterEvent::Device(device) => {
                            news.insert(device.to_string());
                        }
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if shared.is_cut_off() {
            connection = None;
            let _ = shared.link.note::<()>(Err(cut_off()));
            let lost = publications.iter().filter(|_| shared.faults.strikes(FaultKind::BusPartition)).count();
            shared.lost.fetch_add(lost as u64, Ordering::Relaxed);
            continue;
        }
        if connection.is_none() && shared.link.is_open() {
            // It answers when it has taken the first news: a connection alone says little.
            connection = shared.link.connect().map_or_else(|error| shared.link.note(Err(error)), Some);
        }
        while news.len() > MOST_NEWS {
            news.pop_last();
        }
        let Some(open) = &mut connection else {
            // Who listens elsewhere misses these; here they were published already.
            shared.lost.fetch_add(publications.len() as u64, Ordering::Relaxed);
            continue;
        };
        let beats = clock.now() >= due;
        let outcome = tell(shared, open, &publications, &news);
        let outcome = outcome.and_then(|()| if beats { meet(shared, open, expiry_ms) } else { Ok(()) });
        let outcome = outcome.and_then(|()| keep_in_step(shared, open, beats, back));
        if shared.link.note(outcome).is_none() {
            shared.lost.fetch_add(publications.len() as u64, Ordering::Relaxed);
            connection = None;
            continue;
        }
        news.clear();
        if beats {
            due = clock.now().plus_ns(beat.as_nanos() as u64);
        }
    }
    if let Some(mut open) = connection {
        // Who does not hear it notices by the expiry.
        let _ = registry::withdraw(&mut open, &shared.setup.instance);
    }
}

/// Publishes what all are to tell, and says which devices have come here: at once, so that who hears of a device twice hears it in order.
fn tell(
    shared: &Shared,
    connection: &mut Connection,
    publications: &[Publication],
    devices: &BTreeSet<String>,
) -> RedisResult<()> {
    for (channel, text) in publications {
        cmd("PUBLISH").arg(channel).arg(text).exec(connection)?;
    }
    if !devices.is_empty() {
        let moved = registry::introduce(connection, &shared.setup.instance, devices)?;
        shared.instances.lock().unwrap_or_else(PoisonError::into_inner).moved += moved;
    }
    Ok(())
}

/// Says that this instance lives, and looks who else does.
fn meet(shared: &Shared, connection: &mut Connection, expiry_ms: u64) -> RedisResult<()> {
    registry::announce(connection, &shared.setup.instance, expiry_ms)?;
    let found = registry::living(connection, &shared.setup.instance)?;
    shared.living.store(found.living.len(), Ordering::Relaxed);
    let mut known = shared.instances.lock().unwrap_or_else(PoisonError::into_inner);
    *known = Instances { moved: known.moved, ..found };
    Ok(())
}

/// Tells others what caches are to forget, and at each beat looks for what was missed.
fn keep_in_step(
    shared: &Shared,
    connection: &mut Connection,
    beats: bool,
    back: &ReplySender,
) -> RedisResult<()> {
    if shared.replica.has_news() {
        shared.replica.tell(connection, &shared.setup.instance)?;
    }
    if beats {
        for order in shared.replica.catch_up(connection)? {
            shared.pass_on(WorkerMessage::Forget(order), back);
        }
    }
    Ok(())
}

/// What is so where nothing comes through on purpose.
fn cut_off() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// Hears what other instances tell.
fn listen(shared: &Shared, back: &ReplySender) {
    while !shared.stops() {
        if shared.link.is_open() {
            // The first failure ends it: then it is begun anew.
            let _ = shared.link.note(hear(shared, back));
        }
        shared.pause();
    }
}

fn hear(shared: &Shared, back: &ReplySender) -> RedisResult<()> {
    if shared.is_cut_off() {
        return Err(cut_off());
    }
    let mut connection = shared.link.connect()?;
    let mut pubsub = connection.as_pubsub();
    pubsub.subscribe(&[ALERTS, BROADCASTS, replica::CHANNEL])?;
    let clock = Monotonic::start();
    let mut late = LateMessages::default();
    while !shared.stops() {
        if shared.is_cut_off() {
            return Err(cut_off());
        }
        while let Some(message) = late.take(clock.now()) {
            shared.pass_on(message, back);
        }
        pubsub.set_read_timeout(Some(late.patience(clock.now())))?;
        let message = match pubsub.get_message() {
            Ok(message) => message,
            Err(error) if error.is_timeout() => continue,
            Err(error) => return Err(error),
        };
        // What came while it waited came through no cut.
        if shared.is_cut_off() {
            return Err(cut_off());
        }
        let text: String = message.get_payload()?;
        let Some(told) = shared.understand(message.get_channel_name(), &text) else { continue };
        let delay = shared.faults.bus_delay();
        if delay == 0 && late.is_empty() {
            shared.pass_on(told, back);
        } else if !late.hold(told, clock.now().plus_ns(delay)) {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
