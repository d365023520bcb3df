//! How a front shares devices out among instances.

use crate::units::word::words;

words! {
    /// The rule by which a front chooses one of several instances.
    FrontRule {
        /// Each in turn.
        RoundRobin = "round-robin",
        /// The same device to the same instance, for as long as that lives.
        Sticky = "sticky",
        /// The one with the fewest open connections and requests under way.
        Least = "least",
    }
}
