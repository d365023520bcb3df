//! Text from elsewhere on a page: names, labels, replies and scenarios are data and never markup.

use std::fmt::{self, Display, Write as _};

use crate::units::is_steering;

/// A value that is written with everything escaped that means something in HTML or SVG, between tags as in attributes. What
/// steers a screen, but line ends and tabs, becomes `\u{fffd}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

struct Filter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                '\n' | '\t' => self.0.write_char(letter)?,
                _ if is_steering(letter) => self.0.write_char('\u{fffd}')?,
                _ => self.0.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// JSON that may stand in a `script` element: nothing in it ends the element or begins a comment.
pub(super) fn script_safe(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The beginning of `text` that takes about `most` bytes on a page, and an ellipsis for the rest.
pub(super) fn clip(text: &str, most: usize) -> String {
    let mut taken = 0;
    for (place, letter) in text.char_indices() {
        taken += if letter.is_ascii_control() || "&<>\"'".contains(letter) { 5 } else { letter.len_utf8() };
        if taken > most {
            return format!("{}…", &text[..place]);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_is_markup() {
        for (text, escaped) in [
            ("a µ\n\tb", "a µ\n\tb"),
            ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
            ("\" onload=\"x & y", "&quot; onload=&quot;x &amp; y"),
            ("\0\u{1b}[2J\u{202e}\r", "\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(Escaped(text).to_string(), escaped);
        }
        assert_eq!(script_safe(r#"["</script><!--&"]"#), r#"["\u003c/script\u003e\u003c!--\u0026"]"#);
        assert_eq!((clip("äöü", 6), clip("a<b>c", 7)), ("äöü".to_owned(), "a<b…".to_owned()));
    }
}
