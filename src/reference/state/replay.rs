//! Replay: what the files of a directory come to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::file::{Files, Folder, read};
use super::record::{Record, Step};
use super::{Past, Restored};
use crate::reference::alert::Alert;
use crate::reference::device::{Device, open};
use crate::reference::model::{CHALLENGER, Key, MODELS};
use crate::reference::processor::Shared;

/// What windows depend on: those of other settings are of no use.
pub(super) fn settings(shared: &Shared) -> String {
    format!("{:?}", shared.setup.features.window)
}

/// Gives `shared` the state that lies in `folder`: the number of its newest file (0 without one), the alerts, and how much that was.
///
/// # Errors
/// If a file cannot be read; names it and says what to do.
pub(super) fn restore(shared: &Shared, folder: &Folder) -> Result<(u64, Past, Restored), String> {
    let Files { whole, parts } = folder.files()?;
    let mut replay = Replay::new(shared);
    let mut newest = 0;
    for (place, (generation, path)) in whole.into_iter().chain(parts).enumerate() {
        newest = generation;
        replay.is_whole = false;
        replay.restored.dropped_bytes += read(&path, |record| replay.take(record))?;
        if place == 0 && !replay.is_whole {
            return Err(format!(
                "{}: cut off before the end of its snapshot; put back a copy, or move it away to begin without the state of before",
                path.display()
            ));
        }
    }
    let (past, restored) = replay.end();
    Ok((newest, past, restored))
}

struct Replay<'s> {
    shared: &'s Shared,
    restored: Restored,
    past: Past,
    /// Readings that were judged before one that had been taken in before them, by device and place.
    held: HashMap<String, BTreeMap<u64, Step>>,
    /// Whether windows were of these settings.
    keeps_windows: bool,
    /// Whether the end of a snapshot has been met.
    is_whole: bool,
}

impl<'s> Replay<'s> {
    fn new(shared: &'s Shared) -> Self {
        let (restored, past, held) = Default::default();
        Self { shared, restored, past, held, keeps_windows: true, is_whole: false }
    }

    fn take(&mut self, record: Record<'static>) {
        match record {
            Record::Reading(name, step) => self.follow(&name, step),
            Record::Device(name, mut state) => {
                if !self.keeps_windows {
                    state.signal.windows = None;
                }
                self.held.remove(&*name);
                self.shared.devices.put(&name.into(), *state);
            }
            Record::Forgotten(name) => {
                self.held.remove(&*name);
                self.shared.devices.forget(&name);
            }
            Record::Settings(text) => self.keeps_windows = text == settings(self.shared),
            Record::Versions(versions, promoted) => {
                self.shared.experiment.resume(promoted);
                for (model, version) in versions.into_iter().enumerate() {
                    self.shared.cache.raise_version_to(model, version);
                }
            }
            Record::Keys(keys) => {
                let keys: Vec<Key> = keys.iter().filter_map(|key| Key::decode(key)).collect();
                self.shared.warm(&keys);
            }
            Record::Alert(number, text) => {
                self.past.last = self.past.last.max(number);
                if let Some(alert) = Alert::decode(&text)
                    && self.past.alerts.last().is_none_or(|(last, _)| *last < number)
                {
                    self.past.alerts.push((number, alert));
                }
            }
            Record::Whole(_) => self.is_whole = true,
        }
    }

    /// Does what a reading did, in the order in which the readings of a device were taken in.
    fn follow(&mut self, name: &str, step: Step) {
        self.restored.readings += 1;
        // Who judged it tells who was in charge.
        let experiment = &self.shared.experiment;
        if experiment.variant_of(name) != step.scores.variant {
            experiment.resume(step.scores.variant == CHALLENGER);
        }
        let (handle, _) = self.shared.devices.get(&Arc::from(name));
        let mut state = open(&handle);
        if state.signal.taken > 0 && state.signal.born != step.born {
            *state = Device::default();
            self.held.remove(name);
        }
        if step.order > state.signal.taken + 1 {
            self.held.entry(name.to_owned()).or_default().insert(step.order, step);
            return;
        }
        self.apply(&mut state, &step);
        let Some(held) = self.held.get_mut(name) else { return };
        let mut next = Vec::new();
        while let Some(entry) = held.first_entry()
            && *entry.key() <= state.signal.taken + 1 + next.len() as u64
        {
            next.push(entry.remove());
        }
        if held.is_empty() {
            self.held.remove(name);
        }
        for step in &next {
            self.apply(&mut state, step);
        }
    }

    fn apply(&self, state: &mut Device, step: &Step) {
        let Step { order, taken, scores, .. } = step;
        let (setup, both) = (&self.shared.setup, self.shared.experiment.is_on());
        if *order > state.signal.taken {
            if setup.delivery.idempotent {
                state.recent.arrive(taken.run, taken.seq);
            }
            let observed = state.take(taken, &setup.features, both, |_| ());
            // One that was never judged leaves a gap.
            (state.signal.born, state.signal.taken) = (step.born, *order);
            let key = Key {
                vector: observed.vectors[scores.variant],
                model: scores.variant as u8,
                version: scores.model,
            };
            self.shared.cache.raise_version_to(scores.variant, scores.model);
            // A score that was another's is in the cache by that other's vector.
            if scores.model == self.shared.cache.version(scores.variant)
                && key.score().to_bits() == scores.given[scores.variant].to_bits()
            {
                self.shared.warm(&[key]);
            }
        }
        state.conclude((taken.run, taken.seq), scores, setup, both);
    }

    fn end(mut self) -> (Past, Restored) {
        for (name, held) in std::mem::take(&mut self.held) {
            let (handle, _) = self.shared.devices.get(&Arc::from(name));
            let mut state = open(&handle);
            for step in held.values() {
                self.apply(&mut state, step);
            }
        }
        let kept = self.shared.setup.alerts.history;
        let surplus = self.past.alerts.len().saturating_sub(kept);
        self.past.alerts.drain(..surplus);
        self.restored.alerts = self.past.alerts.len() as u64;
        self.restored.devices = self.shared.devices.len() as u64;
        (self.past, self.restored)
    }
}

/// The versions of all models.
pub(super) fn versions(shared: &Shared) -> Vec<u32> {
    (0..MODELS.len()).map(|model| shared.cache.version(model)).collect()
}
