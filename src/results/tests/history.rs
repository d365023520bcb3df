//! A run over time must hold what the files hold, in as few columns as a picture can show.

use super::*;
use crate::results::{History, read_distributions, row_of};

/// A run of `seconds` with ten readings in each of them.
fn steady(out: &Path, seconds: u64) -> RunDirectory {
    let layout = layout();
    let at = |nth: u64| {
        let intended = Tick(SECOND + nth * SECOND / 10);
        let outcome = if nth.is_multiple_of(7) { Outcome::Timeout } else { Outcome::Ok };
        let response_ns = if outcome == Outcome::Ok { MS + nth * 10_000 } else { 5 * SECOND };
        sample(&layout, (nth % 2) as u16, intended, response_ns, outcome)
    };
    let mut samples: Vec<_> = (0..10 * seconds).map(at).map(|sample| (0, sample)).collect();
    samples.sort_by_key(|(_, sample)| sample.completed);
    run_of(out, &samples, 1).0
}

fn responses(directory: &Path) -> u64 {
    let distributions = read_distributions(directory).unwrap();
    let tagged =
        distributions.iter().filter(|(tag, _)| tag.as_deref().is_some_and(|tag| tag.ends_with(".response")));
    tagged.map(|(_, times)| times.len()).sum()
}

#[test]
fn the_heat_of_all_columns_is_what_the_log_holds_however_many_intervals_share_one() {
    let out = tempfile::tempdir().unwrap();
    for (seconds, intervals) in [(20, 1), (900, 3)] {
        let directory = steady(out.path(), seconds);
        let history = History::load(directory.path()).unwrap();
        assert_eq!(history.intervals, intervals, "{seconds}");
        assert!(history.columns.len() <= 400 && history.columns.len() as u64 >= seconds / intervals as u64);
        let heat: u64 = history.columns.iter().flat_map(|column| column.heat.values()).sum();
        assert_eq!((heat, heat), (responses(directory.path()), 10 * seconds));
        let planned: u64 = history.columns.iter().map(|column| column.outcomes.planned).sum();
        let ended: u64 = history.columns.iter().map(|column| column.outcomes.ended()).sum();
        assert_eq!((planned, ended), (10 * seconds, 10 * seconds));
        let summary = read_summary(directory.path()).ok();
        let measured = history.curves.response.as_ref().map_or(0, hdrhistogram::Histogram::len);
        assert!(summary.is_none_or(|rows| {
            rows.iter().any(|row| row.is_headline() && row.figures.ended() == measured)
        }));
        // What ended ok and what is only known as a lower bound add up to all, bucket by bucket.
        let mut parts = history.curves.ok.clone().unwrap();
        parts.add(history.curves.censored.as_ref().unwrap()).unwrap();
        assert!(Some(&parts) == history.curves.response.as_ref());
        let failed: u64 = history.columns.iter().flat_map(|column| column.failed.values()).sum();
        let outcomes: u64 = history.columns.iter().map(|column| column.outcomes.failed()).sum();
        assert_eq!(failed, outcomes);
        for column in &history.columns {
            assert!(column.failed.iter().all(|(row, count)| column.heat.get(row) >= Some(count)));
            let many = column.heat.values().sum::<u64>() >= 100;
            assert_eq!((column.p99.is_some(), column.max.is_some()), (many, !column.heat.is_empty()));
        }
    }
}

#[test]
fn a_run_that_was_killed_has_the_history_that_its_files_hold() {
    let out = tempfile::tempdir().unwrap();
    let directory = steady(out.path(), 20);
    let whole = History::load(directory.path()).unwrap();
    for name in ["intervals.csv", "latency.hlog", "events.csv"] {
        let path = directory.path().join(name);
        let Ok(bytes) = std::fs::read(&path) else { continue };
        std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    }
    let torn = History::load(directory.path()).unwrap();
    assert!(torn.columns.len() + 1 >= whole.columns.len() && torn.columns[3] == whole.columns[3]);
    std::fs::remove_file(directory.path().join("latency.hlog")).unwrap();
    assert!(History::load(directory.path()).unwrap().columns.iter().all(|column| column.heat.is_empty()));
    std::fs::remove_file(directory.path().join("intervals.csv")).unwrap();
    assert!(History::load(directory.path()).unwrap().columns.is_empty());
    std::fs::write(directory.path().join("intervals.csv"), "t_start_s,interval_s\nnan,1\n-1,inf\n1e300,1\n")
        .unwrap();
    assert!(History::load(directory.path()).unwrap().columns.is_empty());
}

#[test]
fn rows_are_fourteen_a_decade() {
    assert_eq!([0, 1, 10, 1_000_000, 1_180_000].map(row_of), [0, 0, 14, 84, 85]);
}

#[test]
fn what_is_left_over_at_the_end_makes_no_rate_of_its_own() {
    let out = tempfile::tempdir().unwrap();
    for (left_s, columns, length_s) in
        [(0.000_001, 3, 1.000_001), (0.006, 3, 1.006), (0.4, 3, 1.4), (0.6, 4, 0.6)]
    {
        let end = format!(
            "t_start_s,interval_s,phase,fleet,protocol,kind,planned,lost\n0,1,steady,a,ws,reading,9,0\n\
             1,1,steady,a,ws,reading,9,0\n2,1,steady,a,ws,reading,9,0\n3,{left_s},steady,a,ws,reading,0,7410\n"
        );
        std::fs::write(out.path().join("intervals.csv"), end).unwrap();
        let history = History::load(out.path()).unwrap();
        let last = history.columns.len() - 1;
        assert_eq!((last + 1, history.columns[last].outcomes.lost), (columns, 7_410), "{left_s}");
        assert!((history.length_s(last) - length_s).abs() < 1e-9, "{left_s}: {}", history.length_s(last));
        assert!((history.length_s(0) - 1.0).abs() < 1e-9);
    }
}
