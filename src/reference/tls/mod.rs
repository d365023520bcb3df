//! TLS on the service's ports: rustls' server, throw-away certificates, and how handshakes end.

mod authority;
mod config;
mod port;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use authority::{Authority, Issued};
pub(super) use config::config;
pub(super) use port::{Arrival, HandshakeEnd, Port};
pub(super) use wire::Wire;
