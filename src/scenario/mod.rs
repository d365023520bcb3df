//! A scenario: its text, the checked model, and the plan with its digest.

mod amendment;
mod certificate;
mod credential;
mod device;
mod digest;
mod encoding;
mod error;
mod feasibility;
mod load;
mod manual;
mod model;
mod plan;
mod recording;
mod retry;
mod schema;
mod scrape;
mod section;
mod spool;
mod surge;
#[cfg(test)]
mod tests;
mod timeline;

pub(crate) use amendment::Override;
pub use amendment::Overrides;
pub use device::DevicePlan;
pub(crate) use error::ScenarioError;
pub(crate) use load::{INSECURE, NETWORK_FAULTS, inline_faults, load_budgets, load_faults, load_setup};
pub(crate) use manual::{manual, manual_of};
pub use model::Scenario;
pub(crate) use model::{Fleet, LoadProfile, Model};
pub(crate) use plan::FleetEvent;
pub use plan::Plan;
pub(crate) use retry::FailedAttempt;
#[cfg(test)]
pub(crate) use retry::RetryCauses;
pub use retry::RetryPolicy;
pub(crate) use schema::schema;
pub(crate) use scrape::{Scrape, ScrapeSource};
pub(crate) use surge::FaultHit;
pub(crate) use timeline::Outage;
