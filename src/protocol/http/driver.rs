//! What the rest of the program knows of HTTP.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Credential, Identity, Misfit, Session, Settings};
use super::syntax::{misfits, misplaced, valid_method};
#[cfg(test)]
use super::tests::peer::HttpProof;
use super::{Http, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::{Close, Protocol};
use crate::service::Topic;

/// Its name.
pub(in crate::protocol) const NAME: Protocol = Protocol::named("http");

static FACTS: Facts = Facts {
    protocol: NAME,
    title: "HTTP",
    path: Some("/v1/readings"),
    example: "http://host:8080/v1/readings",
    closes: &[Close::Response],
    serial: true,
    messages: &[MessageKind::Reading, MessageKind::Verdict],
    hears_others: false,
    heard_at: None,
    told_at: None,
    broadcast_at: Some(Topic::Broadcast.path()),
    shares_topics: false,
    names_run: false,
    trace: TraceCarrier::Request,
    section_about: "what requests look like",
    target_about: "where HTTP fleets send their readings; without a path, not even /, to /v1/readings",
    target: AddressForm {
        schemes: &["http"],
        tls_schemes: &["https"],
        example: "http://127.0.0.1:8080/readings",
        has_path: true,
        takes_login: false,
        carried: &[],
        port: Some(80),
        tls_port: Some(443),
    },
    sections: &[&settings::HTTP],
    speaks_http: true,
    idle_bytes: 5 << 10,
    calibration: "",
    remedy: None,
    template: include_str!("../../../scenarios/external-http.toml"),
    one_line: OneLine {
        usual: Keys {
            fleet: &[("payload", "\"none\"", "a request without a body")],
            own: &[("method", "\"GET\"", "")],
        },
        stated: Keys { fleet: &[], own: &[("method", "\"POST\"", "")] },
        place: None,
        about: "GET without a body, or POST of --body; ended by the response, whose status has to be 2xx",
    },
};

/// HTTP/1.1.
#[derive(Debug)]
pub(in crate::protocol) struct HttpDriver;

impl Driver for HttpDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::http(stated, report))
    }

    fn misfits(&self, _: &Settings, identity: &Identity) -> Vec<Misfit> {
        let method = (!valid_method(&identity.method)).then_some(Misfit {
            key: "method",
            subject: "the method",
            fault: "is not a valid method",
            help: "write for example \"POST\" or \"PUT\"",
        });
        method.into_iter().chain(misfits(identity)).collect()
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
            let http = Http::new(link, dialer.endpoint, settings, identity)?;
            Ok(Box::new(FaultInjector::new(http, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, raw::answer))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &HttpProof
    }
}
