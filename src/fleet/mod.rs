//! What devices say: simulated sensors with their seeded anomalies, and the encodings of a reading.

mod device;
mod payload;
mod signal;

pub use device::{Device, Reading};
pub use signal::{AnomalyKind, AnomalySpec, Shape, SignalSpec};
