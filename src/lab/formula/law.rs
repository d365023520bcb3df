//! What stands in a law: two formulas and how they must stand to each other.

use super::term::Reader;
use super::token::Token;
use super::{Formula, FormulaError, Quantity};

/// `drained <= 1s`, or `peak = lambda * stall within 10%`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lab) struct Relation {
    pub(in crate::lab) left: Formula,
    pub(in crate::lab) sign: Sign,
    pub(in crate::lab) right: Formula,
}

/// How the left side must stand to the right one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lab) enum Sign {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `= … within 5%`: not further away than this share of the right side.
    NearShare(f64),
    /// `= … within 1`: not further away than that.
    Near(Quantity),
}

impl Sign {
    /// What the left side must be, in words, where the right one is `bound`, and both are shares if `is_share`.
    pub(in crate::lab) fn demand(self, bound: &str, is_share: bool) -> String {
        match self {
            Self::Less => format!("less than {bound}"),
            Self::AtMost => format!("at most {bound}"),
            Self::More => format!("more than {bound}"),
            Self::AtLeast => format!("at least {bound}"),
            Self::NearShare(share) => format!("within {} of {bound}", Quantity::number(share).show(true)),
            Self::Near(near) => format!("within {} of {bound}", near.show(is_share)),
        }
    }

    /// Whether it bounds the left side from above alone.
    pub(in crate::lab) const fn is_ceiling(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }

    /// Whether it bounds the left side from below alone.
    pub(in crate::lab) const fn is_floor(self) -> bool {
        matches!(self, Self::More | Self::AtLeast)
    }
}

impl Relation {
    /// Reads `text`.
    ///
    /// # Errors
    /// If it is not two formulas with a sign between them.
    pub(in crate::lab) fn parse(text: &str) -> Result<Self, FormulaError> {
        let mut reader = Reader::of(text)?;
        let left = reader.formula()?;
        let at = reader.place();
        let Some(Token::Comparison(sign)) = reader.take() else {
            return Err(FormulaError::at(text, at, "a sign is missing here; write <, <=, >, >= or ="));
        };
        let right = reader.formula()?;
        let sign = match sign {
            "<" => Sign::Less,
            "<=" => Sign::AtMost,
            ">" => Sign::More,
            ">=" => Sign::AtLeast,
            _ => tolerance(&mut reader)?,
        };
        let end = reader.place();
        if end < text.len() {
            return Err(FormulaError::at(text, end, "the law has ended before; take this out"));
        }
        Ok(Self { left, sign, right })
    }

    /// Whether `left` stands to `right` as it must. A value that is only known to be `at_least` that keeps
    /// under no ceiling.
    pub(in crate::lab) fn holds(&self, left: Quantity, right: Quantity, at_least: bool) -> bool {
        let apart = (left.value - right.value).abs();
        match self.sign {
            Sign::Less => !at_least && left.value < right.value,
            Sign::AtMost => !at_least && left.value <= right.value,
            Sign::More => left.value > right.value,
            Sign::AtLeast => left.value >= right.value,
            Sign::NearShare(share) => !at_least && apart <= share * right.value.abs(),
            Sign::Near(tolerance) => !at_least && apart <= tolerance.value,
        }
    }
}

/// What stands behind the right side of `=`: `within 5%`.
fn tolerance(reader: &mut Reader<'_>) -> Result<Sign, FormulaError> {
    let text = reader.text;
    let missing = |at| FormulaError::at(text, at, "say how near; write for example within 5%");
    let at = reader.place();
    if reader.take() != Some(Token::Name("within".into())) {
        return Err(missing(at));
    }
    let at = reader.place();
    match reader.take() {
        Some(Token::Share(share)) => Ok(Sign::NearShare(share)),
        Some(Token::Quantity(quantity)) => Ok(Sign::Near(quantity)),
        _ => Err(missing(at)),
    }
}
