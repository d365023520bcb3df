//! Faults: what they do and when, as plain data and pure functions, and the byte stream under every protocol, at which
//! network faults act without a proxy in between.

mod approach;
mod bell;
mod delay;
mod effect;
mod filter;
mod link;
mod orphan;
mod preset;
mod proxy;
mod relay;
mod schedule;
mod sensor;
mod tamper;
#[cfg(test)]
mod tests;
mod toxic;
mod weather;

pub(crate) use delay::{Delay, DelayLaw, Loss};
pub(crate) use effect::{
    Act, Command, Damage, Direction, Effect, Ending, MessageKind, Mishap, Sensor, ServiceFault, Tampering,
    Toxic, ToxicKind,
};
pub(crate) use link::Link;
pub(crate) use preset::{PRESETS, preset};
pub(crate) use proxy::{Proxy, ProxyPlan, ProxyReport, listen};
pub(crate) use schedule::{Draw, Fault, Schedule};
pub(crate) use sensor::{Held, damage};
pub(crate) use tamper::{Fate, Spell, Tamper};
pub(crate) use weather::{Front, Timer, Weather};
