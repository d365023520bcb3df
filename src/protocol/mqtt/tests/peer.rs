//! The broker's side of MQTT, as the contract suite plays it.

use super::super::super::fault_injector::FaultInjector;
use super::super::super::tests::contract::{DEVICE, Opening, Proof, Wire};
use super::super::inflight::Ack;
use super::super::{Endpoint, Identity, Mqtt, MqttSettings, Settings, V5Settings};
use super::OwnSettings;
use super::five::publish as five;
use super::{CONNACK, ack, publish};
use crate::record::{Close, Protocol, Qos};

/// MQTT 3.1.1 and MQTT 5.
pub(in crate::protocol) struct MqttProof;

impl Proof for MqttProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        Box::pin(async move {
            let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1:9").unwrap();
            let identity = Identity::of(DEVICE);
            let mqtt = Mqtt::open(wire, &endpoint, settings, &identity).await?;
            Ok(Box::new(FaultInjector::new(mqtt, settings, &identity)) as Box<_>)
        })
    }

    fn variants(&self) -> Vec<(&'static str, OwnSettings)> {
        let five = MqttSettings { five: Some(V5Settings::default()), ..MqttSettings::default() };
        vec![("3.1.1", OwnSettings::default()), ("5", OwnSettings::of(five))]
    }

    fn greet(&self, written: &[u8]) -> Vec<u8> {
        match written {
            [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', 5, ..] => vec![0x20, 3, 0, 0, 0],
            // The length of the filter does not follow the identifier: properties do.
            [0x82, _, high, low, _, next, ..] if usize::from(*next) + 7 != written.len() => {
                vec![0x90, 4, *high, *low, 0, 1]
            }
            [0x10, ..] => CONNACK.into(),
            [0x82, _, high, low, ..] => vec![0x90, 3, *high, *low, 1],
            _ => panic!("neither CONNECT nor SUBSCRIBE: {written:?}"),
        }
    }

    fn reply(&self, settings: &Settings, sent: &[u8], body: &[u8]) -> Vec<u8> {
        let topic = usize::from(u16::from_be_bytes([sent[2], sent[3]]));
        let mut reply = ack(Ack::Puback, u16::from_be_bytes([sent[4 + topic], sent[5 + topic]]));
        if !matches!(settings.close, Close::Ack | Close::Sent) {
            reply.extend(self.message(settings, body));
        }
        reply
    }

    fn message(&self, settings: &Settings, body: &[u8]) -> Vec<u8> {
        let what = if settings.close == Close::Delivery { "readings" } else { "verdicts" };
        let topic = format!("devices/{DEVICE}/{what}");
        if settings.own.get::<MqttSettings>().five.is_some() {
            return five(&topic, Qos::AtLeastOnce, 7, &[], body);
        }
        publish(&topic, Qos::AtLeastOnce, 7, str::from_utf8(body).unwrap())
    }

    fn endless(&self, settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        let message = self.message(settings, b"no answer");
        vec![
            // The largest packet that can be stated, and packets that all call for a reply.
            (vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't'], b"payload".into()),
            (vec![0x30, 0xff, 0xff, 0xff], vec![0xff]),
            (Vec::new(), message),
        ]
    }
}
