//! Hand-computed values, closed cases, and the published algorithm, line by line, as an oracle.

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::nab::{Span, probation};
use super::series::Flag;
use super::*;

/// Flags of a recording with a reading per minute.
fn flags(readings: usize, flagged: impl Fn(usize) -> bool) -> Vec<Flag> {
    let series = Series::read(&csv((0..readings).map(|_| 0.0))).unwrap();
    let mut index = 0..;
    series.flags(|_| index.next().is_some_and(&flagged))
}

fn csv(values: impl Iterator<Item = f64>) -> String {
    let mut text = "timestamp,value\n".to_owned();
    for (minute, value) in values.enumerate() {
        let (day, hour, minute) = (minute / 1_440 + 1, minute / 60 % 24, minute % 60);
        writeln!(text, "2014-07-{day:02} {hour:02}:{minute:02}:00,{value}").unwrap();
    }
    text
}

fn tally(readings: usize, flagged: &[usize], spans: &[(usize, usize)]) -> Tally {
    let spans: Vec<Span> = spans.iter().map(|&(first, last)| Span { first, last }).collect();
    Tally::of(&flags(readings, |index| flagged.contains(&index)), &spans)
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-9)
}

#[test]
fn hand_computed_values_come_out() {
    // Readings 0 to 2 are not scored; 5 lies before any window, 16 two readings behind one of five.
    let tally = tally(20, &[2, 5, 12, 13, 16], &[(10, 14)]);
    assert_eq!((tally.windows, tally.found(), tally.true_alarms, tally.false_alarms), (1, 1, 2, 2));
    let squash = |x: f64| 2.0 / (1.0 + (5.0 * x).exp()) - 1.0;
    let (credit, cost) = (squash(-0.6) / squash(-1.0), 1.0 + -squash(0.5));
    assert!((credit - 0.917_428_7).abs() < 1e-7 && (cost - 1.848_283_6).abs() < 1e-7, "{credit} {cost}");
    assert!(close(tally.nab(&Profile::STANDARD), 100.0 * (credit - 0.11 * cost + 1.0) / 2.0));
    assert!(close(tally.nab(&Profile::LOW_FP), 100.0 * (credit - 0.22 * cost + 1.0) / 2.0));
    assert!(close(tally.nab(&Profile::LOW_FN), 100.0 * (credit - 0.11 * cost + 2.0) / 3.0));
    assert_eq!((tally.precision(), tally.recall()), (Some(0.5), Some(1.0)));
    assert_eq!(tally.median_delay(), Some(Delay { readings: 2, seconds: 120.0 }));
}

#[test]
fn nothing_flagged_is_0_and_everything_found_at_once_is_100() {
    let spans = [(10, 14), (30, 39), (50, 50)];
    for profile in Profile::ALL {
        assert!(close(tally(60, &[], &spans).nab(&profile), 0.0), "{}", profile.name);
        assert!(close(tally(60, &[10, 30, 50], &spans).nab(&profile), 100.0), "{}", profile.name);
        let half = tally(60, &[10], &spans[..2]);
        assert!(close(half.nab(&profile), 50.0), "{}", profile.name);
        assert_eq!(tally(60, &[20], &[]).nab(&profile), None, "without a window there is no scale");
    }
    assert_eq!((tally(60, &[], &spans).precision(), tally(60, &[20], &[]).recall()), (None, None));
}

#[test]
fn a_false_alarm_costs_what_the_profile_says_and_less_just_behind_a_window() {
    let alone = |index| 100.0 - tally(200, &[100, index], &[(100, 119)]).nab(&Profile::STANDARD).unwrap();
    assert!((alone(50) - 5.5).abs() < 1e-9, "0.11 of the 2 between null and perfect");
    assert!((alone(199) - 5.5).abs() < 1e-9);
    assert!(alone(120) < 1.0 && alone(120) < alone(125), "{}", alone(120));
}

#[test]
fn the_beginning_is_not_scored() {
    for (readings, expected) in [(6, 0), (7, 1), (100, 15), (5_000, 750), (22_695, 750)] {
        assert_eq!(probation(readings), expected, "{readings}");
    }
    let tally = tally(100, &[3, 14, 15], &[(2, 4), (10, 20)]);
    assert_eq!((tally.windows, tally.found(), tally.true_alarms, tally.false_alarms), (1, 1, 1, 0));
}

#[test]
fn recordings_add_up_before_they_are_normalised() {
    let mut sum = tally(60, &[10], &[(10, 14), (30, 39)]);
    sum.add(&tally(60, &[], &[(10, 14), (30, 39)]));
    assert_eq!((sum.recordings, sum.readings, sum.windows), (2, 120, 4));
    assert!(close(sum.nab(&Profile::STANDARD), 25.0));
    sum.add(&tally(60, &[20, 55], &[]));
    assert!(close(sum.nab(&Profile::STANDARD), 25.0 - 2.0 * 0.11 / 8.0 * 100.0));
}

/// The scores of rows as NAB's sweeper gives them, weights of the profile included, added up for what was flagged.
fn sweeper(flags: &[Flag], spans: &[Span], profile: &Profile) -> f64 {
    let squash = |x: f64| if x > 3.0 { -1.0 } else { 2.0 * (1.0 / (1.0 + (5.0 * x).exp())) - 1.0 };
    let (mut windows, mut inside, mut past) = (spans.iter().enumerate().peekable(), None, None);
    let mut shared: Vec<Option<f64>> = vec![None; spans.len()];
    let mut false_alarms = 0.0;
    for (row, flag) in flags.iter().enumerate() {
        if let Some(entered) = windows.next_if(|(_, span)| span.first == row) {
            inside = Some(entered);
        }
        let scored = row >= probation(flags.len());
        if let Some((nth, span)) = inside {
            let width = (span.last - span.first + 1) as f64;
            let score = squash(-((span.last - row + 1) as f64) / width) * profile.found / squash(-1.0);
            if scored {
                let best = shared[nth].unwrap_or(-profile.missed);
                shared[nth] = Some(if flag.flagged { best.max(score) } else { best });
            }
            if span.last == row {
                (past, inside) = (Some(*span), None);
            }
        } else if scored && flag.flagged {
            let position = past.map_or(f64::INFINITY, |span: Span| {
                (row - span.last) as f64 / (span.last - span.first) as f64
            });
            false_alarms += squash(position) * profile.false_alarm;
        }
    }
    shared.iter().flatten().sum::<f64>() + false_alarms
}

proptest! {
    #[test]
    fn the_published_algorithm_gives_the_same(
        flagged in proptest::collection::vec(proptest::bool::weighted(0.1), 40..300),
        gaps in proptest::collection::vec((1_usize..60, 1_usize..30), 1..6),
    ) {
        let (mut spans, mut at) = (Vec::new(), 0);
        for (gap, width) in gaps {
            let first = at + gap;
            at = first + width;
            if at <= flagged.len() {
                spans.push(Span { first, last: at - 1 });
            }
        }
        let flags = flags(flagged.len(), |index| flagged[index]);
        let tally = Tally::of(&flags, &spans);
        for profile in Profile::ALL {
            let raw = sweeper(&flags, &spans, &profile);
            let windows = tally.windows as f64;
            let null = -profile.missed * windows;
            let expected = (tally.windows > 0).then(|| 100.0 * (raw - null) / (profile.found * windows - null));
            let found = tally.nab(&profile);
            let same = found.zip(expected).is_none_or(|(found, expected)| (found - expected).abs() < 1e-9);
            prop_assert!(same && found.is_some() == expected.is_some(), "{found:?} {expected:?}");
        }
    }
}

#[test]
fn the_detector_finds_what_stands_out_and_nothing_else() {
    // A wave with a little ripple, and a stretch of the double height.
    let wave = |n: usize| (n as f64 / 20.0).sin() + 0.1 * (n as f64 * 1.7).sin();
    let series = Series::read(&csv(
        (0..3_000).map(|n| if (2_000..2_040).contains(&n) { 2.0 + wave(n) } else { wave(n) })
    ))
    .unwrap();
    let labels = Labels::read(r#"{"a/b.csv": [["2014-07-02 09:20:00", "2014-07-02 10:20:00"]]}"#).unwrap();
    let recording = labels.find("a/b.csv").unwrap();
    let tally = score(&series, recording, usual_threshold()).unwrap();
    assert_eq!((tally.readings, tally.windows, tally.found(), tally.false_alarms), (3_000, 1, 1, 0));
    assert_eq!(tally.median_delay().map(|delay| delay.readings), Some(0));
    assert!(close(tally.nab(&Profile::STANDARD), 100.0));
}

/// Where the benchmark's data lie, with `windows.json` or `labels/combined_windows.json` beside them, is told by `SQUALL_NAB`.
#[test]
fn the_benchmark_is_passed_with_one_threshold_for_all_files() {
    let Some(folder) = std::env::var_os("SQUALL_NAB").map(PathBuf::from) else {
        println!("skipped: SQUALL_NAB does not say where the data of the Numenta Anomaly Benchmark are");
        return;
    };
    let labels = ["windows.json", "labels/combined_windows.json"]
        .map(|name| std::fs::read_to_string(folder.join(name)));
    let labels = Labels::read(&labels.into_iter().find_map(Result::ok).unwrap()).unwrap();
    let mut all = Tally::default();
    for recording in labels.recordings() {
        let paths = [folder.join(&recording.name), folder.join("data").join(&recording.name)];
        if let Some(text) = paths.iter().find_map(|path| std::fs::read_to_string(path).ok()) {
            all.add(&score(&Series::read(&text).unwrap(), recording, usual_threshold()).unwrap());
        }
    }
    let scores = Profile::ALL.map(|profile| all.nab(&profile).unwrap());
    println!(
        "{} recordings, {} of {} windows, {} false alarms: {scores:.1?}",
        all.recordings,
        all.found(),
        all.windows,
        all.false_alarms
    );
    assert!(scores[0] >= 50.0, "{scores:?}");
}
