//! What the rest of the program knows of WebSocket.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
use super::super::http::{is_token, misheaded, misplaced};
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Credential, Identity, Misfit, Session, Settings};
#[cfg(test)]
use super::tests::peer::WsProof;
use super::{Ws, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::{Close, Protocol};
use crate::service::Topic;

static FACTS: Facts = Facts {
    protocol: Protocol::named("ws"),
    title: "WebSocket",
    path: Some("/v1/stream"),
    example: "ws://host:8080/v1/stream",
    closes: &[Close::Verdict, Close::Reply, Close::Sent],
    serial: false,
    messages: &[MessageKind::Reading, MessageKind::Verdict, MessageKind::Pingresp],
    hears_others: true,
    heard_at: Some(("path", "/v1/alerts/ws")),
    told_at: Some(Topic::socket),
    broadcast_at: None,
    shares_topics: false,
    names_run: true,
    trace: TraceCarrier::Connection,
    section_about: "what the upgrade and messages look like",
    target_about: "where WebSocket fleets connect; without a path, not even /, at /v1/stream",
    target: AddressForm {
        schemes: &["ws"],
        tls_schemes: &["wss"],
        example: "ws://127.0.0.1:8080/readings",
        has_path: true,
        takes_login: false,
        carried: &[],
        port: Some(80),
        tls_port: Some(443),
    },
    sections: &[&settings::WS],
    speaks_http: true,
    idle_bytes: 5 << 10,
    calibration: "",
    remedy: None,
    template: include_str!("../../../scenarios/external-ws.toml"),
    one_line: OneLine {
        usual: Keys {
            fleet: &[(
                "close",
                "\"verdict\"",
                "ended by a message with its `device` and `seq`, as an echo is",
            )],
            own: &[],
        },
        stated: Keys {
            fleet: &[("close", "\"reply\"", "")],
            own: &[(
                "correlate",
                "\"order\"",
                "the next message is its reply; \"/id\" where replies hold {{seq}}",
            )],
        },
        place: None,
        about: "a reading as JSON; ended by a message with its `device` and `seq`, as an echo is. Each --body\n         by the next message",
    },
};

/// WebSocket (RFC 6455).
#[derive(Debug)]
pub(in crate::protocol) struct WsDriver;

impl Driver for WsDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::ws(stated, report))
    }

    fn misfits(&self, _: &Settings, identity: &Identity) -> Vec<Misfit> {
        let path = identity.address.as_deref().and_then(misplaced);
        let subprotocol = identity.subprotocol.as_deref().filter(|asked| !is_token(asked)).map(|_| Misfit {
            key: "subprotocol",
            subject: "the sub-protocol",
            fault: "is not a valid sub-protocol",
            help: "write a word without spaces, for example \"mqtt\"",
        });
        path.into_iter().chain(subprotocol).chain(misheaded(identity)).collect()
    }

    fn misplaced(&self, place: &str) -> Option<Misfit> {
        misplaced(place)
    }

    fn present(&self, credential: &Credential, identity: &mut Identity) -> Option<Misfit> {
        credential.head(&mut identity.headers)
    }

    fn connect<'a>(
        &self,
        dialer: Dialer<'a>,
        settings: &'a Settings,
        identity: &'a Identity,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let link = dialer.dial(identity).await?;
            let ws = Ws::open(link, dialer.endpoint, settings, identity).await?;
            Ok(Box::new(FaultInjector::new(ws, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(raw::echo(stream))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &WsProof
    }
}
