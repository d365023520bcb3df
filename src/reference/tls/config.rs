//! What rustls needs to know to serve: certificate, key, and who is let in.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::reference::TlsCredentials;

/// TLS 1.2 and 1.3 with session tickets, for whatever `credentials` hold.
///
/// # Errors
/// One sentence, if what they hold does not fit together.
pub(in crate::reference) fn config(credentials: &TlsCredentials) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &credentials.client_authorities {
        Some(authorities) => builder.with_client_cert_verifier(verifier(authorities, credentials)?),
        None => builder.with_no_client_auth(),
    };
    let chain: Vec<CertificateDer<'static>> = all(&credentials.certificate, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&credentials.key)
        .map_err(|_| "the key of its certificate cannot be read".to_owned())?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("its certificate and its key do not fit together: {error}"))?;
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(config)
}

/// What judges the certificates of clients.
fn verifier(authorities: &[u8], credentials: &TlsCredentials) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in all::<CertificateDer<'static>>(authorities, "certificate of clients' authorities")? {
        roots.add(certificate).map_err(|error| format!("an authority of its clients: {error}"))?;
    }
    let provider = Arc::new(ring::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(lists) = &credentials.client_revocations {
        builder = builder.with_crls(all::<CertificateRevocationListDer<'static>>(lists, "revocation list")?);
    }
    builder.build().map_err(|error| format!("what judges its clients cannot be set up: {error}"))
}

/// The parts of one kind in a text of PEM, at least one.
fn all<T: PemObject>(pem: &[u8], what: &str) -> Result<Vec<T>, String> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("there is no {what} in PEM")),
    }
}
