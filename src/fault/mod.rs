//! The byte stream under every protocol: the seam at which network faults act, without a proxy in between.

mod link;

pub use link::Link;
