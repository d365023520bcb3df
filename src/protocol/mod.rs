//! The device side of every protocol: sessions driven by polling, one connection per device.
//!
//! A session reads no clock and knows no other device. It tells what happened the moment it is decoded, one
//! [`Event`] at a time, so that whoever polls it can stamp the time before any further I/O.

mod buffer;
mod compression;
pub mod control;
mod correlator;
mod credential;
mod driver;
mod endpoint;
mod event;
mod exchange;
mod failure;
mod fault_injector;
#[cfg(any(test, fuzzing, feature = "internals"))]
mod harness;
mod hold_queue;
mod http;
mod identity;
mod keep_alive;
mod long_poll;
mod misfit;
mod mqtt;
mod note;
mod pipeline;
mod poll;
mod retry_after;
mod run_name;
mod scarcity;
pub(crate) mod scrape;
mod session;
mod session_state;
mod settings;
mod sse;
mod status;
mod tcp;
#[cfg(test)]
mod tests;
mod verdict;
mod ws;

pub(crate) use credential::Credential;
pub(crate) use driver::{
    Driver, KeyLine, Keys, Progress, TraceCarrier, connect_under, driver, protocols, words,
};
pub use driver::{Facts, connect};
pub use endpoint::Endpoint;
pub(crate) use endpoint::{accepts, free_ports, percent_decoded};
pub use event::{Answer, Event};
pub(crate) use exchange::{Exchange, Pattern, Rendering, Stated, StatedSpread, StatedTopic, template};
pub use failure::Failure;
#[cfg(fuzzing)]
pub use harness::fuzz;
#[cfg(feature = "internals")]
pub use harness::internals;
pub use http::HttpSettings;
pub(crate) use identity::Login;
pub use identity::{Identity, Message, Will};
pub(crate) use misfit::Misfit;
pub use mqtt::{MqttSettings, V5Settings};
pub use note::Unmatched;
pub use retry_after::RetryAfter;
pub use session::Session;
pub use session_state::SessionState;
pub use settings::{Correlation, OwnSettings, Settings, Turns};
pub(crate) use settings::{Hearing, Roster};
pub(crate) use status::StatusSet;

/// Every protocol of the program, in the order in which they are listed.
pub(crate) static TABLE: &[&dyn Driver] = &[
    &http::HttpDriver,
    &ws::WsDriver,
    &mqtt::MqttDriver,
    &tcp::TcpDriver,
    &sse::SseDriver,
    &long_poll::LONG_POLLING,
    &poll::POLLING,
];
