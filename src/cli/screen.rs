//! Standard output: how wide and how coloured it is, and what a reader who has gone away means; and the notes
//! beside it, on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use terminal_size::{Height, Width, terminal_size_of};

use super::CliError;
use crate::display::{Style, fitted};
use crate::units::is_steering;

/// Columns of a report where no terminal says how many there are.
pub(super) const USUAL: usize = 100;
/// Fewer columns than this are not drawn for, and no more than that: lines of prose would be hard to follow.
const BOUNDS: (usize, usize) = (40, 160);

/// Columns of the terminal that standard output is; where it is none, those that the variable `COLUMNS` says, else `usual`.
pub(super) fn width(usual: usize) -> usize {
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    columns(terminal_size_of(io::stdout())).or_else(|| told().map(bounded)).unwrap_or(usual)
}

/// Columns of the terminal that standard error is.
pub(super) fn progress_width() -> usize {
    columns(terminal_size_of(io::stderr())).unwrap_or(USUAL)
}

fn columns(size: Option<(Width, Height)>) -> Option<usize> {
    size.map(|(columns, _)| bounded(usize::from(columns.0)))
}

fn bounded(columns: usize) -> usize {
    columns.clamp(BOUNDS.0, BOUNDS.1)
}

/// Colours for a terminal, none for anything else.
pub(super) fn style() -> Style {
    Style::of(io::stdout().is_terminal())
}

/// Prints `text`, made harmless for a terminal.
///
/// # Errors
/// If it cannot be printed, except where nobody reads any more: `… | head` has what it asked for.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let text = style().harmless(text);
    heard(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// `value` as JSON that steers no terminal either: what would is escaped, as JSON escapes anything.
///
/// # Errors
/// If it has no such form.
pub(super) fn json(value: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value).map_err(CliError::failed)?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '\n' && is_steering(letter) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    Ok(escaped)
}

/// Prints `text` as a paragraph of its own, without blank lines at its end.
///
/// # Errors
/// As [`print()`].
pub(super) fn print_line(text: &str) -> Result<(), CliError> {
    print(&format!("{}\n", text.trim_end()))
}

/// Tells the user something beside what was asked for, on standard error, made harmless for a terminal.
pub(super) fn note(text: &str) {
    // Nobody reading it changes nothing: a closed stderr must not end a measurement.
    let text = Style::PLAIN.harmless(text);
    let text = if io::stderr().is_terminal() { fitted(&text, progress_width()) } else { text };
    let _ = writeln!(io::stderr(), "{text}");
}

fn heard(printed: io::Result<()>) -> Result<(), CliError> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_what_it_escapes() {
        let value = serde_json::json!({ "a": "x\u{202e}y\u{85}z\u{1b}\n\u{feff}µ", "b": [1] });
        let text = json(&value).unwrap_or_default();
        assert!(text.contains(r#""x\u202ey\u0085z\u001b\n\ufeffµ""#), "{text}");
        assert_eq!(Style::PLAIN.harmless(&text), text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_terminal_is_filled_within_reason() {
        let of = |width| columns(Some((Width(width), Height(24))));
        assert_eq!([80, 0, 400].map(of), [Some(80), Some(40), Some(160)]);
        assert_eq!(columns(None), None);
    }

    #[test]
    fn what_is_told_beside_fits_the_terminal_and_quotes_stay_whole() {
        let quote = "    3 | rate = \"10\"  # a long line of a scenario";
        for (text, told) in [
            ("short", "short".to_owned()),
            (
                "error: s.toml: a sentence of many words",
                "error: s.toml: a\nsentence of many\nwords".to_owned(),
            ),
            (quote, quote.to_owned()),
        ] {
            assert_eq!(fitted(text, 20), told);
        }
    }

    #[test]
    fn a_reader_who_has_gone_away_is_no_error_and_a_full_disk_is() {
        for (kind, is_fine) in [
            (io::ErrorKind::BrokenPipe, true),
            (io::ErrorKind::StorageFull, false),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            assert_eq!(heard(Err(kind.into())).is_ok(), is_fine, "{kind}");
        }
        assert!(heard(Ok(())).is_ok());
    }
}
