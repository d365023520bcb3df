//! The gate that all instances share: the generic cell rate algorithm in Redis, on the clock of Redis.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::{Connection, RedisResult, cmd, pipe};
use tokio::sync::oneshot;

use super::link::Link;
use crate::clock::Monotonic;
use crate::reference::admission::{Question, SharedQuota};
use crate::service::Cluster as Setup;

/// Readings that may wait for an answer; of further ones each instance decides alone.
const WAITING: usize = 4_096;
/// Readings that are asked about at once.
const BATCH: usize = 256;
/// How often the thread looks whether the service stops, or Redis is back.
const LOOK: Duration = Duration::from_millis(200);

/// For every quota its key, and in turn the microseconds of its interval and of its tolerance. All are asked before any is charged.
/// Gives 0 where the reading may pass, else in how many microseconds. Times count from late 2023, which leaves a double enough
/// digits for their fractions.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local due, wait = {}, 0
for i, key in ipairs(KEYS) do
  due[i] = math.max(tonumber(redis.call('GET', key) or now), now)
  wait = math.max(wait, due[i] - now - ARGV[2 * i])
  due[i] = due[i] + ARGV[2 * i - 1]
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.3f', due[i]), 'PX', math.ceil((due[i] - now) / 1000) + 1)
end
return 0
";

/// What is asked about a reading.
#[derive(Debug)]
struct Request {
    quotas: Vec<SharedQuota>,
    answer: oneshot::Sender<Result<(), u64>>,
}

/// This instance's way to the gate that all share. A thread of its own asks there.
#[derive(Debug)]
pub(in crate::reference) struct SharedGate {
    link: Arc<Link>,
    requests: SyncSender<Request>,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SharedGate {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the address is none of a Redis, or the thread cannot be started.
    pub(super) fn start(setup: &Setup, clock: Monotonic) -> io::Result<Self> {
        let link = Link::new(&setup.redis, setup.timeout.as_duration(), clock).map_err(io::Error::other)?;
        let (link, stopping) = (Arc::new(link), Arc::<AtomicBool>::default());
        let (requests, waiting) = sync_channel(WAITING);
        let (asked, stops) = (Arc::clone(&link), Arc::clone(&stopping));
        let body = move || serve(&asked, &waiting, &stops);
        let thread = thread::Builder::new().name("squall-quotas".into()).spawn(body)?;
        Ok(Self { link, requests, stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Asks whether a reading that counts against `quotas` may pass. `None` while Redis is away, or too much is asked: then this
    /// instance decides alone. Never blocks.
    pub(in crate::reference) fn ask(&self, quotas: Vec<SharedQuota>) -> Option<Question> {
        // Nobody waits for a Redis that does not answer: the thread notices when it does again.
        if self.link.down_for().is_some() {
            return None;
        }
        let (answer, question) = oneshot::channel();
        self.requests.try_send(Request { quotas, answer }).ok().map(|()| question)
    }

    /// What it leads over.
    pub(in crate::reference) fn link(&self) -> &Link {
        &self.link
    }

    /// Ends the thread; whoever still waits decides alone.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

/// A connection to a Redis that knows the script by this digest.
struct Desk {
    connection: Connection,
    script: String,
}

impl Desk {
    fn open(link: &Link) -> RedisResult<Self> {
        let mut connection = link.connect()?;
        let script = cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query(&mut connection)?;
        Ok(Self { connection, script })
    }

    /// In how many microseconds each of `batch` may pass; 0: now.
    fn ask(&mut self, batch: &[Request]) -> RedisResult<Vec<u64>> {
        let mut pipeline = pipe();
        for Request { quotas, .. } in batch {
            let command = pipeline.cmd("EVALSHA").arg(&self.script).arg(quotas.len());
            for SharedQuota { name, .. } in quotas {
                command.arg(format!("squall:quota:{name}"));
            }
            for SharedQuota { gcra, .. } in quotas {
                command.arg(gcra.interval as f64 / 1e3).arg(gcra.tolerance as f64 / 1e3);
            }
        }
        pipeline.query(&mut self.connection)
    }
}

fn serve(link: &Link, requests: &Receiver<Request>, stopping: &AtomicBool) {
    let mut desk: Option<Desk> = None;
    while !stopping.load(Ordering::Relaxed) {
        match requests.recv_timeout(LOOK) {
            Ok(first) => {
                let batch: Vec<Request> =
                    std::iter::once(first).chain(requests.try_iter().take(BATCH - 1)).collect();
                // Those that were asked just before it went away are not kept waiting either.
                if link.down_for().is_none() {
                    answer(link, &mut desk, batch);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if link.down_for().is_some() && link.is_open() {
                    desk = link.note(Desk::open(link));
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}

/// Answers a batch of requests, or none of them.
fn answer(link: &Link, desk: &mut Option<Desk>, batch: Vec<Request>) {
    // A connection that has ended, or a Redis that has forgotten the script, is asked once more over a new one.
    let mut is_last = desk.is_none();
    let waits = loop {
        let opened = desk.take().map_or_else(|| Desk::open(link), Ok);
        match opened.and_then(|mut open| open.ask(&batch).map(|waits| (waits, open))) {
            Err(_) if !is_last => is_last = true,
            asked => {
                let Some((waits, open)) = link.note(asked) else { return };
                *desk = Some(open);
                break waits;
            }
        }
    };
    for (Request { answer, .. }, wait_us) in batch.into_iter().zip(waits) {
        let ruled = if wait_us == 0 { Ok(()) } else { Err(wait_us.saturating_mul(1_000)) };
        // Whoever has gone away needs none.
        let _ = answer.send(ruled);
    }
}
