//! `reference.queue`: where readings wait.

use super::LONGEST;
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::service::{Discipline, Overflow, Priority, Queue};
use crate::units::Span;

pub(in crate::scenario::section) static QUEUE: Section = Section {
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
            "reject",
            "what happens to a reading that finds it full; block stops reading from its connection",
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

pub(super) fn queue(fields: &Fields, report: &mut Reporter<'_>) -> Queue {
    let default = Queue::default();
    let (mut levels, mut weights) = (default.levels, default.weights);
    for key in ["levels", "weights"] {
        for (name, origin, found) in fields.map(key) {
            let (Some(level), FieldValue::Integer(number)) = (Priority::of(name), found) else {
                let message = format!("`{name}` is no level");
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
    Queue {
        capacity: fields.integer("capacity") as usize,
        levels,
        discipline: fields.word("discipline").and_then(Discipline::of).unwrap_or(default.discipline),
        weights,
        overflow: fields.word("overflow").and_then(Overflow::of).unwrap_or(default.overflow),
        deadline: fields.optional_span("deadline"),
        usual: fields.word("usual").and_then(Priority::of).unwrap_or(default.usual),
        classes: classes.collect(),
    }
}
