//! Words of protocols outside the rooms that are about protocols: code that asks which one it has would be silently wrong for
//! the next. It asks for a fact instead.

use std::collections::BTreeSet;

use super::syntax::{blanked_but, without_tests};
use super::{Source, assert_none, sources};

/// Where protocols are known by name: their own folders, the system that serves them, and the home of the plain name.
const HOMES: [&str; 3] = ["protocol", "reference", "record"];

/// Words that stand elsewhere all the same: (module, word, why).
const KEPT: [(&str, &str, &str); 5] = [
    (
        "service::admission",
        "mqtt",
        "a key of the bundled system's own settings, which are about its endpoints",
    ),
    ("language::value", "https", "who names a scheme for a protocol is told where it belongs"),
    ("language::value", "wss", "who names a scheme for a protocol is told where it belongs"),
    ("language::value", "mqtts", "who names a scheme for a protocol is told where it belongs"),
    ("language::value", "tcps", "who names a scheme for a protocol is told where it belongs"),
];

/// What makes a protocol of a word.
const MAKER: &str = "Protocol::named";

/// The names, titles and schemes of the protocols, from the drivers in their folders.
fn words(sources: &[Source]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for Source { module, text, .. } in sources {
        let [room, name, file] = module.as_slice() else { continue };
        if room != "protocol" || file != "driver" {
            continue;
        }
        words.insert(name.clone());
        let stated = text.lines().map(str::trim_start).filter(|line| {
            ["protocol: ", "title: ", "schemes: ", "tls_schemes: "].iter().any(|key| line.starts_with(key))
        });
        words.extend(stated.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
    }
    words
}

/// Words of protocols in the code outside tests, and what makes a protocol of a word.
pub(super) fn protocol_words(text: &str, words: &BTreeSet<String>) -> Vec<String> {
    let code = blanked_but(text, |literal| words.contains(literal));
    let Ok(code) = without_tests(&code) else { return vec!["unreadable code".to_owned()] };
    let mut found: Vec<String> =
        words.iter().filter(|word| code.contains(&format!("\"{word}\""))).cloned().collect();
    if code.contains(MAKER) {
        found.push(MAKER.to_owned());
    }
    found
}

#[test]
fn no_room_asks_which_protocol_it_has() {
    let sources = sources();
    let mut words = words(&sources);
    // What lies under every protocol has the name of a scheme.
    words.remove("tls");
    assert!(["http", "ws", "mqtt", "wss", "MQTT"].iter().all(|word| words.contains(*word)), "{words:?}");
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources.iter().filter(|source| !source.test_only && !HOMES.contains(&&*source.room)) {
        let module = source.module.join("::");
        for word in protocol_words(&source.text, &words) {
            match KEPT.iter().position(|(from, kept, _)| *from == module && *kept == word) {
                Some(place) => drop(used.insert(place)),
                None => faults.push(format!(
                    "{}: `{word}` names a protocol; ask for one of its facts (protocol::Facts)",
                    source.path.display()
                )),
            }
        }
    }
    for (_, (module, word, _)) in KEPT.iter().enumerate().filter(|(place, _)| !used.contains(place)) {
        faults.push(format!("`{word}` does not stand in {module} any more: remove it from the list"));
    }
    assert_none(&faults);
}
