//! Faults from the switches and readings of several workers to the files of a run.

use std::fs;

use super::recovery::{switch, with_faults};
use super::*;
use crate::record::{AuditFinding, FaultId, SwitchEvent, SwitchLog};

/// Something a worker does at an instant.
#[derive(Debug, Clone)]
enum Action {
    Due(Sample),
    End(Sample),
    SwitchEvent(SwitchEvent),
}

/// A run of `acts` by two workers, each with its own ones in the order of time; `seen` gets every report.
fn run(
    layout: &Arc<Layout>,
    acts: [Vec<(Tick, Action)>; 2],
    end_s: u64,
    mut seen: impl FnMut(&Path, &IntervalReport),
) -> (tempfile::TempDir, RunDirectory, Totals) {
    let out = tempfile::tempdir().unwrap();
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let directory = RunDirectory::create(out.path(), "trial", "a", started).unwrap();
    let mut files = directory.start_files(layout, started).unwrap();
    shard::start(&mut files, &directory, layout, Shard::WHOLE);
    let log = SwitchLog::default();
    let (recorders, collector) = recorders(layout, 2);
    let collector = collector.with_switches(log.clone());
    // Both workers reach a boundary before either goes on: the collector then never merges intervals.
    let gate = std::sync::Barrier::new(2);
    let (tell, told) = std::sync::mpsc::sync_channel::<()>(0);
    let told = std::sync::Mutex::new(told);
    let totals = std::thread::scope(|scope| {
        for (mut recorder, mut acts) in recorders.into_iter().zip(acts) {
            let (gate, log, told) = (&gate, &log, &told);
            acts.sort_by_key(|(at, _)| *at);
            scope.spawn(move || {
                let mut acts = acts.into_iter().peekable();
                for second in 1..=end_s {
                    let boundary = Tick(second * SECOND);
                    while let Some((_, act)) = acts.next_if(|(at, _)| *at < boundary) {
                        perform(&mut recorder, log, act);
                    }
                    recorder.rotate(boundary);
                    if gate.wait().is_leader() {
                        told.lock().unwrap().recv().unwrap();
                    }
                    gate.wait();
                }
                recorder.finish(Tick(end_s * SECOND));
            });
        }
        let path = directory.path();
        let mut reported = 0;
        collector.run(&mut files, |report| {
            seen(path, report);
            reported += 1;
            if reported <= end_s {
                tell.send(()).unwrap();
            }
        })
    });
    directory.write_summary(&totals.rows()).unwrap();
    shard::assert_replays(&directory, &totals, started);
    (out, directory, totals)
}

fn perform(recorder: &mut Recorder, log: &SwitchLog, act: Action) {
    match act {
        Action::Due(sample) => {
            recorder.planned(sample.phase, sample.fleet, sample.kind);
            recorder.sent(sample.phase, sample.fleet, sample.kind);
        }
        Action::End(sample) => recorder.completed(&sample),
        Action::SwitchEvent(switch) => log.note(switch),
    }
}

/// Readings due evenly at `rate` per second from second 2 to `end_s`, answered one after the other at `service` per second by a
/// service that stands still in `stall`, and after it takes `more_ns` longer over each answer; dealt out to two workers.
fn queue(
    layout: &Layout,
    (rate, service): (u64, u64),
    stall: (u64, u64),
    more_ns: u64,
    end_s: u64,
) -> [Vec<(Tick, Action)>; 2] {
    let stall = (Tick(stall.0 * SECOND), Tick(stall.1 * SECOND));
    let mut acts = [Vec::new(), Vec::new()];
    let mut free = Tick::ZERO;
    for number in 0..(end_s - 2) * rate {
        let intended = Tick(2 * SECOND + number * SECOND / rate);
        let mut begin = intended.max(free);
        if begin < stall.1 && begin.plus_ns(SECOND / service) > stall.0 {
            begin = stall.1;
        }
        free = begin.plus_ns(SECOND / service);
        let after = if begin >= stall.1 { more_ns } else { 0 };
        let response_ns = free.plus_ns(after).since(intended);
        let sample = Sample { seq: number, ..sample(layout, 0, intended, response_ns, Outcome::Ok) };
        let own = &mut acts[(number % 2) as usize];
        own.push((intended, Action::Due(sample)));
        own.push((sample.completed, Action::End(sample)));
    }
    for (worker, own) in acts.iter_mut().enumerate() {
        for (on, at) in [(true, stall.0), (false, stall.1)] {
            let switch = switch(0, 0, on, at.0 / SECOND, 40_000 + worker as u64 * 20_000);
            own.push((switch.at, Action::SwitchEvent(switch)));
        }
    }
    acts
}

/// A service that answers μ readings per second stands still for S seconds while λ per second come due. Its queue is a fluid:
/// λS wait at the end, μ − λ per second of them are worked off, and the one that came due first waited S.
#[test]
fn a_stall_agrees_with_the_fluid_queue_to_within_an_interval() {
    for (rate, service, seconds) in [(1_000, 2_000, 10), (200, 500, 4), (400, 500, 3)] {
        let (from, to, end_s) = (14, 14 + seconds, 50);
        let layout = with_faults(&[("stall", &[(from, to)])]);
        let acts = queue(&layout, (rate, service), (from, to), 0, end_s);
        let mut named = Vec::new();
        let (_out, directory, _) =
            run(&layout, acts, end_s + 2, |_, report| named.push(report.faults.clone()));
        let outages = read_outages(directory.path()).unwrap();
        let [outage] = outages.as_slice() else { panic!("{outages:?}") };

        let (backlog, drain_s) = (rate * seconds, (rate * seconds) as f64 / (service - rate) as f64);
        let case = format!("{rate} {service} {seconds}: {outage:?}");
        assert_eq!(outage.state, Recovery::Recovered, "{case}");
        let within = |value: Option<f64>, exact: f64, by: f64| (value.unwrap() - exact).abs() <= by;
        assert!(within(outage.recovered_after_s, drain_s, 1.0), "{case}");
        assert!(within(outage.backlog_drained_after_s, drain_s, 1.0), "{case}");
        assert!(within(outage.worst_p99_ms, seconds as f64 * 1e3, 1e3), "{case}");
        assert!(outage.peak_backlog.abs_diff(backlog) <= rate, "{case}");
        // Silence ends exactly: one service time after the stall, less the lateness of its switch.
        let first = 1.0 / service as f64 - 40e-6;
        assert!(within(outage.first_ok_after_s, first, 2e-6), "{case}");
        assert_eq!((outage.outcomes().failed(), outage.devices, outage.acted), (0, 10, Some(14)), "{case}");
        let on: Vec<_> = (0..).zip(&named).filter(|(_, faults)| !faults.is_empty()).map(|(s, _)| s).collect();
        assert_eq!(on, (from..to).collect::<Vec<u64>>(), "{case}");
    }
}

#[test]
fn a_service_that_stays_slow_has_not_recovered() {
    let layout = with_faults(&[("stall", &[(10, 12)])]);
    let acts = queue(&layout, (200, 1_000), (10, 12), 30 * MS, 30);
    let (_out, directory, _) = run(&layout, acts, 32, |_, _| {});
    let outages = read_outages(directory.path()).unwrap();
    assert_eq!((outages[0].state, outages[0].recovered_after_s), (Recovery::NotRecovered, None));
    // The backlog did go back: six wait instead of none, of 400.
    assert!(outages[0].backlog_drained_after_s.is_some(), "{outages:?}");
}

#[test]
fn files_name_the_fault_and_can_be_read_while_the_run_lasts() {
    let layout = with_faults(&[("stall", &[(10, 12)])]);
    let acts = queue(&layout, (100, 1_000), (10, 12), 0, 20);
    let (mut states, mut switches) = (Vec::new(), Vec::new());
    let (_out, directory, totals) = run(&layout, acts, 20, |path, report| {
        states.push(read_outages(path).unwrap().first().map(|outage| (outage.state, outage.end_s.is_some())));
        switches.extend(report.switches.clone());
    });
    // Seconds 0 to 9 know nothing of it; 10 and 11 that it is on; 12 that it ended; after 12, 13 and 14 it is proven.
    assert_eq!(states[9], None);
    assert_eq!(states[11], Some((Recovery::Open, false)));
    assert_eq!(states[12], Some((Recovery::Open, true)));
    assert_eq!(states[16], Some((Recovery::Recovered, true)));
    let told: Vec<_> = switches.iter().map(|switch| (switch.on, switch.at, switch.devices)).collect();
    assert_eq!(told, [(true, Tick(10_000_040_000), 10), (false, Tick(12_000_040_000), 0)]);
    assert_eq!(totals.late_switches, []);

    let table = fs::read_to_string(directory.path().join("intervals.csv")).unwrap();
    let mut table = csv::Reader::from_reader(table.as_bytes());
    for row in table.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let start: f64 = row["t_start_s"].parse().unwrap();
        assert_eq!(row["fault"], if (10.0..12.0).contains(&start) { "stall" } else { "" }, "{start}");
    }
    let header = fs::read_to_string(directory.path().join("faults.csv")).unwrap();
    let columns: Vec<_> = header.lines().next().unwrap().split(',').skip(1).collect();
    let row = serde_json::to_value(&read_outages(directory.path()).unwrap()[0]).unwrap();
    let mut names: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    let mut sorted = columns.clone();
    names.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, names);
    assert_eq!(columns.first(), Some(&"fault"));
}

#[test]
fn without_faults_there_is_a_header_and_nothing_else() {
    let out = tempfile::tempdir().unwrap();
    let plain = sample(&layout(), 0, Tick(2 * SECOND), MS, Outcome::Ok);
    let (directory, ..) = run_of(out.path(), &[(0, plain)], 2);
    let text = fs::read_to_string(directory.path().join("faults.csv")).unwrap();
    assert!(text.starts_with("run_id,fault,layer,kind,turn,") && text.lines().count() == 1, "{text}");
    assert_eq!(read_outages(directory.path()).unwrap(), []);
    fs::remove_file(directory.path().join("faults.csv")).unwrap();
    assert_eq!(read_outages(directory.path()).unwrap(), [], "an older run has none");
    fs::write(directory.path().join("faults.csv"), "fault,turn\nstall,many\n").unwrap();
    assert!(matches!(read_outages(directory.path()), Err(TableError::Csv { .. })));
}

#[test]
fn a_switch_after_the_last_interval_is_not_lost() {
    let layout = with_faults(&[("a", &[(10, 60)]), ("b", &[])]);
    let mut acts = queue(&layout, (50, 1_000), (10, 11), 0, 15);
    let remark = Some("by, \"hand\"".to_owned());
    let by_hand = SwitchEvent { planned: None, remark, ..switch(1, 0, true, 70, 0) };
    // No worker waits for it: it lies in the log when the run is over.
    acts[0].push((Tick(14 * SECOND), Action::SwitchEvent(by_hand.clone())));
    // Of a fault that is none of the run's: passed over.
    acts[1]
        .push((Tick(3 * SECOND), Action::SwitchEvent(SwitchEvent { fault: FaultId(9), ..by_hand.clone() })));
    let (_out, directory, totals) = run(&layout, acts, 16, |_, _| {});
    assert_eq!(totals.late_switches, std::slice::from_ref(&by_hand));
    let outages = read_outages(directory.path()).unwrap();
    let told: Vec<_> = outages.iter().map(|o| (o.fault.as_str(), o.planned_s, o.remark.as_str())).collect();
    assert_eq!(told, [("a", Some(10.0), ""), ("b", None, "by, \"hand\"")]);
    assert_eq!(outages[1].state, Recovery::RunEnded);
}

#[test]
fn the_first_offender_is_found_among_two_workers() {
    let mut layout = (*layout()).clone();
    layout.fleets[0].expects = DeliveryGuarantee { no_loss: true, no_duplicates: true, ordered: false };
    let layout = Arc::new(layout);
    let (recorders, collector) = recorders(&layout, 2);
    let collecting = collect(collector);
    for (worker, mut recorder) in (0_u32..).zip(recorders) {
        for second in 2_u64..8 {
            let at = Tick(second * SECOND + u64::from(1 - worker) * MS);
            let outcome = if second >= 4 { Outcome::Timeout } else { Outcome::Ok };
            let own = Sample { device: worker, seq: second, ..sample(&layout, 0, at, MS, outcome) };
            offer(&mut recorder, &own);
            // The second worker finds its first one a second earlier.
            if second + u64::from(worker) >= 5 {
                recorder.finding(
                    (own.phase, own.fleet, Kind::Reading),
                    AuditFinding::Duplicated,
                    worker,
                    second,
                );
                recorder.finding(
                    (own.phase, own.fleet, Kind::Reading),
                    AuditFinding::Reordered,
                    worker,
                    second,
                );
            }
            recorder.rotate(Tick((second + 1) * SECOND));
        }
        recorder.finish(Tick(9 * SECOND));
    }
    let (totals, _) = collecting.join().unwrap();
    let audit = &totals.unkept_promises();
    let [meters] = audit.as_slice() else { panic!("{audit:?}") };
    assert_eq!(
        meters.broken().as_deref(),
        Some("8 missing, first meters-00001 seq 4; 7 duplicated, first meters-00001 seq 4")
    );
    assert_eq!((meters.reordered, totals.deliveries()[1].kept), (7, None));
}
