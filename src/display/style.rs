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

    /// `text` without control characters that came from elsewhere: names, replies and files must not steer a terminal. Line ends and
    /// tabs stay, and colours where this style has some.
    pub(crate) fn harmless(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let colour = if self.colour { colour(rest) } else { None };
            let taken = colour.map_or(letter.len_utf8(), str::len);
            match letter {
                _ if colour.is_some() => out.push_str(&rest[..taken]),
                '\n' | '\t' => out.push(letter),
                _ if letter.is_control() => out.push(if self.ascii { '?' } else { '\u{fffd}' }),
                _ => out.push(letter),
            }
            rest = &rest[taken..];
        }
        out
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

/// The sequence at the beginning of `text` that sets a colour and nothing else.
fn colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    parameters[end..].starts_with('m').then(|| &text[..=text.len() - parameters.len() + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_steers_a_terminal() {
        let colourful = Style { colour: true, ascii: false };
        for (text, plain, coloured) in [
            ("a\tb\nc µ", "a\tb\nc µ", "a\tb\nc µ"),
            ("\u{1b}[1;31mred\u{1b}[0m", "?[1;31mred?[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "?[2J?]0;title?", "\u{fffd}[2J\u{fffd}]0;title\u{fffd}"),
            ("\u{1b}[31", "?[31", "\u{fffd}[31"),
            ("\r\u{9b}2J\u{7f}", "??2J?", "\u{fffd}\u{fffd}2J\u{fffd}"),
        ] {
            assert_eq!(Style::PLAIN.harmless(text), plain);
            assert_eq!(colourful.harmless(text), coloured);
        }
    }
}
