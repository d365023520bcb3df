//! What the rest of the program knows of messages over plain TCP.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::{Identity, Session, Settings};
#[cfg(test)]
use super::tests::peer::TcpProof;
use super::{Tcp, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter};
use crate::record::{Close, Protocol};

static FACTS: Facts = Facts {
    protocol: Protocol::named("tcp"),
    title: "TCP",
    path: None,
    example: "tcp://host:9000",
    closes: &[Close::Reply, Close::Sent],
    serial: false,
    messages: &[MessageKind::Reading, MessageKind::Verdict],
    hears_others: false,
    heard_at: None,
    told_at: None,
    broadcast_at: None,
    shares_topics: false,
    names_run: false,
    trace: TraceCarrier::None,
    section_about: "where messages begin and end, and how replies name their readings",
    target_about: "where TCP fleets connect; it names a port",
    target: AddressForm {
        schemes: &["tcp"],
        tls_schemes: &["tcps"],
        example: "tcp://127.0.0.1:9000",
        has_path: false,
        takes_login: false,
        carried: &[],
        port: None,
        tls_port: None,
    },
    sections: &[&settings::TCP],
    speaks_http: false,
    idle_bytes: 5 << 10,
    calibration: "close = \"reply\"\ntcp = { correlate = \"order\" }\n",
    remedy: None,
    template: include_str!("../../../scenarios/external-tcp.toml"),
    one_line: OneLine {
        usual: Keys {
            fleet: &[("close", "\"reply\"", "")],
            own: &[("correlate", "\"/seq\"", "ended by a line with its `seq`, as an echo is")],
        },
        stated: Keys {
            fleet: &[("close", "\"reply\"", "")],
            own: &[(
                "correlate",
                "\"order\"",
                "the next line is its reply; \"/id\" where replies hold {{seq}}",
            )],
        },
        place: None,
        about: "a line of JSON; ended by a line with its `seq`, as an echo is. Each --body by the next line",
    },
};

/// Messages over plain TCP.
#[derive(Debug)]
pub(in crate::protocol) struct TcpDriver;

impl Driver for TcpDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::tcp(stated, report))
    }

    fn connect<'a>(
        &self,
        dialer: Dialer<'a>,
        settings: &'a Settings,
        identity: &'a Identity,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let tcp = Tcp::new(dialer.dial(identity).await?, settings, identity);
            Ok(Box::new(FaultInjector::new(tcp, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, raw::echo))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &TcpProof
    }
}
