//! TLS on the service's ports: by which certificates, and whom it lets in.

use std::path::PathBuf;

use crate::language::{Field, Fields, Kind, Reporter, Section};

/// How the service speaks TLS on its ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM files of its certificate and of the key; none: it makes itself a throw-away authority and certificate.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether clients have to show a certificate.
    pub demands_certificates: bool,
    /// PEM file of the authorities that clients' certificates are to be issued by; none: the throw-away one.
    pub client_ca: Option<PathBuf>,
    /// PEM file of those authorities' revocation lists.
    pub client_crl: Option<PathBuf>,
}

pub(crate) static TLS: Section = Section {
    title: "reference.tls = { … }",
    about: "TLS on all ports of the bundled system; devices of a run trust its throw-away authority by themselves. Paths begin at the \
            directory of the scenario",
    by: None,
    fields: &[
        Field::with("on", Kind::Flag, "true", "whether its ports speak TLS"),
        Field::optional(
            "cert",
            Kind::Text,
            "PEM file of its certificate, its own first; a throw-away one unless stated",
        ),
        Field::optional("key", Kind::Text, "PEM file of the key; the same file unless stated"),
        Field::with(
            "require_certificate",
            Kind::Flag,
            "false",
            "clients have to show a certificate; where the throw-away authority is to issue it, devices of a run have one each",
        ),
        Field::optional(
            "client_ca",
            Kind::Text,
            "PEM file of the authorities that clients' certificates are to be issued by; implies require_certificate",
        ),
        Field::optional(
            "client_crl",
            Kind::Text,
            "PEM file of those authorities' revocation lists: whose certificate is in one of them is refused",
        ),
    ],
};

impl Tls {
    /// What the table says; `None` if it turns TLS off.
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Option<Self> {
        let directory = report.context().directory.clone();
        let path = |key: &str| fields.text(key).map(|text| directory.join(text.value()));
        if fields.text("cert").is_none() {
            fields.refuse_given(&["key"], report, "requires `cert`");
        }
        if fields.text("client_ca").is_none() {
            fields.refuse_given(&["client_crl"], report, "requires `client_ca`");
        }
        let (certificate, key) = (path("cert"), path("key"));
        let client_ca = path("client_ca");
        let demands_certificates = fields.flag("require_certificate") || client_ca.is_some();
        if demands_certificates && certificate.is_some() && client_ca.is_none() {
            let help = "name the authorities that issue them: client_ca = \"FILE\"";
            fields.refuse("require_certificate", report, "requires `client_ca` beside `cert`", help);
        }
        let found = Self {
            certificate: certificate.map(|certificate| (certificate.clone(), key.unwrap_or(certificate))),
            demands_certificates,
            client_crl: path("client_crl"),
            client_ca,
        };
        fields.flag("on").then_some(found)
    }

    /// Whether it makes itself the authority that its clients have to trust.
    pub(crate) const fn is_throw_away(&self) -> bool {
        self.certificate.is_none()
    }

    /// Whether that authority issues the certificates of its clients.
    pub(crate) const fn issues_clients(&self) -> bool {
        self.is_throw_away() && self.demands_certificates && self.client_ca.is_none()
    }
}
