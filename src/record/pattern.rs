//! How readings are spread over those that hear them.

use std::fmt;

/// What the devices of a fleet that only hears are to hear of those that send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessagePattern {
    /// One device hears all.
    FanIn,
    /// Each hears all.
    FanOut,
    /// Each hears the one device with its own number.
    PointToPoint,
    /// They share a subscription: each reading is for one of them, whichever the broker chooses.
    Shared,
}

impl MessagePattern {
    /// All of them, in the order documents list them.
    pub const ALL: [Self; 4] = [Self::FanIn, Self::FanOut, Self::PointToPoint, Self::Shared];

    /// The word used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FanIn => "fan-in",
            Self::FanOut => "fan-out",
            Self::PointToPoint => "point-to-point",
            Self::Shared => "shared",
        }
    }
}

impl fmt::Display for MessagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
