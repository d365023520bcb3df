//! Taking a snapshot: every device in turn, under its lock, while readings go on.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::replay::versions;
use super::{Entry, Journal};
use crate::reference::device::{Handle, open};
use crate::reference::model::Key;
use crate::reference::processor::Shared;

/// Devices that may wait to be written down: readings do not wait long behind them.
const AT_ONCE: usize = 64;
/// Keys of the cache that outlive a crash.
const MOST_KEYS: usize = 65_536;
/// A device that has readings under way is asked again after so long, so many times. Then it is taken as it is: a reading that is
/// under way for so long, and then is lost in a crash, counts although it had no verdict.
const AGAIN: Duration = Duration::from_millis(10);
const TIMES: usize = 200;

/// Has all that is known of devices and cache written down into `file`, up to the disk; how many devices. Nothing where it
/// is written down no more.
pub(super) fn take(shared: &Shared, journal: &Journal, file: &File) -> Result<u64, String> {
    journal.enter(Entry::Versions(versions(shared), shared.experiment.is_promoted()));
    for keys in shared.cache.keys(MOST_KEYS).chunks(1_000) {
        journal.enter(Entry::Keys(keys.iter().map(Key::encode).collect()));
    }
    let mut left = shared.devices.all();
    let count = left.len() as u64;
    for nth in 0..=TIMES {
        let mut busy = Vec::new();
        for (place, (name, handle)) in left.into_iter().enumerate() {
            if place % AT_ONCE == 0 {
                settle(journal)?;
            }
            if !copy(journal, &name, &handle, nth == TIMES) {
                busy.push((name, handle));
            }
        }
        left = busy;
        if left.is_empty() {
            break;
        }
        thread::sleep(AGAIN);
    }
    settle(journal)?;
    file.sync_all().map_err(|error| error.to_string())?;
    Ok(count)
}

/// Enters the state of a device; false if it has readings under way and is not taken as it is.
fn copy(journal: &Journal, name: &Arc<str>, handle: &Handle, as_it_is: bool) -> bool {
    let state = open(handle);
    let ready = state.under_way == 0 || as_it_is;
    if ready {
        // Under the lock: what the journal has of it before is part of it, and nothing that follows is.
        journal.enter(Entry::Device(Arc::clone(name), Box::new(state.clone())));
    }
    ready
}

/// Returns when all that was entered is written.
fn settle(journal: &Journal) -> Result<(), String> {
    let (done, waiting) = sync_channel(1);
    journal.enter(Entry::Mark(done));
    waiting.recv().map_err(|_| "nothing is written down any more".to_owned())
}
