//! What the bundled system speaks TLS with, and what the devices of a run have to know of it.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;

use super::{RunError, bundled};
use crate::fleet::device_name;
use crate::net::{self, ClientIdentity, PemFault, PemPart};
use crate::reference::{Authority, Config, Server, TlsCredentials};
use crate::service::{Setup, Tls};

/// What the bundled system speaks TLS with, and the authority that it made for that, if it did.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) credentials: TlsCredentials,
    pub(crate) authority: Option<Authority>,
}

/// Largest file read, bytes.
const LARGEST: u64 = 4 << 20;

/// Prepares what the bundled system speaks TLS with: the files that `tls` names or, where it is throw-away, a certificate of `authority`,
/// or of a new one, for a server that goes by `names`.
///
/// # Errors
/// What is wrong with which file, and what to do.
pub(crate) fn secured(
    tls: &Tls,
    names: &[String],
    authority: Option<Authority>,
) -> Result<Secured, RunError> {
    // The paths may hold what a variable stands for.
    let read = |key: &str, path: &Path| {
        read(path)
            .map_err(|error| RunError::usage(format!("cannot read the file of reference.tls.{key}: {error}")))
    };
    let fault = |key: &str, PemFault { message, help }: PemFault| {
        RunError::usage(format!("the file of reference.tls.{key} {message}; {help}"))
    };
    let (certificate, key, authority) = if let Some((certificate, key)) = &tls.certificate {
        let (chain, secret) = (read("cert", certificate)?, read("key", key)?);
        net::client_identity(&chain, &secret).map_err(|(part, found)| match part {
            PemPart::Certificate => fault("cert", found),
            PemPart::Key => fault("key", found),
        })?;
        (chain, secret, None)
    } else {
        let authority = authority.map_or_else(Authority::new, Ok).map_err(RunError::failed)?;
        let issued = authority.server(names).map_err(RunError::failed)?;
        (issued.certificate.into_bytes(), issued.key.into_bytes(), Some(authority))
    };
    let client_authorities = match (&tls.client_ca, &authority) {
        (Some(path), _) => {
            let pem = read("client_ca", path)?;
            net::authorities(&pem).map_err(|found| fault("client_ca", found))?;
            Some(pem)
        }
        (None, Some(authority)) if tls.demands_certificates => Some(authority.certificate().into()),
        _ => None,
    };
    let client_revocations = tls.client_crl.as_deref().map(|path| {
        let pem = read("client_crl", path)?;
        net::revocations(&pem).map_err(|found| fault("client_crl", found))?;
        Ok(pem)
    });
    let client_revocations = client_revocations.transpose()?;
    let credentials = TlsCredentials { certificate, key, client_authorities, client_revocations };
    Ok(Secured { credentials, authority })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// What the devices of a run have to know of it.
#[derive(Debug)]
pub(crate) struct Trust {
    authority: Authority,
    /// Whether it has devices show certificates that the authority issued.
    issues: bool,
}

impl Trust {
    /// The authority as devices trust it.
    pub(crate) fn authorities(&self) -> Vec<CertificateDer<'static>> {
        // What was made here can be read.
        net::authorities(self.authority.certificate().as_bytes()).unwrap_or_default()
    }

    /// Certificates for so many devices of the fleet called `fleet`, one each; none where none are asked for.
    ///
    /// # Errors
    /// One sentence, if they cannot be made.
    pub(crate) fn identities(&self, fleet: &str, devices: u32) -> Result<Vec<ClientIdentity>, RunError> {
        let made = (0..devices).filter(|_| self.issues).map(|index| {
            let issued = self.authority.device(&device_name(fleet, index))?;
            net::client_identity(issued.certificate.as_bytes(), issued.key.as_bytes())
                .map_err(|(_, fault)| fault.message)
        });
        made.collect::<Result<_, _>>().map_err(RunError::failed)
    }
}

/// Starts the bundled reference system as `setup` says, `on` an address of the loopback (MQTT at the port behind it) or else on
/// free ports there, and gives what devices have to know of it where
/// that is not theirs to say.
///
/// # Errors
/// If it cannot be started, or a file of its settings not be used.
pub(crate) fn start(setup: Setup, on: Option<SocketAddr>) -> Result<(Server, Option<Trust>), RunError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let secured = setup.tls.as_ref().map(|tls| secured(tls, &names, None)).transpose()?;
    let issues = setup.tls.as_ref().is_some_and(Tls::issues_clients);
    let (credentials, authority) = secured.map(|found| (found.credentials, found.authority)).unzip();
    let config = Config { setup, tls: credentials, ..Config::default() };
    let server = match on {
        Some(place) => bundled::start_on(place, config),
        None => bundled::start(&config),
    }?;
    Ok((server, authority.flatten().map(|authority| Trust { authority, issues })))
}

/// What is wrong with the files that `setup` names for TLS.
pub(crate) fn unusable(setup: &Setup) -> Option<String> {
    let tls = setup.tls.as_ref().filter(|tls| !tls.is_throw_away() || tls.client_ca.is_some())?;
    secured(tls, &[], None).err().map(|error| error.to_string())
}
