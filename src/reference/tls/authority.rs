//! A throw-away authority and the certificates it issues. The only file that makes certificates.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::clock::WallTime;

/// What all authorities made here are called: their keys tell them apart.
const NAME: &str = "squall throw-away authority";

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long an authority and the certificates of devices are valid, days.
const YEARS: u32 = 10 * 365;
/// How long a server's is: browsers take none that is valid for much longer than a year.
const YEAR: u32 = 397;

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) certificate: String,
    /// The key: a secret.
    pub(crate) key: String,
}

/// An authority of its own, with an ECDSA key (P-256), as all keys here are.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// Its key is a secret.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// One sentence, if the system gives no random numbers.
    pub(crate) fn new() -> Result<Self, String> {
        let key = KeyPair::generate().map_err(failed)?;
        let params = own()?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The one that was made before, by its certificate and its key in PEM.
    ///
    /// # Errors
    /// One sentence, if `key` is none, or not that of the certificate.
    pub(crate) fn again(certificate: &str, key: &str) -> Result<Self, String> {
        crate::net::client_identity(certificate.as_bytes(), key.as_bytes())
            .map_err(|(_, fault)| fault.message)?;
        let key = KeyPair::from_pem(key).map_err(failed)?;
        Ok(Self { issuer: Issuer::new(own()?, key), certificate: certificate.to_owned() })
    }

    /// Its certificate, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key, in PEM: a secret.
    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a server that goes by `names`: names of hosts, and addresses.
    ///
    /// # Errors
    /// One sentence, if a name is none.
    pub(crate) fn server(&self, names: &[String]) -> Result<Issued, String> {
        let first = names.first().map_or("localhost", String::as_str);
        self.issue(first, names, (ExtendedKeyUsagePurpose::ServerAuth, YEAR))
    }

    /// A certificate for the device called `name`.
    ///
    /// # Errors
    /// One sentence, if the name cannot stand in a certificate.
    pub(crate) fn device(&self, name: &str) -> Result<Issued, String> {
        self.issue(name, &[name.to_owned()], (ExtendedKeyUsagePurpose::ClientAuth, YEARS))
    }

    fn issue(
        &self,
        name: &str,
        names: &[String],
        (usage, days): (ExtendedKeyUsagePurpose, u32),
    ) -> Result<Issued, String> {
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, days);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

/// What an authority says of itself.
fn own() -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, YEARS);
    Ok(params)
}

/// From yesterday, for clocks that are behind, and for so many days.
fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_nanos(WallTime::now().epoch_ns());
    params.not_before = now - DAY;
    params.not_after = now + DAY * days;
}

#[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
fn failed(error: rcgen::Error) -> String {
    format!("no certificate can be made: {error}")
}
