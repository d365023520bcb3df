//! Formulas: `lambda * stall / (mu - lambda)`, and the laws that are made of two of them.
//!
//! What stands in a formula: whole and decimal numbers; numbers with a unit (`2s`, `150ms`, `10/s`, `5%`);
//! names, of which those with dots are of the plan (`phase.day.duration`); `+`, `-`, `*`, `/` and brackets;
//! `min`, `max`, `sqrt`, `ln`, `exp` and `abs`; `rank(x, y, …)`, the place of `x` among all of them, where the
//! smallest is first. Every quantity is a number, a time or a rate, or a product of
//! these, and sums of unlike quantities are refused. Budgets have conditions and no arithmetic, and no
//! maintained crate has both units and the place of a mistake.

mod law;
mod quantity;
mod term;
mod token;

pub(super) use law::Relation;
pub(super) use quantity::{Dimension, Quantity};
pub(super) use term::Formula;

/// Why a formula has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`, column {column}: {message}")]
pub(super) struct FormulaError {
    /// The formula.
    pub(super) text: String,
    /// In characters, from 1.
    pub(super) column: usize,
    /// What is wrong and what to write instead, or why a name has no value.
    pub(super) message: String,
}

impl FormulaError {
    /// An error at the byte `at` of `text`.
    fn at(text: &str, at: usize, message: impl Into<String>) -> Self {
        let column = text.char_indices().take_while(|(place, _)| *place < at).count() + 1;
        Self { text: text.to_owned(), column, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
