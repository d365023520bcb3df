//! A file of a run that grows: what was appended to it since it was last looked at, in whole lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::row::{Places, Row, places};
use super::table::TableError;

/// Bytes taken in at a time, so that whoever reads a long run can do something else in between.
const CHUNK: u64 = 1024 * 1024;
/// No line of a run's files is longer.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// What of a file has been read and not been used yet.
#[derive(Debug)]
struct Tail {
    file: File,
    held: Vec<u8>,
    /// Bytes of it that are whole lines.
    whole: usize,
}

impl Tail {
    /// Takes in what was appended, up to a chunk, once all that was held has been used; says whether there may be more.
    fn read(&mut self) -> io::Result<bool> {
        if self.whole > 0 {
            return Ok(false);
        }
        let taken = (&mut self.file).take(CHUNK).read_to_end(&mut self.held)?;
        self.whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if self.whole == 0 && self.held.len() > LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long to be one of a run"));
        }
        Ok(taken as u64 == CHUNK)
    }

    fn lines(&self) -> &[u8] {
        &self.held[..self.whole]
    }

    fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.whole);
        self.held.drain(..bytes);
        self.whole -= bytes;
    }
}

/// A growing file of a run, which need not be there yet.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    tail: Option<Tail>,
    places: Places,
}

/// How far reading went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// To the end of the file, as it was.
    End,
    /// Not beyond what whoever takes the lines left alone.
    Held,
    /// There may be more.
    More,
}

impl Growing {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name), tail: None, places: Places::new() }
    }

    /// Hands every new line to `take`, which says whether it took it; what it leaves comes first the next time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn each_line(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Result<Reach, TableError> {
        let Some((tail, more)) = self.fill()? else { return Ok(Reach::End) };
        let (mut used, mut held) = (0, false);
        for line in tail.lines().split_inclusive(|byte| *byte == b'\n') {
            if !take(line) {
                held = true;
                break;
            }
            used += line.len();
        }
        tail.consume(used);
        Ok(reach(held, more))
    }

    /// Hands every new row to `take`, as [`Growing::each_line`] does lines; rows that are not whole are passed over.
    ///
    /// # Errors
    /// If the file cannot be read or is not a table.
    pub(super) fn each_row(&mut self, mut take: impl FnMut(Row<'_>) -> bool) -> Result<Reach, TableError> {
        let shown = self.path.display().to_string();
        let mut places = std::mem::take(&mut self.places);
        let Some((tail, more)) = self.fill()? else { return Ok(Reach::End) };
        let lines = tail.lines();
        let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let (mut cells, mut used, mut held) = (csv::StringRecord::new(), 0, false);
        while rows
            .read_record(&mut cells)
            .map_err(|source| TableError::Csv { path: shown.clone(), source })?
        {
            if places.is_empty() {
                places = self::places(&cells);
            } else {
                let row = Row { cells: &cells, places: &places };
                if row.is_whole() && !take(row) {
                    held = true;
                    break;
                }
            }
            used = rows.position().byte() as usize;
        }
        tail.consume(used);
        self.places = places;
        Ok(reach(held, more))
    }

    /// Reads on; `None` where there is no file yet.
    fn fill(&mut self) -> Result<Option<(&mut Tail, bool)>, TableError> {
        let fault = |source| TableError::Io { path: self.path.display().to_string(), source };
        if self.tail.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.tail = Some(Tail { file, held: Vec::new(), whole: 0 }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(fault(error)),
            }
        }
        let Some(tail) = &mut self.tail else { return Ok(None) };
        let more = tail.read().map_err(fault)?;
        Ok(Some((tail, more)))
    }
}

const fn reach(held: bool, more: bool) -> Reach {
    match (held, more) {
        (true, _) => Reach::Held,
        (false, true) => Reach::More,
        (false, false) => Reach::End,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_once_whole_and_what_is_left_alone_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Growing::new(folder.path(), "a.csv");
        let read = |growing: &mut Growing, most: usize| {
            let mut seen = Vec::new();
            let reach = growing
                .each_row(|row| {
                    let goes_on = seen.len() < most;
                    if goes_on {
                        seen.push(format!("{}/{}", row.text("b"), row.count("a")));
                    }
                    goes_on
                })
                .unwrap();
            (seen.join(" "), reach)
        };
        assert_eq!(read(&mut growing, 9), (String::new(), Reach::End));
        let mut file = File::create(folder.path().join("a.csv")).unwrap();
        for (written, most, expected) in [
            ("a,", 9, ("", Reach::End)),
            ("b\n1,x", 9, ("", Reach::End)),
            ("y\n2,\"z\"\n3\n", 9, ("xy/1 z/2", Reach::End)),
            ("4,d\n5,e\n6,", 1, ("d/4", Reach::Held)),
            ("f\n", 9, ("e/5", Reach::End)),
            ("", 9, ("f/6", Reach::End)),
        ] {
            file.write_all(written.as_bytes()).unwrap();
            assert_eq!(read(&mut growing, most), (expected.0.to_owned(), expected.1), "{written:?}");
        }
    }
}
