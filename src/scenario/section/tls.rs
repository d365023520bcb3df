//! `tls` of a fleet or of `[target]`: how devices shake hands where the target's URL asks for TLS.

use std::sync::Arc;

use crate::fleet::Scope;
use crate::language::{Field, FieldValue, Fields, Kind, Location, Reporter, Section, Text, quote};
use crate::net::{TlsSettings, TlsVersions, is_server_name};
use crate::protocol::template;
use crate::scenario::certificate;
use crate::scenario::model::{Identities, TlsPlan};
use crate::units::Span;

/// The word by which a fleet accepts whatever a server presents.
pub(super) const INSECURE: &str = "accept-any-certificate";

/// Longest name of a protocol that ALPN carries, bytes.
const LONGEST_ALPN: usize = 255;

pub(super) static TLS: Section = Section {
    title: "tls = { … }",
    about: "how devices shake hands with a target over TLS; under [target] for all fleets, key by key below what a fleet states",
    by: None,
    fields: &[
        Field::optional(
            "ca",
            Kind::Text,
            "PEM file of the authorities that the server's certificate is to be issued by, from the directory of the scenario; \
             those of the operating system unless stated",
        ),
        Field::optional(
            "crl",
            Kind::Text,
            "PEM file of the revocation lists of all authorities in the chain of the server's certificate, which is refused if it is \
             in one of them",
        ),
        Field::optional(
            "cert",
            Kind::Text,
            "PEM file of the certificate that a device shows when the server asks; {{device}}, {{fleet}} and {{index}} may be part \
             of the path",
        ),
        Field::optional("key", Kind::Text, "PEM file of its key, as `cert`; the same file unless stated"),
        Field::optional(
            "sni",
            Kind::Text,
            "the name that is asked for and that the server's certificate is to be for; the host of the target unless stated",
        ),
        Field::with(
            "alpn",
            Kind::List(&Kind::Text),
            "",
            "protocols offered by ALPN, the preferred one first",
        ),
        Field::with(
            "versions",
            Kind::List(&Kind::Word(&["1.2", "1.3"])),
            "",
            "the versions that are offered; both unless stated",
        ),
        Field::with(
            "resume",
            Kind::Word(&["per-device", "off"]),
            "per-device",
            "per-device: a device that connects again takes up its own last session, as real devices do; off: every handshake is a \
             full one",
        ),
        Field::optional(
            "timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "longest time a handshake may take; what is left of connect_timeout unless stated",
        ),
        Field::optional(
            "insecure",
            Kind::Word(&[INSECURE]),
            "the server's certificate is not judged; every report says so",
        ),
    ],
};

/// What a fleet states, and under it what `[target]` states.
#[derive(Clone, Copy)]
struct Stated<'f> {
    own: Option<&'f Fields>,
    common: Option<&'f Fields>,
}

impl<'f> Stated<'f> {
    /// The table in which `key` is written, the fleet's own first; one that has its default where none is.
    fn of(self, key: &str) -> Option<&'f Fields> {
        let tables = [self.own, self.common].into_iter().flatten();
        let mut written = tables.clone().filter(|fields| fields.given(key).is_some());
        written.next().or_else(|| tables.into_iter().next())
    }

    fn text(self, key: &str) -> Option<(&'f Fields, Text)> {
        let fields = self.of(key)?;
        Some((fields, fields.text(key)?))
    }
}

/// What the fleet called `name`, of `devices` devices, says of TLS, its files read; `None` where nothing is said.
pub(super) fn tls(
    fleet: &Fields,
    target: &Fields,
    (name, devices): (&str, u32),
    report: &mut Reporter<'_>,
) -> Option<Arc<TlsPlan>> {
    let (own, common) = (fleet.table("tls"), target.table("tls"));
    let stated = Stated { own: own.as_ref(), common: common.as_ref() };
    stated.of("")?;
    let mut settings = TlsSettings {
        versions: versions(stated),
        resumes: stated.of("resume")?.word("resume") != Some("off"),
        insecure: stated.of("insecure")?.word("insecure").is_some(),
        alpn: alpn(stated, report),
        ..TlsSettings::default()
    };
    if let Some((fields, ca)) = stated.text("ca") {
        if settings.insecure {
            fields.refuse("ca", report, "is of no use beside `insecure`", "take one of the two out");
        }
        match certificate::authorities(&report.context().directory, &ca) {
            Ok(found) => settings.authorities = Some(found),
            Err((message, help)) => fields.refuse("ca", report, message, help),
        }
    }
    if let Some((fields, crl)) = stated.text("crl") {
        if settings.insecure {
            fields.refuse("crl", report, "is of no use beside `insecure`", "take one of the two out");
        }
        match certificate::revocations(&report.context().directory, &crl) {
            Ok(found) => settings.revocations = found,
            Err((message, help)) => fields.refuse("crl", report, message, help),
        }
    }
    if let Some((fields, sni)) = stated.text("sni") {
        if !is_server_name(sni.value()) {
            let message = format!("`{}` is not a name that a certificate can be for", quote(sni.written()));
            fields.refuse("sni", report, message, "write a host name or an IP address");
        }
        settings.server_name = Some(sni.value().to_owned());
    }
    let identities = identities(stated, (name, devices), report);
    let timeout = stated.of("timeout")?.optional_span("timeout");
    let written = fleet.given("tls").or_else(|| target.given("tls"));
    let place = written.map_or(Location::Whole, |at| report.place(at));
    Some(Arc::new(TlsPlan { settings, identities, timeout, own: own.is_some(), place }))
}

fn versions(stated: Stated<'_>) -> TlsVersions {
    let listed = |word: &str| {
        let items = stated.of("versions").map_or(&[][..], |fields| fields.list("versions"));
        items.iter().any(|(_, item)| matches!(item, FieldValue::Word(found) if *found == word))
    };
    match (listed("1.2"), listed("1.3")) {
        (true, false) => TlsVersions::Only12,
        (false, true) => TlsVersions::Only13,
        _ => TlsVersions::Both,
    }
}

fn alpn(stated: Stated<'_>, report: &mut Reporter<'_>) -> Vec<String> {
    let Some(fields) = stated.of("alpn") else { return Vec::new() };
    let names: Vec<&str> = fields
        .list("alpn")
        .iter()
        .filter_map(|(_, item)| if let FieldValue::Text(name) = item { Some(name.value()) } else { None })
        .collect();
    if names.iter().any(|name| name.is_empty() || name.len() > LONGEST_ALPN) {
        let message = format!("a name has 1 to {LONGEST_ALPN} bytes");
        fields.refuse("alpn", report, message, "write for example alpn = \"http/1.1\"");
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Who the devices are, by their certificates.
fn identities(stated: Stated<'_>, (name, devices): (&str, u32), report: &mut Reporter<'_>) -> Identities {
    let (cert, key) = (stated.text("cert"), stated.text("key"));
    let Some((at, cert)) = cert else {
        if let Some((fields, _)) = key {
            fields.refuse("key", report, "requires `cert`", "name the certificate that the key is for");
        }
        return Identities::None;
    };
    let mut paths = Vec::new();
    for (fields, word, text) in [("cert", Some((at, cert.clone()))), ("key", Some(key.unwrap_or((at, cert))))]
        .into_iter()
        .filter_map(|(word, stated)| stated.map(|(fields, text)| (fields, word, text)))
    {
        match template(&text, &[], Scope::Device) {
            Ok(template) if template.names_run() => {
                fields.refuse(word, report, "a file cannot be named by the run", "take {{run}} out");
            }
            Ok(template) => paths.push((fields, template)),
            Err((message, help)) => fields.refuse(word, report, message, help),
        }
    }
    let [(cert_at, cert), (key_at, key)] = paths.as_slice() else { return Identities::None };
    let number = if cert.is_text() && key.is_text() { 1 } else { devices };
    let mut found = Vec::new();
    for index in 0..number {
        let path = |template: &crate::fleet::Template| template.for_device(name, index);
        let directory = &report.context().directory;
        match certificate::identity(directory, &path(cert), &path(key)) {
            Ok(identity) => found.push(identity),
            Err((file, (message, help))) => {
                let (fields, word) = match file {
                    crate::net::PemPart::Certificate => (cert_at, "cert"),
                    crate::net::PemPart::Key => (key_at, if key_at.has("key") { "key" } else { "cert" }),
                };
                // Thousands may be missing for one reason.
                fields.refuse(word, report, message, help);
                return Identities::None;
            }
        }
    }
    if number == 1 && devices > 1 {
        return found.pop().map_or(Identities::None, Identities::Shared);
    }
    Identities::Each(found.into())
}
