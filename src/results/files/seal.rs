//! What every file of a run held when the run had ended, so that one that was cut, edited or taken from another run is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::directory::RunDirectory;
use crate::units::figure::count;
use crate::units::{hex, plural};

/// The files of a run beside its manifest, which holds their seals.
const FILES: [&str; 10] = [
    "anomalies.csv",
    "events.csv",
    "failures.csv",
    "faults.csv",
    "intervals.csv",
    "latency.hlog",
    "shard.ndjson",
    "slowest.csv",
    "summary.csv",
    "target.csv",
];

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Its length.
    pub bytes: u64,
    /// Its lines, the header included.
    pub lines: u64,
    /// SHA-256 of all of it, in hexadecimal.
    pub sha256: String,
}

/// The seals of a run's files, by name.
pub(crate) type Seals = BTreeMap<String, Seal>;

/// A file is not what the run left.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} is not the file that this run wrote: {what}; restore it from a copy, or measure again")]
    Differs {
        /// The file.
        path: String,
        /// In what it differs.
        what: String,
    },
}

impl Seal {
    /// The seal of the file at `path`, which is read once, in pieces.
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut hash, mut bytes, mut lines) = (Sha256::new(), 0, 0);
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = match file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else { break };
            hash.update(part);
            bytes += read as u64;
            lines += part.split(|byte| *byte == b'\n').count() as u64 - 1;
        }
        Ok(Self { bytes, lines, sha256: hex(&hash.finalize()) })
    }

    /// In what `found` differs; `None` if in nothing.
    fn difference(&self, found: &Self) -> Option<String> {
        if found == self {
            None
        } else if found.lines != self.lines {
            Some(format!("it has {} instead of {}", plural(found.lines, "line"), count(self.lines)))
        } else if found.bytes != self.bytes {
            Some(format!("it has {} instead of {}", plural(found.bytes, "byte"), count(self.bytes)))
        } else {
            Some("its content has changed".to_owned())
        }
    }
}

impl RunDirectory {
    /// The seals of the files that are there.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(super) fn seals(&self) -> io::Result<Seals> {
        let mut seals = Seals::new();
        for name in FILES {
            match Seal::of(&self.path().join(name)) {
                Ok(seal) => _ = seals.insert(name.to_owned(), seal),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seals)
    }
}

/// What a report is made of: these must be there.
const NEEDED: [&str; 4] = ["anomalies.csv", "failures.csv", "faults.csv", "summary.csv"];

/// Checks the files of the run in `directory` against their `seals`; runs of earlier versions have none. Of those that a report is
/// not made of, one may be gone: whoever needs it says so.
///
/// # Errors
/// The first that cannot be read, or is another than the run left.
pub(crate) fn verify(directory: &Path, seals: &Seals) -> Result<(), SealError> {
    // In this order, so that what is named first is what the figures come from.
    for name in FILES.into_iter().rev() {
        verify_file(directory, seals, name, NEEDED.contains(&name))?;
    }
    Ok(())
}

/// Checks one file against its seal, if it has one.
///
/// # Errors
/// If it is another than the run left, or cannot be read; if it is not there, only where it `must`.
pub(crate) fn verify_file(directory: &Path, seals: &Seals, name: &str, must: bool) -> Result<(), SealError> {
    let Some(seal) = seals.get(name) else { return Ok(()) };
    let path = directory.join(name);
    let shown = path.display().to_string();
    let found = match Seal::of(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must => return Ok(()),
        found => found.map_err(|source| SealError::Io { path: shown.clone(), source })?,
    };
    match seal.difference(&found) {
        Some(what) => Err(SealError::Differs { path: shown, what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::WallTime;

    #[test]
    fn whatever_is_cut_edited_or_gone_is_named() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let place = |name: &str| directory.path().join(name);
        let whole = "a,b\n1,2\n3,4\n";
        let fresh = || {
            fs::write(place("summary.csv"), whole).unwrap();
            fs::write(place("latency.hlog"), whole).unwrap();
        };
        fresh();
        let seals = directory.seals().unwrap();
        assert_eq!(seals.keys().collect::<Vec<_>>(), ["latency.hlog", "summary.csv"]);
        for (name, text, expected) in [
            (
                "summary.csv",
                "",
                Some("summary.csv is not the file that this run wrote: it has 0 lines instead of 3"),
            ),
            ("summary.csv", "a,b\n1,2\n", Some("it has 2 lines instead of 3")),
            ("summary.csv", "a,b\n1,2\n3,\n", Some("it has 11 bytes instead of 12")),
            ("summary.csv", "a,b\n1,2\n3,5\n", Some("its content has changed")),
            ("latency.hlog", "a,b\n", Some("latency.hlog is not the file that this run wrote")),
            ("latency.hlog", whole, None),
        ] {
            fresh();
            fs::write(place(name), text).unwrap();
            let error = verify(directory.path(), &seals).err().map(|error| error.to_string());
            match expected {
                Some(words) => {
                    assert!(error.as_ref().is_some_and(|error| error.contains(words)), "{error:?}");
                }
                None => assert_eq!(error, None),
            }
        }
        fresh();
        fs::remove_file(place("latency.hlog")).unwrap();
        assert!(verify(directory.path(), &seals).is_ok(), "the report is not made of it");
        fs::remove_file(place("summary.csv")).unwrap();
        assert!(verify(directory.path(), &seals).is_err());
        assert!(verify(directory.path(), &Seals::new()).is_ok(), "runs of earlier versions have no seals");
    }
}
