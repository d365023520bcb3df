//! The words of a formula.

use super::{FormulaError, Quantity};
use crate::units::{Rate, Span};

/// Characters of a formula.
const LONGEST: usize = 400;

/// A word, a sign or a quantity.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Quantity(Quantity),
    /// A number followed by `%`, as a share of 1.
    Share(f64),
    Name(String),
    Sign(char),
    /// `<=`, `>=`, `<`, `>` or `=`.
    Comparison(&'static str),
}

/// A token and the byte at which it begins.
pub(super) type Placed = (usize, Token);

/// The tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, FormulaError> {
    if text.chars().count() > LONGEST {
        return Err(FormulaError::at("a formula", 0, format!("is too long; keep to {LONGEST} characters")));
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match letter {
            _ if letter.is_whitespace() => {
                at += letter.len_utf8();
                continue;
            }
            '0'..='9' | '.' => quantity(rest).map_err(|message| FormulaError::at(text, at, message))?,
            'a'..='z' | 'A'..='Z' => name(rest),
            '+' | '-' | '*' | '/' | '(' | ')' | ',' => (Token::Sign(letter), 1),
            '×' => (Token::Sign('*'), letter.len_utf8()),
            '÷' => (Token::Sign('/'), letter.len_utf8()),
            '−' => (Token::Sign('-'), letter.len_utf8()),
            '<' | '>' | '=' => comparison(rest),
            _ => {
                let message =
                    format!("`{letter}` has no meaning in a formula; write +, -, *, / and brackets");
                return Err(FormulaError::at(text, at, message));
            }
        };
        found.push((at, token));
        at += length;
    }
    Ok(found)
}

fn comparison(rest: &str) -> (Token, usize) {
    let sign = ["<=", ">=", "<", ">", "="].into_iter().find(|sign| rest.starts_with(sign)).unwrap_or("=");
    (Token::Comparison(sign), sign.len())
}

/// A name; a hyphen belongs to it behind the first dot, since phases and fleets have hyphens in their names.
fn name(rest: &str) -> (Token, usize) {
    let mut dotted = false;
    let mut end = 0;
    for (at, letter) in rest.char_indices() {
        let next = rest[at + letter.len_utf8()..].chars().next();
        let joins = letter == '-' && dotted && next.is_some_and(|next| next.is_ascii_alphanumeric());
        if !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.') || joins) {
            break;
        }
        dotted |= letter == '.';
        end = at + letter.len_utf8();
    }
    (Token::Name(rest[..end].to_owned()), end)
}

/// A number with its unit, if it has one, or what is wrong with it.
fn quantity(rest: &str) -> Result<(Token, usize), String> {
    let digits = |text: &str| {
        text.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '_')))
            .unwrap_or(text.len())
    };
    let end = digits(rest);
    let number: f64 = rest[..end]
        .replace('_', "")
        .parse()
        .map_err(|_| format!("`{}` is not a number; write for example 1.5", &rest[..end]))?;
    let after = &rest[end..];
    // Figures are printed with a blank before the sign.
    if let Some(sign) =
        after.find(|letter: char| !letter.is_whitespace()).filter(|sign| after[*sign..].starts_with('%'))
    {
        return Ok((Token::Share(number / 100.0), end + sign + 1));
    }
    if let Some(unit) = after.strip_prefix('/') {
        let length = unit.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(unit.len());
        let whole = end + 1 + length;
        if let Ok(rate) = rest[..whole].parse::<Rate>() {
            return Ok((Token::Quantity(Quantity::per_second(rate.as_per_second())), whole));
        }
    }
    if after.chars().next().is_some_and(char::is_alphabetic) {
        let length = after
            .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | '_')))
            .unwrap_or(after.len());
        let whole = end + length;
        let span: Span = rest[..whole].parse().map_err(|error: crate::units::UnitError| error.to_string())?;
        return Ok((Token::Quantity(Quantity::seconds(span.as_secs_f64())), whole));
    }
    Ok((Token::Quantity(Quantity::number(number)), end))
}
