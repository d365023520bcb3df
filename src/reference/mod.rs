//! The bundled reference system: a small, real, real-time anomaly detection service, to stress, break and mend.
//!
//! A reading goes through a bounded queue to the worker that owns its device, past the device's streaming detector and an
//! exact cache to the model, and its verdict goes back to the sender with the time each stage took. It shares no code with
//! the client side, so that one bug cannot hide in both ends.

mod admission;
mod alert;
mod answer;
mod broadcast;
mod broker;
mod cache;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "cluster/absent.rs"]
mod cluster;
mod config;
mod delivery;
mod detector;
mod device;
mod endpoint;
mod fault;
mod feed;
mod front;
#[cfg(any(fuzzing, feature = "internals"))]
mod harness;
mod hash;
mod health;
mod job;
mod listener;
mod meter;
mod metric;
mod model;
mod pipeline;
mod pool;
mod processor;
mod queue;
mod reading;
pub(crate) mod score;
mod server;
mod state;
mod tls;
mod token;
mod whole;
mod window;

pub(crate) use broker::Broker;
pub use config::{Config, TlsCredentials};
pub(crate) use config::{addresses, host, origin};
pub(crate) use front::{Front, Place, Setup as FrontSetup};
#[cfg(fuzzing)]
pub use harness::fuzz;
#[cfg(feature = "internals")]
pub use harness::internals;
pub use health::Status;
pub(crate) use meter::Meter;
pub use server::Server;
pub(crate) use tls::{Authority, Issued};
