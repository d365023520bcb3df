//! What speaks against a value, and a user's own words in it.

use crate::units::is_steering;

/// Characters of a user's own words repeated in a message.
const QUOTE: usize = 60;

/// What is wrong, and what to write instead.
pub(crate) type Refusal = (String, String);

/// What steers a terminal must not reach it from a file.
pub(super) fn harmless(c: char) -> char {
    if is_steering(c) && c != '\t' { '\u{fffd}' } else { c }
}

/// A user's words, shortened and made harmless for repeating in a message.
pub(crate) fn quote(words: &str) -> String {
    let mut short: String =
        words.chars().take(QUOTE).map(|c| if c == '\t' { ' ' } else { harmless(c) }).collect();
    if words.chars().nth(QUOTE).is_some() {
        short.push('…');
    }
    short
}
