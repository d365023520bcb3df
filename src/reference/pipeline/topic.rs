//! The classes of devices whose readings are taken, by how their names begin.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Classes that can be named at once.
pub(in crate::reference) const MOST: usize = 100;

/// Which classes are taken: all of them, unless some were named.
#[derive(Debug, Default)]
pub(in crate::reference) struct Topics {
    /// All that is looked at while none are named.
    are_named: AtomicBool,
    named: Mutex<Vec<String>>,
}

impl Topics {
    fn named(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing that could panic is called under this lock.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the readings of these classes and no others from now on; without any: those of all.
    pub(in crate::reference) fn choose(&self, topics: Vec<String>) {
        let mut named = self.named();
        self.are_named.store(!topics.is_empty(), Ordering::Relaxed);
        *named = topics;
    }

    /// Whether the readings of `device` are taken.
    pub(in crate::reference) fn admit(&self, device: &str) -> bool {
        !self.are_named.load(Ordering::Relaxed)
            || self.named().iter().any(|beginning| device.starts_with(beginning.as_str()))
    }

    /// Those that were named; none: all are taken.
    pub(in crate::reference) fn chosen(&self) -> Vec<String> {
        self.named().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_taken_until_some_are_named() {
        let topics = Topics::default();
        assert!(topics.admit("pump-1"));
        topics.choose(vec!["pump".into(), "meters".into()]);
        assert_eq!(
            ["pump-1", "meters-9", "door-1", "a-pump"].map(|name| topics.admit(name)),
            [true, true, false, false]
        );
        topics.choose(Vec::new());
        assert!(topics.admit("door-1") && topics.chosen().is_empty());
    }
}
