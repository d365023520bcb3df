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

pub use delay::{Delay, DelayLaw, Loss};
pub use effect::{
    Act, Command, Damage, Direction, Effect, Ending, MessageKind, Mishap, Sensor, Tampering, Toxic,
    ToxicKind, Trouble,
};
pub use link::Link;
pub use preset::{PRESETS, preset};
pub use proxy::{Proxy, ProxyPlan, ProxyReport, listen};
pub use relay::{Passed, Relay};
pub use schedule::{Draw, Fault, Schedule};
pub use sensor::{Held, damage};
pub use tamper::{Fate, Spell, Tamper};
pub use weather::{Front, Timer, Weather};
