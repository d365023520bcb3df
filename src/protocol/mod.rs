//! The device side of HTTP/1.1, WebSocket and MQTT 3.1.1: sessions driven by polling, one connection per device.
//!
//! A session reads no clock and knows no other device. It tells what happened the moment it is decoded, one
//! [`Event`] at a time, so that whoever polls it can stamp the time before any further I/O.

mod buffer;
pub mod control;
mod endpoint;
mod failure;
mod flow;
#[cfg(fuzzing)]
pub mod fuzz;
mod gate;
mod http;
mod identity;
#[cfg(feature = "internals")]
pub mod internals;
mod judge;
mod limbo;
mod mqtt;
mod pulse;
mod scarcity;
#[cfg(any(test, fuzzing, feature = "internals"))]
mod script;
mod session;
mod settings;
#[cfg(test)]
mod sky;
mod status;
mod verdict;
mod ws;

pub use endpoint::{Endpoint, EndpointError, free_ports};
pub use failure::Failure;
pub use http::{Http, reserved_header, valid_header, valid_method, valid_target};
pub use identity::{Identity, Login, Message, Will};
pub use mqtt::{Mqtt, Suspended};
pub use scarcity::Scarcity;
pub use session::{Answer, Event, Session};
pub use settings::{
    Correlation, Hearing, HttpSettings, Lookup, MqttSettings, Roster, Settings, WsMode, WsSettings,
    valid_pointer,
};
pub use status::{StatusError, StatusSet};
pub use ws::Ws;
