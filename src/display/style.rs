//! What a stream can show: colour, and characters beyond ASCII.

use std::env;

use crate::units::is_steering;

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

    /// `text` without the characters that steer a terminal: names, replies and files come from elsewhere. Line ends and tabs stay, and
    /// colours where this style has some.
    pub(crate) fn harmless(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let colour = if self.colour { colour(rest) } else { None };
            let taken = colour.map_or(letter.len_utf8(), str::len);
            match letter {
                _ if colour.is_some() => out.push_str(&rest[..taken]),
                '\n' | '\t' => out.push(letter),
                _ if is_steering(letter) => out.push(if self.ascii { '?' } else { '\u{fffd}' }),
                _ => out.push(letter),
            }
            rest = &rest[taken..];
        }
        out
    }

    /// A sentence that squall made, or a figure in it, with the signs that this style has beyond ASCII: `12 000` for `12,000`, `µs` for
    /// `us`.
    pub(crate) fn spoken(self, text: &str) -> String {
        if self.ascii {
            return text.to_owned();
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find([',', 'u']) {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            out.push_str(before);
            let number = out.bytes().rev().take_while(u8::is_ascii_digit).count();
            let stands = !out[..out.len() - number].ends_with(|c: char| c.is_alphanumeric() || c == '.');
            let unit =
                before.strip_suffix(' ').is_some_and(|before| before.ends_with(|c: char| c.is_ascii_digit()));
            let ends = after.strip_prefix('s').is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
            out.push(match rest.as_bytes()[at] {
                b',' if (1..=3).contains(&number) && stands && digits(after) == 3 => '\u{202f}',
                b'u' if unit && ends => 'µ',
                other => char::from(other),
            });
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// What separates things on a line.
    pub(super) fn dot(self) -> &'static str {
        if self.ascii { ", " } else { " · " }
    }

    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
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
    fn a_rich_screen_writes_numbers_of_sentences_as_those_of_tables() {
        let rich = Style { colour: false, ascii: false };
        for (text, spoken) in [
            ("20,067 missing, first pumps-1 seq 1234", "20\u{202f}067 missing, first pumps-1 seq 1234"),
            ("1,234,567 of 2,000 in 412 us; p99", "1\u{202f}234\u{202f}567 of 2\u{202f}000 in 412 µs; p99"),
            ("at 5,432.1 s", "at 5\u{202f}432.1 s"),
            ("127.0.0.1,127.0.0.2 and 1,23 and a1,234", "127.0.0.1,127.0.0.2 and 1,23 and a1,234"),
            ("give us 3 users, 12 usable", "give us 3 users, 12 usable"),
        ] {
            assert_eq!(rich.spoken(text), spoken);
            assert_eq!(Style::PLAIN.spoken(text), text);
        }
    }

    #[test]
    fn nothing_from_elsewhere_steers_a_terminal() {
        let colourful = Style { colour: true, ascii: false };
        for (text, plain, coloured) in [
            ("a\tb\nc µ", "a\tb\nc µ", "a\tb\nc µ"),
            ("\u{1b}[1;31mred\u{1b}[0m", "?[1;31mred?[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "?[2J?]0;title?", "\u{fffd}[2J\u{fffd}]0;title\u{fffd}"),
            ("\u{1b}[31", "?[31", "\u{fffd}[31"),
            ("\r\u{9b}2J\u{7f}", "??2J?", "\u{fffd}\u{fffd}2J\u{fffd}"),
            ("a\u{202e}b\u{2066}c\u{200f}d\u{2028}e", "a?b?c?d?e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
        ] {
            assert_eq!(Style::PLAIN.harmless(text), plain);
            assert_eq!(colourful.harmless(text), coloured);
        }
    }
}
