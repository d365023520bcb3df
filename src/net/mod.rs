//! Bytes: the stream under every protocol, at which network faults act without a proxy in between, and the proxy for
//! everybody else's connections.

mod active_fault;
mod connect_gate;
mod connection;
mod connection_fault;
mod lingering;
mod link;
mod message_fault;
mod pipeline;
mod proxy;
mod relay;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod toxic;
mod wake_queue;

pub(crate) use active_fault::ActiveFault;
pub(crate) use connection::Connection;
pub(crate) use connection_fault::{ConnectionFaults, EngineTimer};
pub(crate) use link::Link;
pub(crate) use message_fault::{Activation, Decision, MessageFaults};
pub(crate) use proxy::{Proxy, ProxyPlan, ProxyReport, listen};
pub(crate) use tls::{
    ClientIdentity, DeviceTls, FleetTls, PemFault, PemPart, TlsFailure, TlsSettings, TlsVersions,
    authorities, client_identity, is_server_name, revocations,
};
