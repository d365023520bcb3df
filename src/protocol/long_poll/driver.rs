//! What the rest of the program knows of long polling.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
use super::super::http::{misheaded, misplaced};
use super::super::poll::{Pace, Poller, answer_raw};
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Credential, Identity, Misfit, Session, Settings};
use super::settings;
#[cfg(test)]
use super::tests::peer::LongPollProof;
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::Protocol;

/// Its name.
const NAME: Protocol = Protocol::named("long-poll");

static FACTS: Facts = Facts {
    protocol: NAME,
    title: "Long polling",
    path: Some("/v1/alerts"),
    example: "http://host:8080/v1/alerts",
    closes: &[],
    serial: false,
    messages: &[MessageKind::Verdict],
    hears_others: true,
    heard_at: None,
    shares_topics: false,
    names_run: false,
    trace: TraceCarrier::None,
    section_about: "what is asked for, how long a reply may take, and how events name readings",
    target_about: "where fleets ask for events and are kept waiting; without a path, not even /, at /v1/alerts",
    target: AddressForm {
        schemes: &["http"],
        tls_schemes: &["https"],
        example: "http://127.0.0.1:8080/events",
        has_path: true,
        takes_login: false,
        port: Some(80),
        tls_port: Some(443),
    },
    sections: &[&settings::LONG_POLL],
    speaks_http: true,
    idle_bytes: 4_608,
    calibration: "",
    remedy: None,
    template: include_str!("../../../scenarios/external-long-poll.toml"),
    // A URL alone is something to send to.
    one_line: OneLine {
        usual: Keys { fleet: &[], own: &[] },
        stated: Keys { fleet: &[], own: &[] },
        place: None,
        about: "",
    },
};

/// Long polling (RFC 6202 §2).
#[derive(Debug)]
pub(in crate::protocol) struct LongPollDriver;

impl Driver for LongPollDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::long_poll(stated, report))
    }

    fn misfits(&self, _: &Settings, identity: &Identity) -> Vec<Misfit> {
        let path = identity.address.as_deref().and_then(misplaced);
        path.into_iter().chain(misheaded(identity)).collect()
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
            let poller = Poller::open(link, dialer.endpoint, settings, identity, Pace::AtOnce).await?;
            Ok(Box::new(FaultInjector::new(poller, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, answer_raw))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &LongPollProof
    }
}
