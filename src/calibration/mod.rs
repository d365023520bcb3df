//! What this machine can measure: how well it wakes, how quick its loopback is, how much each driver sustains, and what a device
//! takes. Kept as a profile, so that later runs can be seen against it.

mod echo;
mod search;
mod survey;
mod trial;

pub(crate) use echo::Echo;
pub(crate) use survey::{Effort, Step, survey};
pub(crate) use trial::{Load, Trial};
