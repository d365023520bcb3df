//! When jobs come by themselves: every so often, on the grid that begins with the service.

use crate::clock::Tick;
use crate::service::JobClass;

/// The classes with a schedule, and when each is due next.
#[derive(Debug)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    class: usize,
    every_ns: u64,
    next: Tick,
}

impl Schedule {
    /// The schedule of `classes`, each due first when its span has passed since the service's clock began.
    pub(super) fn new(classes: &[JobClass]) -> Self {
        let entry = |(class, setup): (usize, &JobClass)| {
            let every_ns = setup.every?.as_ns().max(1);
            Some(Entry { class, every_ns, next: Tick(every_ns) })
        };
        Self { entries: classes.iter().enumerate().filter_map(entry).collect() }
    }

    /// The classes that are due at `now`. What was missed is made up for once, not for every time.
    pub(super) fn due(&mut self, now: Tick) -> Vec<usize> {
        let due = self.entries.iter_mut().filter(|entry| entry.next <= now);
        due.map(|entry| {
            entry.next = Tick((now.0 / entry.every_ns).saturating_add(1).saturating_mul(entry.every_ns));
            entry.class
        })
        .collect()
    }

    /// When the next is due; none where there is no schedule.
    pub(super) fn next(&self) -> Option<Tick> {
        self.entries.iter().map(|entry| entry.next).min()
    }
}
