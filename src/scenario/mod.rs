//! A scenario: its text, the checked model, and the plan with its digest.

mod amendment;
#[cfg(test)]
mod broken;
mod check;
mod digest;
mod document;
#[cfg(test)]
mod example;
#[cfg(test)]
mod expansion;
mod field;
mod load;
mod model;
mod plan;
mod problem;
mod section;

pub use amendment::{Override, OverrideError, Overrides};
pub use field::{Field, Kind, Need, Section};
pub use model::{Backoff, Fleet, Model, Mqtt, Phase, ReferenceSettings, RunSettings, Scenario, Target};
pub use plan::{DevicePlan, Plan};
pub use problem::{Faults, Place, Problem, ScenarioError};
pub use section::ALL as SECTIONS;
