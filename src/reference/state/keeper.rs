//! The thread that writes down, and lets the verdicts go once they are.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use super::file::{Folder, Writer};
use super::record::Record;
use super::replay::settings;
use super::{Asker, Entry, Figures, Journal, Past, Settled, Snapshot, snapshot};
use crate::clock::Tick;
use crate::reference::alert::Alert;
use crate::reference::answer::{ReturnPath, Unanswered};
use crate::reference::processor::Shared;
use crate::reference::reading::Verdict;

/// Entries that are written at once.
const BATCH: usize = 256;
/// How long after a failure it is tried anew, nanoseconds.
const AGAIN: u64 = 5_000_000_000;

/// Who writes down.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    back: Arc<ReturnPath>,
    journal: Arc<Journal>,
    figures: Arc<Figures>,
    /// None while nothing can be written.
    writer: Option<Writer>,
    generation: u64,
    /// Whether the snapshot of this generation is being taken.
    is_part: bool,
    /// How long the file was when its snapshot was whole.
    base: u64,
    askers: Vec<Asker>,
    /// Verdicts and alerts that wait for what was added to be written.
    verdicts: Vec<(Unanswered, Verdict)>,
    alerts: Vec<(Alert, u64)>,
    marks: Vec<SyncSender<()>>,
    /// The alerts that are kept, by number, and the number of the last one.
    past: VecDeque<(u64, String)>,
    last: u64,
    failed_at: Option<Tick>,
}

impl Keeper {
    /// Writes into a file after that of `generation`, beginning with a snapshot.
    ///
    /// # Errors
    /// If it cannot be written; names it.
    pub(super) fn new(
        shared: &Arc<Shared>,
        back: &Arc<ReturnPath>,
        journal: &Arc<Journal>,
        generation: u64,
        past: &Past,
    ) -> io::Result<Self> {
        let mut keeper = Self {
            shared: Arc::clone(shared),
            back: Arc::clone(back),
            journal: Arc::clone(journal),
            figures: Arc::clone(&journal.figures),
            writer: None,
            generation,
            is_part: false,
            base: 0,
            askers: Vec::new(),
            verdicts: Vec::with_capacity(BATCH),
            alerts: Vec::new(),
            marks: Vec::new(),
            past: past.alerts.iter().map(|(number, alert)| (*number, text(*number, alert))).collect(),
            last: past.last,
            failed_at: None,
        };
        keeper.turn_over().map_err(|error| {
            let path = keeper.folder().part(keeper.generation);
            let path = path.display();
            io::Error::other(format!(
                "{path}: cannot be written ({error}); make room, or name another state.directory"
            ))
        })?;
        Ok(keeper)
    }

    fn folder(&self) -> &Folder {
        &self.journal.folder
    }

    /// Writes down what comes, until it is told to stop.
    pub(super) fn keep(mut self, entries: &Receiver<Entry>) {
        let mut goes_on = true;
        while goes_on && let Ok(first) = entries.recv() {
            for entry in std::iter::once(first).chain(entries.try_iter().take(BATCH - 1)) {
                goes_on &= self.take(entry);
            }
            self.commit();
            self.look_after();
        }
    }

    /// False if this was the last.
    fn take(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Reading(Settled { step, unanswered, verdict, alert }) => {
                if let Some(alert) = alert {
                    self.number(alert);
                }
                self.add(&Record::Reading(Cow::Borrowed(&verdict.id.device), step));
                self.figures.readings.fetch_add(1, Ordering::Relaxed);
                self.verdicts.push((unanswered, verdict));
            }
            Entry::Device(name, state) => self.add(&Record::Device(Cow::Borrowed(&name), state)),
            Entry::Forgotten(name) => self.add(&Record::Forgotten(Cow::Borrowed(&name))),
            Entry::Versions(versions, promoted) => self.add(&Record::Versions(versions, promoted)),
            Entry::Keys(keys) => self.add(&Record::Keys(keys)),
            Entry::Alert(alert) => self.number(alert),
            Entry::Mark(done) => self.marks.push(done),
            Entry::Snapshot(asker) => {
                self.askers.push(asker);
                if !self.is_part {
                    self.begin();
                }
            }
            Entry::Whole(devices) => self.end(devices),
            Entry::Stop => return false,
        }
        true
    }

    fn add(&mut self, record: &Record<'_>) {
        if let Some(writer) = &mut self.writer {
            writer.add(record);
        }
    }

    /// Gives an alert its number, unless there is no room for it on its way.
    fn number(&mut self, alert: Alert) {
        if !self.back.has_room() {
            self.back.raise(alert, None);
            return;
        }
        self.last += 1;
        let text = text(self.last, &alert);
        self.add(&Record::Alert(self.last, Cow::Borrowed(&text)));
        self.past.push_back((self.last, text));
        while self.past.len() > self.shared.setup.alerts.history {
            self.past.pop_front();
        }
        self.alerts.push((alert, self.last));
    }

    /// Writes what was added, and lets go what waited for it.
    fn commit(&mut self) {
        if let Some(writer) = &mut self.writer {
            let written = writer.flush();
            self.figures.bytes.store(writer.bytes, Ordering::Relaxed);
            if let Err(error) = written {
                self.give_up(&error.to_string());
            }
        }
        for (alert, number) in self.alerts.drain(..) {
            self.back.raise(alert, Some(number));
        }
        for (unanswered, verdict) in self.verdicts.drain(..) {
            unanswered.answer(verdict);
        }
        // Whoever has given up waiting needs no sign.
        self.marks.drain(..).for_each(|mark| _ = mark.send(()));
    }

    /// Begins a snapshot where the journal has grown long, or nothing is written.
    fn look_after(&mut self) {
        let limit = self.shared.setup.state.as_ref().map_or(u64::MAX, |state| state.journal);
        let is_due = self.writer.as_ref().is_none_or(|writer| writer.bytes.saturating_sub(self.base) > limit);
        let failed_lately = self.failed_at.is_some_and(|at| self.shared.clock.now().since(at) < AGAIN);
        if is_due && !self.is_part && !failed_lately {
            self.begin();
        }
    }

    fn begin(&mut self) {
        let Err(error) = self.turn_over() else { return };
        let path = self.folder().part(self.generation + 1);
        let meanwhile = if self.writer.is_some() {
            "the journal grows meanwhile"
        } else {
            "readings do not outlive a crash meanwhile"
        };
        self.fail(format!("{} cannot be written ({error}); {meanwhile}", path.display()));
    }

    /// Goes on in a new file, and has another thread take a snapshot into it.
    fn turn_over(&mut self) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut writer = Writer::create(self.folder().part(generation))?;
        writer.add(&Record::Settings(settings(&self.shared).into()));
        writer.add(&Record::Alert(self.last, Cow::Borrowed("")));
        for (number, text) in &self.past {
            writer.add(&Record::Alert(*number, Cow::Borrowed(text)));
        }
        let is_first = generation == 1;
        if is_first {
            // Nothing is known yet.
            writer.add(&Record::Whole(0));
        }
        writer.flush()?;
        if let Some(before) = &mut self.writer {
            before.flush()?;
        }
        if is_first {
            self.folder().finish(generation)?;
            self.base = writer.bytes;
        } else {
            let file = writer.hold()?;
            let (shared, journal) = (Arc::clone(&self.shared), Arc::clone(&self.journal));
            let body = move || {
                let devices = snapshot::take(&shared, &journal, &file);
                journal.enter(Entry::Whole(devices));
            };
            std::thread::Builder::new().name("squall-snapshot".into()).spawn(body)?;
        }
        self.figures.generation.store(generation, Ordering::Relaxed);
        (self.writer, self.generation, self.is_part) = (Some(writer), generation, !is_first);
        Ok(())
    }

    /// Takes note that the snapshot is whole, or has come to nothing.
    fn end(&mut self, devices: Result<u64, String>) {
        self.is_part = false;
        match devices.and_then(|devices| self.finish(devices)) {
            Ok(snapshot) => {
                self.figures.snapshots.fetch_add(1, Ordering::Relaxed);
                tracing::info!(file = snapshot.file, devices = snapshot.devices, "a snapshot is taken");
                self.failed_at = None;
                if self.figures.failure().take().is_some() {
                    tracing::info!("what is to outlive a crash is written down again");
                }
                self.answer(&Ok(snapshot));
            }
            Err(reason) => self.give_up(&reason),
        }
    }

    fn finish(&mut self, devices: u64) -> Result<Snapshot, String> {
        let Self { writer, journal, generation, base, .. } = self;
        let writer = writer.as_mut().ok_or("it was given up")?;
        writer.add(&Record::Whole(devices));
        writer
            .flush()
            .and_then(|()| journal.folder.finish(*generation))
            .map_err(|error| error.to_string())?;
        *base = writer.bytes;
        let file = journal.folder.log(*generation).display().to_string();
        Ok(Snapshot { generation: *generation, file, devices, bytes: writer.bytes })
    }

    /// Writes no more for a while: readings go on.
    fn give_up(&mut self, reason: &str) {
        let path = self.writer.take().map_or_else(|| self.folder().part(self.generation), Writer::into_path);
        let path = path.display();
        self.fail(format!("{path} cannot be written ({reason}); readings do not outlive a crash meanwhile"));
    }

    /// Says what cannot be done, until it can.
    fn fail(&mut self, sentence: String) {
        self.failed_at = Some(self.shared.clock.now());
        self.figures.failures.fetch_add(1, Ordering::Relaxed);
        if self.figures.failure().replace(sentence.clone()).is_none() {
            tracing::warn!("{sentence}");
        }
        if !self.is_part {
            self.answer(&Err(sentence));
        }
    }

    fn answer(&mut self, ended: &Result<Snapshot, String>) {
        for asker in self.askers.drain(..) {
            // Whoever has given up waiting needs no answer.
            let _ = asker.send(ended.clone());
        }
    }
}

fn text(number: u64, alert: &Alert) -> String {
    alert.encode(number, alert.instance.as_deref())
}
