//! A device's connection, with TLS or without.

use super::{Link, MaybeTls, TlsLink};

/// What codecs speak over: a stream of plain bytes that no codec has to flush.
pub(crate) type Connection = MaybeTls<Link, TlsLink>;

impl Connection {
    /// See [`Link::abort`].
    pub(crate) fn abort(&mut self) {
        match self {
            Self::Plain(link) => link.abort(),
            Self::Tls(link) => link.abort(),
        }
    }

    /// See [`Link::look`].
    pub(crate) fn look(&mut self) {
        match self {
            Self::Plain(link) => link.look(),
            Self::Tls(link) => link.look(),
        }
    }

    /// Bytes that went over the network each way since the last call: encrypted ones, where there is TLS.
    pub(crate) fn take_traffic(&mut self) -> (u64, u64) {
        match self {
            Self::Plain(link) => link.take_traffic(),
            Self::Tls(link) => link.take_traffic(),
        }
    }

    /// Whether the peer may still refuse the device, which takes itself for connected.
    pub(crate) fn awaits_admission(&self) -> bool {
        matches!(self, Self::Tls(link) if link.awaits_admission())
    }
}
