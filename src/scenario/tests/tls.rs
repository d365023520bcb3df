//! What a scenario says of TLS: files are read and matched before anything runs.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use crate::scenario::{Overrides, Scenario};

/// A certificate for `name` and its key, in files called so.
fn issue(directory: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn load(directory: &Path, target: &str, tls: &str) -> Result<Scenario, String> {
    let text = format!(
        "[scenario]\nname = \"x\"\n[target]\nhttp = \"https://localhost\"\n{target}\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
         [fleet.m]\nprotocol = \"http\"\ndevices = 2\nrate = \"1/s\"\n{tls}\n"
    );
    let source = directory.join("x.toml").display().to_string();
    Scenario::parse(&source, &text, &Overrides::default()).map_err(|error| error.to_string())
}

#[test]
fn files_are_read_per_device_or_once_and_a_fleet_says_it_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["m-00000", "m-00001", "ca"] {
        issue(dir.path(), name);
    }
    let own = "[fleet.m.tls]\ncert = \"{{device}}.pem\"\nkey = \"{{device}}.key\"";
    let scenario = load(dir.path(), "tls = { ca = \"ca.pem\", resume = \"off\" }", own).unwrap();
    let tls = scenario.fleets[0].tls.as_ref().unwrap();
    assert!(tls.own && !tls.settings.resumes && tls.settings.authorities.as_ref().unwrap().len() == 1);
    assert!(
        tls.identities.of(0).is_some() && tls.identities.of(1).is_some() && tls.identities.of(2).is_none()
    );
    let shared = "tls = { cert = \"ca.pem\", key = \"ca.key\", resume = \"per-device\" }";
    let scenario = load(dir.path(), "tls = { resume = \"off\" }", shared).unwrap();
    let tls = scenario.fleets[0].tls.as_ref().unwrap();
    assert!(tls.settings.resumes && tls.identities.of(7).is_some());
    assert!(load(dir.path(), "", "").unwrap().fleets[0].tls.is_none());
}

#[test]
fn every_fault_names_the_file_and_the_key() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["m-00000", "other"] {
        issue(dir.path(), name);
    }
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    let table = [
        (
            "tls = { cert = \"m-00000.pem\", key = \"other.key\" }",
            "fleet.m.tls.key",
            "other.key holds a key that is not the certificate's",
        ),
        (
            "tls = { cert = \"{{device}}.pem\", key = \"{{device}}.key\" }",
            "fleet.m.tls.cert",
            "m-00001.pem: No such file or directory",
        ),
        ("tls = { cert = \"m-00000.pem\" }", "fleet.m.tls.cert", "m-00000.pem holds no private key"),
        ("tls = { key = \"m-00000.key\" }", "fleet.m.tls.key", "requires `cert`"),
        ("tls = { ca = \"empty.pem\" }", "fleet.m.tls.ca", "empty.pem holds no certificate"),
        ("tls = { ca = \"nope.pem\" }", "fleet.m.tls.ca", "cannot read"),
        (
            "tls = { ca = \"other.pem\", insecure = \"accept-any-certificate\" }",
            "fleet.m.tls.ca",
            "is of no use beside `insecure`",
        ),
        ("tls = { crl = \"other.pem\" }", "fleet.m.tls.crl", "other.pem holds no revocation list"),
        (
            "tls = { crl = \"empty.pem\", insecure = \"accept-any-certificate\" }",
            "fleet.m.tls.crl",
            "is of no use beside `insecure`",
        ),
        ("tls = { sni = \"a b\" }", "fleet.m.tls.sni", "`a b` is not a name"),
        ("tls = { alpn = \"\" }", "fleet.m.tls.alpn", "1 to 255 bytes"),
        ("tls = { cert = \"{{run}}.pem\" }", "fleet.m.tls.cert", "cannot be named by the run"),
        ("tls = { cert = \"{{seq}}.pem\" }", "fleet.m.tls.cert", "seq"),
        ("tls = { versions = \"1.1\" }", "fleet.m.tls.versions", "`1.1`"),
        ("tls = { insecure = \"yes\" }", "fleet.m.tls.insecure", "accept-any-certificate"),
    ];
    for (tls, key, expected) in table {
        let error = load(dir.path(), "", tls).unwrap_err();
        assert!(error.contains(key) && error.contains(expected), "{tls}: {error}");
        assert!(error.contains("x.toml:13"), "{error}");
    }
    let error = load(dir.path(), "tls = { ca = \"nope.pem\" }", "").unwrap_err();
    assert!(error.contains("target.tls.ca"), "{error}");
}

#[test]
fn a_table_on_tls_needs_a_target_that_is_reached_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = |name: &str, protocol: &str, tls: &str| {
        format!("[fleet.{name}]\nprotocol = \"{protocol}\"\ndevices = 2\nrate = \"1/s\"\n{tls}\n")
    };
    let (off, both) = ("[fleet.m.tls]\nresume = \"off\"", "http = \"http://h\"\nmqtt = \"mqtt://h\"");
    let table = "[target.tls]\nresume = \"off\"";
    let cases: [(&str, &str, String, &[&str]); 9] = [
        ("http = \"http://h\"", "", fleet("m", "http", off), &[":13:", "target.http", "https://"]),
        (
            "http = \"http://h\"",
            table,
            fleet("m", "http", ""),
            &[":5:", "target.tls: ", "target.http", "https://"],
        ),
        ("http = \"https://h\"", table, fleet("m", "http", off), &[]),
        // Who answers is said when the run begins.
        ("", table, fleet("m", "http", off), &[]),
        (
            "mqtt = \"mqtt://h\"",
            table,
            fleet("m", "mqtt", ""),
            &[":5:", "target.tls: ", "target.mqtt", "mqtts://"],
        ),
        (both, table, fleet("m", "http", "") + &fleet("n", "mqtt", ""), &[":6:", "target.tls: "]),
        (
            "http = \"http://h\"\nmqtt = \"mqtts://h\"",
            table,
            fleet("m", "http", "") + &fleet("n", "mqtt", ""),
            &[],
        ),
        ("http = \"http://h\"", table, fleet("m", "http", "") + &fleet("n", "mqtt", ""), &[]),
        (
            "http = \"http://h\"\nmqtt = \"mqtts://h\"",
            table,
            fleet("m", "http", off) + &fleet("n", "mqtt", ""),
            &["fleet.m.tls: says how to shake hands, and target.http is reached without TLS"],
        ),
    ];
    for (target, common, fleets, expected) in cases {
        let text = format!(
            "[scenario]\nname = \"x\"\n[target]\n{target}\n{common}\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n{fleets}"
        );
        let source = dir.path().join("x.toml").display().to_string();
        let scenario = Scenario::parse(&source, &text, &Overrides::default()).unwrap();
        let error = scenario.handshakes_apply().map_err(|error| error.to_string()).err().unwrap_or_default();
        assert_eq!(error.is_empty(), expected.is_empty(), "{text}\n{error}");
        assert!(expected.iter().all(|words| error.contains(words)), "{text}\n{error}");
        assert_eq!(
            error.matches("says how to shake hands").count(),
            usize::from(!expected.is_empty()),
            "{error}"
        );
    }
}

#[test]
fn what_shapes_the_traffic_is_part_of_the_digest_and_where_files_lie_is_not() {
    use crate::scenario::Plan;
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        issue(dir.path(), name);
    }
    let digest =
        |target: &str, tls: &str| Plan::new(load(dir.path(), target, tls).unwrap()).digest().to_owned();
    let plain = digest("", "");
    assert_eq!(digest("", "tls = { ca = \"a.pem\", sni = \"x\", timeout = \"1s\" }"), plain);
    assert_eq!(digest("", "tls = { cert = \"a.pem\", key = \"a.key\", resume = \"per-device\" }"), plain);
    let off = digest("", "tls = { resume = \"off\" }");
    assert_ne!(off, plain);
    assert_eq!(digest("tls = { resume = \"off\" }", ""), off, "wherever it is said");
    assert_ne!(digest("", "tls = { versions = \"1.2\" }"), plain);
    assert_ne!(digest("", "tls = { alpn = \"h2\" }"), plain);
}
