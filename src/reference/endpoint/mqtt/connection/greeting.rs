//! CONNECT and DISCONNECT: who is let in, on which terms, and how it leaves.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::alias;
use super::{Connection, End, ReasonCode, Reply, Version};
use crate::reference::endpoint::mqtt::codec::LARGEST_PACKET;
use crate::reference::endpoint::mqtt::codec::packet::{Connect, Terms};
use crate::reference::endpoint::mqtt::registry::AWAY_FOR;
use crate::reference::endpoint::mqtt::{admission, session};
use crate::reference::endpoint::suspicion::Suspicion;

/// Longest that a session outlives its connection, seconds.
const LONGEST_EXPIRY_S: u32 = (AWAY_FOR / 1_000_000_000) as u32;

/// Longest silence that a client of MQTT 5 may announce, seconds; whoever announces more, or none, is told so.
const LONGEST_KEEP_ALIVE_S: u16 = 3_600;

impl Connection {
    pub(super) fn refuse(&self, reason: ReasonCode) -> End {
        self.send(&Reply::Refusal(reason));
        End::Refused
    }

    pub(super) fn greet(&mut self, mut connect: Connect) -> Result<(), End> {
        self.version = Some(connect.version);
        self.peer.outbox.borrow_mut().greet(&connect);
        session::greet(&connect).map_err(|reason| self.refuse(reason))?;
        let refused = |reason| {
            self.hub.dispatcher.suspect(Suspicion::Token, self.source.address());
            self.refuse(reason)
        };
        let grant = admission::greet(&connect, &self.hub.dispatcher).map_err(refused)?;
        let is_five = connect.version == Version::V5;
        let assigned =
            (is_five && connect.client_id.is_empty()).then(|| self.hub.assign(&grant.realm(), &self.peer));
        let client_id = assigned.as_deref().unwrap_or(&connect.client_id);
        let mut present = false;
        if !client_id.is_empty()
            && let Some(peer) =
                self.hub.claim(&Rc::from(grant.realm() + client_id), &self.peer, !connect.is_clean)
        {
            peer.outbox.borrow_mut().greet(&connect);
            self.peer = peer;
            present = true;
        }
        self.grant = Some(grant);
        let expiry_s = connect.session_expiry_s.min(LONGEST_EXPIRY_S);
        self.peer.last_for(u64::from(expiry_s) * 1_000_000_000);
        self.peer.will.replace(connect.will.take().map(Box::new));
        let keep_alive_s = match connect.keep_alive_s {
            asked if !is_five => asked,
            0 => LONGEST_KEEP_ALIVE_S,
            asked => asked.min(LONGEST_KEEP_ALIVE_S),
        };
        self.silence = session::silence_limit(keep_alive_s)
            .map(|limit| (limit, Box::pin(sleep(Duration::from_nanos(limit)))));
        let terms = Terms {
            session_expiry_s: (expiry_s != connect.session_expiry_s).then_some(expiry_s),
            receive_maximum: session::RECEIVE_MAXIMUM,
            alias_maximum: alias::MOST,
            maximum_packet: LARGEST_PACKET as u32,
            assigned: assigned.as_deref(),
            keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        };
        self.send(&Reply::Connack { present, terms });
        self.peer.outbox.borrow_mut().resume(self.hub.dispatcher.pipeline.now());
        Ok(())
    }

    /// How the connection ends that its client leaves by DISCONNECT.
    pub(super) fn take_leave(&self, with_will: bool, session_expiry_s: Option<u32>) -> End {
        if let Some(expiry_s) = session_expiry_s {
            // A session that was to end with its connection does so (§3.14.2.2.2).
            if expiry_s > 0 && !self.peer.is_lasting() {
                return End::Expelled(ReasonCode::ProtocolError);
            }
            self.peer.last_for(u64::from(expiry_s.min(LONGEST_EXPIRY_S)) * 1_000_000_000);
        }
        if with_will { End::Ungraceful } else { End::Graceful }
    }
}
