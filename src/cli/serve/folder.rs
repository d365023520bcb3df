//! The folder of a throw-away authority: its certificate and key, and those that it issued.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::super::CliError;
use crate::fleet::device_name;
use crate::reference::{Authority, Issued};

/// Devices of one fleet that can be given certificates at once.
const MOST: u32 = 100_000;

/// Files of a throw-away authority.
pub(super) struct Folder<'p>(pub(super) &'p Path);

/// So many devices of a fleet, as `FLEET=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FleetDevices {
    fleet: String,
    number: u32,
}

impl FromStr for FleetDevices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('=').and_then(|(fleet, number)| {
            let number = number.parse().ok().filter(|number| (1..=MOST).contains(number))?;
            crate::language::is_name(fleet).then(|| Self { fleet: fleet.to_owned(), number })
        });
        parsed.ok_or_else(|| {
            format!("no fleet and a number of devices from 1 to {MOST}; write for example meters=100")
        })
    }
}

impl Folder<'_> {
    /// The authority whose files these are: the one that was made before, or a new one where there is nothing yet.
    ///
    /// # Errors
    /// If the folder holds something else, or cannot be read or written.
    pub(super) fn authority(&self) -> Result<Authority, CliError> {
        let (certificate, key) = (self.path("ca.pem"), self.path("ca.key"));
        if certificate.exists() && key.exists() {
            let read = |path: &Path| fs::read_to_string(path).map_err(|error| self.failed(&error));
            return Authority::again(&read(&certificate)?, &read(&key)?).map_err(|reason| {
                CliError::usage(format!(
                    "{} {reason}: remove it, or name another folder",
                    certificate.display()
                ))
            });
        }
        fs::create_dir_all(self.0).map_err(|error| self.failed(&error))?;
        if fs::read_dir(self.0).map_err(|error| self.failed(&error))?.next().is_some() {
            return Err(CliError::usage(format!(
                "--tls {}: the folder holds something else than the files of a throw-away authority: name an empty or a new one",
                self.0.display()
            )));
        }
        let authority = Authority::new().map_err(CliError::failed)?;
        self.write("ca", &Issued { certificate: authority.certificate().to_owned(), key: authority.key() })?;
        Ok(authority)
    }

    /// Leaves a certificate for a device called `device`, and for those of `fleets`, as far as they are not there yet.
    ///
    /// # Errors
    /// If one cannot be made or written.
    pub(super) fn add_devices(&self, authority: &Authority, fleets: &[FleetDevices]) -> Result<(), CliError> {
        let of_fleets = fleets.iter().flat_map(|FleetDevices { fleet, number }| {
            (0..*number).map(move |index| device_name(fleet, index))
        });
        for name in std::iter::once("device".to_owned()).chain(of_fleets) {
            if !self.path(&format!("{name}.pem")).exists() {
                self.write(&name, &authority.device(&name).map_err(CliError::failed)?)?;
            }
        }
        Ok(())
    }

    /// Leaves `NAME.pem` and `NAME.key`.
    pub(super) fn write(&self, name: &str, issued: &Issued) -> Result<(), CliError> {
        let key = self.path(&format!("{name}.key"));
        let written = write_secret(&key, &issued.key)
            .and_then(|()| fs::write(self.path(&format!("{name}.pem")), &issued.certificate));
        written.map_err(|error| self.failed(&error))
    }

    /// The file called `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn failed(&self, error: &io::Error) -> CliError {
        CliError::failed(format!("--tls {}: {error}", self.0.display()))
    }
}

/// Writes what only its owner may read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_and_a_number_are_read_or_refused_with_an_example() {
        let ok = FleetDevices { fleet: "meters".to_owned(), number: 100 };
        assert_eq!("meters=100".parse(), Ok(ok));
        for wrong in ["meters", "meters=0", "Meters=1", "=1", "meters=100001", "../x=1"] {
            assert!(wrong.parse::<FleetDevices>().unwrap_err().contains("meters=100"), "{wrong}");
        }
    }
}
