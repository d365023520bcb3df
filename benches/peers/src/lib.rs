//! What the programs of this package share: one plain event loop for targets, its TLS, and the bookkeeping of a closed loop.

pub mod load;
pub mod plain;
pub mod stamps;
pub mod tls;
