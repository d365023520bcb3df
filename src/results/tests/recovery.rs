//! The impact of an activation from intervals that are made up: every way in which it can end.

use super::*;
use crate::record::Outcomes;
use crate::record::{FaultId, FaultInfo, SwitchEvent, SwitchLog};
use crate::results::impact::level::Observation;
use crate::results::impact::watch::FaultWatch;
use crate::results::record::count::ReadingCounts;
use crate::results::record::ok_timeline::OkTimeline;

/// A layout with these faults, whose planned activations are in whole seconds.
pub(super) fn with_faults(faults: &[(&str, &[(u64, u64)])]) -> Arc<Layout> {
    let mut layout = (*layout()).clone();
    if let Some(last) = layout.phases.last_mut() {
        last.end = Tick(100 * SECOND);
    }
    let info = |(name, activations): &(&str, &[(u64, u64)])| FaultInfo {
        fleets: Vec::new(),
        cuts: false,
        counted: true,
        name: (*name).to_owned(),
        layer: "service".into(),
        kind: "stall".into(),
        devices: 10,
        activations: activations.iter().map(|(from, to)| (Tick(from * SECOND), Tick(to * SECOND))).collect(),
    };
    layout.faults = faults.iter().map(info).collect();
    Arc::new(layout)
}

/// A switch of a planned activation, done `late_ns` after the second `at_s`.
pub(super) fn switch(fault: u16, occurrence: u32, on: bool, at_s: u64, late_ns: u64) -> SwitchEvent {
    SwitchEvent {
        fault: FaultId(fault),
        occurrence,
        on,
        planned: Some(Tick(at_s * SECOND)),
        at: Tick(at_s * SECOND + late_ns),
        devices: if on { 5 } else { 0 },
        acted: if on { 0 } else { 7 },
        remark: None,
    }
}

/// Feeds a watch second by second.
struct Feed {
    watch: FaultWatch,
    log: SwitchLog,
    now_s: u64,
    names: Vec<Vec<u16>>,
}

/// What a second was like: p99 in milliseconds, failed of 100 readings, backlog.
type Second = (u64, u64, u64);

const FINE: Second = (2, 0, 3);
const BAD: Second = (900, 40, 500);

impl Feed {
    fn new(layout: &Arc<Layout>) -> Self {
        let log = SwitchLog::default();
        let watch = FaultWatch::new(Arc::clone(layout), log.clone());
        Self { watch, log, now_s: 2, names: Vec::new() }
    }

    /// Feeds seconds up to `until_s`.
    fn until(&mut self, until_s: u64, (p99_ms, failed, backlog): Second) -> &mut Self {
        while self.now_s < until_s {
            let (start, end) = (Tick(self.now_s * SECOND), Tick((self.now_s + 1) * SECOND));
            self.now_s += 1;
            self.watch.switch(end);
            let active = self.watch.active(start, end);
            self.names.push(active.iter().map(|fault| fault.0).collect());
            let observation = Observation {
                start,
                end,
                judged: start < Tick(100 * SECOND),
                p99: Some(Percentile { ns: p99_ms * MS, censored: false }),
                counts: ReadingCounts {
                    outcomes: Outcomes { ok: 100 - failed, timeout: failed, ..Outcomes::default() },
                    ..ReadingCounts::default()
                },
                backlog,
                connected: failed,
            };
            self.watch.observe(&observation, &[], active, &OkTimeline::default());
        }
        self
    }

    fn switch(&mut self, switches: &[SwitchEvent]) -> &mut Self {
        for switch in switches {
            self.log.note(switch.clone());
        }
        self
    }

    fn activation(&mut self, fault: u16, occurrence: u32, from_s: u64, to_s: u64) -> &mut Self {
        self.switch(&[
            switch(fault, occurrence, true, from_s, 50_000),
            switch(fault, occurrence, false, to_s, 90_000),
        ])
    }

    fn end(&mut self) -> Vec<Outage> {
        self.watch.switch(Tick::FAR);
        self.watch.finish();
        self.watch.news().unwrap_or_default()
    }
}

/// How a tracker ended, and after how many seconds.
type End = (Recovery, Option<f64>);

fn ends(outages: &[Outage]) -> Vec<End> {
    let rounded = |s: f64| (s * 100.0).round() / 100.0;
    outages.iter().map(|outage| (outage.state, outage.recovered_after_s.map(rounded))).collect()
}

#[test]
fn a_spell_ends_in_one_of_five_ways() {
    let layout = with_faults(&[("stall", &[(20, 30), (33, 40)])]);
    let feed = || Feed::new(&layout);
    let table: [(&str, Vec<Outage>, Vec<End>); 9] = [
        (
            "it recovers some time after the end",
            feed().activation(0, 0, 20, 30).until(20, FINE).until(35, BAD).until(60, FINE).end(),
            vec![(Recovery::Recovered, Some(5.0))],
        ),
        (
            "it was never otherwise",
            feed().activation(0, 0, 20, 30).until(60, FINE).end(),
            vec![(Recovery::Recovered, Some(0.0))],
        ),
        (
            "being good while the fault lasts is not a recovery",
            feed().activation(0, 0, 20, 30).until(30, FINE).until(36, BAD).until(60, FINE).end(),
            vec![(Recovery::Recovered, Some(6.0))],
        ),
        (
            "a relapse within the hold starts it again",
            feed()
                .activation(0, 0, 20, 30)
                .until(20, FINE)
                .until(31, BAD)
                .until(33, FINE)
                .until(34, BAD)
                .until(60, FINE)
                .end(),
            vec![(Recovery::Recovered, Some(4.0))],
        ),
        (
            "it never does",
            feed().activation(0, 0, 20, 30).until(20, FINE).until(60, BAD).end(),
            vec![(Recovery::NotRecovered, None)],
        ),
        (
            "fast but failing is not recovered",
            feed().activation(0, 0, 20, 30).until(20, FINE).until(60, (2, 1, 3)).end(),
            vec![(Recovery::NotRecovered, None)],
        ),
        (
            "the next activation comes first",
            feed()
                .activation(0, 0, 20, 30)
                .activation(0, 1, 33, 40)
                .until(20, FINE)
                .until(45, BAD)
                .until(60, FINE)
                .end(),
            vec![(Recovery::Overlapped, None), (Recovery::Recovered, Some(5.0))],
        ),
        (
            "the run ends too soon",
            feed().activation(0, 0, 20, 30).until(20, FINE).until(31, BAD).until(32, FINE).end(),
            vec![(Recovery::RunEnded, None)],
        ),
        (
            "there is nothing to compare with",
            feed().activation(0, 0, 1, 30).until(30, BAD).until(60, FINE).end(),
            vec![(Recovery::NoLevel, None)],
        ),
    ];
    for (case, outages, expected) in table {
        assert_eq!(ends(&outages), expected, "{case}");
    }
}

#[test]
fn counts_of_a_spell_in_which_nothing_ended_meet_no_budget() {
    use crate::budget::Condition;
    use crate::results::collect::measurement::worst;
    let layout = with_faults(&[("stall", &[(20, 30), (33, 40)])]);
    let busy = Feed::new(&layout).activation(0, 0, 20, 30).until(60, FINE).end().remove(0);
    let idle = Outage { ok: 0, shed: 0, error: 0, timeout: 0, lost: 0, dropped: 0, turn: 1, ..busy.clone() };
    let failed = Condition::parse("failed", "<=0").unwrap().unwrap();
    assert!(worst(&[&busy], &failed).is_ok_and(|found| found.value.abs() < 1.0));
    assert_eq!(worst(&[&busy, &idle], &failed), Err("no reading ended (activation 2)".to_owned()));
}

#[test]
fn the_level_is_the_median_of_the_last_ten_intervals_and_the_drain_proves_nothing() {
    let layout = with_faults(&[("stall", &[(20, 30), (98, 99)])]);
    let mut feed = Feed::new(&layout);
    // The median of 5, 5, 5, 5, 5, 9, 9, 9, 9, 9 is 7; what was before them does not count.
    feed.activation(0, 0, 20, 30)
        .until(10, (80, 0, 9))
        .until(15, (5, 0, 4))
        .until(20, (9, 0, 2))
        .until(30, BAD);
    // Twice 7 is the most that passes.
    feed.until(32, (15, 0, 3)).until(60, (14, 0, 3));
    // 98 to 99 and the drain after 100: one second of the plan is left.
    feed.activation(0, 1, 98, 99).until(98, FINE).until(99, BAD).until(110, FINE);
    let outages = feed.end();
    assert_eq!(ends(&outages), [(Recovery::Recovered, Some(2.0)), (Recovery::RunEnded, None)]);
    assert_eq!((outages[0].p99_before_ms, outages[0].backlog_before), (Some(7.0), 3));
    assert_eq!((outages[0].worst_p99_ms, outages[0].worst_at_s), (Some(900.0), Some(20.0)));
}

#[test]
fn counts_are_from_the_start_to_the_proof_of_recovery() {
    let layout = with_faults(&[("stall", &[(20, 30)])]);
    let mut feed = Feed::new(&layout);
    let outages = feed.activation(0, 0, 20, 30).until(20, FINE).until(35, BAD).until(60, FINE).end();
    let outage = &outages[0];
    // 15 bad seconds of 40 failures each, and three good ones that prove the recovery.
    assert_eq!((outage.timeout, outage.outcomes().failed(), outage.ok), (600, 600, 15 * 60 + 3 * 100));
    assert_eq!((outage.peak_backlog, outage.backlog_before), (497, 3));
    assert_eq!(outage.backlog_drained_after_s, Some(6.0 - 0.000_09));
    assert_eq!((outage.reconnected, outage.peak_reconnects_per_s), (600, Some(40.0)));
    // 594 of 600 connections need all 15 seconds.
    assert_eq!(outage.reconnected_99_after_s, Some(5.0 - 0.000_09));
    assert_eq!((outage.start_s, outage.end_s), (20.000_05, Some(30.000_09)));
}

#[test]
fn an_instant_counts_from_its_start() {
    let layout = with_faults(&[("cut", &[(20, 20)])]);
    let mut feed = Feed::new(&layout);
    let outages = feed.activation(0, 0, 20, 20).until(20, FINE).until(24, BAD).until(60, FINE).end();
    assert_eq!(ends(&outages), [(Recovery::Recovered, Some(4.0))]);
    assert!(outages[0].instant);
    assert_eq!(feed.names.iter().filter(|names| !names.is_empty()).count(), 1, "{:?}", feed.names);
    assert_eq!(feed.names[18], [0]);
}

#[test]
fn an_interval_names_the_faults_that_were_on_in_it() {
    let layout = with_faults(&[("a", &[(20, 23)]), ("b", &[(22, 25)])]);
    let mut feed = Feed::new(&layout);
    // The order of the log is not that of the layout.
    feed.activation(1, 0, 22, 25).activation(0, 0, 20, 23);
    // By hand, on and never off again.
    feed.switch(&[SwitchEvent { planned: None, ..switch(0, 1, true, 26, 500 * MS) }]).until(30, FINE);
    let from_20: Vec<_> = feed.names[18..].iter().map(Vec::as_slice).collect();
    let expected: [&[u16]; 10] = [&[0], &[0], &[0, 1], &[1], &[1], &[], &[0], &[0], &[0], &[0]];
    assert_eq!(from_20, expected);
    assert_eq!(ends(&feed.end())[2], (Recovery::RunEnded, None));
}

#[test]
fn faults_that_overlap_do_not_spoil_each_others_level() {
    let layout = with_faults(&[("a", &[(20, 30)]), ("b", &[(25, 40)]), ("c", &[(43, 44)])]);
    let mut feed = Feed::new(&layout);
    feed.activation(0, 0, 20, 30).activation(1, 0, 25, 40).activation(2, 0, 43, 44);
    let outages = feed.until(20, FINE).until(50, BAD).until(60, FINE).end();
    assert_eq!(
        ends(&outages),
        [
            (Recovery::Recovered, Some(20.0)),
            // It began amid the trouble of the first, which was on, so that is its level: failing no more, it never left.
            (Recovery::Recovered, Some(0.0)),
            // The other two were over but not recovered from: its level is from before them.
            (Recovery::Recovered, Some(6.0)),
        ]
    );
}

#[test]
fn what_two_workers_log_is_one_switch_and_a_late_log_still_counts() {
    let layout = with_faults(&[("a", &[(20, 30)])]);
    let mut feed = Feed::new(&layout);
    let remark = |text: &str| Some(text.to_owned());
    feed.switch(&[switch(0, 0, true, 20, 80_000), switch(0, 0, true, 20, 50_000)]).until(20, FINE);
    let merged = feed.watch.switch(Tick(21 * SECOND));
    assert_eq!(merged.len(), 1);
    assert_eq!((merged[0].at, merged[0].devices), (Tick(20 * SECOND + 50_000), 10));
    feed.until(25, BAD);
    // A worker that stood still logs its part when the others' has long been reported.
    feed.switch(&[switch(0, 0, true, 24, 0)]);
    assert_eq!(feed.watch.switch(Tick(25 * SECOND)), []);
    let off = |late_ns, text| SwitchEvent { remark: remark(text), ..switch(0, 0, false, 30, late_ns) };
    feed.switch(&[off(70_000, "tail\u{1b}\n"), off(60_000, "head")]);
    feed.until(30, BAD);
    let merged = feed.watch.switch(Tick(31 * SECOND));
    assert_eq!(merged.len(), 1);
    assert_eq!((merged[0].acted, merged[0].remark.as_deref()), (14, Some("head")));
    feed.switch(&[switch(0, 0, true, 33, 0), switch(0, 0, false, 33, 0)]);
    assert_eq!(feed.watch.switch(Tick(34 * SECOND)), []);
    let outages = feed.until(60, FINE).end();
    assert_eq!(outages.len(), 1);
    let outage = &outages[0];
    assert_eq!((outage.devices, outage.acted, outage.remark.as_str()), (20, Some(21), "head; tail"));
    assert_eq!((outage.start_s, outage.end_s), (20.000_05, Some(30.000_06)));
}

#[test]
fn activations_beyond_the_bound_are_counted_and_still_named() {
    let layout = with_faults(&[("flap", &[])]);
    let mut feed = Feed::new(&layout);
    for occurrence in 0..1_500 {
        let at = |ms: u64| Tick(10 * SECOND + (u64::from(occurrence) * 20 + ms) * MS);
        let flap = |on, ms| SwitchEvent { planned: None, at: at(ms), ..switch(0, occurrence, on, 0, 0) };
        feed.switch(&[flap(true, 0), flap(false, 10)]);
    }
    feed.until(50, FINE);
    assert_eq!(feed.names.iter().filter(|names| !names.is_empty()).count(), 30);
    let outages = feed.end();
    assert_eq!((outages.len(), feed.watch.omitted), (1_000, 500));
    assert!(outages[..999].iter().all(|outage| outage.state == Recovery::Overlapped && outage.ok > 0));
}
