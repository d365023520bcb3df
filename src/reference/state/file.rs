//! Files of states: their names, their head, and records with a checksum each.
//!
//! A file begins with `squall state`, the version of the format and a line feed. A record is three numbers of 32 bits, the lowest
//! byte first, and what they are about, in CBOR: its length, the same with all bits turned round, and its checksum (CRC-32).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Crc;

use super::record::Record;

const HEAD: &str = "squall state 1\n";
/// What the head begins with in every version.
const MAGIC: &str = "squall state ";
/// Bytes of a record before what it is about.
const FRAME: usize = 12;

/// What to do about a file that cannot be read.
const REMEDY: &str = "put back a copy, or move it away to begin without the state of before";

/// A directory of states, held by this instance alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock while it is open.
    _lock: File,
}

/// Files of a directory that hold the newest state.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The newest whole snapshot with its journal.
    pub(super) whole: Option<(u64, PathBuf)>,
    /// Later ones that are not whole, in order.
    pub(super) parts: Vec<(u64, PathBuf)>,
}

impl Folder {
    /// Makes the directory if need be, and takes hold of it.
    ///
    /// # Errors
    /// If it cannot be used; names it and says what to do.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let at_fault = |what: &str, error: &io::Error| {
            let path = path.display();
            format!("state.directory: {path} {what} ({error}); name a directory that squall may write to")
        };
        fs::create_dir_all(path).map_err(|error| at_fault("cannot be made", &error))?;
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(path.join("lock"));
        let lock = lock.map_err(|error| at_fault("cannot be written to", &error))?;
        match lock.try_lock() {
            // Where files cannot be locked, whoever starts two instances is trusted.
            Ok(()) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(at_fault("cannot be locked", &error)),
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                return Err(format!(
                    "state.directory: {path} is another running instance's; give each a directory of its own"
                ));
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The file of a snapshot that is whole.
    pub(super) fn log(&self, generation: u64) -> PathBuf {
        self.path.join(format!("state-{generation:08}.log"))
    }

    /// The file of one that is being taken.
    pub(super) fn part(&self, generation: u64) -> PathBuf {
        self.path.join(format!("state-{generation:08}.part"))
    }

    /// Every file of a state here, with its number and whether it is whole, the oldest first.
    fn all(&self) -> io::Result<Vec<(u64, bool, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((number, ending)) = name.strip_prefix("state-").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            if let Ok(number) = number.parse()
                && ["log", "part"].contains(&ending)
            {
                found.push((number, ending == "log", path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The files that hold the newest state.
    ///
    /// # Errors
    /// If the directory cannot be read, or there are only parts of a state in it.
    pub(super) fn files(&self) -> Result<Files, String> {
        let all = self.all().map_err(|error| {
            format!(
                "state.directory: {} cannot be read ({error}); name one that squall may read",
                self.shown()
            )
        })?;
        let mut files = Files::default();
        for (number, is_whole, path) in all {
            if is_whole {
                files = Files { whole: Some((number, path)), parts: Vec::new() };
            } else {
                files.parts.push((number, path));
            }
        }
        match (&files.whole, files.parts.first()) {
            (None, Some((_, part))) => Err(format!(
                "{}: it goes on from a snapshot that is not here (state-….log); {REMEDY}",
                part.display()
            )),
            _ => Ok(files),
        }
    }

    /// Makes the part of this number whole, and forgets all that came before.
    pub(super) fn finish(&self, generation: u64) -> io::Result<()> {
        fs::rename(self.part(generation), self.log(generation))?;
        // A rename outlives the loss of power once its directory is written.
        File::open(&self.path)?.sync_all()?;
        for (number, _, path) in self.all()? {
            if number < generation {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Writes a file of a state.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    path: PathBuf,
    /// What is written.
    pub(super) bytes: u64,
    /// What is still to be.
    buffer: Vec<u8>,
}

impl Writer {
    /// A new file in place of one that may be there.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        let mut writer = Self { file, path, bytes: 0, buffer: HEAD.as_bytes().to_vec() };
        writer.flush()?;
        Ok(writer)
    }

    pub(super) fn add(&mut self, record: &Record<'_>) {
        let start = self.buffer.len();
        self.buffer.extend([0; FRAME]);
        if ciborium::into_writer(record, &mut self.buffer).is_err() {
            // Nothing that is written down refuses to be; and a vector takes all.
            self.buffer.truncate(start);
            return;
        }
        let (frame, payload) = self.buffer[start..].split_at_mut(FRAME);
        let length = payload.len() as u32;
        for (place, number) in frame.chunks_exact_mut(4).zip([length, !length, checksum(payload)]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }

    /// Writes what was added. After an error the file ends where it did before.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        match &written {
            Ok(()) => self.bytes += self.buffer.len() as u64,
            // If that fails, too, the half of a record at the end is dropped when the file is read.
            Err(_) => drop(self.file.set_len(self.bytes)),
        }
        self.buffer.clear();
        written
    }

    /// Another hold of the file, to have it written to the disk by another thread.
    pub(super) fn hold(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }
}

/// Reads the records of a file; how many bytes at its end were written by half, and are dropped.
///
/// # Errors
/// If it is no file of a state, of another version, or damaged; names it and says what to do.
pub(super) fn read(path: &Path, mut take: impl FnMut(Record<'static>)) -> Result<u64, String> {
    let shown = path.display();
    let unreadable = |error: io::Error| format!("{shown}: cannot be read ({error}); {REMEDY}");
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut at = check_head(path, &mut file).map_err(unreadable)??;
    let mut payload = Vec::new();
    while at < size {
        let left = size - at;
        if left < FRAME as u64 {
            return Ok(left);
        }
        let mut frame = [0; FRAME];
        file.read_exact(&mut frame).map_err(unreadable)?;
        let [length, check, sum] = numbers(frame);
        let end = at + FRAME as u64 + u64::from(length);
        let is_sound = length == !check;
        if is_sound && end > size {
            return Ok(left);
        }
        payload.resize(if is_sound { length as usize } else { 0 }, 0);
        file.read_exact(&mut payload).map_err(unreadable)?;
        match ciborium::from_reader(payload.as_slice()) {
            Ok(record) if is_sound && checksum(&payload) == sum => take(record),
            // What is last may have been written by half, and what was never written comes out as zeros.
            _ if is_sound && end == size => return Ok(left),
            _ if frame == [0; FRAME] && is_blank(&mut file).map_err(unreadable)? => return Ok(left),
            _ => return Err(format!("{shown}: damaged at byte {at} of {size}; {REMEDY}")),
        }
        at = end;
    }
    Ok(0)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn numbers(frame: [u8; FRAME]) -> [u32; 3] {
    let number =
        |from: usize| u32::from_le_bytes([frame[from], frame[from + 1], frame[from + 2], frame[from + 3]]);
    [number(0), number(4), number(8)]
}

/// Checks what a file begins with; its length.
fn check_head(path: &Path, file: &mut impl Read) -> io::Result<Result<u64, String>> {
    let (shown, mut head) = (path.display(), Vec::new());
    file.take(HEAD.len() as u64).read_to_end(&mut head)?;
    // One that ends within its head was begun when the service ended, or the disk was full.
    Ok(if HEAD.as_bytes().starts_with(&head) {
        Ok(head.len() as u64)
    } else if let Some(version) = head.strip_prefix(MAGIC.as_bytes()) {
        let version = String::from_utf8_lossy(version.trim_ascii()).into_owned();
        Err(format!(
            "{shown}: a state of format {version}, where this squall reads format 1; start the squall that wrote it, or move the \
             file away to begin without the state of before"
        ))
    } else {
        Err(format!("{shown}: not a state of squall, which begins with `{MAGIC}`; {REMEDY}"))
    })
}

/// Whether all from here on are zeros.
fn is_blank(rest: &mut impl Read) -> io::Result<bool> {
    let mut bytes = Vec::new();
    rest.read_to_end(&mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}
