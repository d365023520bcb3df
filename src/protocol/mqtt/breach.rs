//! What a broker does against MQTT 3.1.1, in words. Numbers in brackets are the standard's statements.

use mqtt_proto::Error;
use mqtt_proto::v3::{Header, PacketType};

use super::super::Failure;
use super::inflight::Ack;
use crate::record::Qos;

/// The code of remarks on a broker that breaks the standard, and stays usable.
pub(super) const BREACH: &str = "breach";

/// A stored session where none may be [MQTT-3.2.2-1].
pub(super) const NOT_CLEAN: &str = "the broker reports a stored session, though a clean one was asked for";

/// SUBACK once the only subscription stands.
pub(super) const SUBACK_UNASKED: &str = "the broker sent a SUBACK, though no SUBSCRIBE was open";

/// PINGRESP out of nowhere.
pub(super) const PINGRESP_UNASKED: &str = "the broker sent a PINGRESP, though no PINGREQ was open";

/// What `first`, the first byte of a packet, says of it. It tells a broker from something else.
pub(super) fn header(first: u8) -> Result<Header, Failure> {
    let header = Header::new_with(first, 0, 0).map_err(|error| match (error, first >> 4) {
        (Error::InvalidQos(qos), _) => {
            Failure::protocol(format!("the broker sent a PUBLISH of QoS {qos}, which MQTT does not have"))
        }
        (_, 1..=14) => Failure::protocol(format!(
            "the broker sent a packet of type {} with the reserved flags 0x{:x} (or is not an MQTT broker)",
            first >> 4,
            first & 0xf
        )),
        _ => Failure::protocol(format!(
            "the broker sent 0x{first:02x} where a packet begins, which is none of MQTT's types"
        )),
    })?;
    match header.typ {
        PacketType::Connack
        | PacketType::Publish
        | PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubrel
        | PacketType::Pubcomp
        | PacketType::Suback
        | PacketType::Pingresp => Ok(header),
        PacketType::Unsuback => {
            Err(Failure::protocol("the broker sent an UNSUBACK, though no UNSUBSCRIBE was open"))
        }
        other => {
            let name = format!("{other:?}").to_uppercase();
            Err(Failure::protocol(format!("the broker sent a {name}, which only a client may send")))
        }
    }
}

/// A packet whose length is `found` bytes instead of `due`.
pub(super) fn wrong_length(name: &str, found: usize, due: usize) -> Failure {
    Failure::protocol(format!("the broker sent a {name} with a remaining length of {found} instead of {due}"))
}

/// `ack` where something else is due [MQTT-4.3.2-1] [MQTT-4.3.3-1].
pub(super) fn out_of_turn(ack: Ack, awaiting: Ack) -> Failure {
    let asked = match awaiting {
        Ack::Puback => "a PUBLISH of QoS 1",
        Ack::Pubrec => "a PUBLISH of QoS 2",
        Ack::Pubrel | Ack::Pubcomp => "a PUBREL",
    };
    let (ack, awaiting) = (ack.name(), awaiting.name());
    Failure::protocol(format!("the broker answered {asked} with {ack} instead of {awaiting}"))
}

/// The connection ended by `failure` before the broker had acknowledged any PUBLISH of quality of service 2 on it: all that
/// a broker can do if it does not support that, since MQTT 3.1.1 has no answer that says so.
pub(super) fn unanswered(failure: Failure) -> Failure {
    failure.followed_by("before any PUBLISH of QoS 2 was acknowledged; the broker may not support QoS 2")
}

/// An acknowledgement of nothing.
pub(super) const fn unknown(ack: Ack) -> &'static str {
    match ack {
        Ack::Puback => "the broker sent PUBACK for a packet identifier that is not in use",
        Ack::Pubrec => "the broker sent PUBREC for a packet identifier that is not in use",
        Ack::Pubrel => "the broker sent PUBREL for a packet identifier that is not in use",
        Ack::Pubcomp => "the broker sent PUBCOMP for a packet identifier that is not in use",
    }
}

/// The quality of service `granted` to a subscription that `asked` for one: code and sentence, unless they are equal. A broker
/// may grant less (§3.9.3).
pub(super) fn granted(asked: Qos, granted: Qos) -> Option<(&'static str, String)> {
    let (asked_level, granted_level) = (asked as u8, granted as u8);
    match granted_level.cmp(&asked_level) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => {
            Some(("lower QoS", format!("the broker granted QoS {granted_level} of {asked_level}")))
        }
        std::cmp::Ordering::Greater => Some((
            BREACH,
            format!(
                "the broker granted QoS {granted_level}, though the subscription asked for {asked_level}"
            ),
        )),
    }
}

/// A message at a higher quality of service than the broker `granted` [MQTT-3.8.4-6].
pub(super) const fn delivered(granted: Qos, qos: Qos) -> Option<&'static str> {
    match (granted, qos) {
        (Qos::AtMostOnce, Qos::AtLeastOnce) => Some("the broker delivered at QoS 1, having granted QoS 0"),
        (Qos::AtMostOnce, Qos::ExactlyOnce) => Some("the broker delivered at QoS 2, having granted QoS 0"),
        (Qos::AtLeastOnce, Qos::ExactlyOnce) => Some("the broker delivered at QoS 2, having granted QoS 1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::super::super::Identity;
    use super::super::super::fault_injector::Codec as _;
    use super::super::super::harness::script::{Script, context};
    use super::super::super::{Endpoint, Settings};
    use super::super::tests::{CONNACK, ack, message, open_as, publish, settings};
    use super::*;
    use crate::record::{Close, Protocol};

    const OWN: &str = "devices/d/readings";

    /// What is said of a broker that answers CONNECT, SUBSCRIBE and one reading with `bytes`: how it ends the connection, or a
    /// remark.
    fn said(settings: &Settings, bytes: &[u8]) -> Result<Vec<(u64, String)>, String> {
        let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
        let subscribes = settings.close == Close::Delivery;
        let (handshake, rest) = if subscribes { (bytes, &[][..]) } else { bytes.split_at(4) };
        let mut session = open_as(Script::new().data(handshake), &endpoint, settings, &Identity::of("d"))
            .map_err(|failure| failure.to_string())?;
        if !subscribes {
            session.send(&mut context(), &message(1, b"a")).unwrap();
            session.stream.push(rest);
        }
        loop {
            match session.poll_event(&mut context()) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(failure)) => return Err(failure.to_string()),
                Poll::Pending => break,
            }
        }
        let remarks = std::iter::from_fn(|| session.notes_mut().take_remark());
        Ok(remarks.map(|(count, reason)| (count, reason.sentence.into_owned())).collect())
    }

    #[test]
    fn a_broker_that_cannot_be_followed_is_told_why() {
        let (one, two) = (settings(Close::Ack, Qos::AtLeastOnce), settings(Close::Ack, Qos::ExactlyOnce));
        let heard = settings(Close::Delivery, Qos::ExactlyOnce);
        let table: &[(&Settings, &[u8], &str)] = &[
            (&two, &[0x40, 2, 0, 1], "answered a PUBLISH of QoS 2 with PUBACK instead of PUBREC"),
            (&two, &[0x70, 2, 0, 1], "answered a PUBLISH of QoS 2 with PUBCOMP instead of PUBREC"),
            (&one, &[0x50, 2, 0, 1], "answered a PUBLISH of QoS 1 with PUBREC instead of PUBACK"),
            (&two, &[0x50, 2, 0, 1, 0x40, 2, 0, 1], "answered a PUBREL with PUBACK instead of PUBCOMP"),
            (&one, &[0x20, 2, 0, 0], "sent a second CONNACK"),
            (&one, &[0x36, 5, 0, 1, b'a', 0, 1], "sent a PUBLISH of QoS 3, which MQTT does not have"),
            (&one, &[0x40, 3, 0, 1, 0], "sent a PUBACK with a remaining length of 3 instead of 2"),
            (&one, &[0x40, 1, 0, 1], "sent a PUBACK with a remaining length of 1 instead of 2"),
            (&one, &[0x40, 2, 0, 0], "sent a PUBACK with packet identifier 0"),
            (&one, &[0x30, 4, 0, 9, b'a', b'b'], "sent a PUBLISH that is shorter than its parts"),
            (&one, &[0xd0, 1, 0], "sent a PINGRESP with a remaining length of 1 instead of 0"),
            (
                &one,
                &[0x60, 2, 0, 1],
                "sent a packet of type 6 with the reserved flags 0x0 (or is not an MQTT broker)",
            ),
            (&one, &[0xf0, 0], "sent 0xf0 where a packet begins, which is none of MQTT's types"),
            (&one, &[0x82, 0], "sent a SUBSCRIBE, which only a client may send"),
            (&one, &[0xb0, 2, 0, 1], "sent an UNSUBACK, though no UNSUBSCRIBE was open"),
            (&heard, &[0x90, 4, 0, 1, 1, 1], "sent a SUBACK with 2 return codes for one filter"),
            (&heard, &[0x90, 2, 0, 1], "sent a SUBACK with 0 return codes for one filter"),
            (&heard, &[0x90, 3, 0, 1, 7], "sent a SUBACK with the return code 7, which MQTT does not have"),
            (&heard, &[0x90, 3, 0, 9, 2], "sent a SUBACK for packet identifier 9, though SUBSCRIBE had 1"),
            (&heard, &[0x90, 3, 0, 1, 0x80], "refused the subscription to the device's topic: SUBACK 128"),
        ];
        for (settings, bytes, sentence) in table {
            let found = said(settings, &[CONNACK, bytes].concat());
            assert_eq!(found, Err(format!("the broker {sentence}")), "{bytes:02x?}");
        }
        let table: &[(&[u8], &str)] = &[
            (&[0x20, 2, 2, 0], "sent a CONNACK with the flags 0x02, of which MQTT has the lowest only"),
            (&[0x20, 2, 0, 9], "sent a CONNACK with the return code 9, which MQTT does not have"),
            (&[0x20, 3, 0, 0, 0], "sent a CONNACK with a remaining length of 3 instead of 2"),
            (&[0xd0, 2, 0, 0], "sent a PINGRESP with a remaining length of 2 instead of 0"),
            (&[0xd0, 0, 0, 0], "sent PINGRESP before CONNACK"),
        ];
        for (bytes, sentence) in table {
            assert_eq!(said(&heard, bytes), Err(format!("the broker {sentence}")), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_broker_that_closes_the_connection_instead_of_sending_pubrec_may_not_support_qos_2() {
        let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
        let hint = " before any PUBLISH of QoS 2 was acknowledged; the broker may not support QoS 2";
        let table = [
            (Qos::ExactlyOnce, vec![], hint),
            (Qos::ExactlyOnce, ack(Ack::Pubrec, 1), ""),
            (Qos::AtLeastOnce, vec![], ""),
        ];
        for (qos, answer, rest) in table {
            let settings = settings(Close::Ack, qos);
            let mut session =
                open_as(Script::new().data(CONNACK), &endpoint, &settings, &Identity::of("d")).unwrap();
            session.send(&mut context(), &message(1, b"a")).unwrap();
            session.stream = Script::new().data(&answer).end();
            let Poll::Ready(Err(failure)) = session.poll_event(&mut context()) else { panic!("{qos:?}") };
            assert_eq!(failure.to_string(), format!("the broker closed the connection{rest}"));
        }
    }

    /// What the session asks for, what the broker sends, and what is remarked on how often.
    type Row<'a> = (&'a Settings, Vec<u8>, &'a [(u64, &'a str)]);

    #[test]
    fn a_broker_that_can_be_followed_is_remarked_on() {
        let (one, heard) =
            (settings(Close::Ack, Qos::AtLeastOnce), settings(Close::Delivery, Qos::AtLeastOnce));
        let suback = |code| [0x90, 3, 0, 1, code].to_vec();
        let above = [suback(1), publish(OWN, Qos::ExactlyOnce, 3, "").repeat(3)].concat();
        let table: &[Row<'_>] = &[
            (&one, ack(Ack::Puback, 1), &[]),
            (&one, ack(Ack::Puback, 1).repeat(3), &[(2, unknown(Ack::Puback))]),
            (&one, ack(Ack::Pubcomp, 7), &[(1, unknown(Ack::Pubcomp))]),
            (&one, ack(Ack::Pubrec, 7), &[(1, unknown(Ack::Pubrec))]),
            (&one, suback(1), &[(1, SUBACK_UNASKED)]),
            (&one, vec![0xd0, 0], &[(1, PINGRESP_UNASKED)]),
            // A broker may have something to release of a session before.
            (&one, ack(Ack::Pubrel, 7), &[]),
            (&heard, suback(1), &[]),
            (&heard, suback(0), &[(1, "the broker granted QoS 0 of 1")]),
            (&heard, suback(2), &[(1, "the broker granted QoS 2, though the subscription asked for 1")]),
            (&heard, above, &[(3, "the broker delivered at QoS 2, having granted QoS 1")]),
        ];
        for (settings, bytes, remarks) in table {
            let expected = remarks.iter().map(|(count, text)| (*count, (*text).to_owned())).collect();
            assert_eq!(said(settings, &[CONNACK, bytes].concat()), Ok(expected), "{bytes:02x?}");
        }
        let present = [&[0x20, 2, 1, 0][..], &suback(1)].concat();
        assert_eq!(said(&heard, &present), Ok(vec![(1, NOT_CLEAN.to_owned())]));
    }
}
