//! What is done about readings that come twice or cannot be processed.

use crate::language::{Field, Fields, Kind, Section};

/// What is done about readings that come twice or cannot be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Whether a reading that was worked on in the same run already has no second effect: it gets its verdict again.
    pub idempotent: bool,
    /// Readings that could not be processed and are kept with their reasons.
    pub dead_letters: usize,
}

pub(crate) static DELIVERY: Section = Section {
    title: "delivery = { … }",
    about: "what is done about readings that come twice or cannot be processed",
    by: None,
    fields: &[
        Field::with(
            "idempotent",
            Kind::Flag,
            "false",
            "a device and sequence number that was worked on in the same run gets its verdict again and has no second effect",
        ),
        Field::with(
            "dead_letters",
            Kind::Integer(0, 100_000),
            "1000",
            "messages that could not be processed and are kept with their reasons; the oldest make room",
        ),
    ],
};

impl Default for Delivery {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&DELIVERY))
    }
}

impl Delivery {
    pub(super) fn from_fields(fields: &Fields) -> Self {
        Self { idempotent: fields.flag("idempotent"), dead_letters: fields.integer("dead_letters") as usize }
    }
}
