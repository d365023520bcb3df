//! The instants of a recording: in memory up to a bound, and in a file without a name beyond it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::arrival::{Instants, Recording};

/// Instants held in memory, 8 bytes each. Where files cannot be read at a place, all are.
const MOST_HELD: usize = if cfg!(unix) { 1_000_000 } else { usize::MAX };
/// Instants of a file between two that are held in memory, to find the others by.
const STRIDE: usize = 1_024;
/// Bytes of an instant in a file.
const BYTES: usize = size_of::<u64>();
/// Names that are tried for a file.
const NAMES_TRIED: u32 = 1_000;

/// Takes the instants of a recording one by one, ascending.
#[derive(Debug)]
pub(super) struct InstantStore {
    most_held: usize,
    held: Vec<u64>,
    spool: Option<Spool>,
}

impl Default for InstantStore {
    fn default() -> Self {
        Self { most_held: MOST_HELD, held: Vec::new(), spool: None }
    }
}

impl InstantStore {
    /// # Errors
    /// If there are too many for the memory, and no file takes them.
    pub(super) fn push(&mut self, at: u64) -> io::Result<()> {
        if self.held.len() >= self.most_held {
            self.spill()?;
        }
        self.held.push(at);
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(mut self) -> io::Result<Recording> {
        if self.spool.is_some() {
            self.spill()?;
        }
        Ok(match self.spool {
            Some(spool) => Recording::new(spool),
            None => Recording::new(self.held.into_boxed_slice()),
        })
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.spool.is_none() {
            self.spool = Some(Spool { file: nameless()?, length: 0, landmarks: Vec::new() });
        }
        if let Some(spool) = &mut self.spool {
            spool.append(&self.held)?;
        }
        self.held.clear();
        Ok(())
    }
}

/// Instants in a file. One that cannot be read any more is not there: its device falls silent, and what came due is no longer
/// what the plan says, which ends the run as invalid.
#[derive(Debug)]
struct Spool {
    file: File,
    length: usize,
    /// Every [`STRIDE`]-th instant.
    landmarks: Vec<u64>,
}

impl Spool {
    fn append(&mut self, instants: &[u64]) -> io::Result<()> {
        let mut out = BufWriter::new(&self.file);
        for at in instants {
            if self.length.is_multiple_of(STRIDE) {
                self.landmarks.push(*at);
            }
            self.length += 1;
            out.write_all(&at.to_le_bytes())?;
        }
        out.flush()
    }
}

impl Instants for Spool {
    fn get(&self, nth: usize) -> Option<u64> {
        let mut bytes = [0; BYTES];
        read_at(&self.file, &mut bytes, nth).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn before(&self, operational: f64) -> usize {
        let is_before = |at: u64| (at as f64) < operational;
        let passed = self.landmarks.partition_point(|at| is_before(*at));
        let Some(from) = passed.checked_sub(1).map(|last| last * STRIDE) else { return 0 };
        let mut bytes = vec![0; STRIDE.min(self.length - from) * BYTES];
        if read_at(&self.file, &mut bytes, from).is_err() {
            return from;
        }
        let (instants, _) = bytes.as_chunks::<BYTES>();
        from + instants.partition_point(|at| is_before(u64::from_le_bytes(*at)))
    }
}

/// Fills `bytes` with the instants from the `nth` on.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], nth: usize) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, (nth * BYTES) as u64)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file that nobody else finds, in the system's directory of temporary files: it is gone with the process, however that ends.
fn nameless() -> io::Result<File> {
    static TRIED: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_TRIED {
        let number = TRIED.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(".squall-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).append(true).create_new(true).open(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_is_found_as_in_memory() {
        for length in [0, 1, 9, 10, 11, STRIDE, STRIDE + 1, 10 * STRIDE + 7] {
            // In threes, so that equal instants stand on both sides of every bound.
            let all: Box<[u64]> = (0..length as u64).map(|nth| nth / 3 * 7).collect();
            let mut store = InstantStore { most_held: 10, ..InstantStore::default() };
            for at in &all {
                store.push(*at).unwrap();
            }
            assert!(store.held.capacity() < 32);
            if store.spool.is_some() {
                store.spill().unwrap();
            }
            assert_eq!(store.spool.is_some(), length > 10, "{length}");
            let Some(spool) = store.spool else { continue };
            assert_eq!(spool.landmarks.len(), length.div_ceil(STRIDE));
            for nth in (0..length + 3).step_by(97).chain([length - 1, length, length + 1]) {
                assert_eq!(spool.get(nth), Instants::get(&all, nth), "{nth} of {length}");
            }
            let last = all.last().copied().unwrap_or_default() as f64;
            for at in
                (0..200).map(|nth| f64::from(nth) * (last + 10.0) / 199.0).chain([-1.0, 7.0, 7.5, f64::MAX])
            {
                assert_eq!(spool.before(at), Instants::before(&all, at), "{at} of {length}");
            }
        }
    }
}
