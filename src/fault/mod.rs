//! Faults, their effects and their time lines, as plain data and pure functions.

mod activation;
mod delay;
mod effect;
mod preset;
mod schedule;
mod sensor;
mod timeline;

pub(crate) use activation::Activation;
pub(crate) use delay::{Delay, DelayLaw, Loss};
pub(crate) use effect::{
    Action, Command, Damage, DeviceFault, Direction, Effect, Ending, MessageKind, Sensor, ServiceFault,
    Tampering, Toxic, ToxicKind,
};
pub(crate) use preset::{PRESETS, preset};
pub(crate) use schedule::{Draw, Fault, Schedule};
pub(crate) use sensor::{Held, damage};
pub(crate) use timeline::{StartError, TimeLine, Transition};
