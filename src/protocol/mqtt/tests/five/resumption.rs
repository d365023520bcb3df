//! A session by MQTT 5 that is taken up again by another connection.

use super::*;

fn lasting() -> Settings {
    let mqtt = MqttSettings { clean_session: false, ..MqttSettings::default() };
    settings_of(Close::Ack, mqtt, V5Settings::default())
}

/// CONNACK of a broker that has the session, or has not.
fn welcome(present: bool, terms: &[(u8, Value<'_>)]) -> Vec<u8> {
    let mut bytes = connack(0, terms);
    bytes[2] = present.into();
    bytes
}

#[test]
fn what_is_owed_goes_out_again_as_the_receive_maximum_lets_it() {
    // [MQTT-3.3.4-9] and §4.4: in order, marked as duplicates where the broker has the session, never more than it takes.
    for present in [true, false] {
        let mut before =
            try_open(Script::new().data(&welcome(false, &[])), &lasting(), &Identity::of("d")).unwrap();
        for seq in 1..=4 {
            before.send(&mut context(), &message(seq, &[b'0' + seq as u8])).unwrap();
        }
        let kept = before.into_state([], []).unwrap();
        let identity = Identity { resume: Some(kept), ..Identity::of("d") };
        let terms = [(RECEIVE_MAXIMUM, Value::Number(2)), (MAXIMUM_PACKET, Value::Number(60))];
        let script = Script::new().data(&welcome(present, &terms));
        let mut session = try_open(script, &lasting(), &identity).unwrap();
        let again = |pid: u16| {
            let mut bytes = publish(OWN, Qos::AtLeastOnce, pid, &[], &[b'0' + pid as u8]);
            bytes[0] |= u8::from(present) << 3;
            bytes
        };
        let written = session.stream.take_written();
        assert!(written.ends_with(&[again(1), again(2)].concat()), "{written:?}");
        assert!(!session.ready());
        assert_eq!(events(&mut session, &ack(Ack::Puback, 2, 0)), [ok(2)]);
        assert_eq!(session.stream.take_written(), again(3));
        assert_eq!(events(&mut session, &ack(Ack::Puback, 1, 0x97)), [closed(1, Answer::Shed)]);
        assert_eq!(session.stream.take_written(), again(4));
        assert!(!session.ready());
        assert_eq!(events(&mut session, &ack(Ack::Puback, 3, 0)), [ok(3)]);
        assert!(session.ready());
    }
}

#[test]
fn what_the_broker_no_longer_takes_is_given_up() {
    let mut before =
        try_open(Script::new().data(&welcome(false, &[])), &lasting(), &Identity::of("d")).unwrap();
    before.send(&mut context(), &message(7, &[b'x'; 100])).unwrap();
    let kept = before.into_state([], []).unwrap();
    let identity = Identity { resume: Some(kept), ..Identity::of("d") };
    let script = Script::new().data(&welcome(true, &[(MAXIMUM_PACKET, Value::Number(60))]));
    let mut session = try_open(script, &lasting(), &identity).unwrap();
    assert_eq!(outcome(&mut session), (vec![closed(7, Answer::Error(ErrorKind::Protocol))], None));
}

#[test]
fn a_broker_that_keeps_sessions_for_another_time_is_remarked_on() {
    for (stated, said) in [(3_600, None), (60, Some("for 60 s, where 3600 s were asked for"))] {
        let script = Script::new().data(&welcome(false, &[(17, Value::Number(stated))]));
        let mut session = try_open(script, &lasting(), &Identity::of("d")).unwrap();
        let remarks = remarks(&mut session);
        assert_eq!(remarks.len(), usize::from(said.is_some()));
        assert!(said.is_none_or(|said| remarks[0].1.contains(said)), "{remarks:?}");
    }
}
