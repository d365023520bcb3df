//! What a broker has said.

use mqtt_proto::v3::ConnectReturnCode;

use super::super::correlator::Match;
use super::inflight::Ack;
use crate::record::Qos;

/// A packet from the broker, judged and free of the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Received {
    Connack { code: ConnectReturnCode, present: bool },
    Suback { pid: u16, granted: bool },
    Publish { qos: Qos, pid: u16, matched: Option<Match> },
    Ack(Ack, u16),
    Pingresp,
}
