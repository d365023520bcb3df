//! What a stream can show: colour, and characters beyond ASCII.

use std::env;

/// What may be written to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// ANSI colours.
    pub colour: bool,
    /// Nothing but ASCII.
    pub ascii: bool,
}

/// The few ways in which words stand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warning,
    Bad,
    Strong,
    Faint,
}

impl Style {
    /// For files, pipes and dumb terminals.
    pub(crate) const PLAIN: Self = Self { colour: false, ascii: true };

    /// The style of a stream, by whether it is a terminal and by the environment: `NO_COLOR` (set and not empty, see
    /// <https://no-color.org>) takes the colour away, `TERM=dumb` everything.
    pub(crate) fn of(is_terminal: bool) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !is_terminal || env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Self::PLAIN;
        }
        Self { colour: !set("NO_COLOR"), ascii: false }
    }

    /// What separates things on a line.
    pub(super) fn dot(self) -> &'static str {
        if self.ascii { ", " } else { " · " }
    }

    pub(super) fn paint(self, text: &str, tone: Tone) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "1;32",
            Tone::Warning => "1;33",
            Tone::Bad => "1;31",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
