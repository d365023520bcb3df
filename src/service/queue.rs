//! Where readings wait.

use crate::units::Span;
use crate::units::word::words;

words! {
    /// How urgent a reading is, most urgent first.
    Priority {
        /// First of all.
        Critical = "critical",
        /// Before ordinary ones.
        High = "high",
        /// The usual.
        Medium = "medium",
        /// When nothing else waits.
        Low = "low",
    }
}

words! {
    /// Which level is served next.
    Discipline {
        /// Always the most urgent that waits; others may starve.
        Strict = "strict",
        /// Each in proportion to its weight; none starves.
        Weighted = "weighted",
        /// The order of arrival, whatever the level.
        Fifo = "fifo",
    }
}

words! {
    /// What happens to a reading that finds the queue full.
    Overflow {
        /// It is refused (429 or 503, as HTTP servers do).
        Reject = "reject",
        /// The one that has waited longest makes room, as in EMQX.
        DropOldest = "drop-oldest",
        /// The newest of the least urgent level makes room, if that is below its own; else it is refused.
        DropLowest = "drop-lowest",
        /// Its connection is not read until there is room: back-pressure to the socket.
        Block = "block",
    }
}

/// Where readings wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Readings that may wait, at least 1.
    pub capacity: usize,
    /// Readings that may wait of each level, most urgent first; none: as many as of all.
    pub levels: [Option<usize>; 4],
    /// Which level is served next.
    pub discipline: Discipline,
    /// Weights of the levels, most urgent first, each at least 1.
    pub weights: [u32; 4],
    /// What happens when it is full.
    pub overflow: Overflow,
    /// A reading that has waited longer is not worked on: it is shed.
    pub deadline: Option<Span>,
    /// The level of a reading that names none and whose device is in no class.
    pub usual: Priority,
    /// Levels of devices by the beginning of their names; the longest beginning decides.
    pub classes: Vec<(String, Priority)>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            levels: [None; 4],
            discipline: Discipline::Strict,
            weights: [8, 4, 2, 1],
            overflow: Overflow::Reject,
            deadline: None,
            usual: Priority::Medium,
            classes: Vec::new(),
        }
    }
}

impl Queue {
    /// The level of a device's readings that name none.
    pub fn level_of(&self, device: &str) -> Priority {
        let fitting = self.classes.iter().filter(|(beginning, _)| device.starts_with(beginning));
        fitting.max_by_key(|(beginning, _)| beginning.len()).map_or(self.usual, |(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_decides_a_devices_level() {
        let classes = vec![("pump".to_owned(), Priority::High), ("pump-1".to_owned(), Priority::Critical)];
        let queue = Queue { classes, ..Queue::default() };
        for (device, level) in
            [("pump-17", Priority::Critical), ("pump-2", Priority::High), ("meter", Priority::Medium)]
        {
            assert_eq!(queue.level_of(device), level, "{device}");
        }
    }
}
