//! What is wrong with a target, and what to do about it.

use std::io;
use std::net::IpAddr;

use super::super::driver::driver;
use crate::record::{Protocol, ScarceResource};

/// A target URL that cannot be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("`{url}` is not a URL ({reason}): write it like `{}`", example(*protocol))]
    Syntax {
        /// The text as given.
        url: String,
        /// What the parser said.
        reason: String,
        /// The protocol it was meant for.
        protocol: Protocol,
    },
    /// The program does not speak the protocol.
    #[error("`{protocol}` is not a protocol of this program")]
    Unknown {
        /// Its name.
        protocol: Protocol,
    },
    /// A URL of another protocol.
    #[error("`{url}` is no {protocol} target: write it like `{}`", example(*protocol))]
    Scheme {
        /// The URL, without credentials.
        url: String,
        /// The protocol it was meant for.
        protocol: Protocol,
    },
    /// TLS cannot be set up for it.
    #[error("`{url}` asks for TLS: {reason}")]
    Tls {
        /// The URL, without credentials.
        url: String,
        /// What is missing, and what to do.
        reason: String,
    },
    /// The URL contains a part that has no meaning for its protocol.
    #[error("`{url}` has {part}, which {protocol} targets do not take: remove it")]
    Unusable {
        /// The URL, without credentials.
        url: String,
        /// The part in question.
        part: &'static str,
        /// The protocol it was meant for.
        protocol: Protocol,
    },
    /// The URL names no port, and its protocol has no usual one.
    #[error("`{url}` names no port: write it like `{}`", example(*protocol))]
    Portless {
        /// The URL, without credentials.
        url: String,
        /// The protocol it was meant for.
        protocol: Protocol,
    },
    /// The name has no address.
    #[error(
        "cannot find the address of `{host}` in `{url}` ({source}): check the name, or give an IP address"
    )]
    Resolve {
        /// The URL, without credentials.
        url: String,
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Connections cannot come from an address.
    #[error(
        "connections to {target} cannot come from {source_ip} ({source}): name an address of this machine"
    )]
    Source {
        /// The local address.
        source_ip: IpAddr,
        /// Where they were to go, as it may be shown.
        target: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// This machine cannot open a connection.
    #[error(
        "this machine ran out of {scarce} before it could connect to {address} for `{url}` ({source}), which says nothing about \
         the target: {}",
        scarce.remedy()
    )]
    Exhausted {
        /// The URL, without credentials.
        url: String,
        /// The address tried last, as it may be shown.
        address: String,
        /// What there was no more of.
        scarce: ScarceResource,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing accepts connections there.
    #[error("nothing answers at {address} for `{url}` ({source}): start the target, or correct its address")]
    Unreachable {
        /// The URL, without credentials.
        url: String,
        /// The address tried last, as it may be shown.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A URL of `protocol` as one might write it.
fn example(protocol: Protocol) -> &'static str {
    driver(protocol).map_or("scheme://host:port", |driver| driver.facts().example)
}

impl EndpointError {
    /// The same of a URL that must be shown as it was written.
    pub(super) fn veiled(self, written: &str) -> Self {
        let url = written.to_owned();
        match self {
            Self::Syntax { reason, protocol, .. } => Self::Syntax { url, reason, protocol },
            Self::Scheme { protocol, .. } => Self::Scheme { url, protocol },
            Self::Portless { protocol, .. } => Self::Portless { url, protocol },
            Self::Unusable { part, protocol, .. } => Self::Unusable { url, part, protocol },
            Self::Resolve { source, .. } => Self::Resolve { url, host: "its host".to_owned(), source },
            // What was resolved says these things itself.
            Self::Unknown { .. }
            | Self::Unreachable { .. }
            | Self::Exhausted { .. }
            | Self::Tls { .. }
            | Self::Source { .. } => self,
        }
    }
}
