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

pub use amendment::{Override, OverrideError, Overrides};
pub use device::DevicePlan;
pub use exchange::{Correlation, Exchange, HttpExchange, MqttExchange, Pattern, Will, WsExchange};
pub use field::{Field, Kind, Need, Section};
pub use hit::Hit;
pub use load::{inline_faults, load_budgets, load_faults, load_setup};
pub use manual::manual;
pub use model::{
    Address, Backoff, Behaviour, Course, Cut, Fleet, Model, Phase, RunSettings, Scenario, Secrets, Target,
};
pub use plan::{Event, Plan};
pub use problem::{Faults, Place, Problem, ScenarioError};
pub use schema::schema;
pub use section::ALL as SECTIONS;
pub use timeline::Outage;
pub use value::Text;
pub use world::Environment;
