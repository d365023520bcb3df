//! Certificates and keys as they stand in PEM files, parsed and matched before a run.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};

/// Most certificates of one file: the roots of an operating system are some 150.
const MOST: usize = 4_096;

/// What a device shows to a server that asks who it is: certificates and the key of the first.
#[derive(Clone)]
pub(crate) struct ClientIdentity(pub(crate) Arc<CertifiedKey>);

/// Names no key, and no certificate: there may be thousands.
impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity")
    }
}

/// Which of two files is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemPart {
    /// That of the certificates.
    Certificate,
    /// That of the key.
    Key,
}

/// What is wrong with what a file holds, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PemFault {
    /// Continues a sentence that begins with the name of the file.
    pub(crate) message: String,
    /// What to write or run instead.
    pub(crate) help: String,
}

impl PemFault {
    fn new(message: impl Into<String>, help: &str) -> Self {
        Self { message: message.into(), help: help.to_owned() }
    }
}

/// The certificates of authorities in a PEM file.
///
/// # Errors
/// If there is none, or one that cannot be read.
pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let certificates = certificates(pem)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| {
            let message = format!("holds a certificate that cannot be read ({error})");
            PemFault::new(message, "give X.509 certificates in PEM")
        })?;
    }
    Ok(certificates)
}

/// The revocation lists in a PEM file.
///
/// # Errors
/// If there is none, or one that cannot be read.
pub(crate) fn revocations(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemFault> {
    let help = "give revocation lists in PEM: -----BEGIN X509 CRL-----";
    let found: Vec<CertificateRevocationListDer<'static>> = parts(pem, ("revocation list", help))?;
    for list in &found {
        webpki::BorrowedCertRevocationList::from_der(list).map_err(|error| {
            PemFault::new(format!("holds a revocation list that cannot be read ({error})"), help)
        })?;
    }
    Ok(found)
}

/// What a device shows: the certificates of one PEM file and the key of another, or of the same.
///
/// # Errors
/// If one of the files does not hold what it must, or the key is not that of the first certificate: which file, and what is wrong.
pub(crate) fn client_identity(certificate: &[u8], key: &[u8]) -> Result<ClientIdentity, (PemPart, PemFault)> {
    let chain = certificates(certificate).map_err(|fault| (PemPart::Certificate, fault))?;
    let key = private_key(key).map_err(|fault| (PemPart::Key, fault))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
    certified.map(|certified| ClientIdentity(Arc::new(certified))).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => (
            PemPart::Key,
            PemFault::new(
                "holds a key that is not the certificate's",
                "name the key that the certificate was issued for, and put the device's own certificate first in its file",
            ),
        ),
        Error::InvalidCertificate(reason) => (
            PemPart::Certificate,
            PemFault::new(
                format!("holds a certificate that cannot be read ({reason:?})"),
                "give an X.509 certificate in PEM",
            ),
        ),
        error => (
            PemPart::Key,
            PemFault::new(
                format!("holds a key that cannot be used ({error})"),
                "give an ECDSA (P-256, P-384), Ed25519 or RSA key in PEM",
            ),
        ),
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    parts(pem, ("certificate", "give certificates in PEM: -----BEGIN CERTIFICATE-----"))
}

/// The parts of one kind in a PEM file: what they are called, and what to give where there are none.
fn parts<T: PemObject>(pem: &[u8], (what, help): (&str, &str)) -> Result<Vec<T>, PemFault> {
    let found: Result<Vec<_>, _> = T::pem_slice_iter(pem).take(MOST + 1).collect();
    match found {
        Ok(found) if found.is_empty() => Err(PemFault::new(format!("holds no {what}"), help)),
        Ok(found) if found.len() > MOST => {
            Err(PemFault::new(format!("holds more than {MOST} {what}s"), "split it"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(PemFault::new(format!("is not valid PEM ({})", described(&error)), help)),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    let help = "give a private key in PEM: -----BEGIN PRIVATE KEY-----";
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(pem) => PemFault::new(
            "holds a key that a passphrase protects",
            "take the passphrase off: openssl pkey -in KEY -out PLAIN",
        ),
        pem::Error::NoItemsFound => PemFault::new("holds no private key", help),
        error => PemFault::new(format!("is not valid PEM ({})", described(&error)), help),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("BEGIN ENCRYPTED PRIVATE KEY")
}

/// What the parser says, without the bytes that it met: they may be a key's.
fn described(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins with no name",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be parsed",
    }
}

thread_local! {
    /// Whether the connection that this thread works on was asked who it is.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the server asked for a certificate since the last call on this thread.
pub(super) fn take_asked() -> bool {
    ASKED.replace(false)
}

/// Shows one identity, or none, and notes that it was asked for.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Option<ClientIdentity>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.as_ref().map(|identity| Arc::clone(&identity.0))
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
