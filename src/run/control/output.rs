//! The output of a command: kept in a file up to a bound, and its last line in memory.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::units::is_steering;

/// Bytes of one command that are kept.
const LOG_BYTES: usize = 1024 * 1024;

/// Bytes of a line that are remembered.
const LINE: usize = 200;

/// The output of a command. It is read for as long as anybody holds it open: what a command leaves behind in the background
/// must not break on its next line.
#[derive(Debug)]
pub(super) struct Output {
    lines: Rc<RefCell<Lines>>,
    reading: JoinHandle<()>,
}

impl Output {
    /// Reads `pipe` into the file `path`, on the local task set.
    ///
    /// # Errors
    /// If the pipe cannot be read without blocking.
    #[cfg(unix)]
    pub(super) fn keep(pipe: std::os::fd::OwnedFd, path: &Path) -> std::io::Result<Self> {
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?;
        Ok(Self::read(pipe, path))
    }

    fn read(mut pipe: impl AsyncReadExt + Unpin + 'static, path: &Path) -> Self {
        // Without the file, the last line is still worth having.
        let mut kept = LogFile { file: File::create(path).ok(), room: LOG_BYTES };
        let lines = Rc::new(RefCell::new(Lines::default()));
        let heard = Rc::clone(&lines);
        let reading = tokio::task::spawn_local(async move {
            let mut buffer = [0; 8 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let bytes = buffer.get(..count).unwrap_or_default();
                heard.borrow_mut().add(bytes);
                kept.add(bytes);
            }
        });
        Self { lines, reading }
    }

    /// The last line with something in it, once all is read or `patience` is at its end; without control characters, and at
    /// most 200 bytes of it.
    pub(super) async fn last_line(&mut self, patience: Duration) -> String {
        if !self.reading.is_finished() {
            let _ = tokio::time::timeout(patience, &mut self.reading).await;
        }
        self.lines.borrow().last()
    }
}

struct LogFile {
    file: Option<File>,
    room: usize,
}

impl LogFile {
    fn add(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let fits = bytes.get(..self.room).unwrap_or(bytes);
        self.room -= fits.len();
        let mut written = file.write_all(fits);
        if fits.len() < bytes.len() {
            written = written.and_then(|()| file.write_all(b"\n[the rest is left out]\n"));
        }
        if written.is_err() || fits.len() < bytes.len() {
            self.file = None;
        }
    }
}

/// The line under way and the last one before it that holds anything.
#[derive(Debug, Default)]
struct Lines {
    present: Vec<u8>,
    before: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte != b'\n' {
                if self.present.len() < LINE {
                    self.present.push(byte);
                }
            } else if self.present.trim_ascii().is_empty() {
                self.present.clear();
            } else {
                std::mem::swap(&mut self.present, &mut self.before);
                self.present.clear();
            }
        }
    }

    fn last(&self) -> String {
        let present = !self.present.trim_ascii().is_empty();
        let line = if present { &self.present } else { &self.before };
        let text = String::from_utf8_lossy(line.trim_ascii());
        text.chars().map(|c| if is_steering(c) { ' ' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_with_something_in_it_counts_however_the_bytes_come() {
        let long = "x".repeat(500);
        let table = [
            ("", ""),
            ("one", "one"),
            ("one\n", "one"),
            ("one\ntwo\n\n  \n", "two"),
            ("one\ntwo", "two"),
            ("\x1b[31mred\x1b[0m\r\n", " [31mred [0m"),
            (long.as_str(), &long[..LINE]),
        ];
        for (text, expected) in table {
            for step in [1, 3, 4_096] {
                let mut lines = Lines::default();
                text.as_bytes().chunks(step).for_each(|chunk| lines.add(chunk));
                assert_eq!(lines.last(), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut kept = LogFile { file: Some(File::create(&path).unwrap()), room: 10 };
        for _ in 0..5 {
            kept.add(b"1234");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1234123412\n[the rest is left out]\n");
    }
}
