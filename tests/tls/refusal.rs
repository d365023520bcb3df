//! Every way in which one side does not accept the other, at every peer and under every protocol: a failure of TLS, and a sentence
//! with the remedy.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

use super::own::Own;
use super::{Place, broker, front};
use crate::authority::Authority;

/// Protocols by their schemes over TLS, in the order of the table's cells.
const PROTOCOLS: [(&str, &str); 3] = [("http", "https"), ("ws", "wss"), ("mqtt", "mqtts")];

/// What becomes of a device's attempt to connect.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// It fails by TLS, and the sentence holds this.
    Tls(&'static str),
    /// The handshake is completed, and the first request is answered so.
    Answered(&'static str),
    /// There is no such thing.
    None(&'static str),
}
use Cell::{Answered, None as No, Tls};

/// A way of not being accepted.
struct Row {
    name: &'static str,
    /// The certificate of the server, by its file.
    server: &'static str,
    /// Whether the server demands certificates, and knows which are revoked.
    strict: bool,
    /// What the fleets say of TLS.
    tls: &'static str,
    nginx: [Cell; 3],
    mosquitto: [Cell; 3],
    own: [Cell; 3],
}

const NO_STREAM: Cell =
    No("nginx passes MQTT on only with its stream module, which Debian's nginx-light leaves out");
const NO_HTTP: Cell = No("mosquitto takes no readings by HTTP");
const NO_WS: Cell = No("mosquitto speaks MQTT over WebSocket, which is no protocol of squall's");
/// It judges devices by the first request (400), which no protocol but HTTP has.
const BY_STATUS: Cell = Answered("400");

const EXPIRED: Cell = Tls("the server's certificate has expired: renew it");
const OTHER: Cell =
    Tls("is not for `localhost` but for `other.example`: connect to a name that it has, or set `sni`");
const UNKNOWN: Cell = Tls("was issued by an unknown authority: name the authority's certificate by `ca`");
const REVOKED: Cell = Tls("the server's certificate is revoked: issue it another");
const NOT_SHOWN: Cell =
    Tls("the server demands a client certificate, and the device has none: name one by `cert` and `key`");
const DEVICE_REVOKED: Cell = Tls("the device's certificate is revoked: issue the device another");

const fn alike(cell: Cell) -> ([Cell; 3], [Cell; 3], [Cell; 3]) {
    ([cell, cell, NO_STREAM], [NO_HTTP, NO_WS, cell], [cell; 3])
}

const fn row(
    name: &'static str,
    (server, strict, tls): (&'static str, bool, &'static str),
    (nginx, mosquitto, own): ([Cell; 3], [Cell; 3], [Cell; 3]),
) -> Row {
    Row { name, server, strict, tls, nginx, mosquitto, own }
}

const ROWS: [Row; 6] = [
    row("expired", ("expired", false, "ca = \"ca.pem\""), alike(EXPIRED)),
    row("wrong host", ("other", false, "ca = \"ca.pem\""), alike(OTHER)),
    row("unknown authority", ("localhost", false, "ca = \"stranger/ca.pem\""), alike(UNKNOWN)),
    row("revoked server", ("revoked", false, "ca = \"ca.pem\", crl = \"crl.pem\""), alike(REVOKED)),
    row(
        "no client certificate",
        ("localhost", true, "ca = \"ca.pem\""),
        ([BY_STATUS, BY_STATUS, NO_STREAM], [NO_HTTP, NO_WS, NOT_SHOWN], [NOT_SHOWN; 3]),
    ),
    row(
        "revoked device",
        ("localhost", true, "ca = \"ca.pem\", cert = \"revoked.pem\", key = \"revoked.key\""),
        ([BY_STATUS, BY_STATUS, NO_STREAM], [NO_HTTP, NO_WS, DEVICE_REVOKED], [DEVICE_REVOKED; 3]),
    ),
];

/// A place with every certificate that the table names.
fn place() -> Place {
    let authority = Authority::new();
    let place = Place::with(&authority, &["localhost"]);
    let folder = place.0.path();
    leave(&authority, folder, ("expired", "localhost"), |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    leave(&authority, folder, ("other", "other.example"), |_| {});
    leave(&authority, folder, ("revoked", "localhost"), |params| {
        params.serial_number = Some(SerialNumber::from(7));
    });
    fs::write(folder.join("crl.pem"), revocations(&authority, 7)).unwrap();
    fs::create_dir(folder.join("stranger")).unwrap();
    stranger().write(&folder.join("stranger"), &[]);
    place
}

/// Leaves `FILE.pem` and `FILE.key` for the name behind it, with `change` made to what the certificate says.
fn leave(
    authority: &Authority,
    folder: &Path,
    (file, name): (&str, &str),
    change: impl FnOnce(&mut CertificateParams),
) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    fs::write(folder.join(format!("{file}.pem")), params.signed_by(&key, &authority.0).unwrap().pem())
        .unwrap();
    fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

/// A list in which the certificate of the number `serial` is revoked.
fn revocations(authority: &Authority, serial: u64) -> String {
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2099, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&authority.0).unwrap().pem().unwrap()
}

/// An authority of another name.
fn stranger() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "stranger");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
}

/// Drives one device by each protocol for which there is a URL, and compares what became of them.
fn compare(place: &Place, (row, peer): (&Row, &str), (cells, urls): ([Cell; 3], [String; 3])) -> u32 {
    let mut arguments = vec!["run".to_owned(), "s.toml".to_owned()];
    let mut text =
        "[scenario]\nname = \"tls\"\n[run]\nwarm_up = \"0s\"\ndrain = \"100ms\"\nconnect_timeout = \"60s\"\n\
                    [[phase]]\nname = \"steady\"\nduration = \"1s\"\n"
            .to_owned();
    for ((protocol, scheme), (cell, url)) in PROTOCOLS.iter().zip(cells.iter().zip(&urls)) {
        if let No(why) = cell {
            println!("{} × {peer} × {scheme}: none, {why}", row.name);
            continue;
        }
        // A refused upgrade must not end the run before the other protocols have sent anything.
        let refusal =
            if matches!(cell, Answered(_)) && *protocol == "ws" { "refusal = \"expected\"\n" } else { "" };
        let _ = write!(
            text,
            "[fleet.{scheme}]\nprotocol = \"{protocol}\"\ndevices = 1\nrate = \"5/s\"\n{refusal}tls = {{ {} }}\n",
            row.tls
        );
        arguments.extend(["--target".to_owned(), format!("{protocol}={url}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = place.drive(&arguments, &text);
    let failures = ended.report().failures;
    let mut compared = 0;
    for ((_, scheme), cell) in PROTOCOLS.iter().zip(cells) {
        let shown = format!("{} × {peer} × {scheme}: {cell:?} {}", row.name, ended.said());
        let own =
            |kind: &'static str| failures.iter().filter(move |row| row.fleet == *scheme && row.kind == kind);
        match cell {
            Tls(sentence) => {
                let connects: Vec<_> = own("connect").collect();
                assert!(!connects.is_empty() && own("tls").count() > 0, "{shown}");
                for failure in connects {
                    assert_eq!((&*failure.outcome, &*failure.code), ("error", "tls"), "{shown}");
                    assert!(failure.reason.contains(sentence), "{shown} {}", failure.reason);
                }
                let figures = ended.sum_of(scheme, "connect");
                assert_eq!((figures.ok, figures.error_tls), (0, figures.planned), "{shown}");
            }
            Answered(status) => {
                assert_eq!(own("tls").count(), 0, "{shown}");
                let all = own("connect").chain(own("reading"));
                assert!(all.clone().any(|failure| failure.reason.contains(status)), "{shown}");
            }
            No(_) => continue,
        }
        compared += 1;
    }
    compared
}

fn urls(port: u16) -> [String; 3] {
    PROTOCOLS.map(|(_, scheme)| format!("{scheme}://localhost:{port}"))
}

#[test]
fn the_own_service_and_its_devices_refuse_each_other_with_a_remedy() {
    let place = place();
    let mut compared = 0;
    for row in &ROWS {
        let (certificate, key) = (format!("{}.pem", row.server), format!("{}.key", row.server));
        let mut arguments = vec!["--tls-cert", &certificate, "--tls-key", &key];
        if row.strict {
            arguments.extend(["--tls-client-ca", "ca.pem", "--tls-client-crl", "crl.pem"]);
        }
        let service = Own::start(place.0.path(), &arguments);
        let urls = PROTOCOLS.map(|(protocol, _)| service.url(protocol));
        compared += compare(&place, (row, "own"), (row.own, urls));
    }
    assert_eq!(compared, 18);
}

#[test]
fn nginx_and_devices_refuse_each_other_with_a_remedy() {
    let place = place();
    let mut compared = 0;
    for row in &ROWS {
        let strict = if row.strict {
            "ssl_client_certificate ca.pem; ssl_crl crl.pem; ssl_verify_client on;"
        } else {
            ""
        };
        let Some((_peer, port)) = front(place.0.path(), row.server, strict) else { return };
        compared += compare(&place, (row, "nginx"), (row.nginx, urls(port)));
    }
    assert_eq!(compared, 12);
}

#[test]
fn mosquitto_and_devices_refuse_each_other_with_a_remedy() {
    let place = place();
    let mut compared = 0;
    for row in &ROWS {
        let strict = if row.strict { "require_certificate true\ncrlfile crl.pem\n" } else { "" };
        let Some((_peer, port)) = broker(place.0.path(), row.server, strict) else { return };
        compared += compare(&place, (row, "mosquitto"), (row.mosquitto, urls(port)));
    }
    assert_eq!(compared, 6);
}
