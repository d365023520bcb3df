//! What becomes of the further attempts at a reading that failed.

use super::Reason;
use crate::clock::Tick;

/// What became of a retry. Attempts are numbered from 1: the first that is a retry is number 2.
#[derive(Debug, Clone, Copy)]
pub enum Retry<'a> {
    /// Attempt `number` failed at `at` for `reason`, and another is to follow.
    Due {
        /// Number of the device within its fleet.
        device: u32,
        /// Its reading.
        seq: u64,
        /// The attempt that failed.
        number: u8,
        /// When it had failed.
        at: Tick,
        /// Why.
        reason: &'a Reason,
    },
    /// The first byte of attempt `number` was handed to the transport.
    Sent {
        /// From 2.
        number: u8,
    },
    /// An attempt failed, and no other follows for no other reason than that the fleet's retry budget is used up.
    Denied,
}
