//! Quantities as people write them: one parser and one printer each, and both round-trip. What people only
//! read is rounded, and printed by `figure`.

use std::fmt::Write as _;

pub(crate) mod figure;
mod letter;
mod quantile;
mod rate;
mod secret;
mod size;
mod span;
pub(crate) mod word;

pub(crate) use figure::{part_of, plural, times};
pub(crate) use letter::is_steering;
pub use quantile::Quantile;
pub(crate) use rate::Rate;
pub use secret::Secret;
pub(crate) use size::ByteSize;
pub use span::Span;

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why a text is not a quantity; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

/// A number without a unit: what it was probably meant to be, `unit` being what people mean most.
fn bare_number(text: &str, unit: &str) -> Option<UnitError> {
    let (_, rest) = split_number(text)?;
    let number = text.trim();
    rest.is_empty().then(|| UnitError(format!("`{number}` has no unit; did you mean \"{number}{unit}\"?")))
}

/// Splits `text` into a non-negative decimal number and the unit behind it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_'))).unwrap_or(text.len());
    let digits = text[..end].replace('_', "");
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim_start()))
}
