//! Bytes: the stream under every protocol, at which network faults act without a proxy in between, and the proxy for
//! everybody else's connections.

mod approach;
mod bell;
mod filter;
mod link;
mod orphan;
mod proxy;
mod relay;
mod tamper;
#[cfg(test)]
mod tests;
mod toxic;
mod weather;

pub(crate) use link::Link;
pub(crate) use proxy::{Proxy, ProxyPlan, ProxyReport, listen};
pub(crate) use tamper::{Fate, Spell, Tamper};
pub(crate) use weather::{Front, Timer, Weather};
