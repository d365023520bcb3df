//! What a broker has said.

use mqtt_proto::v3::ConnectReturnCode;

use super::super::correlator::Match;
use super::inflight::Ack;
use crate::record::Qos;

/// A packet from the broker, judged and free of the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Received {
    Connack { code: ConnectReturnCode, present: bool },
    Suback { pid: u16, granted: Option<Qos> },
    Publish { qos: Qos, pid: u16, matched: Option<Match> },
    Ack(Ack, u16),
    Pingresp,
}

impl Received {
    /// As the standard writes it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Connack { .. } => "CONNACK",
            Self::Suback { .. } => "SUBACK",
            Self::Publish { .. } => "PUBLISH",
            Self::Ack(ack, _) => ack.name(),
            Self::Pingresp => "PINGRESP",
        }
    }
}
