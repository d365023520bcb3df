//! What the rest of the program knows of MQTT.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::driver::{Connecting, Dialer, Driver, Facts, Keys, OneLine, Serving, TraceCarrier, answer};
use super::super::exchange::{Exchange, Stated};
use super::super::fault_injector::FaultInjector;
#[cfg(test)]
use super::super::tests::contract::Proof;
use super::super::ws::WsBytes;
use super::super::{Credential, Identity, Misfit, Session, Settings};
#[cfg(test)]
use super::tests::peer::MqttProof;
use super::{Mqtt, MqttSettings, grammar, raw, settings};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Carried, Reporter};
use crate::record::{Close, Protocol};
use crate::service::Topic;

static FACTS: Facts = Facts {
    protocol: Protocol::named("mqtt"),
    title: "MQTT",
    path: None,
    example: "mqtt://host:1883",
    closes: &[Close::Verdict, Close::Reply, Close::Ack, Close::Delivery, Close::Sent],
    serial: false,
    messages: MessageKind::ALL,
    hears_others: true,
    heard_at: Some(("subscribe", "devices/+/readings")),
    told_at: Some(Topic::filter),
    broadcast_at: Some(Topic::Broadcast.filter()),
    shares_topics: true,
    names_run: true,
    trace: TraceCarrier::Payload,
    section_about: "session, topics and quality of service",
    target_about: "the broker of MQTT fleets",
    target: AddressForm {
        schemes: &["mqtt", "tcp"],
        tls_schemes: &["mqtts", "ssl", "tls"],
        example: "mqtt://127.0.0.1:1883",
        has_path: false,
        takes_login: true,
        carried: &[
            Carried { scheme: "mqtt+ws", is_tls: false, path: "/mqtt", port: 80 },
            Carried { scheme: "mqtt+wss", is_tls: true, path: "/mqtt", port: 443 },
        ],
        port: Some(1883),
        tls_port: Some(8883),
    },
    sections: &[&settings::MQTT, &settings::WILL],
    speaks_http: false,
    idle_bytes: 5 << 10,
    calibration: "close = \"ack\"\nmqtt = { qos = 1 }\n",
    remedy: Some("a plain broker needs close = \"ack\" or \"delivery\""),
    template: include_str!("../../../scenarios/external-mqtt.toml"),
    one_line: OneLine {
        usual: ACKNOWLEDGED,
        stated: ACKNOWLEDGED,
        place: Some("topic"),
        about: "a reading as JSON, or --body, at QoS 1 to the topic that is the path, or to one per device;\n         ended by the broker's acknowledgement",
    },
};

/// A broker answers readings with acknowledgements, whoever hears them.
const ACKNOWLEDGED: Keys = Keys {
    fleet: &[("close", "\"ack\"", "ended by the broker's acknowledgement")],
    own: &[("qos", "1", "")],
};

/// MQTT 3.1.1.
#[derive(Debug)]
pub(in crate::protocol) struct MqttDriver;

impl Driver for MqttDriver {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange> {
        Arc::new(settings::mqtt(stated, report))
    }

    fn misfits(&self, settings: &Settings, identity: &Identity) -> Vec<Misfit> {
        let clean_session = settings.own.get::<MqttSettings>().clean_session;
        grammar::misfits(settings, clean_session, identity)
    }

    fn misplaced(&self, place: &str) -> Option<Misfit> {
        grammar::topic("topic", "the topic", place)
    }

    fn present(&self, credential: &Credential, identity: &mut Identity) -> Option<Misfit> {
        grammar::present(credential, identity)
    }

    fn connect<'a>(
        &self,
        dialer: Dialer<'a>,
        settings: &'a Settings,
        identity: &'a Identity,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let link = dialer.dial(identity).await?;
            if dialer.endpoint.is_carried() {
                let link = WsBytes::open(link, dialer.endpoint, &identity.device, "mqtt").await?;
                let mqtt = Mqtt::open(link, dialer.endpoint, settings, identity).await?;
                return Ok(Box::new(FaultInjector::new(mqtt, settings, identity)) as Box<dyn Session>);
            }
            let mqtt = Mqtt::open(link, dialer.endpoint, settings, identity).await?;
            Ok(Box::new(FaultInjector::new(mqtt, settings, identity)) as Box<dyn Session>)
        })
    }

    fn serve_raw(&self, stream: TcpStream) -> Serving {
        Box::pin(answer(stream, raw::answer))
    }

    #[cfg(test)]
    fn proof(&self) -> &'static dyn Proof {
        &MqttProof
    }
}
