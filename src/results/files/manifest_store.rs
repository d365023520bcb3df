//! `run.json` as a file: written in one step, sealed at the end, marked where the end cannot be written, and read back.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

use super::directory::RunDirectory;
use super::manifest::{Manifest, SCHEMA};

impl RunDirectory {
    /// Writes `run.json` in one step: readers see the old manifest or the new one, never half of one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        self.replace("run.json", |mut file| {
            serde_json::to_writer_pretty(&mut file, manifest)?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
    }

    /// Has the manifest that is there say that the run failed, without a byte more: on a full disk nothing else can be written.
    ///
    /// # Errors
    /// If it cannot be read or changed.
    pub fn mark_failed(&self) -> io::Result<()> {
        let path = self.path().join("run.json");
        let text = fs::read_to_string(&path)?;
        // As many bytes as before, so that no other of the file moves.
        let changes = [
            ("\n  \"state\": \"running\"", "\n  \"state\":  \"failed\""),
            ("\n  \"exit_code\": null", "\n  \"exit_code\":    1"),
        ];
        let mut file = OpenOptions::new().write(true).open(&path)?;
        for (from, to) in changes {
            let Some(at) = text.find(from) else { continue };
            file.seek(io::SeekFrom::Start(at as u64))?;
            file.write_all(to.as_bytes())?;
        }
        file.sync_all()
    }

    /// Writes the manifest of a run whose other files are complete, with their seals.
    ///
    /// # Errors
    /// If a file cannot be read, or the manifest not be written.
    pub fn seal(&self, manifest: &mut Manifest) -> io::Result<()> {
        manifest.files = self.seals()?;
        self.write_manifest(manifest)
    }
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a manifest.
    #[error("{path} is not a manifest of squall")]
    NotManifest {
        /// The file.
        path: String,
    },
    /// It is a manifest with something wrong in it.
    #[error("{path} is not a manifest of a run: {source}")]
    Json {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It was written by a later squall.
    #[error("{path} has schema {schema}; this squall reads up to {SCHEMA}")]
    Schema {
        /// The file.
        path: String,
        /// Its schema version.
        schema: u32,
    },
}

/// Reads the manifest of the run in `directory`.
///
/// # Errors
/// If `run.json` is missing, is not a manifest, or has a schema this version does not know.
pub fn load_manifest(directory: &Path) -> Result<Manifest, ManifestError> {
    let file = directory.join("run.json");
    let path = file.display().to_string();
    let text = fs::read(&file).map_err(|source| ManifestError::Io { path: path.clone(), source })?;
    let fault = |source| ManifestError::Json { path: path.clone(), source };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(fault)?;
    let schema = value.get("schema").and_then(serde_json::Value::as_u64);
    let Some(schema) = schema.and_then(|schema| u32::try_from(schema).ok()) else {
        return Err(ManifestError::NotManifest { path });
    };
    if schema > SCHEMA {
        return Err(ManifestError::Schema { path, schema });
    }
    serde_json::from_slice(&text).map_err(fault)
}
