//! `target.csv`: the target's own figures, on the clock of the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::anomaly::complete_lines;
use super::directory::RunDirectory;
use super::row::{Row, number, places};
use super::table::TableError;
use crate::clock::Tick;

const NAME: &str = "target.csv";
const COLUMNS: [&str; 7] = ["run_id", "t_s", "scrape", "metric", "labels", "kind", "value"];

/// Rows of the file at most, about 100 MB: an hour of 270 series a second.
pub(crate) const MOST_TARGET_ROWS: u64 = 1_000_000;
/// Series that a history keeps.
const MOST_CURVES: usize = 24;

/// How a value is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// As it was at the instant.
    Value,
    /// What a counter grew by per second, since it was last read.
    PerSecond,
}

impl TargetKind {
    const ALL: [Self; 2] = [Self::Value, Self::PerSecond];

    /// The word in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::PerSecond => "per_second",
        }
    }
}

/// One figure of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetRow<'r> {
    /// What the source is called.
    pub(crate) scrape: &'r str,
    pub(crate) metric: &'r str,
    /// What stood in the braces behind the name.
    pub(crate) labels: &'r str,
    pub(crate) kind: TargetKind,
    /// A finite number.
    pub(crate) value: f64,
}

/// Appends to `target.csv`.
#[derive(Debug)]
pub(crate) struct TargetTable {
    run_id: String,
    rows: csv::Writer<BufWriter<File>>,
    /// Written so far.
    count: u64,
}

impl RunDirectory {
    /// Starts `target.csv`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(crate) fn start_target(&self) -> io::Result<TargetTable> {
        let file = File::create_new(self.path().join(NAME))?;
        let mut rows = csv::Writer::from_writer(BufWriter::new(file));
        rows.write_record(COLUMNS)?;
        rows.flush()?;
        Ok(TargetTable { run_id: self.run_id().to_owned(), rows, count: 0 })
    }
}

impl TargetTable {
    /// Appends what one source said at `at`, and flushes. Gives whether there is room for more.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn append<'r>(
        &mut self,
        at: Tick,
        rows: impl IntoIterator<Item = TargetRow<'r>>,
    ) -> io::Result<bool> {
        let at = format!("{:.3}", at.as_secs_f64());
        for TargetRow { scrape, metric, labels, kind, value } in rows {
            if self.count >= MOST_TARGET_ROWS {
                break;
            }
            self.count += 1;
            let value = value.to_string();
            self.rows.write_record([&self.run_id, &at, scrape, metric, labels, kind.name(), &value])?;
        }
        self.rows.flush()?;
        Ok(self.count < MOST_TARGET_ROWS)
    }
}

/// A figure of the target over time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TargetCurve {
    /// What the source is called.
    pub(crate) scrape: String,
    /// The metric, with its labels in braces where it has any.
    pub(crate) series: String,
    pub(crate) kind: TargetKind,
    /// By column of the history, the mean of what was read in it.
    pub(crate) values: Vec<Option<f64>>,
}

/// The figures over time of the run in `directory`, those that say something first, and of these the first of each source; `column_at` says which of
/// `columns` an instant lies in. Gives how many further series there are, too. A run without such a file has none.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn read(
    directory: &Path,
    columns: usize,
    column_at: impl Fn(f64) -> Option<usize>,
) -> Result<(Vec<TargetCurve>, usize), TableError> {
    let path = directory.join(NAME);
    let shown = path.display().to_string();
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        opened => opened.and_then(complete_lines),
    };
    let file = file.map_err(|source| TableError::Io { path: shown.clone(), source })?;
    let fault = |source| TableError::Csv { path: shown.clone(), source };
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let places = places(table.headers().map_err(fault)?);
    let mut sums = Sums::default();
    let mut cells = csv::StringRecord::new();
    while table.read_record(&mut cells).map_err(fault)? {
        sums.take(Row { cells: &cells, places: &places }, columns, &column_at);
    }
    Ok(sums.curves())
}

/// What is gathered while the file is read.
#[derive(Debug, Default)]
struct Sums {
    /// Where a series stands, by source, metric and labels; beyond the last where it is not kept.
    places: BTreeMap<(String, String), usize>,
    series: Vec<Sum>,
    omitted: usize,
    /// The sources, in the order in which they come.
    sources: Vec<String>,
    /// Which source was asked when, last, and how many rows of that have been read.
    asked: (String, String, usize),
}

/// What is gathered of one series.
#[derive(Debug)]
struct Sum {
    curve: TargetCurve,
    /// The sum and the number of its values, by column.
    columns: Vec<(f64, u32)>,
    /// Which of the rows of its source it was the last time: counters come one time later than what stands behind them.
    row: usize,
}

impl Sums {
    fn take(&mut self, row: Row<'_>, columns: usize, column_at: impl Fn(f64) -> Option<usize>) {
        let value = row.text("value").parse().ok().filter(|value: &f64| value.is_finite());
        let kind = TargetKind::ALL.into_iter().find(|kind| kind.name() == row.text("kind"));
        let (Some(at_s), Some(value), Some(kind)) = (number(row.text("t_s")), value, kind) else { return };
        let series = match (row.text("metric"), row.text("labels")) {
            (metric, "") => metric.to_owned(),
            (metric, labels) => format!("{metric}{{{labels}}}"),
        };
        if (self.asked.0.as_str(), self.asked.1.as_str()) == (row.text("scrape"), row.text("t_s")) {
            self.asked.2 += 1;
        } else {
            self.asked = (row.text("scrape").to_owned(), row.text("t_s").to_owned(), 0);
        }
        let key = (row.text("scrape").to_owned(), series);
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.open(key, kind, columns),
        };
        let Some(series) = self.series.get_mut(place) else { return };
        series.row = self.asked.2;
        if let Some((sum, count)) = column_at(at_s).and_then(|column| series.columns.get_mut(column)) {
            (*sum, *count) = (*sum + value, *count + 1);
        }
    }

    fn open(&mut self, (scrape, series): (String, String), kind: TargetKind, columns: usize) -> usize {
        if self.series.len() >= MOST_CURVES {
            // Those that are only counted take no room beyond a bound of their own.
            if self.omitted < 100 * MOST_CURVES {
                self.omitted += 1;
                self.places.insert((scrape, series), usize::MAX);
            }
            return usize::MAX;
        }
        self.places.insert((scrape.clone(), series.clone()), self.series.len());
        if !self.sources.contains(&scrape) {
            self.sources.push(scrape.clone());
        }
        let curve = TargetCurve { scrape, series, kind, values: Vec::new() };
        self.series.push(Sum { curve, columns: vec![(0.0, 0); columns], row: 0 });
        self.series.len() - 1
    }

    fn curves(mut self) -> (Vec<TargetCurve>, usize) {
        let sources = &self.sources;
        let source = |sum: &Sum| sources.iter().position(|name| *name == sum.curve.scrape);
        self.series.sort_by_key(|sum| (source(sum), sum.row));
        // By turns, so that a source of many series hides no other; what is nothing all the time comes last.
        let mut turns = BTreeMap::<Option<usize>, usize>::new();
        let mut ordered: Vec<_> = Vec::with_capacity(self.series.len());
        for sum in self.series {
            let is_nothing = sum.columns.iter().all(|(value, _)| value.abs() < f64::MIN_POSITIVE);
            let source = source(&sum);
            let turn = turns.entry(source).or_default();
            *turn += usize::from(!is_nothing);
            ordered.push(((is_nothing, *turn, source), sum));
        }
        ordered.sort_by_key(|(key, _)| *key);
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        let curves = ordered
            .into_iter()
            .map(|(_, sum)| TargetCurve { values: sum.columns.into_iter().map(mean).collect(), ..sum.curve });
        (curves.collect(), self.omitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    fn row<'r>(metric: &'r str, labels: &'r str, kind: TargetKind, value: f64) -> TargetRow<'r> {
        TargetRow { scrape: "broker", metric, labels, kind, value }
    }

    #[test]
    fn what_is_written_reads_back_by_column() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let column = |at_s: f64| Some(at_s as usize).filter(|column| *column < 3);
        assert_eq!(read(directory.path(), 3, column).unwrap(), (Vec::new(), 0));
        let mut table = directory.start_target().unwrap();
        let at = |ms: u64| Tick(ms * 1_000_000);
        let load = |value| row("load", "code=\"2,0\"", TargetKind::PerSecond, value);
        assert!(table.append(at(100), [load(1.5), row("free", "", TargetKind::Value, -7.0)]).unwrap());
        table.append(at(900), [load(2.5)]).unwrap();
        table.append(at(2_000), [load(0.0)]).unwrap();
        let (curves, omitted) = read(directory.path(), 3, column).unwrap();
        let told: Vec<_> =
            curves.iter().map(|curve| (curve.series.as_str(), curve.kind, &*curve.values)).collect();
        assert_eq!(
            told,
            [
                ("load{code=\"2,0\"}", TargetKind::PerSecond, &[Some(2.0), None, Some(0.0)][..]),
                ("free", TargetKind::Value, &[Some(-7.0), None, None]),
            ]
        );
        assert_eq!(omitted, 0);
    }

    #[test]
    fn sources_come_by_turns_as_they_say_it_and_what_is_nothing_comes_last() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let mut table = directory.start_target().unwrap();
        let of =
            |scrape, metric, value| TargetRow { scrape, metric, labels: "", kind: TargetKind::Value, value };
        // A counter has no row the first time.
        table.append(Tick(0), [of("a", "memory", 9.0), of("a", "none", 0.0), of("a", "open", 3.0)]).unwrap();
        table.append(Tick(0), [of("b", "free", 7.0)]).unwrap();
        let again = [of("a", "cpu", 1.0), of("a", "memory", 9.0), of("a", "none", 0.0), of("a", "open", 3.0)];
        table.append(Tick(1_000_000_000), again).unwrap();
        let (curves, _) = read(directory.path(), 1, |_| Some(0)).unwrap();
        let order: Vec<_> = curves.iter().map(|curve| curve.series.as_str()).collect();
        assert_eq!(order, ["cpu", "free", "memory", "open", "none"]);
    }

    #[test]
    fn the_file_and_what_is_kept_of_it_are_bounded() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let mut table = directory.start_target().unwrap();
        let names: Vec<String> = (0..MOST_CURVES + 5).map(|nth| format!("m{nth}")).collect();
        let all = || names.iter().map(|name| row(name, "", TargetKind::Value, 1.0));
        table.append(Tick(0), all()).unwrap();
        table.append(Tick(1), all()).unwrap();
        let (curves, omitted) = read(directory.path(), 1, |_| Some(0)).unwrap();
        assert_eq!((curves.len(), omitted), (MOST_CURVES, 5));
        table.count = MOST_TARGET_ROWS - 1;
        assert!(!table.append(Tick(2), all()).unwrap());
        let text = std::fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(text.lines().count(), 1 + 2 * names.len() + 1);
    }
}
