//! Where readings wait.

use super::LONGEST;
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
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

pub(crate) static QUEUE: Section = Section {
    title: "queue = { … }",
    about: "where readings wait: four levels, bounded in all and each; a bare number is the capacity",
    by: None,
    fields: &[
        Field::with("capacity", Kind::Integer(1, 1_000_000), "10000", "readings that may wait"),
        Field::with(
            "levels",
            Kind::Map(&Kind::Integer(1, 1_000_000), "level"),
            "",
            "readings that may wait of single levels: critical, high, medium, low",
        ),
        Field::with(
            "discipline",
            Kind::Word(Discipline::WORDS),
            "strict",
            "who is next: the most urgent, each level by its weight, or the order of arrival",
        ),
        Field::with(
            "weights",
            Kind::Map(&Kind::Integer(1, 1_000_000), "level"),
            "",
            "weights of the levels; 8, 4, 2 and 1 unless stated",
        ),
        Field::with(
            "overflow",
            Kind::Word(Overflow::WORDS),
            "drop-lowest",
            "what happens to a reading that finds it full: drop-lowest spares what is more urgent, reject refuses it whatever it is; block stops reading from its connection",
        ),
        Field::optional(
            "deadline",
            Kind::Span(Span::from_ns(1_000), LONGEST),
            "a reading that has waited longer is shed, not worked on",
        ),
        Field::with("usual", Kind::Word(Priority::WORDS), "medium", "the level of readings that name none"),
        Field::with(
            "classes",
            Kind::Map(&Kind::Word(Priority::WORDS), "beginning"),
            "",
            "levels of devices by how their names begin; the longest beginning decides",
        ),
    ],
};

impl Default for Queue {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&QUEUE), &mut Reporter::new(""))
    }
}

impl Queue {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let (mut levels, mut weights) = ([None; 4], [8, 4, 2, 1]);
        for key in ["levels", "weights"] {
            for (name, origin, found) in fields.map(key) {
                let (Some(level), FieldValue::Integer(number)) = (Priority::of(name), found) else {
                    let message = format!("`{name}` is not a valid level");
                    report.add(
                        origin,
                        &format!("reference.queue.{key}.{name}"),
                        message,
                        "write critical, high, medium or low",
                    );
                    continue;
                };
                if key == "levels" {
                    levels[level as usize] = Some(*number as usize);
                } else {
                    weights[level as usize] = *number as u32;
                }
            }
        }
        let classes = fields.map("classes").filter_map(|(beginning, _, found)| match found {
            FieldValue::Word(word) => Some((beginning.to_owned(), Priority::of(word)?)),
            _ => None,
        });
        Self {
            capacity: fields.integer("capacity") as usize,
            levels,
            discipline: fields.choice("discipline"),
            weights,
            overflow: fields.choice("overflow"),
            deadline: fields.optional_span("deadline"),
            usual: fields.choice("usual"),
            classes: classes.collect(),
        }
    }

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
