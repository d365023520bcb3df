//! Who may do what over MQTT.

use std::sync::Arc;

use super::codec::packet::Connect;
use super::codec::reason::ReasonCode;
use super::topic;
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::token::{Denial, Grant};
use crate::service::Right;

/// What the client of a CONNECT may, by its password.
///
/// # Errors
/// Why it is refused: not authorized without a token, or with one that gives it no right here; bad credentials with a wrong one.
pub(super) fn greet(connect: &Connect, dispatcher: &Dispatcher) -> Result<Arc<Grant>, ReasonCode> {
    // A password that is not text is a wrong token.
    let token = connect.password.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap_or_default());
    let grant = dispatcher.identify(token).map_err(|denial| match denial {
        Denial::Invalid(_) => ReasonCode::Credentials,
        Denial::Missing | Denial::Lacks(_) | Denial::Foreign(_) => ReasonCode::NotAuthorized,
    })?;
    let may_speak = [Right::Publish, Right::Read].iter().any(|right| grant.demand(*right).is_ok());
    let will = connect.will.as_ref();
    if may_speak && will.is_none_or(|will| may_publish(&grant, &will.topic)) {
        Ok(grant)
    } else {
        Err(ReasonCode::NotAuthorized)
    }
}

/// Whether a message may be published to `topic`. Who speaks for one device has that device's topics, and those that are neither
/// devices' nor the service's.
pub(super) fn may_publish(grant: &Grant, topic: &str) -> bool {
    let mut levels = topic.split('/');
    grant.demand(Right::Publish).is_ok()
        && match (levels.next(), levels.next()) {
            (Some("devices"), device) => grant.demand_device(device.unwrap_or_default()).is_ok(),
            (Some("alerts" | "verdicts"), _) | (Some(topic::BROADCAST), None) => grant.demand_all().is_ok(),
            _ => true,
        }
}

/// Whether a client may subscribe to `filter`. Whoever may publish hears the verdicts on that.
pub(super) fn may_subscribe(grant: &Grant, filter: &str) -> bool {
    let filter = topic::shared(filter).unwrap_or(filter);
    let levels: Vec<&str> = filter.splitn(4, '/').collect();
    let of = |device: &str| grant.demand_device(device).is_ok();
    let right = match levels[..] {
        ["devices", device, "verdicts"] if !topic::has_wildcard(device) => {
            grant.demand(Right::Publish).or_else(|_| grant.demand(Right::Read))
        }
        _ => grant.demand(Right::Read),
    };
    right.is_ok()
        && match levels[..] {
            ["devices" | "verdicts", device, ..] | ["alerts", _, device, ..] => of(device),
            ["devices" | "verdicts" | "alerts" | "+" | "#", ..] => grant.demand_all().is_ok(),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::reference::token::Keyring;
    use crate::service::{Admission, Token};

    fn grant(rights: &[Right], device: Option<&str>) -> Arc<Grant> {
        let token = Token { rights: rights.to_vec(), device: device.map(str::to_owned), ..Token::of("t") };
        let setup = Admission { tokens: vec![token], ..Admission::default() };
        Keyring::new(&setup).unwrap().identify(Some("t"), WallTime::now()).unwrap()
    }

    #[test]
    fn a_token_opens_the_topics_of_its_rights_and_its_device() {
        use Right::{Control, Publish, Read};
        let (any, own) = (grant(&[Publish, Read], None), grant(&[Publish, Read], Some("m-1")));
        let (publisher, reader) = (grant(&[Publish], Some("m-1")), grant(&[Read], None));
        let none = grant(&[Control], None);
        let all = [&any, &own, &publisher, &reader, &none];
        for (topic, expected) in [
            ("devices/m-1/readings", [true, true, true, false, false]),
            ("devices/m-1/other", [true, true, true, false, false]),
            ("devices/m-2/readings", [true, false, false, false, false]),
            ("devices", [true, false, false, false, false]),
            ("alerts/high/m-1", [true, false, false, false, false]),
            ("verdicts/m-1", [true, false, false, false, false]),
            ("broadcast", [true, false, false, false, false]),
            ("plant/x", [true, true, true, false, false]),
        ] {
            assert_eq!(all.map(|grant| may_publish(grant, topic)), expected, "PUBLISH {topic}");
        }
        for (filter, expected) in [
            ("devices/m-1/verdicts", [true, true, true, true, false]),
            ("devices/m-2/verdicts", [true, false, false, true, false]),
            ("devices/+/verdicts", [true, false, false, true, false]),
            ("devices/m-1/#", [true, true, false, true, false]),
            ("devices/#", [true, false, false, true, false]),
            ("alerts/+/m-1", [true, true, false, true, false]),
            ("alerts/high/m-2", [true, false, false, true, false]),
            ("alerts/+/+", [true, false, false, true, false]),
            ("alerts/#", [true, false, false, true, false]),
            ("verdicts/m-1", [true, true, false, true, false]),
            ("verdicts/m-2", [true, false, false, true, false]),
            ("verdicts/#", [true, false, false, true, false]),
            ("$share/g/verdicts/+", [true, false, false, true, false]),
            ("broadcast", [true, true, false, true, false]),
            ("#", [true, false, false, true, false]),
            ("+/m-1/verdicts", [true, false, false, true, false]),
            ("plant/#", [true, true, false, true, false]),
        ] {
            assert_eq!(all.map(|grant| may_subscribe(grant, filter)), expected, "SUBSCRIBE {filter}");
        }
    }
}
