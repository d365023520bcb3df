//! The judgement of runs, as a table, and that starvation never makes it milder.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Tick;

const MS: u64 = 1_000_000;

/// Every percentile with this lag and this service time, from p50 to p99.9.
fn levels(lag_ns: [u64; 5], service_ns: [u64; 5]) -> Vec<Level> {
    let level = |((quantile, lag_ns), service_ns): ((Quantile, u64), u64)| Level {
        quantile,
        lag_ns,
        service_ns,
        response_ns: service_ns,
    };
    Figures::JUDGED.into_iter().zip(lag_ns).zip(service_ns).map(level).collect()
}

const QUICK: [u64; 5] = [MS / 3, MS / 3, MS / 2, MS, 2 * MS];

fn own_wait(scope: &str, quantile: Quantile) -> OwnWait {
    let first = Span::from_ms(2_000);
    OwnWait { scope: scope.into(), first, quantile, response_ns: 1_000_000_000, without_ns: 6_700_000 }
}

fn sound() -> Figures {
    Figures {
        planned: 10_000,
        expected: Some((10_000.0, 100.0)),
        levels: levels([MS / 10; 5], QUICK),
        pacing_lag_p98_ns: Some(MS / 10),
        measured_s: 10.0,
        worker_cpu: vec![0.2, 0.3],
        ..Figures::default()
    }
}

fn late(lag_ns: [u64; 5]) -> Figures {
    Figures { levels: levels(lag_ns, QUICK), pacing_lag_p98_ns: Some(lag_ns[3]), ..sound() }
}

fn still(count: u64, each_ms: u64) -> StallStats {
    let (total_ns, longest_ns) = (count * each_ms * MS, each_ms * MS);
    StallStats { count, total_ns, longest_ns, longest_at: Tick(MS) }
}

fn throttling(throttled: u64, periods: u64, processors: f64) -> Throttling {
    Throttling { periods, throttled, stopped: Duration::from_millis(throttled), processors }
}

#[test]
fn pauses_of_our_own_are_named_once_for_each_fleet() {
    let own_waits = vec![
        own_wait("fleet a", Quantile::P95),
        own_wait("fleet a", Quantile::P99),
        own_wait("fleet b in late", Quantile::P50),
    ];
    let validity = Figures { own_waits, ..sound() }.judge();
    assert_eq!(validity.verdict, Judgement::Suspect);
    let begins: Vec<bool> = ["p95, p99 of fleet a are ", "p50 of fleet b in late is "]
        .iter()
        .zip(&validity.reasons)
        .map(|(begin, reason)| reason.starts_with(begin))
        .collect();
    assert_eq!((begins.as_slice(), validity.reasons.len()), (&[true, true][..], 2), "{:?}", validity.reasons);
}

fn judged(cases: &[(&str, Figures, Judgement, &str)]) {
    for (name, figures, verdict, reason) in cases {
        let judged = figures.judge();
        assert_eq!(judged.verdict, *verdict, "{name}: {judged:?}");
        assert!(judged.reasons.iter().any(|r| r.contains(reason)) || reason.is_empty(), "{name}: {judged:?}");
        assert_eq!(judged.reasons.is_empty(), *verdict == Judgement::Valid, "{name}: {judged:?}");
        assert_eq!(judged.reasons.len(), judged.causes.len(), "{name}: {judged:?}");
    }
}

fn met(met: Encounters) -> Figures {
    Figures { encounters: vec![FleetMet { fleet: "a".to_owned(), met, token: None }], ..sound() }
}

#[test]
fn reasons_have_causes_that_tell_a_disturbance_from_what_the_service_did() {
    let standstill = Figures {
        pacing_lag_p98_ns: Some(MS / 10),
        standstills: still(1, 160),
        ..late([MS / 10, MS / 10, MS / 10, 40 * MS, 150 * MS])
    };
    let own_waits = vec![own_wait("fleet a", Quantile::P95)];
    for (figures, cause, is_disturbance) in [
        (late([0, 0, MS, 3 * MS, 3 * MS]), Cause::Lag, true),
        (standstill, Cause::Stall, true),
        (Figures { stalls: still(3, 50), ..sound() }, Cause::Stall, true),
        (Figures { overrun: Some((10.0, 0.3)), ..sound() }, Cause::Rate, true),
        (Figures { worker_cpu: vec![0.97], ..sound() }, Cause::Processor, true),
        (Figures { worker_starved: vec![0.43], ..sound() }, Cause::Processor, true),
        (Figures { stolen: Some(0.12), ..sound() }, Cause::Processor, true),
        (Figures { throttling: Some(throttling(5, 100, 0.02)), ..sound() }, Cause::Processor, true),
        (Figures { resource_errors: 3, ..sound() }, Cause::Scarcity, true),
        (Figures { own_waits, ..sound() }, Cause::Backoff, false),
        (Figures { overflow: 1, ..sound() }, Cause::Record, false),
        (met(Encounters { sessions_found: 1, ..Encounters::default() }), Cause::Identity, false),
        (met(Encounters { taken_over: 1, ..Encounters::default() }), Cause::Identity, false),
        (Figures { planned: 8_000, ..sound() }, Cause::Plan, false),
    ] {
        let judged = figures.judge();
        assert!(judged.causes.contains(&cause), "{cause:?}: {judged:?}");
        assert_eq!(cause.disturbance().is_some(), is_disturbance, "{cause:?}");
    }
}

#[test]
fn a_take_over_names_what_makes_the_identifiers_anothers_too() {
    let met = Encounters { taken_over: 2, ..Encounters::default() };
    for (token, remedy) in [
        (None, "with the same identifier; let client_id name {{run}}"),
        (
            RunToken::of("k3x9q2ab"),
            "name the run token k3x9q2ab, which another run may have: give each its own --run-token",
        ),
    ] {
        let encounters = vec![FleetMet { fleet: "a".to_owned(), met, token }];
        judged(&[("take-over", Figures { encounters, ..sound() }, Judgement::Suspect, remedy)]);
    }
}

#[test]
fn what_happened_is_judged_as_the_table_says() {
    use Judgement::{Invalid, Suspect, Valid};
    let scarce = |what| Figures { resource_errors: 3, scarce: vec![(what, 3)], ..sound() };
    judged(&[
        ("sound", sound(), Valid, ""),
        ("late", late([0, 0, MS, 3 * MS, 3 * MS]), Suspect, "sent late: pacing lag p99 3.00 ms"),
        (
            "very late",
            late([MS, MS, 20 * MS, 30 * MS, 30 * MS]),
            Invalid,
            "sent late: pacing lag p99 30.0 ms",
        ),
        (
            "late in the middle",
            late([15 * MS, 15 * MS, 15 * MS, 15 * MS, 15 * MS]),
            Invalid,
            "no percentile holds",
        ),
        ("a slow service", Figures { levels: levels([MS / 10; 5], [9_000 * MS; 5]), ..sound() }, Valid, ""),
        ("busy core", Figures { worker_cpu: vec![0.2, 0.97], ..sound() }, Suspect, "worker 1 used 97 %"),
        (
            "no ports",
            scarce(ScarceResource::Ports),
            Invalid,
            "the generator ran out of source ports: 3 connections",
        ),
        ("no descriptors", scarce(ScarceResource::Descriptors), Invalid, "ran out of file descriptors: 3"),
        ("no memory", scarce(ScarceResource::Memory), Invalid, "ran out of memory: 3"),
        (
            "something",
            Figures { resource_errors: 3, ..sound() },
            Invalid,
            "3 connections or readings failed because",
        ),
        (
            "pauses",
            Figures { own_waits: vec![own_wait("fleet a", Quantile::P95)], ..sound() },
            Suspect,
            "p95 of fleet a is squall's own reconnect pauses (first = 2s), not the service: p95 is 1.00 s, and would be 6.70 ms",
        ),
        (
            "leftovers",
            met(Encounters { sessions_found: 12, ..Encounters::default() }),
            Suspect,
            "the broker had sessions of 12 devices of fleet a before their first connection (session present)",
        ),
        (
            "take-over",
            met(Encounters { taken_over: 1, ..Encounters::default() }),
            Suspect,
            "1 device of fleet a was disconnected again and again soon after it had connected",
        ),
        (
            "a plain broker",
            met(Encounters { unnamed: 9, sessions_removed: 5, sessions_left: 1, ..Encounters::default() }),
            Valid,
            "",
        ),
    ]);
}

#[test]
fn what_was_not_recorded_is_judged_as_the_table_says() {
    use Judgement::{Invalid, Suspect};
    judged(&[
        ("overflow", Figures { overflow: 1, ..sound() }, Suspect, "did not fit"),
        ("router", Figures { undelivered: 1, ..sound() }, Invalid, "could not be passed"),
        (
            "warm-up alone",
            Figures { unmeasured: vec!["no reading of fleet `a` is due".to_owned()], ..sound() },
            Suspect,
            "no reading of fleet `a` is due",
        ),
        (
            "lost plan",
            Figures { planned: 8_000, ..sound() },
            Invalid,
            "8,000 readings came due where the plan has 10,000: the generator lost its plan",
        ),
        (
            "long lags",
            Figures {
                levels: levels([9_319_743_000; 5], QUICK),
                pacing_lag_p98_ns: Some(9_319_743_000),
                ..sound()
            },
            Invalid,
            "pacing lag p99 9.32 s, where the service itself took at least 1.00 ms; lower the rate",
        ),
        (
            "unaccounted",
            Figures { unaccounted: 20_067, ..sound() },
            Invalid,
            "20,067 readings without an outcome",
        ),
        ("nothing", Figures { planned: 0, expected: None, ..sound() }, Invalid, "nothing to judge"),
    ]);
}

#[test]
fn what_the_generator_lacked_is_judged_as_the_table_says() {
    use Judgement::{Invalid, Suspect, Valid};
    let starved = |share| Figures { worker_starved: vec![0.0, share], ..sound() };
    let stolen = |share| Figures { stolen: Some(share), ..sound() };
    let held_up =
        |throttled, periods| Figures { throttling: Some(throttling(throttled, periods, 0.02)), ..sound() };
    let beyond =
        |overrun_s, busy| Figures { overrun: Some((10.0, overrun_s)), worker_cpu: vec![busy], ..sound() };
    let stalled = |stalls, standstills| Figures { standstills, stalls, ..sound() };
    judged(&[
        ("starved", starved(0.43), Suspect, "worker 1: for 43 %"),
        ("starved for most of the time", starved(0.73), Invalid, "worker 1: for 73 %"),
        (
            "starved and late",
            Figures { worker_starved: vec![0.4], ..late([30 * MS; 5]) },
            Invalid,
            "another process took its core",
        ),
        ("a quota that suffices", held_up(0, 100), Valid, ""),
        ("throttled now and then", held_up(5, 100), Suspect, "throttled in 5 of 100 periods"),
        (
            "throttled",
            held_up(81, 89),
            Invalid,
            "throttled in 81 of 89 periods by a quota of 0.02 processors",
        ),
        (
            "throttled and late",
            Figures { throttling: Some(throttling(9, 89, 0.5)), ..late([0, 0, 40 * MS, 50 * MS, 50 * MS]) },
            Invalid,
            "pacing lag p99 50.0 ms, where the service itself took at least 899 us; throttled in 9 of 89 periods",
        ),
        ("beyond its power", beyond(10.0, 0.99), Invalid, "a plan of 10.0 s took 20.0 s; its core was full"),
        ("a little beyond", beyond(0.3, 0.1), Suspect, "achieved 97 %"),
        ("on time", beyond(0.04, 0.1), Valid, ""),
        ("stalled rarely", stalled(still(1, 90), StallStats::default()), Valid, ""),
        (
            "stalled",
            stalled(still(3, 50), StallStats::default()),
            Suspect,
            "stalled 3 times (longest 50.0 ms, until 1.00 ms) for 1.5 % of the time",
        ),
        (
            "stalled for long",
            stalled(still(3, 100), StallStats::default()),
            Invalid,
            "(longest 100 ms, until 1.00 ms) for 3.0 % of the time",
        ),
        (
            "stalled with the machine",
            stalled(still(3, 100), still(3, 100)),
            Invalid,
            "the whole process stalled",
        ),
        ("stolen", stolen(0.12), Suspect, "gave 12 %"),
        ("stolen for long", stolen(0.32), Invalid, "gave 32 %"),
    ]);
}

#[test]
fn rare_pauses_of_the_machine_make_a_run_suspect_and_others_invalid() {
    let pauses = |standstills| Figures {
        pacing_lag_p98_ns: Some(MS / 10),
        standstills,
        ..late([MS / 10, MS / 10, MS / 10, 40 * MS, 150 * MS])
    };
    let rare = pauses(still(1, 160));
    let judged = rare.judge();
    assert_eq!(judged.verdict, Judgement::Suspect, "{judged:?}");
    assert!(judged.reasons[0].contains("stalled once (longest 160 ms"), "{judged:?}");
    assert!(judged.reasons[0].ends_with("percentiles up to p95 hold"), "{judged:?}");
    assert_eq!(judged.covers.unwrap(), ["p50", "p90", "p95"]);
    for (what, worse) in [
        ("broadly", Figures { pacing_lag_p98_ns: Some(20 * MS), ..rare.clone() }),
        ("often", pauses(still(30, 10))),
        ("starved", Figures { worker_starved: vec![0.2], ..rare.clone() }),
        ("throttled", Figures { throttling: Some(throttling(2, 100, 0.5)), ..rare.clone() }),
        ("busy", Figures { worker_cpu: vec![0.95], ..rare.clone() }),
        ("stolen", Figures { stolen: Some(0.06), ..rare }),
    ] {
        assert_eq!(worse.judge().verdict, Judgement::Invalid, "{what}");
    }
    assert_eq!(Figures { standstills: still(1, 160), ..sound() }.judge().verdict, Judgement::Valid);
}

#[test]
fn a_percentile_that_the_service_made_is_not_thrown_away() {
    // Half a second of the service's own in every percentile, or in the last ones only.
    let slow = Figures { levels: levels([50 * MS; 5], [500 * MS; 5]), ..sound() };
    assert_eq!(slow.judge(), Validity { covers: slow.judge().covers, ..Validity::new() });
    assert_eq!(slow.judge().covers.unwrap(), ["p50", "p90", "p95", "p99", "p99.9"]);
    let tail = Figures {
        levels: levels([50 * MS; 5], [MS, MS, MS, 2_000 * MS, 5_000 * MS]),
        pacing_lag_p98_ns: Some(50 * MS),
        ..sound()
    };
    let judged = tail.judge();
    assert_eq!((judged.verdict, judged.covers.unwrap().join(" ")), (Judgement::Invalid, "p99 p99.9".into()));
    assert!(judged.reasons[0].ends_with("of the percentiles p99 and p99.9 hold"), "{:?}", judged.reasons);
    // Of a run that is doubtful as a whole nothing holds but its counts.
    let scarce = Figures { resource_errors: 1, ..sound() };
    assert_eq!(scarce.judge().covers, Some(vec![]));
}

#[test]
fn lag_is_not_judged_against_what_it_inflated() {
    let minute = 60_000 * MS;
    // Readings went out a minute late, and so their response times are a minute.
    let inflated = [(MS, minute), (minute, minute)].map(|(service_ns, response_ns)| Figures {
        levels: Figures::JUDGED
            .map(|quantile| Level { quantile, lag_ns: minute, service_ns, response_ns })
            .to_vec(),
        pacing_lag_p98_ns: Some(minute),
        throttling: Some(throttling(81, 89, 0.02)),
        ..sound()
    });
    for figures in inflated {
        assert_eq!(figures.judge().verdict, Judgement::Invalid, "{figures:?}");
        assert_eq!(figures.judge().covers, Some(vec![]));
    }
}

fn figures() -> impl Strategy<Value = Figures> {
    let ns = || prop_oneof![0..3 * MS, 0..300 * MS, 0..90_000 * MS];
    let rising = || {
        proptest::collection::vec(ns(), 6).prop_map(|mut times| {
            times.sort_unstable();
            times
        })
    };
    let stands = || {
        (0_u64..200, 10_u64..500)
            .prop_map(|(count, each)| if count > 150 { still(0, 0) } else { still(count % 20, each) })
    };
    let share = || prop_oneof![0.0..0.05, 0.0..1.0];
    let processor = (share(), share(), share(), 0_u64..100, prop_oneof![Just(0.0), 0.0..1.0]);
    (rising(), rising(), rising(), stands(), stands(), processor).prop_map(
        |(lag, service, response, stalls, standstills, (busy, starved, stolen, throttled, overrun))| {
            let at = |times: &[u64], nth: usize| times[if nth > 3 { 5 } else { nth }];
            let level = |(nth, quantile)| Level {
                quantile,
                lag_ns: at(&lag, nth),
                service_ns: at(&service, nth),
                response_ns: at(&response, nth),
            };
            Figures {
                levels: Figures::JUDGED.into_iter().enumerate().map(level).collect(),
                pacing_lag_p98_ns: Some(lag[2].midpoint(lag[3])),
                stalls,
                standstills,
                worker_cpu: vec![busy],
                worker_starved: vec![starved],
                stolen: Some(stolen),
                throttling: Some(throttling(throttled, 100, 0.5)),
                overrun: Some((10.0, overrun)),
                ..sound()
            }
        },
    )
}

/// The same run, had it been starved more in one of the ways there are.
fn worse(figures: &Figures, way: u8, by: f64) -> Figures {
    let mut worse = figures.clone();
    let more = |ns: u64| ns + (by * 1e9) as u64;
    let longer = |stood: &mut StallStats| {
        stood.count += 1;
        stood.total_ns = more(stood.total_ns);
        stood.longest_ns = more(stood.longest_ns);
    };
    let raised = |share: f64| (share + by).min(1.0);
    match way {
        0 => {
            worse.levels.iter_mut().for_each(|level| level.lag_ns = more(level.lag_ns));
            worse.pacing_lag_p98_ns = worse.pacing_lag_p98_ns.map(more);
        }
        1 => {
            // Lag is part of the response time.
            worse = self::worse(&worse, 0, by);
            worse.levels.iter_mut().for_each(|level| level.response_ns = more(level.response_ns));
        }
        2 => longer(&mut worse.stalls),
        3 => longer(&mut worse.standstills),
        4 => worse.worker_starved = worse.worker_starved.iter().map(|share| raised(*share)).collect(),
        5 => worse.stolen = worse.stolen.map(raised),
        6 => worse.worker_cpu = worse.worker_cpu.iter().map(|share| raised(*share)).collect(),
        7 => worse.overrun = worse.overrun.map(|(length, overrun)| (length, overrun + by)),
        8 => worse.resource_errors += 1,
        _ => {
            let throttled = (by * 100.0) as u64;
            worse.throttling = worse.throttling.map(|throttling| Throttling {
                throttled: (throttling.throttled + throttled).min(throttling.periods),
                ..throttling
            });
        }
    }
    worse
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn more_starvation_never_makes_the_judgement_milder(
        figures in figures(),
        ways in proptest::collection::vec((0_u8..10, prop_oneof![0.0..0.01, 0.0..0.1, 0.0..1.0]), 1..4),
    ) {
        let (mut figures, mut before) = (figures.clone(), figures.judge());
        for (way, by) in ways {
            figures = worse(&figures, way, by);
            let after = figures.judge();
            prop_assert!(after.verdict >= before.verdict, "way {way}, {by}: {before:?}, then {after:?}");
            let (covered, still) = (before.covers.unwrap(), after.covers.clone().unwrap());
            prop_assert!(still.iter().all(|name| covered.contains(name)), "way {way}: {covered:?}, then {still:?}");
            before = after;
        }
    }

    #[test]
    fn a_service_never_makes_a_free_generator_invalid(
        times in proptest::collection::vec(0..3_600_000 * MS, 5),
        lag_ns in 0..=MS,
        answered: bool,
    ) {
        let level = |(quantile, ns): (Quantile, &u64)| Level {
            quantile,
            lag_ns,
            service_ns: if answered { *ns } else { 0 },
            response_ns: *ns,
        };
        let levels = Figures::JUDGED.into_iter().zip(&times).map(level).collect();
        let judged = Figures { levels, pacing_lag_p98_ns: Some(lag_ns), ..sound() }.judge();
        prop_assert_eq!(judged.verdict, Judgement::Valid);
    }
}
