//! What outlives a crash: a snapshot of what the next verdicts depend on, and a journal of the readings since.
//!
//! A worker enters each reading that it has judged under the lock of its device, so that the journal has the changes of a state in
//! their order. A thread of its own writes them down, and only then do the verdicts go out: whoever has a verdict finds the service
//! in a state that knows of it, also after a crash. A snapshot takes the same way, device by device, each under its lock, while
//! readings go on: what stands in a file before a device's state is part of it, what comes after is not.
//!
//! | file | what |
//! |---|---|
//! | `state-00000007.log` | a whole snapshot and the journal since |
//! | `state-00000008.part` | the next one while its snapshot is being taken; with the one before it is whole, too |
//! | `lock` | held by the instance whose directory it is |

mod file;
mod keeper;
mod record;
mod replay;
mod snapshot;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;
use tokio::sync::oneshot;

use self::file::Folder;
use self::keeper::Keeper;
pub(super) use self::record::Step;
use super::alert::Alert;
use super::answer::{ReturnPath, Unanswered};
use super::device::Device;
use super::processor::Shared;
use super::reading::Verdict;
use crate::service::State as Setup;

/// Entries that may wait to be written down; then whoever has another waits, too.
const WAITING: usize = 1_024;

/// A reading that is judged, and the verdict that waits until that is written down.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) step: Step,
    pub(super) unanswered: Unanswered,
    pub(super) verdict: Verdict,
    pub(super) alert: Option<Alert>,
}

/// What is written down, in this order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "almost every entry is a reading")]
pub(super) enum Entry {
    Reading(Settled),
    /// All that is known of a device.
    Device(Arc<str>, Box<Device>),
    /// Nothing is known of a device any more.
    Forgotten(Arc<str>),
    /// The versions of the models, and whether the challenger judges all devices.
    Versions(Vec<u32>, bool),
    /// Some of the keys in the cache.
    Keys(Vec<String>),
    /// An alert of another instance, to be numbered.
    Alert(Alert),
    /// Take a snapshot.
    Snapshot(Asker),
    /// All before this is written down.
    Mark(SyncSender<()>),
    /// With this the snapshot is whole, so many devices and so much of the file; or why it has come to nothing.
    Whole(Result<u64, String>),
    Stop,
}

/// Whoever waits for a snapshot.
pub(super) type Asker = oneshot::Sender<Result<Snapshot, String>>;

/// A snapshot that is whole.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Snapshot {
    /// Counted from 1; part of the file's name.
    pub(super) generation: u64,
    pub(super) file: String,
    pub(super) devices: u64,
    pub(super) bytes: u64,
}

/// What was found when the service started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Restored {
    /// Devices whose state was in the snapshot or has come of the journal.
    pub(super) devices: u64,
    /// Readings of the journal.
    pub(super) readings: u64,
    pub(super) alerts: u64,
    /// Bytes at the end of a file that were written by half when the service ended, and are dropped.
    pub(super) dropped_bytes: u64,
}

/// How it is with what outlives a crash.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) directory: String,
    pub(super) generation: u64,
    /// Of the file that is written to.
    pub(super) bytes: u64,
    pub(super) readings: u64,
    pub(super) snapshots: u64,
    pub(super) failures: u64,
    /// Why nothing is written down just now.
    pub(super) failure: Option<String>,
    pub(super) restored: Restored,
}

/// What the thread that writes tells of itself.
#[derive(Debug, Default)]
struct Figures {
    generation: AtomicU64,
    bytes: AtomicU64,
    readings: AtomicU64,
    snapshots: AtomicU64,
    failures: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Figures {
    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        // Nothing that could panic is called under this lock.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What leads to the thread that writes down.
#[derive(Debug)]
pub(super) struct Journal {
    sender: SyncSender<Entry>,
    /// Taken by the thread when it starts.
    entries: Mutex<Option<Receiver<Entry>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    folder: Folder,
    figures: Arc<Figures>,
    restored: Mutex<Restored>,
}

/// Alerts that outlive a crash, by number, and the number of the last one.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) alerts: Vec<(u64, Alert)>,
    pub(super) last: u64,
}

impl Journal {
    /// The journal in the directory of `setup`, which is made if need be; none where none is asked for.
    ///
    /// # Errors
    /// If the directory cannot be used; names it and says what to do.
    pub(super) fn open(setup: Option<&Setup>) -> io::Result<Option<Arc<Self>>> {
        let Some(directory) = setup.and_then(|setup| setup.directory.as_deref()) else { return Ok(None) };
        let folder = Folder::open(directory).map_err(io::Error::other)?;
        let (sender, entries) = sync_channel(WAITING);
        Ok(Some(Arc::new(Self {
            sender,
            entries: Mutex::new(Some(entries)),
            thread: Mutex::default(),
            folder,
            figures: Arc::default(),
            restored: Mutex::default(),
        })))
    }

    /// Gives `shared` the state that was left behind, begins to write, and gives the alerts of before.
    ///
    /// # Errors
    /// If what was left behind cannot be read, or nothing can be written; names the file and says what to do.
    pub(super) fn start(self: &Arc<Self>, shared: &Arc<Shared>, back: &Arc<ReturnPath>) -> io::Result<Past> {
        let (generation, past, restored) = replay::restore(shared, &self.folder).map_err(io::Error::other)?;
        self.tell(&restored);
        *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = restored;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        let entries = entries.ok_or_else(|| io::Error::other("a journal is started once"))?;
        let keeper = Keeper::new(shared, back, self, generation, &past)?;
        let body = move || keeper.keep(&entries);
        let thread = std::thread::Builder::new().name("squall-journal".into()).spawn(body)?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(past)
    }

    fn tell(&self, restored: &Restored) {
        let Restored { devices, readings, alerts, dropped_bytes } = *restored;
        let directory = self.folder.shown();
        tracing::info!(directory, devices, readings, alerts, "the state of before is restored");
        if dropped_bytes > 0 {
            tracing::warn!(
                directory,
                dropped_bytes,
                "what was written by half when the service ended is dropped"
            );
        }
    }

    /// Has something written down; waits while too much waits already.
    pub(super) fn enter(&self, entry: Entry) {
        // A thread that is gone leaves nothing behind: a reading that it cannot take is answered by being dropped.
        if let Err(std::sync::mpsc::SendError(Entry::Reading(settled))) = self.sender.send(entry) {
            settled.unanswered.answer(settled.verdict);
        }
    }

    /// Has a snapshot taken, or joins the one that is being taken; none while too much waits.
    pub(super) fn ask_for_snapshot(&self) -> Option<oneshot::Receiver<Result<Snapshot, String>>> {
        let (asker, answer) = oneshot::channel();
        match self.sender.try_send(Entry::Snapshot(asker)) {
            Err(TrySendError::Full(_)) => None,
            Ok(()) | Err(TrySendError::Disconnected(_)) => Some(answer),
        }
    }

    /// Writes down what waits, and ends the thread.
    pub(super) fn stop(&self) {
        self.enter(Entry::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A thread that panicked has nothing more to write.
            let _ = thread.join();
        }
    }

    /// Why nothing is written down just now, in a sentence.
    pub(super) fn complaint(&self) -> Option<String> {
        self.figures.failure().clone()
    }

    /// How it is.
    pub(super) fn report(&self) -> Report {
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Report {
            directory: self.folder.shown(),
            generation: figure(&self.figures.generation),
            bytes: figure(&self.figures.bytes),
            readings: figure(&self.figures.readings),
            snapshots: figure(&self.figures.snapshots),
            failures: figure(&self.figures.failures),
            failure: self.complaint(),
            restored: self.restored.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// What was found, in a sentence.
    pub(super) fn found(&self) -> String {
        let Report { directory, restored, .. } = self.report();
        let Restored { devices, readings, alerts, dropped_bytes } = restored;
        let torn = match dropped_bytes {
            0 => String::new(),
            bytes => format!("; {bytes} bytes at its end were written by half, and are dropped"),
        };
        format!(
            "{devices} devices, {readings} readings of the journal and {alerts} alerts from {directory}{torn}"
        )
    }
}
