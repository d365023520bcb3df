//! What devices say: simulated sensors with their seeded anomalies, and the encodings of a reading.

mod anomaly;
mod clock;
mod device;
mod payload;
mod signal;
mod size;
mod template;

pub(crate) use anomaly::AnomalySpec;
pub(crate) use clock::ClockSpec;
#[cfg(test)]
pub(crate) use device::Values;
pub(crate) use device::{Channel, Device, DeviceModel, Reading, RunFacts, Tracing, name as device_name};
pub(crate) use payload::{Format, Payload};
pub(crate) use signal::{RecordedSignal, Shape, SignalSpec};
pub(crate) use size::SizeDistribution;
pub(crate) use template::{Scope, Template};
