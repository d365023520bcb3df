//! The server's side of HTTP, as the contract suite plays it.

use super::super::super::fault_injector::FaultInjector;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::{Endpoint, Http, Identity, Settings};
use crate::record::Protocol;

/// HTTP/1.1.
pub(in crate::protocol) struct HttpProof;

impl Proof for HttpProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        Box::pin(async move {
            let endpoint = Endpoint::resolve(Protocol::named("http"), "http://127.0.0.1:9/in").unwrap();
            let identity = Identity::of(DEVICE);
            let http = Http::new(wire, &endpoint, settings, &identity)?;
            Ok(Box::new(FaultInjector::new(http, settings, &identity)) as Box<_>)
        })
    }

    fn greet(&self, _: &[u8]) -> Vec<u8> {
        unreachable!("HTTP has no handshake")
    }

    fn reply(&self, settings: &Settings, _: &[u8], body: &[u8]) -> Vec<u8> {
        self.message(settings, body)
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let endless = [
            ("HTTP/1.1 200 ", "O"),
            ("HTTP/1.1 200 OK\r\n", "X-Field: value\r\n"),
            ("HTTP/1.1 200 OK\r\nX-Field: ", "value"),
            ("", "HTTP/1.1 102 Processing\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\n\r\n", "body"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", "body"),
            (chunked, "4\r\nbody\r\n"),
            (&format!("{chunked}0\r\n"), "X-Trailer: value\r\n"),
            (&format!("{chunked}4;"), "extension"),
        ];
        endless.map(|(head, rest)| (head.into(), rest.into())).into()
    }
}
