//! What devices say: simulated sensors with their seeded anomalies, and the encodings of a reading.

mod device;
mod payload;
mod signal;

pub use device::{Device, Reading, Values};
pub use signal::{AnomalySpec, Shape, SignalSpec};
