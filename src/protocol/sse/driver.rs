//! What the rest of the program knows of server-sent events.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
use super::super::http::{misfits, misplaced};
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Credential, Identity, Misfit, Session, Settings};
#[cfg(test)]
use super::tests::peer::SseProof;
use super::{Sse, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::Protocol;
use crate::service::Topic;

/// Its name.
const NAME: Protocol = Protocol::named("sse");

static FACTS: Facts = Facts {
    protocol: NAME,
    title: "SSE",
    path: Some("/v1/alerts/stream"),
    example: "http://host:8080/v1/alerts/stream",
    closes: &[],
    serial: false,
    messages: &[MessageKind::Verdict],
    hears_others: true,
    heard_at: None,
    told_at: Some(Topic::stream),
    broadcast_at: None,
    shares_topics: false,
    names_run: false,
    trace: TraceCarrier::None,
    section_about: "which events are asked for, and how they name readings",
    target_about: "where fleets hear server-sent events; without a path, not even /, at /v1/alerts/stream",
    target: AddressForm {
        schemes: &["http"],
        tls_schemes: &["https"],
        example: "http://127.0.0.1:8080/events",
        has_path: true,
        takes_login: false,
        carried: &[],
        port: Some(80),
        tls_port: Some(443),
    },
    sections: &[&settings::SSE],
    speaks_http: true,
    idle_bytes: 4_608,
    calibration: "",
    remedy: None,
    template: include_str!("../../../scenarios/external-sse.toml"),
    // A URL alone is something to send to.
    one_line: OneLine {
        usual: Keys { fleet: &[], own: &[] },
        stated: Keys { fleet: &[], own: &[] },
        place: None,
        about: "",
    },
};

/// Server-sent events (HTML living standard, §9.2).
#[derive(Debug)]
pub(in crate::protocol) struct SseDriver;

impl Driver for SseDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::sse(stated, report))
    }

    fn misfits(&self, _: &Settings, identity: &Identity) -> Vec<Misfit> {
        misfits(identity).collect()
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
            let sse = Sse::open(link, dialer.endpoint, settings, identity).await?;
            Ok(Box::new(FaultInjector::new(sse, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, raw::answer))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &SseProof
    }
}
