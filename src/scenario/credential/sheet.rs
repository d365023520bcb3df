//! Credentials by device in a CSV file.

use std::fmt;
use std::path::Path;

use super::Part;
use crate::fleet::device_name;
use crate::language::{Refusal, Text, nearest};
use crate::protocol::Misfit;
use crate::scenario::recording::{self, uneven};

/// Faults of one file that are told.
const MOST_FAULTS: usize = 10;
/// Stands where a device has no row.
const NONE: u32 = u32::MAX;
/// The column that names the device.
const DEVICE: &str = "device";
/// What the column of a header field begins with.
const HEADER: &str = "header:";
/// A column of the bundled service's, which reads the same files.
const RIGHTS: &str = "rights";
/// What a file may have.
const COLUMNS: &str = "name device, and token, or username and password, or header:NAME";

/// What the credential that these parts make cannot be, for the device of this name.
pub(in crate::scenario) type Judge<'j> = &'j dyn Fn(&str, &[(&Part, &str)]) -> Option<Misfit>;

/// Cells by device and column, in one piece of memory: there may be a million of them.
#[derive(Default, PartialEq, Eq)]
pub(in crate::scenario) struct Sheet {
    text: String,
    /// Where each cell ends, row by row.
    ends: Vec<u32>,
    /// The row of each device.
    rows: Box<[u32]>,
    columns: usize,
}

/// It holds secrets.
impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sheet({} columns)", self.columns)
    }
}

impl Sheet {
    /// A sheet without rows.
    pub(in crate::scenario) fn new(devices: u32, columns: usize) -> Self {
        Self { rows: vec![NONE; devices as usize].into(), columns, ..Self::default() }
    }

    /// Adds the row of device number `index`. Beyond 4 GiB of text it holds none.
    pub(in crate::scenario) fn push<'c>(&mut self, index: u32, cells: impl Iterator<Item = &'c str>) {
        let row = self.ends.len() / self.columns.max(1);
        for cell in cells.take(self.columns) {
            self.text.push_str(cell);
            self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        }
        if let Some(place) = self.rows.get_mut(index as usize) {
            *place = row as u32;
        }
    }

    /// The cell of device number `index` in `column`; `None` where it has no row.
    pub(super) fn cell(&self, index: u32, column: usize) -> Option<&str> {
        let row = *self.rows.get(index as usize).filter(|row| **row != NONE)?;
        let at = row as usize * self.columns + column;
        let start = if at == 0 { 0 } else { *self.ends.get(at - 1)? };
        self.text.get(start as usize..*self.ends.get(at)? as usize)
    }

    /// The parts and rows of the file `path` for the devices of a fleet, by its name and their number. Rows of other devices are
    /// passed over: several fleets may share a file.
    ///
    /// # Errors
    /// What is wrong with the file, each with its line, and what to do.
    pub(in crate::scenario) fn read(
        directory: &Path,
        path: &Text,
        (fleet, devices): (&str, u32),
        judge: Judge<'_>,
    ) -> Result<(Vec<Part>, Self), Vec<Refusal>> {
        let alone = |refusal| vec![refusal];
        let (file, shown) = recording::begin(directory, path).map_err(alone)?;
        let (mut table, header) = recording::table(file, &shown).map_err(alone)?;
        let (device, parts) = columns(&header, &shown).map_err(alone)?;
        let broken = |error: csv::Error| vec![recording::broken(&shown, &error)];
        let mut sheet = Self::new(devices, parts.len());
        let mut lines = vec![0_u64; devices as usize];
        let mut faults = Vec::new();
        let mut record = csv::StringRecord::new();
        while faults.len() < MOST_FAULTS && table.read_record(&mut record).map_err(broken)? {
            let line = record.position().map_or(0, csv::Position::line);
            let place = format!("{shown}, line {line}");
            if record.len() != header.len() {
                faults.push(uneven(&record, header.len(), &place));
                continue;
            }
            let name = record.get(device).unwrap_or_default();
            let Some(index) = index_of(name, fleet, devices) else { continue };
            let before = std::mem::replace(&mut lines[index as usize], line);
            if before > 0 {
                let message = format!("{place}: device `{name}` has a row already, in line {before}");
                faults.push((message, "keep one of the two".into()));
                continue;
            }
            let cells: Vec<(&Part, &str)> =
                parts.iter().map(|(part, column)| (part, record.get(*column).unwrap_or_default())).collect();
            faults.extend(fault(&place, name, &cells, judge));
            sheet.push(index, cells.iter().map(|(_, cell)| *cell));
        }
        if faults.is_empty() {
            faults.extend(missing(&shown, &lines, fleet));
        }
        if faults.is_empty() {
            Ok((parts.into_iter().map(|(part, _)| part).collect(), sheet))
        } else {
            Err(faults)
        }
    }
}

/// What is wrong with the cells of one device. It repeats none of them.
fn fault(place: &str, name: &str, cells: &[(&Part, &str)], judge: Judge<'_>) -> Option<Refusal> {
    // A password may be empty, as basic authentication and MQTT have it.
    let empty = cells.iter().find(|(part, cell)| cell.is_empty() && **part != Part::Password);
    if let Some((part, _)) = empty {
        let message = format!("{place}: {} of device `{name}` is empty", part.title());
        return Some((message, "fill it in, or take the column out".into()));
    }
    let misfit = judge(name, cells)?;
    let message = format!("{place}: {} of device `{name}` {}", misfit.subject, misfit.fault);
    Some((message, misfit.help.to_owned()))
}

/// The number of the device called `name`, if it is of this fleet.
fn index_of(name: &str, fleet: &str, devices: u32) -> Option<u32> {
    let index = name.strip_prefix(fleet)?.strip_prefix('-')?.parse().ok()?;
    (index < devices && device_name(fleet, index) == name).then_some(index)
}

/// That devices have no row.
fn missing(shown: &str, lines: &[u64], fleet: &str) -> Option<Refusal> {
    let mut without = (0_u32..).zip(lines).filter(|(_, line)| **line == 0).map(|(index, _)| index);
    let first = device_name(fleet, without.next()?);
    let others = match without.count() {
        0 => String::new(),
        more => format!(" and {more} more of the fleet"),
    };
    let message = format!("{shown} has no row for device `{first}`{others}");
    Some((message, "add a row for every device, or lower `devices`".into()))
}

/// The column that names devices, and those of a credential's parts.
fn columns(header: &csv::StringRecord, shown: &str) -> Result<(usize, Vec<(Part, usize)>), Refusal> {
    let line = format!("{shown}, line 1");
    let (mut device, mut parts) = (None, Vec::new());
    for (at, name) in header.iter().enumerate() {
        let part = match name {
            DEVICE => {
                device = Some(at);
                continue;
            }
            RIGHTS => continue,
            "token" => Part::Bearer,
            "username" => Part::Username,
            "password" => Part::Password,
            other => match other.strip_prefix(HEADER) {
                Some(name) => Part::Header(name.trim().to_owned()),
                None => return Err(unknown(&line, other)),
            },
        };
        parts.push((part, at));
    }
    let Some(device) = device else {
        return Err((format!("{line}: no column is called device"), COLUMNS.into()));
    };
    if parts.is_empty() {
        return Err((format!("{line}: no column holds a credential"), COLUMNS.into()));
    }
    Ok((device, parts))
}

/// A column of no known name. Where a header is missing, it may be a secret of the first row.
fn unknown(line: &str, name: &str) -> Refusal {
    match nearest(name, [DEVICE, "token", "username", "password", RIGHTS]) {
        Some(meant) => (format!("{line}: a column is nearly called {meant}"), format!("call it {meant}")),
        None => (format!("{line}: the header has a column of no known name"), COLUMNS.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<Part>, Sheet), Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d.csv"), text).unwrap();
        let path = Text::expanded("d.csv", "d.csv");
        let odd = Misfit { key: "", subject: "a header field", fault: "is odd", help: "mend it" };
        let judge = |_: &str, cells: &[(&Part, &str)]| {
            cells.iter().any(|(_, cell)| cell.contains("odd")).then_some(odd)
        };
        Sheet::read(folder.path(), &path, ("m", 2), &judge).map_err(|refusals| {
            refusals.into_iter().map(|(message, help)| format!("{message}; {help}")).collect()
        })
    }

    #[test]
    fn rows_are_found_by_the_device_whatever_their_order() {
        let (parts, sheet) =
            read("token,device,header:X-Key,rights\nt1,m-00001,k1,publish\nx,other-00000,y,\nt0,m-00000,\"k,0\",\n").unwrap();
        assert_eq!(parts, [Part::Bearer, Part::Header("X-Key".into())]);
        let cells = [0, 1, 2].map(|device| [sheet.cell(device, 0), sheet.cell(device, 1)]);
        assert_eq!(cells, [[Some("t0"), Some("k,0")], [Some("t1"), Some("k1")], [None, None]]);
        assert!(!format!("{sheet:?}").contains("t1"));
        assert!(read("device;username;password\nm-00000;a;\nm-00001;b;c\n").is_ok());
    }

    #[test]
    fn every_fault_has_its_line_and_no_secret_is_repeated() {
        for (text, expected) in [
            ("device,token\nm-00000,s3cret\n", vec!["d.csv has no row for device `m-00001`; add a row"]),
            ("device,token\n", vec!["no row for device `m-00000` and 1 more of the fleet"]),
            (
                "device,token\nm-00000,s3cret\nm-00000,s3cret\nm-00001,\nm-00001\n",
                vec![
                    "line 3: device `m-00000` has a row already, in line 2; keep one",
                    "line 4: a token of device `m-00001` is empty",
                    "line 5 has 1 cells under a header of 2",
                ],
            ),
            (
                "device,token\nm-00000,s3cret-odd\n",
                vec!["line 2: a header field of device `m-00000` is odd; mend it"],
            ),
            ("devise,token\n", vec!["line 1: a column is nearly called device"]),
            ("token\ns3cret\n", vec!["line 1: no column is called device"]),
            ("device,rights\n", vec!["line 1: no column holds a credential"]),
            ("m-00000,s3cret\n", vec!["line 1: the header has a column of no known name"]),
            ("device,token,token\n", vec!["line 1: the header names column `token` twice"]),
            ("", vec!["line 1: no column is called device"]),
        ] {
            let found = read(text).unwrap_err();
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected) && !found.contains("s3cret"), "{text}: {found}");
            }
        }
    }
}
