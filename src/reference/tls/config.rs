//! What rustls needs to know to serve: certificate, key, and who is let in.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};

use crate::net::{self, ClientIdentity, PemFault, PemPart};
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
    // What a server shows is read as what a client shows.
    let identity = net::client_identity(&credentials.certificate, &credentials.key);
    let ClientIdentity(shown) = identity.map_err(|(part, found)| match part {
        PemPart::Certificate => fault("its certificate", found),
        PemPart::Key => fault("its key", found),
    })?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(config)
}

/// What judges the certificates of clients.
fn verifier(authorities: &[u8], credentials: &TlsCredentials) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    let authorities = net::authorities(authorities);
    for certificate in authorities.map_err(|found| fault("its clients' authorities", found))? {
        roots.add(certificate).map_err(|error| format!("an authority of its clients: {error}"))?;
    }
    let provider = Arc::new(ring::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(lists) = &credentials.client_revocations {
        let lists = net::revocations(lists).map_err(|found| fault("its clients' revocation lists", found))?;
        builder = builder.with_crls(lists);
    }
    builder.build().map_err(|error| format!("what judges its clients cannot be set up: {error}"))
}

/// What is wrong with the PEM of `what`, as one sentence.
fn fault(what: &str, PemFault { message, .. }: PemFault) -> String {
    format!("the PEM of {what} {message}")
}
