//! The hub without sockets.

use std::net::Ipv4Addr;

use tokio::sync::{mpsc, watch};

use super::*;
use crate::clock::{Monotonic, Tick};
use crate::reference::admission::Source;
use crate::reference::alert::{Alert, AlertLog};
use crate::reference::answer::WorkerMessage;
use crate::reference::endpoint::dispatcher::Limits;
use crate::reference::metric::Metrics;
use crate::reference::pipeline::Pipeline;
use crate::reference::reading::Level;
use crate::reference::token::{Grant, Keyring};
use crate::service::{Admission, AlertClass, Alerts, Setup};

fn hub_of(setup: &Setup, room: usize) -> (Hub, mpsc::Receiver<WorkerMessage>) {
    let metrics = Arc::new(Metrics::default());
    let (back, messages) = mpsc::channel(64);
    let (pipeline, _) = Pipeline::start(setup, Monotonic::start(), &metrics, back).unwrap();
    let (_, stop) = watch::channel(false);
    let limits = Limits { connections: 10, under_way: room };
    let keyring = Keyring::new(&setup.admission).unwrap();
    let dispatcher = Dispatcher::new(Arc::new(pipeline), stop, limits, None, Arc::default(), keyring);
    (Hub::new(Rc::new(dispatcher)), messages)
}

/// What the publisher of a reading hears of it.
fn heard(hub: &Hub, peer: &Peer, hears_reasons: bool) -> Option<ReasonCode> {
    let (grant, source) = (Grant::open(), Source::new(Ipv4Addr::LOCALHOST.into()));
    let sender = Sender { grant: &grant, source: &source };
    let from = Publisher { peer, sender, reply_path: None, hears_reasons };
    let taken = hub.reading(from, "d", READING, hub.dispatcher.pipeline.now());
    let Taken::Decided(reason) = taken else { panic!("there is nobody to be asked") };
    reason
}

const READING: &[u8] = br#"{"device":"d","seq":1,"value":1}"#;

#[test]
fn no_more_readings_go_out_than_there_is_room_for_verdicts() {
    let (hub, mut messages) = hub_of(&Setup::default(), 4);
    let peer = hub.enter();
    for _ in 0..100 {
        assert_eq!(heard(&hub, &peer, false), Some(ReasonCode::Success));
    }
    assert_eq!((peer.pending.get(), hub.dispatcher.metrics.received.get()), (4, 100));
    assert_eq!(hub.dispatcher.metrics.shed_total(), 96);
    for left in (0..4).rev() {
        let Some(WorkerMessage::Answer(reply_to, answer)) = messages.blocking_recv() else { panic!() };
        assert_eq!(reply_to, MQTT);
        hub.answer(answer);
        assert_eq!(peer.pending.get(), left);
    }
    hub.dispatcher.pipeline.stop();
}

#[test]
fn publishers_hear_of_refusals_as_much_as_they_are_to() {
    let (success, quota) = (Some(ReasonCode::Success), Some(ReasonCode::QuotaExceeded));
    for (mqtt, hears_reasons, reason, told) in [
        (RefusalNotice::Verdict, false, success, true),
        (RefusalNotice::Silence, false, success, false),
        (RefusalNotice::Withhold, false, None, false),
        (RefusalNotice::Verdict, true, quota, false),
        (RefusalNotice::Silence, true, success, false),
        (RefusalNotice::Withhold, true, None, false),
    ] {
        let setup = Setup { admission: Admission { mqtt, ..Admission::default() }, ..Setup::default() };
        let (hub, _words) = hub_of(&setup, 0);
        let peer = hub.enter();
        hub.subscribe(peer.id, "devices/d/verdicts", Options::of(QoS::Level0));
        assert_eq!(heard(&hub, &peer, hears_reasons), reason, "{}", mqtt.name());
        assert_eq!(!peer.outbox.borrow().unwritten().is_empty(), told, "{}", mqtt.name());
        hub.dispatcher.pipeline.stop();
    }
}

#[test]
fn with_a_forgotten_session_go_its_subscriptions_and_its_messages_which_are_counted() {
    let (hub, _words) = hub_of(&Setup::default(), 4);
    let peer = hub.enter();
    assert!(hub.claim(&"x".into(), &peer, true).is_none());
    peer.last_for(1);
    for filter in ["a", "a/+", "#"] {
        hub.subscribe(peer.id, filter, Options::of(QoS::Level1));
        peer.filters.borrow_mut().push(filter.into());
    }
    let message = Message::plain("a", b"x", QoS::Level1);
    assert!(hub.publish(&message, None));
    hub.part(&peer);
    assert!(hub.publish(&message, None));
    assert_eq!(hub.dispatcher.metrics.mqtt_dropped.get(), 0);
    hub.expire(Tick::FAR);
    assert_eq!(hub.dispatcher.metrics.mqtt_dropped.get(), 2, "one unacknowledged, one that came meanwhile");
    let mut found = Vec::new();
    hub.router.borrow().collect("a", None, &mut found);
    assert_eq!(found, []);
    assert!(hub.claim(&"x".into(), &hub.enter(), true).is_none());
    hub.dispatcher.pipeline.stop();
}

#[test]
fn whichever_way_a_session_ends_its_subscriptions_end_with_it() {
    let (hub, _words) = hub_of(&Setup::default(), 4);
    for (was_lasting, is_away, is_claimed) in
        [(false, true, false), (false, false, true), (true, true, true), (true, false, true)]
    {
        let old = hub.enter();
        assert!(hub.claim(&"x".into(), &old, was_lasting).is_none());
        old.last_for(u64::from(was_lasting));
        hub.subscribe(old.id, "a", Options::of(QoS::Level1));
        old.filters.borrow_mut().push("a".into());
        if is_away {
            hub.part(&old);
        }
        if is_claimed {
            let new = hub.enter();
            assert!(hub.claim(&"x".into(), &new, false).is_none());
            hub.part(&new);
        }
        let mut found = Vec::new();
        hub.router.borrow().collect("a", None, &mut found);
        assert_eq!(found, [], "lasting {was_lasting}, away {is_away}");
    }
    assert_eq!(hub.registry.borrow().peers().count(), 0);
    hub.dispatcher.pipeline.stop();
}

#[test]
fn an_alert_reaches_subscribers_whatever_its_device_is_called() {
    let (hub, _words) = hub_of(&Setup::default(), 4);
    let peer = hub.enter();
    hub.subscribe(peer.id, "alerts/+/+", Options::of(QoS::Level0));
    let alert = Alert {
        device: Some("a/b#".into()),
        seq: Some(1),
        ..Alert::of_service(AlertClass::Anomaly, Level::High, String::new(), Tick(0))
    };
    let logged =
        AlertLog::new(&Alerts::default(), crate::reference::state::Past::default()).enter(alert, None);
    hub.alert(&logged);
    let outbox = peer.outbox.borrow();
    let sent = String::from_utf8_lossy(outbox.unwritten());
    assert!(sent.contains("alerts/high/a_b_{\"type\":\"alert\",\"id\":1,\"device\":\"a/b#\""), "{sent}");
    hub.dispatcher.pipeline.stop();
}
