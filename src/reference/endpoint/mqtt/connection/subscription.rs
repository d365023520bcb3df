//! SUBSCRIBE and UNSUBSCRIBE.

use mqtt_proto::{Pid, TopicFilter};

use super::{Connection, End, ReasonCode, Reply};
use crate::reference::endpoint::mqtt::codec::packet::{Replay, Subscribe};
use crate::reference::endpoint::mqtt::{admission, topic};
use crate::reference::token::Grant;

/// Subscriptions a client may have.
const MOST: usize = 256;

impl Connection {
    pub(super) fn subscribe(&self, grant: &Grant, subscribe: &Subscribe) -> Result<(), End> {
        // CONNACK has said so (MQTT 5 §3.2.2.3.12).
        if subscribe.has_identifier {
            return Err(End::Expelled(ReasonCode::SubscriptionIdentifiers));
        }
        let mut granted = Vec::with_capacity(subscribe.filters.len());
        let mut replayed = Vec::new();
        let mut filters = self.peer.filters.borrow_mut();
        for (filter, options, replay) in &subscribe.filters {
            let known = filters.iter().any(|known| **known == **filter);
            let answer = judge(grant, filter, known || filters.len() < MOST).map(|()| options.qos);
            granted.push(answer);
            if answer.is_err() {
                continue;
            }
            if topic::asks_for_verdicts(filter) {
                self.hub.dispatcher.feeds.verdicts.want();
            }
            self.hub.subscribe(self.peer.id, filter, *options);
            if !known {
                filters.push((**filter).into());
            }
            if *replay == Replay::Always || *replay == Replay::IfNew && !known {
                replayed.push((filter, *options));
            }
        }
        drop(filters);
        self.send(&Reply::Suback(subscribe.pid, &granted));
        for (filter, options) in replayed {
            self.hub.replay(&self.peer, filter, options);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&self, pid: Pid, unwanted: &[TopicFilter]) {
        let mut filters = self.peer.filters.borrow_mut();
        let mut end = |filter: &TopicFilter| {
            let Some(index) = filters.iter().position(|known| **known == **filter) else {
                return ReasonCode::NoSubscription;
            };
            filters.swap_remove(index);
            self.hub.unsubscribe(self.peer.id, filter);
            ReasonCode::Success
        };
        let codes: Vec<ReasonCode> = unwanted.iter().map(&mut end).collect();
        self.send(&Reply::Unsuback(pid, &codes));
    }
}

/// Whether a client may have a subscription, if there `is_room` for it.
fn judge(grant: &Grant, filter: &TopicFilter, is_room: bool) -> Result<(), ReasonCode> {
    if !admission::may_subscribe(grant, filter) {
        return Err(ReasonCode::NotAuthorized);
    }
    if !topic::is_affordable(filter) || !topic::is_complete(filter) {
        return Err(ReasonCode::FilterInvalid);
    }
    if is_room { Ok(()) } else { Err(ReasonCode::QuotaExceeded) }
}
