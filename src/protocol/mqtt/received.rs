//! What a broker has said.

use super::super::correlator::Match;
use super::inflight::Ack;
use crate::record::Qos;

/// A packet from the broker, judged and free of the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Received {
    Connack {
        code: u8,
        present: bool,
    },
    /// `code` says more of a subscription that was not granted.
    Suback {
        pid: u16,
        granted: Option<Qos>,
        code: u8,
    },
    Publish {
        qos: Qos,
        pid: u16,
        matched: Option<Match>,
    },
    /// With the reason code of MQTT 5, 0 where there is none.
    Ack(Ack, u16, u8),
    Pingresp,
}

impl Received {
    /// As the standard writes it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Connack { .. } => "CONNACK",
            Self::Suback { .. } => "SUBACK",
            Self::Publish { .. } => "PUBLISH",
            Self::Ack(ack, ..) => ack.name(),
            Self::Pingresp => "PINGRESP",
        }
    }
}
