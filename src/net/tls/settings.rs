//! What a fleet's devices offer and demand when they shake hands.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::device::DeviceTls;
use super::identity::{ClientIdentity, Shown};
use super::verifier::{AnyCertificate, RootVerifier};
use crate::clock::WallTime;

/// The versions of TLS that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl TlsVersions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Both => &BOTH,
            Self::Only13 => &BOTH[..1],
            Self::Only12 => &BOTH[1..],
        }
    }
}

/// What a fleet states of TLS, its files read.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    /// Authorities that server certificates are to be issued by; `None`: those of the operating system.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    /// Revocation lists of those authorities; empty: nobody is asked what is revoked.
    pub(crate) revocations: Vec<CertificateRevocationListDer<'static>>,
    /// The name that is asked for and that the certificate is to be for; `None`: the host of the target's URL.
    pub(crate) server_name: Option<String>,
    /// Protocols offered by ALPN, in the order of preference.
    pub(crate) alpn: Vec<String>,
    /// The versions that are offered.
    pub(crate) versions: TlsVersions,
    /// Whether a device resumes its last session when it connects again.
    pub(crate) resumes: bool,
    /// Whether any certificate of the server is accepted.
    pub(crate) insecure: bool,
}

impl TlsSettings {
    /// Appends a line for whatever shapes the traffic and is not the default; where files lie and whom is trusted does not.
    pub(crate) fn canonical(&self, path: &str, out: &mut String) {
        let usual = Self::default();
        // Writing to a String cannot fail.
        if self.versions != usual.versions {
            let _ = writeln!(out, "{path}.versions={:?}", self.versions);
        }
        if self.alpn != usual.alpn {
            let _ = writeln!(out, "{path}.alpn={:?}", self.alpn);
        }
        if self.resumes != usual.resumes {
            let _ = writeln!(out, "{path}.resume=off");
        }
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            authorities: None,
            revocations: Vec::new(),
            server_name: None,
            alpn: Vec::new(),
            versions: TlsVersions::Both,
            resumes: true,
            insecure: false,
        }
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("revocations", &self.revocations.len())
            .field("server_name", &self.server_name)
            .field("alpn", &self.alpn)
            .field("versions", &self.versions)
            .field("resumes", &self.resumes)
            .field("insecure", &self.insecure)
            .finish()
    }
}

/// Whether a certificate can be for `name`.
pub(crate) fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

/// Time for the judgement of certificates.
#[derive(Debug)]
struct Calendar;

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(WallTime::now().epoch_ns())))
    }
}

/// What the devices of one fleet have in common when they shake hands with one target.
#[derive(Debug, Clone)]
pub(crate) struct FleetTls {
    /// With no identity and no store of its own.
    common: Arc<ClientConfig>,
    server_name: Arc<ServerName<'static>>,
    resumes: bool,
    /// What devices show that have nothing of their own, by their number.
    identities: Arc<[ClientIdentity]>,
}

impl FleetTls {
    /// Prepares what `settings` say for a target at `host`: a name or an address, without brackets.
    ///
    /// # Errors
    /// One sentence, if the host is not a name that TLS knows or this machine has no authorities of its own.
    pub(crate) fn new(settings: &TlsSettings, host: &str) -> Result<Self, String> {
        let name = settings.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
            format!("`{name}` is not a name that a certificate can be for: set `sni` in the tls table")
        })?;
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: &dyn fmt::Display| format!("TLS cannot be set up: {error}");
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Calendar))
            .with_protocol_versions(settings.versions.list())
            .map_err(|error| unusable(&error))?;
        let builder = builder.dangerous();
        let builder = if settings.insecure {
            builder.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            let verifier = RootVerifier(verifier(settings, provider)?);
            builder.with_custom_certificate_verifier(Arc::new(verifier))
        };
        let mut common = builder.with_client_cert_resolver(Arc::new(Shown(None)));
        common.alpn_protocols = settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        common.resumption = Resumption::disabled();
        Ok(Self {
            common: Arc::new(common),
            server_name: Arc::new(server_name),
            resumes: settings.resumes,
            identities: Arc::default(),
        })
    }

    /// The same, with what devices show that have nothing of their own, by their number.
    pub(crate) fn showing(self, identities: Arc<[ClientIdentity]>) -> Self {
        Self { identities, ..self }
    }

    /// What device number `index` shows that has nothing of its own.
    pub(crate) fn identity(&self, index: u32) -> Option<&ClientIdentity> {
        self.identities.get(index as usize)
    }

    /// What one device of the fleet keeps for all its connections.
    pub(crate) fn device(&self, identity: Option<&ClientIdentity>) -> DeviceTls {
        if identity.is_none() && !self.resumes {
            return DeviceTls::new(Arc::clone(&self.common), Arc::clone(&self.server_name));
        }
        // Roots and provider stay shared: what is copied are references to them.
        let mut config = ClientConfig::clone(&self.common);
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(Shown(Some(identity.clone())));
        }
        DeviceTls::own(config, Arc::clone(&self.server_name), self.resumes)
    }
}

fn verifier(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    match &settings.authorities {
        Some(authorities) => {
            roots.add_parsable_certificates(authorities.iter().cloned());
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("this machine has no list of certificate authorities: install ca-certificates, or name the authority's \
                    certificate by `ca` in the tls table"
            .to_owned());
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(settings.revocations.iter().cloned())
        .build()
        .map_err(|error| format!("TLS cannot be set up: {error}"))
}
