//! One activation of a fault.

use crate::clock::Tick;

/// A stretch of time in which a fault is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// Its number among those of the fault. Those by hand count on after the planned ones.
    pub occurrence: u32,
    /// When it begins.
    pub start: Tick,
    /// The first instant after it; [`Tick::FAR`]: until further notice.
    pub end: Tick,
    /// Whether it was ordered by hand.
    pub by_hand: bool,
}

impl Activation {
    /// Whether the fault is on at `at`.
    pub const fn covers(&self, at: Tick) -> bool {
        self.start.0 <= at.0 && at.0 < self.end.0
    }
}
