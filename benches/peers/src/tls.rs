//! TLS for targets and generators: a certificate made for the occasion, and one side of a connection.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

/// What a target called `localhost` shakes hands with; the certificate of its authority is left in the file `ca`.
///
/// # Errors
/// If the file cannot be written, or the certificate cannot be made.
pub fn server(ca: &Path) -> io::Result<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = || KeyPair::generate().map_err(io::Error::other);
    let authority = CertifiedIssuer::self_signed(params, key()?).map_err(io::Error::other)?;
    let own = key()?;
    let params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    let certificate = params.signed_by(&own, &authority).map_err(io::Error::other)?;
    fs::write(ca, authority.pem())?;
    let chain = vec![certificate.der().clone()];
    let key = PrivatePkcs8KeyDer::from(own.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key.into()))
        .map_err(io::Error::other)?;
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// What a generator shakes hands with that trusts the authority in the file `ca`.
///
/// # Errors
/// If the file holds none.
pub fn client(ca: &Path) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(ca).map_err(io::Error::other)?;
    roots.add(authority).map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(io::Error::other)?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// The server's side of one connection.
pub struct Tls(Box<ServerConnection>);

impl Tls {
    /// # Errors
    /// If `config` cannot serve.
    pub fn new(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self(Box::new(session)))
    }

    /// Appends to `clear` what the bytes in `cipher` say.
    ///
    /// # Errors
    /// If they are no TLS.
    pub fn take(&mut self, mut cipher: &[u8], clear: &mut Vec<u8>) -> io::Result<()> {
        while !cipher.is_empty() {
            self.0.read_tls(&mut cipher)?;
            let state = self.0.process_new_packets().map_err(io::Error::other)?;
            let from = clear.len();
            clear.resize(from + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut clear[from..])?;
        }
        Ok(())
    }

    /// Appends to `cipher` what `clear` becomes, and whatever else is to be said.
    ///
    /// # Errors
    /// Never: memory takes everything.
    pub fn put(&mut self, clear: &[u8], cipher: &mut Vec<u8>) -> io::Result<()> {
        self.0.writer().write_all(clear)?;
        while self.0.wants_write() {
            self.0.write_tls(cipher)?;
        }
        Ok(())
    }
}
