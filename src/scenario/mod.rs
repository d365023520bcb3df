//! A scenario: its text, the checked model, and the plan with its digest.

mod amendment;
#[cfg(test)]
mod broken;
mod check;
mod demand;
mod device;
mod digest;
mod document;
#[cfg(test)]
mod example;
mod exchange;
#[cfg(test)]
mod expansion;
mod field;
mod hit;
mod load;
mod manual;
mod model;
mod plan;
mod problem;
mod schema;
mod section;
mod timeline;
mod value;
mod world;

pub(crate) use amendment::Override;
pub use amendment::Overrides;
pub use device::DevicePlan;
pub(crate) use exchange::{Correlation, Exchange, Pattern};
pub(crate) use hit::Hit;
pub(crate) use load::{inline_faults, load_budgets, load_faults, load_setup};
pub(crate) use manual::manual;
pub use model::Scenario;
pub(crate) use model::{Fleet, Model};
pub(crate) use plan::Event;
pub use plan::Plan;
pub(crate) use problem::ScenarioError;
pub(crate) use schema::schema;
pub(crate) use timeline::Outage;
pub(crate) use world::Environment;
