//! `latency.hlog` as others read it: Python's `hdrhistogram`, Java's `HistogramLogProcessor` and the crate's own reader must
//! agree with `summary.csv`, also when the run was killed in the middle of a line.
//!
//! Where a reader is not installed its part is skipped, and says so:
//! `pip install hdrhistogram`, `apt-get install libhdrhistogram-java default-jre-headless`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use squall::clock::{Course, Tick, WallTime};
use squall::export::hgrm;
use squall::record::{
    DeliveryGuarantee, ErrorKind, FleetId, FleetInfo, Kind, Layout, Outcome, PhaseId, PhaseInfo, PhaseRole,
    Protocol, Sample, Sink,
};
use squall::results::{
    Millis, Recorder, RunDirectory, SummaryRow, read_distributions, read_summary, recorders,
};
use squall::seed::Seed;

use crate::skip;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const JAR: &str = "/usr/share/java/hdrhistogram.jar";

fn layout() -> Arc<Layout> {
    let phase = |name: &str, role, from, to| PhaseInfo {
        name: String::from(name),
        role,
        start: Tick(from * SECOND),
        end: Tick(to * SECOND),
    };
    let fleet = |name: &str, protocol| FleetInfo {
        name: String::from(name),
        protocol,
        devices: 100,
        timeout_ns: 2 * SECOND,
        budget_ns: Some(100 * MS),
        expects: DeliveryGuarantee::default(),
        trace: None,
        hears: false,
    };
    Arc::new(Layout {
        phases: vec![
            phase("connect", PhaseRole::Connect, 0, 1),
            phase("warm-up", PhaseRole::WarmUp, 1, 3),
            phase("steady", PhaseRole::Measured, 3, 6),
        ],
        fleets: vec![
            fleet("meters", Protocol::named("http")),
            fleet("pumps", Protocol::named("ws")),
            fleet("valves", Protocol::named("mqtt")),
        ],
        interval_ns: SECOND,
        faults: Vec::new(),
        course: Course::default(),
    })
}

/// A time between 100 µs and 2 s, spread evenly over its logarithm.
fn spread(stream: &mut impl rand::Rng) -> u64 {
    let unit = (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (1e5 * 20_000_f64.powf(unit)) as u64
}

/// Samples of every fleet and phase. All counts are multiples of 100, so that readers that round the rank of the 99th
/// percentile differently still mean the same sample.
fn samples(layout: &Layout) -> Vec<Sample> {
    const FAILURES: [Outcome; 5] =
        [Outcome::Shed, Outcome::Error(ErrorKind::Reset), Outcome::Timeout, Outcome::Lost, Outcome::Dropped];
    let mut samples = Vec::new();
    for (phase, info) in layout.phases.iter().enumerate() {
        let (kind, count) =
            if info.role == PhaseRole::Connect { (Kind::Connect, 100) } else { (Kind::Reading, 4_000) };
        for fleet in 0..layout.fleets.len() {
            let mut stream = Seed(7).stream("samples", (phase * 10 + fleet) as u64);
            for n in 0..count {
                let intended = info.start.plus_ns(info.end.since(info.start) * n / count);
                let fails = kind == Kind::Reading && n % 8 == 0;
                let outcome = if fails { FAILURES[(n / 8 % 5) as usize] } else { Outcome::Ok };
                // One failure and one answer beyond the histograms' bound: a lower bound, and an overflow.
                let beyond = kind == Kind::Reading && (n == 16 || n == 17);
                let response_ns = if beyond { 3_600 * SECOND } else { spread(&mut stream) };
                let sent = outcome != Outcome::Dropped;
                samples.push(Sample {
                    device: 0,
                    phase: PhaseId(phase as u16),
                    fleet: FleetId(fleet as u16),
                    kind,
                    intended,
                    eligible: sent.then_some(intended.plus_ns(response_ns.min(SECOND) / 10)),
                    actual: sent.then_some(intended.plus_ns(response_ns.min(SECOND) / 7)),
                    completed: intended.plus_ns(response_ns),
                    outcome,
                    stages: None,
                    seq: n,
                    mark: None,
                    flagged: None,
                    arm: None,
                    attempts: u8::from(sent),
                    own_wait_ns: 0,
                    plan_wait_ns: 0,
                });
            }
        }
    }
    samples.sort_by_key(|sample| sample.completed);
    samples
}

fn record(recorders: &mut [Recorder], samples: &[Sample]) {
    let mut boundary = Tick(SECOND);
    for (n, sample) in samples.iter().enumerate() {
        while sample.completed >= boundary && boundary < Tick(10 * SECOND) {
            for recorder in &mut *recorders {
                recorder.rotate(boundary);
            }
            boundary = boundary.plus_ns(SECOND);
        }
        let recorder = &mut recorders[n % 2];
        recorder.planned(sample.phase, sample.fleet, sample.kind);
        if sample.actual.is_some() {
            recorder.sent(sample.phase, sample.fleet, sample.kind);
        }
        recorder.completed(sample);
    }
    for recorder in recorders {
        recorder.finish(boundary);
    }
}

/// Two workers record three fleets over three phases, with failures and overflow, into a run directory.
fn run(out: &Path) -> RunDirectory {
    let (layout, started) = (layout(), WallTime::from_epoch(Duration::from_millis(1_790_000_000_123)));
    let directory = RunDirectory::create(out, "round-trip", "", started).unwrap();
    let mut files = directory.start_files(&layout, started).unwrap();
    let (mut recorders, collector) = recorders(&layout, 2);
    let samples = samples(&layout);
    let recording = std::thread::spawn(move || record(&mut recorders, &samples));
    let totals = collector.run(&mut files, |_| {});
    recording.join().unwrap();
    assert_eq!(totals.unaccounted(), 0);
    directory.write_summary(&totals.rows()).unwrap();
    directory
}

/// Count, p99 and max in nanoseconds; a figure that `summary.csv` does not state is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    count: u64,
    p99: Option<u64>,
    max: Option<u64>,
}

impl Line {
    fn new(count: u64, p99: Option<Millis>, max: Option<Millis>) -> Self {
        Self { count, p99: p99.map(Millis::as_ns), max: max.map(Millis::as_ns) }
    }

    /// Whether a reader's line says what `self` states.
    fn agrees(&self, read: &Self) -> bool {
        let same = |stated: Option<u64>, read| stated.is_none() || stated == read;
        self.count == read.count && same(self.p99, read.p99) && same(self.max, read.max)
    }
}

/// What `summary.csv` says about every tag of the log; the untagged total is `-`.
fn expected(rows: &[SummaryRow]) -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::new();
    for row in rows {
        let figures = &row.figures;
        let response = Line::new(figures.ended(), figures.p99_ms, figures.max_ms);
        let tag = |times: &str| format!("{}.{}.{}.{times}", row.fleet, row.protocol, row.phase);
        if row.is_headline() {
            lines.insert("-".to_owned(), response);
        } else if row.kind == "connect" {
            lines.insert(tag("connect"), response);
        } else {
            lines.insert(tag("response"), response);
            lines.insert(
                tag("service"),
                Line::new(figures.ok, figures.service_p99_ms, figures.service_max_ms),
            );
            // These two are written where there is something to write.
            let (ok, failed) = (figures.ok, figures.failed());
            lines.extend((ok > 0).then(|| (tag("ok"), Line::new(ok, figures.ok_p99_ms, None))));
            lines.extend((failed > 0).then(|| (tag("censored"), Line::new(failed, None, None))));
            lines.insert(tag("pacing-lag"), Line::new(figures.sent, figures.pacing_lag_p99_ms, None));
        }
    }
    lines
}

fn assert_agree(reader: &str, expected: &BTreeMap<String, Line>, read: &BTreeMap<String, Line>) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>(), "{reader}");
    for (tag, line) in expected {
        assert!(line.agrees(&read[tag]), "{reader}, {tag}: summary {line:?}, log {:?}", read[tag]);
    }
}

/// What the lines of every tag add up to, by the crate's reader, up to the end or to a line cut short; the untagged total is `-`.
pub(crate) fn sums(log: &[u8]) -> BTreeMap<String, Histogram<u64>> {
    let mut sums: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    let mut deserializer = hdrhistogram::serialization::Deserializer::new();
    for entry in IntervalLogIterator::new(log).map_while(Result::ok) {
        let LogEntry::Interval(interval) = entry else {
            continue;
        };
        let payload =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram())
                .unwrap();
        let histogram: Histogram<u64> = deserializer.deserialize(&mut payload.as_slice()).unwrap();
        let tag = interval.tag().map_or("-", |tag| tag.as_str()).to_owned();
        match sums.get_mut(&tag) {
            Some(sum) => sum.add(&histogram).unwrap(),
            None => _ = sums.insert(tag, histogram),
        }
    }
    sums
}

fn by_rust(log: &[u8]) -> BTreeMap<String, Line> {
    let line = |sum: &Histogram<u64>| Line {
        count: sum.len(),
        p99: Some(sum.value_at_quantile(0.99)),
        max: Some(sum.max()),
    };
    sums(log).iter().map(|(tag, sum)| (tag.clone(), line(sum))).collect()
}

/// By Python; `None`, and a note, where it is not installed.
fn by_python(log: &Path) -> Option<BTreeMap<String, Line>> {
    let installed = Command::new("python3")
        .args(["-c", "import hdrh"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !installed {
        skip::missing("Python's package `hdrhistogram` is not installed");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hlog_readers.py");
    let output = Command::new("python3").arg(script).arg(log).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let tag = fields.next().unwrap().to_owned();
        let mut number = || fields.next().unwrap().parse::<u64>().unwrap();
        (tag, Line { count: number(), p99: Some(number()), max: Some(number()) })
    };
    Some(text.lines().map(line).collect())
}

fn java_is_installed() -> bool {
    let installed = Path::new(JAR).exists()
        && Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
    if !installed {
        skip::missing("Java or libhdrhistogram-java is not installed");
    }
    installed
}

/// The last line of Java's table for `tag`, which holds the totals of all intervals up to there. The processor stops at a
/// torn line with an error, but has written its table up to it.
fn by_java(log: &Path, tag: &str) -> Line {
    let out = tempfile::tempdir().unwrap();
    let table = out.path().join("table.csv");
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-cp", JAR, "org.HdrHistogram.HistogramLogProcessor", "-csv"]);
    command.args(["-outputValueUnitRatio", "1", "-i"]).arg(log).arg("-o").arg(&table);
    if tag != "-" {
        command.args(["-tag", tag]);
    }
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(table).unwrap();
    let last = text.lines().rfind(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let last = last.unwrap_or_else(|| panic!("{tag}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    // Timestamp, Int_Count, Int_50%, Int_90%, Int_Max, Total_Count, Total_50%, Total_90%, Total_99%, …, Total_Max
    let fields: Vec<f64> = last.split(',').map(|field| field.parse().unwrap()).collect();
    Line { count: fields[5] as u64, p99: Some(fields[8] as u64), max: fields.last().map(|&max| max as u64) }
}

#[test]
fn other_readers_of_the_interval_log_agree_with_the_summary() {
    let out = tempfile::tempdir().unwrap();
    let directory = run(out.path());
    let log = directory.path().join("latency.hlog");
    let rows = read_summary(directory.path()).unwrap();
    assert!(rows.iter().any(|row| row.figures.overflow > 0 && row.figures.censored > 0));
    let expected = expected(&rows);
    assert_eq!(expected.len(), 3 + 2 * 3 * 5 + 1);
    assert_agree("Rust", &expected, &by_rust(&std::fs::read(&log).unwrap()));
    if let Some(read) = by_python(&log) {
        assert_agree("Python", &expected, &read);
    }
    if java_is_installed() {
        for (tag, line) in expected.iter().filter(|(tag, _)| *tag == "-" || tag.starts_with("pumps.")) {
            let read = by_java(&log, tag);
            assert!(line.agrees(&read), "Java, {tag}: summary {line:?}, log {read:?}");
        }
    }
}

/// The rows of a `.hgrm`: value in milliseconds; percentile, count up to there and the last column as they are written.
fn hgrm_rows(text: &str) -> Vec<(f64, Vec<&str>)> {
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(2);
    rows.map(|line| {
        let mut cells = line.split_whitespace();
        (cells.next().unwrap().parse().unwrap(), cells.collect())
    })
    .collect()
}

#[test]
fn percentile_files_are_those_that_java_writes() {
    let out = tempfile::tempdir().unwrap();
    let directory = run(out.path());
    let read = read_distributions(directory.path()).unwrap();
    let rows = read_summary(directory.path()).unwrap();
    let headline = rows.iter().find(|row| row.is_headline()).unwrap();
    assert_eq!(read[&None].len(), headline.figures.ended());
    assert_eq!(read.len(), expected(&rows).len());
    if !java_is_installed() {
        return;
    }
    for tag in [None, Some("pumps.ws.steady.response"), Some("meters.http.connect.connect")] {
        let ours = hgrm::distribution(&read[&tag.map(str::to_owned)]);
        let table = out.path().join("java");
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-cp", JAR, "org.HdrHistogram.HistogramLogProcessor"]);
        command.arg("-i").arg(directory.path().join("latency.hlog")).arg("-o").arg(&table);
        command.args(tag.map(|tag| ["-tag", tag]).iter().flatten());
        assert!(command.output().unwrap().status.success());
        let javas = std::fs::read_to_string(out.path().join("java.hgrm")).unwrap();
        let (our_rows, java_rows) = (hgrm_rows(&ours), hgrm_rows(&javas));
        assert_eq!(our_rows.len(), java_rows.len(), "{tag:?}\n{ours}\n{javas}");
        for (our, java) in our_rows.iter().zip(&java_rows) {
            // A bucket is at most a thousandth of its value wide.
            assert!((our.0 - java.0).abs() <= 0.001 * java.0 + 0.001, "{tag:?}: {our:?} {java:?}");
            assert_eq!(our.1, java.1, "{tag:?}");
        }
        // Java's log processor says first what the table is of.
        let plain = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).take(3).map(str::to_owned).collect()
        };
        assert_eq!(plain(&ours), plain(&javas), "the header and the first row to the letter");
        let footers = |text: &str| text.lines().filter(|line| line.starts_with("#[M")).count();
        assert_eq!((footers(&ours), footers(&javas)), (2, 2), "{ours}");
    }
}

/// Counts and maxima alone: readers differ in how they round the rank of a percentile.
fn unranked(lines: &BTreeMap<String, Line>) -> BTreeMap<String, Line> {
    lines.iter().map(|(tag, line)| (tag.clone(), Line { p99: None, ..*line })).collect()
}

/// That every reader finds in the log of the run in `directory` what its summary says, but for percentiles.
pub(crate) fn assert_others_agree(directory: &Path) {
    let log = directory.join("latency.hlog");
    let expected = unranked(&expected(&read_summary(directory).unwrap()));
    assert_agree("Rust", &expected, &by_rust(&std::fs::read(&log).unwrap()));
    if let Some(read) = by_python(&log) {
        assert_agree("Python", &expected, &read);
    }
    if java_is_installed() {
        for (tag, line) in &expected {
            let read = by_java(&log, tag);
            assert!(line.agrees(&read), "Java, {tag}: summary {line:?}, log {read:?}");
        }
    }
}

#[test]
fn a_log_torn_in_its_last_line_reads_up_to_the_line_before() {
    let out = tempfile::tempdir().unwrap();
    let directory = run(out.path());
    let text = std::fs::read_to_string(directory.path().join("latency.hlog")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let last = lines.len() - 1;
    let whole = lines[..last].concat();
    let expected = by_rust(whole.as_bytes());
    for kept in [3, lines[last].len() / 2] {
        let torn = format!("{whole}{}", &lines[last][..kept]);
        let log = out.path().join("torn.hlog");
        std::fs::write(&log, &torn).unwrap();
        assert_agree("Rust", &expected, &by_rust(torn.as_bytes()));
        std::fs::write(directory.path().join("latency.hlog"), &torn).unwrap();
        let whole = read_distributions(directory.path()).unwrap();
        assert_eq!(whole[&None].len(), expected["-"].count);
        // Torn counts are not multiples of 100, where readers differ in how they round a rank: counts and maxima only.
        if let Some(read) = by_python(&log) {
            assert_agree("Python", &unranked(&expected), &read);
        }
        if java_is_installed() {
            let read = by_java(&log, "-");
            assert!(unranked(&expected)["-"].agrees(&read), "Java: {:?}, log {read:?}", expected["-"]);
        }
    }
}
