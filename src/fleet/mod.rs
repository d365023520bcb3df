//! What devices say: simulated sensors with their seeded anomalies, and the encodings of a reading.

mod anomaly;
mod clock;
mod device;
mod payload;
mod signal;
mod size;
mod template;

pub use anomaly::AnomalySpec;
pub use clock::ClockSpec;
pub use device::{Channel, Device, Make, Reading, Values};
pub use payload::{Format, Payload};
pub use signal::{Shape, SignalSpec, Track};
pub use size::SizeLaw;
pub use template::{Scope, Template, TemplateError};
