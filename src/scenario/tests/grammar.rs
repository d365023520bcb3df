//! One grammar for the check of a scenario and for the sessions of its devices.

use super::broken::problems;
use crate::protocol::{Endpoint, Identity, Settings, Will, connect};
use crate::record::{Protocol, Qos};
use crate::scenario::Overrides;

/// A line of a fleet's own table, what is said of it, and the device that presents the same.
type Case = (String, &'static str, Identity);

/// What the check refuses is what a session of the device refuses, in the same words.
fn hold(protocol: &'static str, table: Vec<Case>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (line, fault, identity) in table {
        let text = format!(
            "[scenario]\nname = \"g\"\n[[phase]]\nname = \"p\"\nduration = \"1s\"\n[fleet.f]\nprotocol = \"{protocol}\"\n\
             devices = 2\nrate = \"1/s\"\n{protocol} = {{ {line} }}\n"
        );
        let found = problems(&text, &Overrides::default());
        let shown = &line[..line.len().min(40)];
        assert!(
            found.len() == 1 && found[0].contains(fault) && found[0].starts_with("10:"),
            "{shown}: {found:?}"
        );
        // Nobody listens there: what cannot be presented is refused before anything is dialled.
        let url = format!("{protocol}://127.0.0.1:1");
        let endpoint = Endpoint::resolve(Protocol::named(protocol), &url).unwrap();
        let refused = runtime.block_on(async { connect(&endpoint, &Settings::default(), &identity).await });
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(fault), "{shown}: {refused}");
    }
}

#[test]
fn requests_are_checked_as_they_are_presented() {
    hold(
        "http",
        vec![
            (
                "method = \"CONNECT\"".to_owned(),
                "is not a valid method",
                Identity { method: "CONNECT".into(), ..Identity::of("d") },
            ),
            (
                "path = \"/x#frag\"".to_owned(),
                "is not a valid path",
                Identity { address: Some("/x#frag".into()), ..Identity::of("d") },
            ),
            (
                "path = \"/x/{{choice a|b c}}\"".to_owned(),
                "is not a valid path",
                Identity { address: Some("/x/b c".into()), ..Identity::of("d") },
            ),
        ],
    );
}

#[test]
fn upgrades_are_checked_as_they_are_presented() {
    hold(
        "ws",
        vec![
            (
                "subprotocol = \"a b\"".to_owned(),
                "sub-protocol",
                Identity { subprotocol: Some("a b".into()), ..Identity::of("d") },
            ),
            (
                "path = \"/x#y\"".to_owned(),
                "is not a valid path",
                Identity { address: Some("/x#y".into()), ..Identity::of("d") },
            ),
        ],
    );
}

#[test]
fn packets_are_checked_as_they_are_presented() {
    let long = "x".repeat(65_536);
    let will = |topic: &str, payload: &str| {
        Some(Will { topic: topic.into(), payload: payload.into(), qos: Qos::AtMostOnce, retain: false })
    };
    let mqtt = |change: fn(&mut Identity, &str)| {
        let mut identity = Identity::of("d");
        change(&mut identity, &long);
        identity
    };
    hold(
        "mqtt",
        vec![
            (format!("topic = \"{long}\""), "longer than", mqtt(|d, long| d.address = Some(long.into()))),
            (
                "topic = \"a/{{hex 65534}}\"".to_owned(),
                "longer than",
                mqtt(|d, long| d.address = Some(long.into())),
            ),
            (
                format!("topic = \"{}{{{{device}}}}\"", &long[..65_530]),
                "longer than",
                mqtt(|d, long| d.address = Some(long.into())),
            ),
            (
                "client_id = \"{{device}}\\u0000\"".to_owned(),
                "U+0000",
                mqtt(|d, _| d.client_id = Some("\0".into())),
            ),
            (
                format!("client_id = \"{{{{device}}}}{long}\""),
                "longer than",
                mqtt(|d, long| d.client_id = Some(long.into())),
            ),
            (
                "reply_topic = \"a/b#\"".to_owned(),
                "is not a topic filter",
                mqtt(|d, _| d.reply_topic = Some("a/b#".into())),
            ),
            (
                format!("will = {{ topic = \"a\", payload = \"{long}\" }}"),
                "longer than",
                Identity { will: will("a", &long), ..Identity::of("d") },
            ),
            (
                "will = { topic = \"a/+\" }".to_owned(),
                "is not a topic that can be published to",
                Identity { will: will("a/+", ""), ..Identity::of("d") },
            ),
        ],
    );
}
