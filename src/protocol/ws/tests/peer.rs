//! The server's side of WebSocket, as the contract suite plays it.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::super::super::OwnSettings;
use super::super::super::fault_injector::FaultInjector;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::settings::WsSettings;
use super::super::{Endpoint, Identity, Settings, Ws};
use crate::record::{Close, Protocol};

/// WebSocket (RFC 6455).
pub(in crate::protocol) struct WsProof;

impl Proof for WsProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        Box::pin(async move {
            let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9/in").unwrap();
            let identity = Identity::of(DEVICE);
            // What a message may hold by default is more than the suite lets come.
            let own = OwnSettings::of(WsSettings { max_message: 256 << 10, ..WsSettings::default() });
            let settings = Settings { own, ..settings.clone() };
            let ws = Ws::open(wire, &endpoint, &settings, &identity).await?;
            Ok(Box::new(FaultInjector::new(ws, &settings, &identity)) as Box<_>)
        })
    }

    fn greet(&self, written: &[u8]) -> Vec<u8> {
        let request = str::from_utf8(written).unwrap();
        let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap();
        let accept = derive_accept_key(rest.split_once("\r\n").unwrap().0.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
        format!("{head}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
    }

    fn reply(&self, settings: &Settings, _: &[u8], body: &[u8]) -> Vec<u8> {
        if settings.close == Close::Sent { Vec::new() } else { self.message(settings, body) }
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        [&[0x81, u8::try_from(body.len()).unwrap()], body].concat()
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut frame = vec![0x00, 126, 0x10, 0x00];
        frame.resize(4 + 0x1000, b'.');
        vec![
            // Frames without end, and one frame as long as can be stated.
            (b"\x01\x00".into(), frame),
            (b"\x01\x00".into(), b"\x00\x04more".into()),
            (b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff".into(), b".".into()),
            (Vec::new(), b"\x89\x04ping".into()),
        ]
    }
}
