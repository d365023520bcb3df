//! The per-device state in front of the cache.

use super::LONGEST;
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::Span;
use crate::units::word::words;

words! {
    /// How events are gathered over event time.
    WindowKind {
        /// One after the other.
        Tumbling = "tumbling",
        /// Overlapping, a new one with every slide.
        Sliding = "sliding",
        /// As long as no gap is longer than `gap`.
        Session = "session",
    }
}

/// Windows over event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How they follow one another.
    pub kind: WindowKind,
    /// Their length; of sessions, the longest.
    pub length: Span,
    /// From the start of one sliding window to that of the next; divides `length`, at most 16 times.
    pub slide: Span,
    /// Silence that ends a session.
    pub gap: Span,
    /// How late a reading may come and still count.
    pub lateness: Span,
    /// Closed windows, of all devices, that are kept for those who ask later.
    pub history: usize,
}

/// The per-device state in front of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Devices whose state is kept; beyond that the one that was silent for longest is forgotten.
    pub devices: usize,
    /// Steps of the feature vector per unit of surprise, 1 to 16: coarser vectors hit the cache more often and blur scores.
    pub resolution: u8,
    /// Windows over event time.
    pub window: Option<Window>,
    /// Equal values in a row after which a sensor counts as stuck, where its values usually differ; 0 never.
    pub stuck: u32,
    /// A silence of this many usual intervals counts as missing readings; 0 never.
    pub missing: f64,
    /// Least and largest value that counts as in range.
    pub range: (f64, f64),
}

pub(crate) static FEATURES: Section = Section {
    title: "features = { … }",
    about: "the per-device state in front of the cache",
    by: None,
    fields: &[
        Field::with(
            "devices",
            Kind::Integer(1, 10_000_000),
            "200000",
            "devices whose state is kept; beyond that the one that was silent for longest is forgotten",
        ),
        Field::with(
            "resolution",
            Kind::Integer(1, 16),
            "8",
            "steps of the feature vector per unit of surprise: coarser ones hit the cache more often and blur scores",
        ),
        Field::optional(
            "window",
            Kind::Short(&WINDOW),
            "windows over event time; a bare span is a tumbling window's length",
        ),
        Field::with(
            "stuck",
            Kind::Integer(0, 1_000_000),
            "0",
            "equal values in a row after which a sensor counts as stuck, where its values usually differ; 0 never",
        ),
        Field::with(
            "missing",
            Kind::Number(0.0, 1e6),
            "0",
            "a silence of this many usual intervals counts as missing readings; 0 never",
        ),
        Field::optional("least", Kind::Number(-1e300, 1e300), "values below count as out of range"),
        Field::optional("most", Kind::Number(-1e300, 1e300), "values above count as out of range"),
    ],
};

pub(crate) static WINDOW: Section = Section {
    title: "window = { … }",
    about: "windows over event time, with a watermark: the newest event time of a device minus the lateness",
    by: Some("kind"),
    fields: &[
        Field::required(
            "length",
            Kind::Span(Span::from_ms(1), LONGEST),
            "their length; of sessions, the longest",
        ),
        Field::with(
            "kind",
            Kind::Word(WindowKind::WORDS),
            "tumbling",
            "one after the other, overlapping, or by activity",
        ),
        Field::required(
            "slide",
            Kind::Span(Span::from_ms(1), LONGEST),
            "from one to the next; a sixteenth of `length` or more",
        )
        .only(&["sliding"]),
        Field::required("gap", Kind::Span(Span::from_ms(1), LONGEST), "silence that ends a session")
            .only(&["session"]),
        Field::with(
            "lateness",
            Kind::Span(Span::ZERO, LONGEST),
            "0s",
            "how late a reading may come and still count",
        ),
        Field::with(
            "history",
            Kind::Integer(1, 1_000_000),
            "1000",
            "closed windows, of all devices, kept for those who ask later",
        ),
    ],
};

impl Default for Features {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&FEATURES), &mut Reporter::new(""))
    }
}

impl Features {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let least = fields.optional_number("least").unwrap_or(f64::NEG_INFINITY);
        let most = fields.optional_number("most").unwrap_or(f64::INFINITY);
        if least > most {
            let message = format!("the least value ({least}) is above the most ({most})");
            fields.refuse("least", report, message, "lower `least` or raise `most`");
        }
        Self {
            devices: fields.integer("devices") as usize,
            resolution: fields.integer("resolution") as u8,
            window: fields.table("window").map(|table| Window::from_fields(&table, report)),
            stuck: fields.integer("stuck") as u32,
            missing: fields.number("missing"),
            range: (least, most),
        }
    }
}

impl Window {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let kind = fields.choice("kind");
        let (length, slide) = (fields.span("length"), fields.span("slide"));
        if kind == WindowKind::Sliding && slide > Span::ZERO {
            let (whole, panes) = (length.as_ns() % slide.as_ns() == 0, length.as_ns() / slide.as_ns());
            if !whole || panes > 16 {
                let message = format!("a window of {length} cannot slide by {slide}");
                fields.refuse(
                    "slide",
                    report,
                    message,
                    "write a half, a third, … down to a sixteenth of `length`",
                );
            }
        }
        Self {
            kind,
            length,
            slide,
            gap: fields.span("gap"),
            lateness: fields.span("lateness"),
            history: fields.integer("history") as usize,
        }
    }
}
