//! What the rest of the program knows of polling, and how both ways of it connect.

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
use super::super::http::{ListenerExchange, misfits, misplaced};
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Credential, Identity, Misfit, Session, Settings};
#[cfg(test)]
use super::tests::peer::PollProof;
use super::{Pace, Poller, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::Protocol;
use crate::service::Topic;

/// Its name.
const NAME: Protocol = Protocol::named("poll");

/// Polling; long polling says what is its own.
pub(in crate::protocol) const FACTS: Facts = Facts {
    protocol: NAME,
    title: "Polling",
    path: Some("/v1/alerts"),
    example: "http://host:8080/v1/alerts",
    closes: &[],
    serial: false,
    messages: &[MessageKind::Verdict],
    hears_others: true,
    heard_at: None,
    told_at: Some(Topic::path),
    broadcast_at: None,
    shares_topics: false,
    names_run: false,
    trace: TraceCarrier::None,
    section_about: "how often a device asks, for what, and how events name readings",
    target_about: "where fleets ask for events; without a path, not even /, at /v1/alerts",
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
    sections: &[&settings::POLL],
    speaks_http: true,
    idle_bytes: 4_608,
    calibration: "",
    remedy: None,
    template: include_str!("../../../scenarios/external-poll.toml"),
    // A URL alone is something to send to.
    one_line: OneLine {
        usual: Keys { fleet: &[], own: &[] },
        stated: Keys { fleet: &[], own: &[] },
        place: None,
        about: "",
    },
};

/// Polling at a pace.
pub(in crate::protocol) struct PollDriver {
    pub(in crate::protocol) facts: &'static Facts,
    /// What a fleet states.
    pub(in crate::protocol) stated: fn(&Stated<'_>, &mut Reporter<'_>) -> ListenerExchange,
    pub(in crate::protocol) pace: Pace,
    #[cfg(test)]
    pub(in crate::protocol) proof: &'static dyn Proof,
}

/// Polling when it is time to.
pub(in crate::protocol) static POLLING: PollDriver = PollDriver {
    facts: &FACTS,
    stated: settings::poll,
    pace: Pace::OnCall,
    #[cfg(test)]
    proof: &PollProof,
};

impl fmt::Debug for PollDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollDriver").field("protocol", &self.facts.protocol).finish_non_exhaustive()
    }
}

impl Driver for PollDriver {
    fn facts(&self) -> &'static Facts {
        self.facts
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new((self.stated)(stated, report))
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
        let pace = self.pace;
        Box::pin(async move {
            let link = dialer.dial(identity).await?;
            let poller = Poller::open(link, dialer.endpoint, settings, identity, pace).await?;
            Ok(Box::new(FaultInjector::new(poller, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, raw::answer))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        self.proof
    }
}
