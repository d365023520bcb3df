//! The side of a server that is polled, as the contract suite plays it.

use super::super::super::fault_injector::FaultInjector;
use super::super::super::harness::script::context;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::super::{Endpoint, Identity, Session, Settings};
use super::super::{Pace, Poller};
use crate::record::Protocol;

/// Polling.
pub(in crate::protocol) struct PollProof;

/// A session of the suite's device.
pub(in crate::protocol) fn open(wire: Wire, settings: &Settings, pace: Pace) -> Opening<'_> {
    Box::pin(async move {
        let endpoint = Endpoint::resolve(Protocol::named("poll"), "http://127.0.0.1:9/out").unwrap();
        let identity = Identity::of(DEVICE);
        let poller = Poller::open(wire, &endpoint, settings, &identity, pace).await?;
        let mut session = FaultInjector::new(poller, settings, &identity);
        if pace == Pace::OnCall {
            // What comes from now on answers this.
            session.keep_alive(&mut context())?;
        }
        Ok(Box::new(session) as Box<_>)
    })
}

/// A whole response that lists the event `body`.
pub(in crate::protocol) fn listing(body: &[u8]) -> Vec<u8> {
    let list = [b"{\"alerts\":[", body, b"]}"].concat();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len());
    [head.as_bytes(), &list].concat()
}

/// Responses that never end.
pub(in crate::protocol) fn endless() -> Vec<(Vec<u8>, Vec<u8>)> {
    let endless = [
        ("HTTP/1.1 200 OK\r\nX: ", "more"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"alerts\":[", "{\"id\":1},"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "[1,2]"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\n[1,2]\r\n"),
    ];
    endless.map(|(head, rest)| (head.into(), rest.into())).into()
}

impl Proof for PollProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        open(wire, settings, Pace::OnCall)
    }

    fn greet(&self, _: &[u8]) -> Vec<u8> {
        listing(b"")
    }

    fn reply(&self, _: &Settings, _: &[u8], _: &[u8]) -> Vec<u8> {
        unreachable!("nothing is sent that could be answered")
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        listing(body)
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        endless()
    }
}
