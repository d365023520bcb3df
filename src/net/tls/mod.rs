//! TLS between the byte stream, with its network faults, and the protocols above it.

mod device;
mod failure;
mod identity;
mod session;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod ticket;
mod verifier;

pub(crate) use device::DeviceTls;
pub(crate) use failure::TlsFailure;
pub(crate) use identity::{ClientIdentity, PemFault, PemPart, authorities, client_identity, revocations};
pub(crate) use settings::{FleetTls, TlsSettings, TlsVersions, is_server_name};
pub(super) use stream::TlsLayer;
