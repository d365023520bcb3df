//! Toxics as pure rules: what becomes of bytes, and when, under a clock that is handed in.

mod bucket;
mod corruption;
mod fading;
mod lag;
mod pipe;
mod rule;
#[cfg(test)]
mod tests;
mod variate;

pub(super) use self::lag::Lag;
pub(super) use self::pipe::{CAPACITY, Exit, Intake, Pipe};
pub(super) use self::rule::{Key, Spec};
