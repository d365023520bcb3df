//! Seeded anomalies from the recorder to the file, and from the file to the score.

use std::fs;

use super::*;
use crate::results::record::anomaly::ROWS_PER_SLICE;

fn marked(seq: u64, flagged: Option<bool>) -> Sample {
    let mark = Some(AnomalyMark { kind: AnomalyKind::Spike, episode: seq as u32, onset: true });
    let plain = sample(&layout(), 0, Tick(2 * SECOND + seq * 1_000), MS, Outcome::Ok);
    Sample { seq, mark, flagged, ..plain }
}

fn rows(directory: &Path) -> Vec<AnomalyRow> {
    read_anomalies(directory).unwrap().map(Result::unwrap).collect()
}

/// What the file should say of `sample`.
fn expected(sample: &Sample) -> AnomalyRow {
    let mark = sample.mark.unwrap();
    AnomalyRow {
        t_s: (sample.intended.0 / 1_000) as f64 / 1e6,
        phase: layout().phase(sample.phase).name.clone(),
        fleet: layout().fleet(sample.fleet).name.clone(),
        device: device(sample),
        seq: sample.seq,
        kind: mark.kind,
        episode: mark.episode,
        onset: mark.onset,
        outcome: sample.outcome.name().to_owned(),
        flagged: sample.flagged,
        arm: sample.arm,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_marked_reading_has_one_row_and_the_counts_agree_with_the_readings(samples in samples(), workers in 1_usize..3) {
        let out = tempfile::tempdir().unwrap();
        let split: Vec<_> = samples.iter().map(|(by, sample)| (by % workers, *sample)).collect();
        let (directory, totals, _) = run_of(out.path(), &split, workers);
        let mut written = rows(directory.path());
        written.sort_by_key(|row| row.seq);
        let samples = || samples.iter().map(|(_, sample)| sample);
        let mut marked: Vec<_> = samples().filter(|sample| sample.mark.is_some()).map(expected).collect();
        marked.sort_by_key(|row| row.seq);
        prop_assert_eq!(&written, &marked);

        for (fleet, info) in layout().fleets.iter().enumerate() {
            let count = |wanted: &dyn Fn(&Sample) -> bool| {
                samples().filter(|sample| usize::from(sample.fleet.0) == fleet && wanted(sample)).count() as u64
            };
            let all = totals.rows();
            let sum = |column: &dyn Fn(&Figures) -> Option<u64>| -> u64 {
                all.iter().filter(|row| row.fleet == info.name).filter_map(|row| column(&row.figures)).sum()
            };
            prop_assert_eq!(sum(&|row| row.anomalies), count(&|sample| sample.mark.is_some_and(|mark| mark.onset)));
            prop_assert_eq!(sum(&|row| row.anomalies_found), count(&|sample| sample.mark.is_some() && sample.flagged == Some(true)));
            prop_assert_eq!(sum(&|row| row.judged_normal), count(&|sample| sample.mark.is_none() && sample.flagged.is_some()));
            prop_assert_eq!(sum(&|row| row.false_alarms), count(&|sample| sample.mark.is_none() && sample.flagged == Some(true)));
        }
        let headline = totals.rows().pop().unwrap().figures;
        let score = Detections::load(directory.path()).unwrap().all;
        prop_assert!(score.anomalies().found <= score.anomalies().seeded);
        prop_assert_eq!((headline.judged_normal.unwrap_or(0), headline.false_alarms.unwrap_or(0)), (score.judged_normal, score.false_alarms));
    }
}

#[test]
fn columns_of_anomalies_are_empty_where_nothing_was_seeded_or_judged() {
    // mark, whether it begins, flagged → anomalies, found, judged, false alarms
    let cases = [
        (None, None, [None; 4]),
        (None, Some(false), [None, None, Some(1), Some(0)]),
        (None, Some(true), [None, None, Some(1), Some(1)]),
        (Some(true), None, [Some(1), Some(0), None, None]),
        (Some(true), Some(true), [Some(1), Some(1), None, None]),
        (Some(false), Some(false), [None; 4]),
        // It began in an earlier row.
        (Some(false), Some(true), [Some(0), Some(1), None, None]),
    ];
    for (onset, flagged, columns) in cases {
        let out = tempfile::tempdir().unwrap();
        let mark = onset.map(|onset| AnomalyMark { kind: AnomalyKind::Shift, episode: 1, onset });
        let (_, totals, _) = run_of(out.path(), &[(0, Sample { mark, ..marked(1, flagged) })], 1);
        for row in totals.rows() {
            let figures = row.figures;
            let got =
                [figures.anomalies, figures.anomalies_found, figures.judged_normal, figures.false_alarms];
            assert_eq!(got, columns, "{onset:?} {flagged:?}");
        }
    }
}

#[test]
fn a_run_without_anomalies_leaves_a_header_and_a_run_without_the_file_has_an_empty_score() {
    let out = tempfile::tempdir().unwrap();
    let (directory, ..) = run_of(out.path(), &[(0, Sample { mark: None, ..marked(1, None) })], 1);
    let file = directory.path().join("anomalies.csv");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "run_id,t_s,phase,fleet,device,seq,kind,episode,onset,outcome,flagged,arm\n");
    assert_eq!(Detections::load(directory.path()).unwrap(), Detections::default());
    fs::remove_file(&file).unwrap();
    assert_eq!(Detections::load(directory.path()).unwrap(), Detections::default());
}

#[test]
fn a_row_tells_the_microsecond_even_after_a_year() {
    let out = tempfile::tempdir().unwrap();
    let late = Sample { intended: Tick(31_536_000_123_456_789), ..marked(3, Some(false)) };
    let late = Sample { completed: late.intended.plus_ns(1), outcome: Outcome::Lost, ..late };
    let (mut recorders, collector) = recorders(&layout(), 1);
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let directory = RunDirectory::create(out.path(), "trial", "a", started).unwrap();
    let mut files = directory.start_files(&layout(), started).unwrap();
    offer(&mut recorders[0], &late);
    recorders[0].finish(late.completed);
    collector.run(&mut files, |_| {});
    let text = fs::read_to_string(directory.path().join("anomalies.csv")).unwrap();
    assert_eq!(
        text.lines().nth(1),
        Some("2026-09-21T14-13-20Z-a,31536000.123456,steady,meters,device-3,3,spike,3,true,lost,false,")
    );
}

#[test]
fn too_many_marked_readings_of_an_interval_are_counted_and_left_out_and_the_next_has_room_again() {
    let out = tempfile::tempdir().unwrap();
    let many = ROWS_PER_SLICE as u64;
    let mut samples: Vec<_> = (0..many + 5).map(|seq| (0, marked(seq, Some(seq % 2 == 0)))).collect();
    let next = marked(many + 5, Some(true));
    samples.push((0, Sample { completed: Tick(4 * SECOND), ..next }));
    let (directory, totals, _) = run_of(out.path(), &samples, 1);
    assert_eq!(totals.anomaly_rows_omitted, 5);
    let rows = rows(directory.path());
    assert_eq!(rows.len() as u64, many + 1);
    assert_eq!(rows.last().map(|row| row.seq), Some(many + 5));
    assert_eq!(
        totals.rows().pop().unwrap().figures.anomalies,
        Some(many + 6),
        "the counts leave nothing out"
    );
}

#[test]
fn a_collector_that_is_behind_does_not_make_a_worker_keep_more_rows() {
    let layout = layout();
    let many = ROWS_PER_SLICE as u64;
    let (mut recorders, collector) = recorders(&layout, 1);
    let recorder = &mut recorders[0];
    // Four slices wait for the collector; everything after them has to go into one.
    for second in 2..8 {
        for seq in 0..many {
            offer(recorder, &marked(seq, None));
        }
        recorder.rotate(Tick((second + 1) * SECOND));
    }
    let collecting = collect(collector);
    recorder.finish(Tick(9 * SECOND));
    let (totals, _) = collecting.join().unwrap();
    assert_eq!(totals.anomaly_rows_omitted, many);
    assert_eq!(totals.readings(None).ok(), 6 * many);
}

#[test]
fn rows_are_in_the_file_at_every_intervals_end() {
    let out = tempfile::tempdir().unwrap();
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let directory = RunDirectory::create(out.path(), "trial", "", started).unwrap();
    let mut files = directory.start_files(&layout(), started).unwrap();
    let (mut recorders, collector) = recorders(&layout(), 1);
    for seq in 1..4 {
        offer(&mut recorders[0], &marked(seq, Some(true)));
        recorders[0].rotate(Tick((2 + seq) * SECOND));
    }
    recorders[0].finish(Tick(5 * SECOND));
    let mut seen = Vec::new();
    collector.run(&mut files, |_| seen.push(rows(directory.path()).len()));
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn a_file_cut_off_anywhere_reads_up_to_its_last_whole_line() {
    let out = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..60).map(|seq| (0, marked(seq, Some(seq % 2 == 0)))).collect();
    let (directory, ..) = run_of(out.path(), &samples, 1);
    let (file, whole) = (directory.path().join("anomalies.csv"), rows(directory.path()));
    let text = fs::read_to_string(&file).unwrap();
    let header = text.find('\n').unwrap() + 1;
    for length in (header..text.len()).rev().step_by(3) {
        fs::write(&file, &text[..length]).unwrap();
        let lines = text[header..length].matches('\n').count();
        assert_eq!(rows(directory.path()), whole[..lines], "{length}");
    }
}

#[test]
fn a_cell_without_a_value_of_its_column_is_named() {
    let out = tempfile::tempdir().unwrap();
    let (directory, ..) = run_of(out.path(), &[(0, marked(1, None))], 1);
    let file = directory.path().join("anomalies.csv");
    let text = fs::read_to_string(&file).unwrap();
    for (whole, broken, column) in [
        (",spike,", ",spook,", "kind"),
        (",true,ok,,\n", ",true,ok,1,\n", "flagged"),
        (",true,ok,,\n", ",,ok,,\n", "onset"),
        (",true,ok,,\n", ",true,ok,,both\n", "arm"),
        (",t_s,", ",t,", "t_s"),
    ] {
        assert!(text.contains(whole), "{text}");
        fs::write(&file, text.replace(whole, broken)).unwrap();
        let error = Detections::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains("record 1") && error.contains(&format!("`{column}`")), "{error}");
    }
}

/// A row as `device episode kind onset outcome flagged`, of the steady phase unless it ends in `warm-up`.
fn parsed(text: &str) -> AnomalyRow {
    let words: Vec<_> = text.split(' ').collect();
    AnomalyRow {
        t_s: 1.0,
        phase: words.get(6).copied().unwrap_or("steady").to_owned(),
        fleet: if words[0].starts_with('m') { "meters" } else { "pumps" }.to_owned(),
        device: words[0].to_owned(),
        seq: 1,
        kind: AnomalyKind::ALL.into_iter().find(|kind| kind.name() == words[2]).unwrap(),
        episode: words[1].parse().unwrap(),
        onset: words[3] == "onset",
        outcome: words[4].to_owned(),
        flagged: [("flagged", true), ("passed", false)]
            .into_iter()
            .find(|(word, _)| *word == words[5])
            .map(|found| found.1),
        arm: None,
    }
}

#[test]
fn an_anomaly_counts_if_the_service_got_its_beginning_and_judged_it() {
    let cases: [(&str, &[&str], (u64, u64)); 12] = [
        ("a spike that was flagged", &["m1 1 spike onset ok flagged"], (1, 1)),
        ("a spike that was not", &["m1 1 spike onset ok passed"], (1, 0)),
        ("a shift flagged at once", &["m1 1 shift onset ok flagged", "m1 1 shift on ok passed"], (1, 1)),
        ("a shift flagged later", &["m1 1 shift onset ok passed", "m1 1 shift on ok flagged"], (1, 1)),
        ("in the other order", &["m1 1 shift on ok flagged", "m1 1 shift onset ok passed"], (1, 1)),
        ("a shift never flagged", &["m1 1 shift onset ok passed", "m1 1 shift on ok passed"], (1, 0)),
        ("a beginning that was lost", &["m1 1 shift onset lost -", "m1 1 shift on ok flagged"], (0, 0)),
        ("a beginning that is not there", &["m1 1 shift on ok flagged"], (0, 0)),
        ("a service that does not judge", &["m1 1 spike onset ok -"], (0, 0)),
        ("a row that stands there twice", &["m1 1 spike onset ok flagged"; 2], (1, 1)),
        (
            "the same number at two devices",
            &["m1 1 spike onset ok flagged", "m2 1 spike onset ok passed"],
            (2, 1),
        ),
        (
            "a beginning in the warm-up",
            &["m1 1 shift onset ok passed warm-up", "m1 1 shift on ok flagged"],
            (0, 0),
        ),
    ];
    for (case, rows, (seeded, found)) in cases {
        let score = Detections::of(rows.iter().map(|row| Ok(parsed(row))), &[]).unwrap().all;
        assert_eq!(score.anomalies(), DetectionCount { seeded, found }, "{case}");
    }
}

#[test]
fn each_of_two_models_has_a_score_of_its_own() {
    let rows = [
        // seq, seconds, episode, onset, flagged, judged by
        (3, 1.5, 1, true, false, Arm::Champion),
        (4, 2.0, 1, false, true, Arm::Champion),
        // The challenger takes over: what the champion judged first stays the champion's.
        (5, 2.5, 1, false, true, Arm::Challenger),
        (9, 4.5, 2, true, false, Arm::Champion),
        (12, 6.0, 3, true, true, Arm::Challenger),
        (15, 7.5, 4, true, false, Arm::Challenger),
    ];
    let rows = rows.map(|(seq, t_s, episode, onset, flagged, arm)| {
        let row = parsed("m1 1 shift onset ok flagged");
        Ok(AnomalyRow { seq, t_s, episode, onset, flagged: Some(flagged), arm: Some(arm), ..row })
    });
    let figures = Figures {
        judged_normal: Some(100),
        false_alarms: Some(4),
        champion_normal: Some(60),
        champion_false_alarms: Some(3),
        challenger_normal: Some(40),
        challenger_false_alarms: Some(1),
        ..Figures::default()
    };
    let row = SummaryRow {
        duration_s: 1.0,
        phase: "steady".into(),
        fleet: "meters".into(),
        protocol: "http".into(),
        kind: "reading".into(),
        figures,
    };
    let arms = Detections::of(rows, &[row]).unwrap().arms;
    let told = |arm: &ArmDetection| {
        (arm.arm, arm.precision, arm.recall, arm.delay_readings, arm.delay_s, arm.score.judged_normal)
    };
    assert_eq!(
        arms.iter().map(told).collect::<Vec<_>>(),
        [
            (Arm::Champion, Some(0.25), Some(0.5), Some(1.0), Some(0.5), 60),
            (Arm::Challenger, Some(0.5), Some(0.5), Some(0.0), Some(0.0), 40),
        ]
    );
    let nameless = Detections::of([Ok(parsed("m1 1 spike onset ok flagged"))], &[]).unwrap();
    assert_eq!(nameless.arms, []);
}

#[test]
fn the_score_is_by_fleet_and_kind_and_leaves_the_warm_up_out() {
    let row = |phase: &str, fleet: &str, kind: &str, judged: Option<(u64, u64)>| SummaryRow {
        duration_s: 1.0,
        phase: phase.into(),
        fleet: fleet.into(),
        protocol: if fleet == ALL { ALL } else { "http" }.into(),
        kind: kind.into(),
        figures: Figures {
            judged_normal: judged.map(|judged| judged.0),
            false_alarms: judged.map(|judged| judged.1),
            ..Figures::default()
        },
    };
    let summary = [
        row("connect", "meters", "connect", None),
        row("warm-up", "meters", "reading", Some((50, 50))),
        row("steady", "meters", "reading", Some((90, 1))),
        row("burst", "meters", "reading", Some((10, 1))),
        row("steady", "silent", "reading", None),
        row(ALL, ALL, "reading", Some((100, 2))),
    ];
    let rows = ["m1 1 spike onset ok flagged", "p1 1 shift onset ok passed", "p1 2 spike onset ok passed"]
        .map(|row| Ok(parsed(row)));
    let score = Detections::of(rows, &summary).unwrap();
    let names: Vec<_> = score.fleets.iter().map(|fleet| fleet.fleet.as_str()).collect();
    assert_eq!(names, ["meters", "pumps"]);
    let (meters, pumps) = (score.fleets[0].score, score.fleets[1].score);
    assert_eq!(
        (meters.spike, pumps.spike, pumps.shift),
        (
            DetectionCount { seeded: 1, found: 1 },
            DetectionCount { seeded: 1, found: 0 },
            DetectionCount { seeded: 1, found: 0 },
        )
    );
    assert_eq!(
        (score.all.spike, score.all.drift),
        (DetectionCount { seeded: 2, found: 1 }, DetectionCount::default())
    );
    assert_eq!((score.all.judged_normal, score.all.false_alarms), (100, 2));
    assert_eq!(
        ((meters.false_alarms, meters.judged_normal), (pumps.false_alarms, pumps.judged_normal)),
        ((2, 100), (0, 0))
    );
}
