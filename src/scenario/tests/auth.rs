//! What devices prove by who they are: stated, in files, per device; what is wrong with it; and that nothing tells of it.

use std::fs;
use std::path::Path;

use crate::clock::Tick;
use crate::fleet::{Device, RunFacts};
use crate::language::Environment;
use crate::protocol::{Identity, Rendering};
use crate::record::FleetId;
use crate::scenario::{Overrides, Plan, Scenario};
use crate::seed::Seed;

fn load(directory: &Path, protocol: &str, fleet: &str) -> Result<Scenario, String> {
    let text = format!(
        "[scenario]\nname = \"x\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
         [fleet.m]\nprotocol = \"{protocol}\"\ndevices = 2\nrate = \"1/s\"\n{fleet}\n"
    );
    let source = directory.join("x.toml").display().to_string();
    let environment = Environment::Fixed([("TOKEN".to_owned(), "s3cret-env".to_owned())].into());
    let overrides = Overrides { environment, ..Overrides::default() };
    Scenario::parse(&source, &text, &overrides).map_err(|error| error.to_string())
}

/// What device number `index` presents.
fn identity(scenario: &Scenario, index: u32) -> Identity {
    let fleet = &scenario.fleets[0];
    let device = Device::new(&fleet.device_model, index, Tick::ZERO, Seed(0));
    let format = &fleet.device_model.payload.format;
    fleet.identity(&Rendering { device: &device, format, run: RunFacts::default() })
}

#[test]
fn one_for_all_or_one_each_from_texts_variables_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("all.key"), "s3cret-{{file}}\n").unwrap();
    for index in 0..2 {
        fs::write(folder.join(format!("m-0000{index}.jwt")), format!("s3cret-{index}\r\n")).unwrap();
    }
    fs::write(folder.join("d.csv"), "device,token\nm-00001,s3cret-1\nm-00000,s3cret-0\n").unwrap();
    fs::write(folder.join("pw.csv"), "device,password\nm-00001,s3cret-1\nm-00000,s3cret-0\n").unwrap();
    fs::write(folder.join("h.csv"), "device,header:X-Key\nm-00001,s3cret-1\nm-00000,s3cret-0\n").unwrap();
    let header = |name: &str, of: [&str; 2]| of.map(|value| vec![(name.to_owned(), value.to_owned())]);
    let bearer = |of: [&str; 2]| {
        header("Authorization", of.map(|token| format!("Bearer {token}")).each_ref().map(String::as_str))
    };
    for (fleet, expected) in [
        ("auth = { bearer = \"s3cret\" }", bearer(["s3cret"; 2])),
        ("auth = { bearer = \"${TOKEN}-{{index}}\" }", bearer(["s3cret-env-0", "s3cret-env-1"])),
        (
            "auth = { bearer = { value = \"s3cret-{{device}}\" } }",
            bearer(["s3cret-m-00000", "s3cret-m-00001"]),
        ),
        ("auth = { bearer = { file = \"all.key\" } }", bearer(["s3cret-{{file}}"; 2])),
        ("auth = { bearer = { file = \"{{device}}.jwt\" } }", bearer(["s3cret-0", "s3cret-1"])),
        ("credentials = \"d.csv\"", bearer(["s3cret-0", "s3cret-1"])),
        ("credentials = \"h.csv\"", header("X-Key", ["s3cret-0", "s3cret-1"])),
        ("auth = { headers = { X-Key = \"{{fleet}}\" } }", header("X-Key", ["m", "m"])),
        // "m-00000:s3cret-0" and "m-00001:s3cret-1".
        (
            "auth = { username = \"{{device}}\" }\ncredentials = \"pw.csv\"",
            header("Authorization", ["Basic bS0wMDAwMDpzM2NyZXQtMA==", "Basic bS0wMDAwMTpzM2NyZXQtMQ=="]),
        ),
    ] {
        for protocol in ["http", "ws"] {
            let scenario = load(folder, protocol, fleet).unwrap();
            assert_eq!(
                [0, 1].map(|index| identity(&scenario, index).headers),
                expected,
                "{protocol} {fleet}"
            );
        }
    }
    let scenario = load(folder, "mqtt", "credentials = \"d.csv\"").unwrap();
    let login = identity(&scenario, 1).login.unwrap();
    assert_eq!((login.user.as_str(), login.password.unwrap().reveal()), ("m-00001", "s3cret-1"));
    let plan = Plan::new(scenario);
    assert!(plan.secrets(FleetId(0), 1, RunFacts::default()).contains(&"s3cret-1".to_owned()));
}

/// A protocol, what its fleet says, and what is said of that.
const FAULTS: &[(&str, &str, &[&str])] = &[
    ("http", "auth = {}", &["x.toml:10:8: fleet.m.auth: states nothing"]),
    ("http", "auth = { bearer = {} }", &["fleet.m.auth.bearer.value: is missing"]),
    (
        "http",
        "auth = { bearer = { value = \"s3cret\", file = \"f\" } }",
        &["fleet.m.auth.bearer.file: stands beside a `value`"],
    ),
    (
        "http",
        "auth = { bearer = \"s3cret\", username = \"a\" }",
        &["fleet.m.auth: states a token and a user name"],
    ),
    ("http", "auth = { password = \"s3cret\" }", &["fleet.m.auth: states a password and no user name"]),
    ("http", "auth = { bearer = \"{{nope}} s3cret\" }", &["fleet.m.auth.bearer.value"]),
    ("http", "auth = { bearer = { file = \"nope.key\" } }", &["nope.key: No such file"]),
    ("http", "auth = { bearer = { file = \"empty.key\" } }", &["empty.key: it is empty"]),
    ("http", "auth = { bearer = { file = \"{{run}}\" } }", &["cannot be named by the run"]),
    (
        "http",
        "auth = { bearer = \"s3cret\\n\" }",
        &["fleet.m.auth.bearer: a header field is not a token and visible ASCII"],
    ),
    (
        "http",
        "auth = { username = \"a:b\", password = \"s3cret\" }",
        &["fleet.m.auth.username: the user name has a colon"],
    ),
    (
        "http",
        "auth = { headers = { Connection = \"s3cret\" } }",
        &["fleet.m.auth.headers: a header field is written by squall"],
    ),
    (
        "http",
        "auth = { bearer = \"s3cret\" }\nhttp = { headers = { authorization = \"s3cret\" } }",
        &["fleet.m.auth.bearer: a header field is stated more than once"],
    ),
    (
        "mqtt",
        "auth = { headers = { X = \"s3cret\" } }",
        &["fleet.m.auth.headers: a header field has no place in MQTT"],
    ),
    (
        "mqtt",
        "auth = { bearer = \"s3cret\" }\nmqtt = { username = \"a\", password = \"s3cret\" }",
        &["fleet.m.auth.bearer: the credential stands beside a `username`"],
    ),
    ("tcp", "auth = { bearer = \"s3cret\" }", &["fleet.m.auth: a credential cannot be shown"]),
    ("http", "credentials = \"nope.csv\"", &["fleet.m.credentials", "nope.csv: No such file"]),
    (
        "http",
        "credentials = \"one.csv\"",
        &["x.toml:10:15: fleet.m.credentials", "no row for device `m-00001`"],
    ),
    ("http", "auth = { bearer = \"s3cret\" }\ncredentials = \"one.csv\"", &["no row for device `m-00001`"]),
    ("http", "credentials = \"odd.csv\"", &["line 2: the user name of device `m-00000` has a colon"]),
    ("mqtt", "credentials = \"long.csv\"", &["line 2: the password of device `m-00000` is longer"]),
    ("http", "auth = { bearer = \"s3cret\", basic = \"x\" }", &["fleet.m.auth.basic: unknown key"]),
    ("http", "auth = { bearer = 5 }", &["fleet.m.auth.bearer: expected a text"]),
];

#[test]
fn every_fault_has_its_place_and_tells_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("one.csv"), "device,token\nm-00000,s3cret\n").unwrap();
    fs::write(
        folder.join("odd.csv"),
        "device,username,password\nm-00000,a:b,s3cret\nm-00001,a,s3cr\u{e9}t\n",
    )
    .unwrap();
    fs::write(folder.join("long.csv"), format!("device,token\nm-00000,{}\n", "s3cret".repeat(11_000)))
        .unwrap();
    fs::write(folder.join("empty.key"), "\n").unwrap();
    for (protocol, fleet, expected) in FAULTS {
        let error = load(folder, protocol, fleet).unwrap_err();
        for expected in *expected {
            assert!(error.contains(expected), "{fleet}: {error}");
        }
        assert!(!error.contains("s3cr"), "{fleet}: {error}");
    }
}

#[test]
fn a_header_field_that_is_known_to_hold_a_secret_is_one_wherever_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    for (protocol, name, is_secret) in [
        ("http", "authorization", true),
        ("http", "Authorization", true),
        ("http", "x-api-key", true),
        ("ws", "Cookie", true),
        ("http", "X-Tag", false),
    ] {
        let fleet = format!("{protocol} = {{ headers = {{ {name} = \"basic YW5uOnMzY3IzdA==\" }} }}");
        let scenario = load(dir.path(), protocol, &fleet).unwrap();
        let known = scenario.secrets.reveal().iter().any(|secret| secret == "basic YW5uOnMzY3IzdA==");
        assert_eq!(known, is_secret, "{name}");
    }
}

#[test]
fn the_digest_knows_the_kind_and_no_word_of_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("d.csv"), "device,token\nm-00000,a\nm-00001,b\n").unwrap();
    let digest = |fleet: &str| Plan::new(load(dir.path(), "http", fleet).unwrap()).digest().to_owned();
    let token = digest("auth = { bearer = \"s3cret\" }");
    assert_eq!(digest("auth = { bearer = \"another\" }"), token);
    assert_eq!(digest("auth.bearer = \"${TOKEN}\""), token);
    assert_eq!(digest("credentials = \"d.csv\""), token, "wherever it stands");
    let login = digest("auth = { username = \"a\", password = \"b\" }");
    let header = digest("auth = { headers = { X-Key = \"k\" } }");
    let all = [digest(""), token, login, header, digest("auth = { headers = { X-Other = \"k\" } }")];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
}

#[test]
fn what_is_printed_for_debugging_or_stored_tells_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("k"), "s3cret-file").unwrap();
    fs::write(dir.path().join("d.csv"), "device,header:X\nm-00000,s3cret-a\nm-00001,s3cret-b\n").unwrap();
    for (protocol, fleet) in [
        (
            "http",
            "auth = { bearer = \"s3cret\", headers = { X-Key = { file = \"k\" } } }\ncredentials = \"d.csv\"",
        ),
        ("http", "http = { headers = { Authorization = \"Bearer s3cret\" } }"),
        ("mqtt", "mqtt = { username = \"a\", password = \"s3cret\" }"),
        (
            "mqtt",
            "auth = { username = \"a\", password = \"s3cret-{{device}}\" }\n[target]\nmqtt = \"mqtt://u:s3cret@h\"\ncontrol_token = \"s3cret\"",
        ),
        (
            "http",
            "[reference.admission]\ntokens = [\"s3cret\", { token = \"s3cret-2\" }]\njwt = { hs256 = \"s3cret\" }",
        ),
    ] {
        let scenario = load(dir.path(), protocol, fleet).unwrap();
        assert!(!scenario.text.contains("s3cret"), "{}", scenario.text);
        let identity = identity(&scenario, 1);
        let said = format!("{scenario:?} {identity:?} {:?}", Plan::new(scenario.clone()));
        let at = said.find("s3cret").map(|at| &said[at.saturating_sub(200)..at + 20]);
        assert_eq!(at, None, "{fleet}");
    }
}
