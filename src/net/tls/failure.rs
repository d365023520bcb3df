//! Why TLS failed, in a sentence with its remedy.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use super::verifier::{SelfSigned, SelfSignedAuthority};

/// Names of a server's certificate that are told.
const NAMES: usize = 3;

/// A handshake or a connection that TLS ended. Travels inside an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFailure {
    sentence: Cow<'static, str>,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for TlsFailure {}

/// What the device had shown when the peer judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// The server asked who the device is.
    pub(super) asked: bool,
    /// The device has a certificate.
    pub(super) certificate: bool,
}

impl TlsFailure {
    /// What happened, what to do about it: one sentence without names of devices.
    pub(crate) fn sentence(&self) -> Cow<'static, str> {
        self.sentence.clone()
    }

    /// The failure in `error`, if TLS caused it.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn new(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { sentence: sentence.into() }
    }

    /// The server ended the connection before the handshake was over.
    pub(super) fn unfinished() -> Self {
        Self::new(
            "the server closed the connection in the middle of the TLS handshake: check that this port of it speaks TLS",
        )
    }

    /// The connection has ended, and was used all the same.
    pub(super) fn over() -> Self {
        Self::new("the TLS connection is over")
    }

    /// What `error` amounts to, of a device that had `shown` so much.
    pub(super) fn from_error(error: &Error, shown: Shown) -> Self {
        let sentence: Cow<'static, str> = match error {
            Error::InvalidCertificate(reason) => certificate(reason),
            Error::AlertReceived(alert) => refusal(*alert, shown),
            Error::InvalidMessage(_) => {
                "the server answered the TLS handshake with something else than TLS: give the port on \
                                         which it speaks TLS, or a URL without TLS"
                    .into()
            }
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => VERSION.into(),
            Error::NoApplicationProtocol => NO_PROTOCOL.into(),
            Error::NoCertificatesPresented => "the server presented no certificate".into(),
            error => format!("TLS failed: {error}").into(),
        };
        Self { sentence }
    }

    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

const VERSION: &str = "the server speaks no version of TLS that was offered: correct `versions` in the tls table, or enable \
                       TLS 1.2 or 1.3 on the server";
const NO_PROTOCOL: &str = "the server speaks no protocol that was offered: correct `alpn` in the tls table";
const NOT_SHOWN: &str = "the server demands a client certificate, and the device has none: name one by `cert` and `key` in the \
                         tls table";

/// What is wrong with the server's certificate.
fn certificate(reason: &CertificateError) -> Cow<'static, str> {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it, or set this machine's clock".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: set the clock of this machine, or of the one that issued it".into()
        }
        CertificateError::UnknownIssuer => "the server's certificate was issued by an unknown authority: name the authority's \
                                            certificate by `ca` in the tls table"
            .into(),
        CertificateError::BadSignature => "the server's certificate bears another signature than that of the authority it names: \
                                           name the authority that issued it by `ca` in the tls table"
            .into(),
        CertificateError::Other(OtherError(other)) if other.is::<SelfSigned>() => {
            "the server's certificate is self-signed: name it by `ca` in the tls table if it may be trusted, or set \
             insecure = \"accept-any-certificate\" there for a test server"
                .into()
        }
        CertificateError::Other(OtherError(other))
            if other.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            "the server presents an authority's certificate (CA:TRUE) as its own: issue it one with CA:FALSE".into()
        }
        CertificateError::Other(OtherError(other)) if other.is::<SelfSignedAuthority>() => {
            "the server's certificate is self-signed and an authority's (CA:TRUE), so that naming it by `ca` is not enough: issue \
             it one with CA:FALSE, or set insecure = \"accept-any-certificate\" in the tls table for a test server"
                .into()
        }
        CertificateError::Other(OtherError(other))
            if other.downcast_ref() == Some(&webpki::Error::UnsupportedCertVersion) =>
        {
            "the server's certificate is X.509 version 1: issue it one of version 3 with subjectAltName".into()
        }
        CertificateError::Revoked => "the server's certificate is revoked: issue it another".into(),
        CertificateError::UnknownRevocationStatus => "`crl` in the tls table has no list of an authority that issued the server's \
                                                      certificate: add the list of each of them"
            .into(),
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: connect to a name that it has, or set `sni` in the tls table".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!(
                "the server's certificate is not for `{}`{}: connect to a name that it has, or set `sni` in the tls table",
                expected.to_str(),
                names(presented)
            )
            .into()
        }
        reason => format!("the server's certificate cannot be accepted ({reason:?}): issue it another").into(),
    }
}

/// The names that a certificate has, as webpki writes them.
fn names(presented: &[String]) -> String {
    let names: Vec<String> = presented.iter().take(NAMES).map(|name| format!("`{}`", bare(name))).collect();
    match (names.is_empty(), presented.len() > NAMES) {
        (true, _) => " but for no name at all".to_owned(),
        (false, false) => format!(" but for {}", names.join(", ")),
        (false, true) => format!(" but for {} and {} more", names.join(", "), presented.len() - NAMES),
    }
}

/// `DnsName("example.org")` without what surrounds the name.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// What the server said when it refused.
fn refusal(alert: AlertDescription, shown: Shown) -> Cow<'static, str> {
    use AlertDescription as A;
    let judged = matches!(
        alert,
        A::BadCertificate
            | A::UnknownCA
            | A::CertificateUnknown
            | A::HandshakeFailure
            | A::AccessDenied
            | A::NoCertificate
    );
    match alert {
        A::CertificateRequired => NOT_SHOWN.into(),
        _ if judged && shown.asked && !shown.certificate => NOT_SHOWN.into(),
        A::CertificateRevoked => {
            "the server says that the device's certificate is revoked: issue the device another".into()
        }
        A::CertificateExpired => {
            "the server says that the device's certificate has expired: issue the device another".into()
        }
        A::UnknownCA if shown.asked => "the server does not know the authority that issued the device's certificate: give the \
                                        server that authority, or the device a certificate of one that it knows"
            .into(),
        A::BadCertificate
        | A::CertificateUnknown
        | A::UnsupportedCertificate
        | A::AccessDenied
        | A::DecryptError
            if shown.asked => {
            format!("the server does not accept the device's certificate ({alert:?}): ask its log why").into()
        }
        A::ProtocolVersion => VERSION.into(),
        A::NoApplicationProtocol => NO_PROTOCOL.into(),
        A::UnrecognisedName => {
            "the server does not know the name that it was asked for: set `sni` in the tls table".into()
        }
        A::HandshakeFailure | A::InsufficientSecurity => {
            "the server shares no cipher suite or signature with what was offered: enable one of TLS 1.3, or ECDHE with AES-GCM \
             or ChaCha20 for TLS 1.2"
                .into()
        }
        alert => format!("the server ended TLS with the alert {alert:?}: ask its log why").into(),
    }
}
