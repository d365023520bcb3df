//! Faults: what they do and when, as plain data and pure functions, and the byte stream under every protocol, at which
//! network faults act without a proxy in between.

mod delay;
mod effect;
mod link;
mod schedule;
mod weather;

pub use delay::{Delay, DelayLaw, Loss};
pub use effect::{
    Act, Command, Damage, Direction, Effect, Ending, MessageKind, Mishap, Sensor, Tampering, Toxic,
    ToxicKind, Trouble,
};
pub use link::Link;
pub use schedule::{Draw, Fault, Schedule};
pub use weather::{Front, Timer, Weather};
