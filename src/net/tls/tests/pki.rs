//! Authorities and certificates made for one test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::super::{ClientIdentity, client_identity};

/// An authority.
pub(super) struct Pki {
    pub(super) ca: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Issued {
    pub(super) fn identity(&self) -> ClientIdentity {
        client_identity(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

impl Pki {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let key = KeyPair::generate().unwrap();
        // As with most authorities no two have one name.
        let name = format!("authority {:x?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { ca: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(super) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = params(name, change);
        let certificate = params.signed_by(&key, &self.ca).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A server that asks nobody who they are, with tickets.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        server(&self.issue("localhost", |_| {}), None, |_| {})
    }

    /// A server that demands certificates of this authority, but for the `revoked` one.
    pub(super) fn strict_server(
        &self,
        revoked: Option<u64>,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match revoked {
            Some(serial) => verifier.with_crls([self.revocations(serial)]),
            None => verifier,
        };
        server(&self.issue("localhost", |_| {}), Some(verifier.build().unwrap()), change)
    }

    pub(super) fn revocations(
        &self,
        serial: u64,
    ) -> rustls::pki_types::CertificateRevocationListDer<'static> {
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
        list.signed_by(&self.ca).unwrap().der().clone()
    }
}

/// A certificate that nobody but its owner has signed.
pub(super) fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name, change).self_signed(&key).unwrap().pem();
    Issued { certificate, key: key.serialize_pem() }
}

fn params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    change(&mut params);
    params
}

pub(super) fn server(
    own: &Issued,
    clients: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
    change: impl FnOnce(&mut ServerConfig),
) -> Arc<ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.ticketer = ring::Ticketer::new().unwrap();
    change(&mut config);
    Arc::new(config)
}
