//! The server's side of an event stream, as the contract suite plays it.

use super::super::super::fault_injector::FaultInjector;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::{Endpoint, Identity, Settings, Sse};
use crate::record::Protocol;

/// Server-sent events.
pub(in crate::protocol) struct SseProof;

impl Proof for SseProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        Box::pin(async move {
            let endpoint = Endpoint::resolve(Protocol::named("sse"), "http://127.0.0.1:9/out").unwrap();
            let identity = Identity::of(DEVICE);
            let sse = Sse::open(wire, &endpoint, settings, &identity).await?;
            Ok(Box::new(FaultInjector::new(sse, settings, &identity)) as Box<_>)
        })
    }

    fn greet(&self, _: &[u8]) -> Vec<u8> {
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".into()
    }

    fn reply(&self, _: &Settings, _: &[u8], _: &[u8]) -> Vec<u8> {
        unreachable!("nothing is sent that could be answered")
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        [b"id: 1\ndata: ", body, b"\n\n"].concat()
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        let endless =
            [("data: ", "more"), ("", "data: more\n"), ("id: ", "more"), (": ", "more"), ("", ": beat\n\n")];
        endless.map(|(head, rest)| (head.into(), rest.into())).into()
    }
}
