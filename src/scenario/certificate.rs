//! Certificates and keys beside a scenario: PEM files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::language::{Refusal, Text, quote};
use crate::net::{self, ClientIdentity, PemFault, PemPart};

/// Largest file read, bytes: the roots of an operating system are some 250 KiB.
const LARGEST: u64 = 4 << 20;

/// The authorities in the file `path`.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(super) fn authorities(directory: &Path, path: &Text) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let shown = shown(directory, path.written());
    let pem = read(&directory.join(path.value())).map_err(|error| unreadable(&shown, &error))?;
    net::authorities(&pem).map_err(|fault| refusal(&shown, fault))
}

/// The revocation lists in the file `path`.
///
/// # Errors
/// As [`authorities`].
pub(super) fn revocations(
    directory: &Path,
    path: &Text,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Refusal> {
    let shown = shown(directory, path.written());
    let pem = read(&directory.join(path.value())).map_err(|error| unreadable(&shown, &error))?;
    net::revocations(&pem).map_err(|fault| refusal(&shown, fault))
}

/// What a device shows, by the files `certificate` and `key`.
///
/// # Errors
/// Which of the two is at fault, what is wrong with it, and what to do.
pub(super) fn identity(
    directory: &Path,
    certificate: &str,
    key: &str,
) -> Result<ClientIdentity, (PemPart, Refusal)> {
    let open = |file: PemPart, path: &str| {
        read(&directory.join(path)).map_err(|error| (file, unreadable(&shown(directory, path), &error)))
    };
    let pem = open(PemPart::Certificate, certificate)?;
    let key_pem = open(PemPart::Key, key)?;
    net::client_identity(&pem, &key_pem).map_err(|(file, fault)| {
        let path = if file == PemPart::Certificate { certificate } else { key };
        (file, refusal(&shown(directory, path), fault))
    })
}

fn shown(directory: &Path, path: &str) -> String {
    quote(&directory.join(path).display().to_string())
}

fn refusal(shown: &str, fault: PemFault) -> Refusal {
    (format!("{shown} {}", fault.message), fault.help)
}

fn unreadable(shown: &str, error: &io::Error) -> Refusal {
    let message = format!("cannot read {shown}: {}", super::load::plain(error));
    (message, "give the path of a PEM file, from the directory of the scenario".to_owned())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
