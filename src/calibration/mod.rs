//! What this machine can measure: how well it wakes, how quick its loopback is, how much each driver sustains, and what a device
//! takes. Kept as a profile, so that later runs can be seen against it.

mod echo;
mod profile;
mod search;
mod survey;
mod trial;

pub use echo::Echo;
pub use profile::{Driver, Pacing, Profile, ProfileError, SCHEMA};
pub use survey::{Effort, Step, survey};
pub use trial::{Load, Trial, TrialError};
