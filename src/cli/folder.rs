//! Folders of files that commands write. What is not there is made, and said: a path may be misspelled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::screen::note;

/// The folder that `file` is in.
pub(super) fn of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes `folder` where it is not there, with those above it, and says so on standard error.
///
/// # Errors
/// If it cannot be made.
pub(super) fn ensure(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    note(&format!("note: made the folder {}", folder.display()));
    Ok(())
}

/// A folder for files that nobody keeps, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Makes one for `purpose`, a word.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn new(purpose: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("squall-{purpose}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody misses what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}
