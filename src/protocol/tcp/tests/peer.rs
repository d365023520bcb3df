//! The server's side of lines, as the contract suite plays it.

use super::super::super::fault_injector::FaultInjector;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::{Identity, Settings, Tcp};
use crate::record::Close;

/// Messages over plain TCP, a line each.
pub(in crate::protocol) struct TcpProof;

impl Proof for TcpProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        let identity = Identity::of(DEVICE);
        let tcp = FaultInjector::new(Tcp::new(wire, settings, &identity), settings, &identity);
        Box::pin(async { Ok(Box::new(tcp) as Box<_>) })
    }

    fn greet(&self, written: &[u8]) -> Vec<u8> {
        panic!("there is no handshake, and yet it says {written:?}");
    }

    fn reply(&self, settings: &Settings, _: &[u8], body: &[u8]) -> Vec<u8> {
        if settings.close == Close::Sent { Vec::new() } else { self.message(settings, body) }
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        [body, b"\n"].concat()
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![
            (Vec::new(), b"and so on, ".into()),
            (Vec::new(), b"\n".into()),
            (Vec::new(), b"noise\r\n".into()),
        ]
    }
}
