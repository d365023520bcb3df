//! Records of shards: what goes through them comes out as it went in.

use std::fs;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;

const BEGAN_NS: u64 = 1_790_000_000_123_000_000;

/// Has a run recorded as `shard`.
pub(super) fn start(files: &mut RunFiles, directory: &RunDirectory, layout: &Layout, shard: Shard) {
    let header = ShardHeader::new(directory.run_id(), shard, "digest", BEGAN_NS, layout);
    files.start_shard(directory).unwrap();
    files.begin_shard(&header).unwrap();
}

/// The merge of the runs in `directories`, as a run begun at `started`.
fn merged(
    out: &Path,
    directories: &[&RunDirectory],
    started: WallTime,
) -> Result<(RunDirectory, Totals), MergeError> {
    let directory = RunDirectory::create(out, "trial", "a", started)?;
    let mut shards: Vec<_> =
        directories.iter().map(|directory| ShardFile::open(directory.path())).collect::<Result<_, _>>()?;
    let mut files = directory.start_files(&shards[0].header().layout.clone(), started)?;
    let totals = merge(&mut shards, None, &mut files, |_| {})?;
    directory.write_summary(&totals.rows())?;
    Ok((directory, totals))
}

/// The record of a run, replayed, leaves the same files to the last byte.
pub(super) fn assert_replays(directory: &RunDirectory, totals: &Totals, started: WallTime) {
    assert_eq!(ShardFile::end_of(directory.path()).unwrap(), RecordEnd::Whole);
    let out = tempfile::tempdir().unwrap();
    let (again, replayed) = merged(out.path(), &[directory], started).unwrap();
    // Runs of the same second in one folder have names of their own.
    let same = |text: String, run: &RunDirectory| text.replace(run.run_id(), "run");
    for name in ["intervals.csv", "latency.hlog", "summary.csv", "anomalies.csv", "faults.csv", "slowest.csv"]
    {
        let read = |run: &RunDirectory| same(fs::read_to_string(run.path().join(name)).unwrap(), run);
        assert_eq!(read(directory), read(&again), "{name}");
    }
    assert_eq!(format!("{:?}", totals.deliveries()), format!("{:?}", replayed.deliveries()));
    let counted = |totals: &Totals| {
        (totals.anomaly_rows_omitted, totals.late_slices, totals.merged_slices, totals.switches_omitted)
    };
    assert_eq!(counted(totals), counted(&replayed));
    assert_eq!(totals.late_switches, replayed.late_switches);
}

/// What the lines of every tag of a log add up to.
fn sums(directory: &RunDirectory) -> BTreeMap<String, Histogram<u64>> {
    let log = fs::read(directory.path().join("latency.hlog")).unwrap();
    let mut sums = BTreeMap::new();
    for entry in IntervalLogIterator::new(&log).map(Result::unwrap) {
        let LogEntry::Interval(interval) = entry else { continue };
        let engine = &base64::engine::general_purpose::STANDARD;
        let bytes = base64::Engine::decode(engine, interval.encoded_histogram()).unwrap();
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        let tag = interval.tag().map_or("-", |tag| tag.as_str()).to_owned();
        let sum = sums.entry(tag).or_insert_with(|| Histogram::new_from(&histogram));
        sum.add(&histogram).unwrap();
    }
    sums
}

/// A run of those of `samples` that belong to shard `number` of two.
fn part(out: &Path, samples: &[(usize, Sample)], number: u32) -> RunDirectory {
    let own = |(by, sample): &(usize, Sample)| (*by + 1 == number as usize).then_some((0, *sample));
    let own: Vec<_> = samples.iter().filter_map(own).collect();
    run_of(out, &own, 1).0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn two_shards_add_up_to_the_run_of_both(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (whole, totals, _) = run_of(out.path(), &samples, 2);
        let parts = [part(out.path(), &samples, 1), part(out.path(), &samples, 2)];
        let started = WallTime::from_epoch(Duration::from_millis(1_790_000_000_123));
        let (merge, added) = merged(out.path(), &[&parts[0], &parts[1]], started).unwrap();
        prop_assert_eq!(added.unaccounted(), totals.unaccounted());
        let summary = |run: &RunDirectory| {
            fs::read_to_string(run.path().join("summary.csv")).unwrap().replace(run.run_id(), "run")
        };
        prop_assert_eq!(summary(&whole), summary(&merge));
        prop_assert_eq!(sums(&whole), sums(&merge));
        let mut halves = sums(&parts[0]);
        for (tag, half) in sums(&parts[1]) {
            match halves.get_mut(&tag) {
                Some(sum) => sum.add(&half).unwrap(),
                None => _ = halves.insert(tag, half),
            }
        }
        prop_assert_eq!(halves, sums(&merge));
        let intervals = |run: &RunDirectory| super::sums(&run.path().join("intervals.csv"));
        prop_assert_eq!(intervals(&whole), intervals(&merge));
    }
}

/// A small run, and the lines of its record.
fn record(out: &Path) -> (RunDirectory, Vec<String>) {
    let layout = layout();
    let samples: Vec<_> =
        (1..6).map(|s| (0, sample(&layout, 0, Tick(s * SECOND), 30 * MS, Outcome::Ok))).collect();
    let (directory, ..) = run_of(out, &samples, 1);
    let text = fs::read_to_string(directory.path().join("shard.ndjson")).unwrap();
    (directory, text.split_inclusive('\n').map(str::to_owned).collect())
}

#[test]
fn a_record_that_was_cut_short_is_taken_as_far_as_it_got() {
    let out = tempfile::tempdir().unwrap();
    let (directory, lines) = record(out.path());
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    for (kept, torn, end, planned) in
        [(lines.len() - 1, 0, RecordEnd::Early, 5), (3, 40, RecordEnd::Torn, 1), (1, 1, RecordEnd::Torn, 0)]
    {
        let text = format!("{}{}", lines[..kept].concat(), &lines[kept][..torn]);
        fs::write(directory.path().join("shard.ndjson"), text).unwrap();
        assert_eq!(ShardFile::end_of(directory.path()).unwrap(), end);
        let (_, totals) = merged(out.path(), &[&directory], started).unwrap();
        let rows = totals.rows();
        let planned_there: u64 =
            rows.iter().filter(|row| !row.is_headline()).map(|row| row.figures.planned).sum();
        assert_eq!(planned_there, planned, "{kept} {torn}");
    }
}

#[test]
fn a_damaged_record_is_refused_with_its_line() {
    let out = tempfile::tempdir().unwrap();
    let (directory, lines) = record(out.path());
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let end = lines.len() - 1;
    let mut cases: Vec<(String, String)> = vec![
        (String::new(), "line 1: the header is cut short".into()),
        (lines[0][..30].to_owned(), "line 1: the header is cut short".into()),
        ("{}\n".to_owned(), "line 1: no header: missing field `squall_shard`".into()),
        ("{\"squall_shard\":9}\n".to_owned(), "has form 9; this squall reads form 1".into()),
        (lines[0].replace("1/1", "2/1"), "line 1: no header: `2/1` names no shard".into()),
        (format!("{}{}", lines[0], "not\n"), "line 2: ".into()),
        (format!("{}{}", lines[..3].concat(), lines[1]), "line 4: interval 0 comes too late".into()),
        (format!("{}{}", lines.concat(), lines[1]), "there is more after the end".into()),
        (
            format!("{}{}", lines[0], lines[2..].concat()),
            "line 2: the intervals from 0.000 s to 1.000 s are missing".into(),
        ),
        (format!("{}{}", lines[..end - 1].concat(), lines[end]), "the last intervals are missing".into()),
        (
            lines.concat().replacen("\"planned\":1", "\"planned\":2", 1),
            "what came due and what became of it do not add up".into(),
        ),
    ];
    assert!(lines[2].contains("\"start\":1000000000,"), "{}", lines[2]);
    let second = &lines[2].replacen("\"start\":1000000000,", "\"start\":0,", 1);
    for (from, to, said) in [
        ("\"phase\":", "\"phase\":9", "line 2: a cell is of no phase or fleet of the run"),
        ("\"fleet\":", "\"fleet\":9", "line 2: a cell is of no phase or fleet of the run"),
        ("[\"ok\",\"HIST", "[\"ok\",\"*IST", "line 2: a histogram is not base64"),
        ("[\"ok\",\"HIST", "[\"ok\",\"AAAA", "line 2: a histogram cannot be read"),
        ("[\"ok\",", "[\"else\",", "line 2: unknown variant `else`"),
    ] {
        assert!(second.contains(from), "{from} {second}");
        cases.push((format!("{}{}", lines[0], second.replacen(from, to, 1)), said.into()));
    }
    let between = |from: &str, to: &str| second.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let cell = between("\"cells\":[", "],\"anomalies\"");
    let times = between("\"times\":[", ",[\"service\"");
    let fleets = between("\"fleets\":[", "]},\"pulses\"");
    for (from, to, said) in [
        (cell, format!("{cell},{cell}"), "line 2: a cell stands twice"),
        (times, format!("{times},{times}"), "line 2: a histogram stands twice"),
        ("\"planned\":1", format!("\"planned\":{}", u64::MAX), "line 2: a count is beyond counting"),
        (fleets, format!("{fleets},{fleets}"), "line 2: the delivery audit is of other fleets"),
        (fleets, String::new(), "line 2: the delivery audit is of other fleets"),
    ] {
        cases.push((format!("{}{}", lines[0], second.replacen(from, &to, 1)), said.into()));
    }
    // The time-out of a fleet sets the bounds of every histogram.
    let wide = lines[0].replacen("\"timeout_ns\":5000000000", "\"timeout_ns\":50000000000", 1);
    cases.push((format!("{wide}{second}"), "line 2: a histogram has other bounds than the run".into()));
    for (text, said) in cases {
        fs::write(directory.path().join("shard.ndjson"), &text).unwrap();
        let error = merged(out.path(), &[&directory], started).unwrap_err().to_string();
        assert!(error.contains(&said), "{said}\n{error}");
    }
    fs::remove_file(directory.path().join("shard.ndjson")).unwrap();
    let error = merged(out.path(), &[&directory], started).unwrap_err().to_string();
    assert!(error.contains("shard.ndjson is missing"), "{error}");
}
