//! The judgement of runs, as a table.

use super::*;
use crate::clock::Tick;

fn own_wait(scope: &str, quantile: Quantile) -> OwnWait {
    let first = Span::from_ms(2_000);
    OwnWait { scope: scope.into(), first, quantile, response_ns: 1_000_000_000, without_ns: 6_700_000 }
}

fn sound() -> Figures {
    Figures {
        planned: 10_000,
        expected: Some((10_000.0, 100.0)),
        pacing_lag_p95_ns: Some(100_000),
        pacing_lag_p99_ns: Some(200_000),
        response_p50_ns: Some(300_000),
        worker_cpu: vec![0.2, 0.3],
        ..Figures::default()
    }
}

#[test]
fn pauses_of_our_own_are_named_once_for_each_fleet() {
    let own_waits = vec![
        own_wait("fleet a", Quantile::P95),
        own_wait("fleet a", Quantile::P99),
        own_wait("fleet b in late", Quantile::P50),
    ];
    let validity = Figures { own_waits, ..sound() }.judge();
    assert_eq!(validity.verdict, Verdict::Suspect);
    let begins: Vec<bool> = ["p95, p99 of fleet a are ", "p50 of fleet b in late is "]
        .iter()
        .zip(&validity.reasons)
        .map(|(begin, reason)| reason.starts_with(begin))
        .collect();
    assert_eq!((begins.as_slice(), validity.reasons.len()), (&[true, true][..], 2), "{:?}", validity.reasons);
}

fn judged(cases: &[(&str, Figures, Verdict, &str)]) {
    for (name, figures, verdict, reason) in cases {
        let judged = figures.judge();
        assert_eq!(judged.verdict, *verdict, "{name}: {judged:?}");
        assert!(judged.reasons.iter().any(|r| r.contains(reason)) || reason.is_empty(), "{name}: {judged:?}");
        assert_eq!(judged.reasons.is_empty(), *verdict == Verdict::Valid, "{name}: {judged:?}");
    }
}

#[test]
fn what_happened_is_judged_as_the_table_says() {
    let ms = 1_000_000;
    judged(&[
        ("sound", sound(), Verdict::Valid, ""),
        ("late", Figures { pacing_lag_p99_ns: Some(3 * ms), ..sound() }, Verdict::Suspect, "sent late"),
        ("very late", Figures { pacing_lag_p99_ns: Some(30 * ms), ..sound() }, Verdict::Invalid, "sent late"),
        ("slow service", Figures { response_p50_ns: Some(9_000 * ms), ..sound() }, Verdict::Valid, ""),
        (
            "busy core",
            Figures { worker_cpu: vec![0.2, 0.97], ..sound() },
            Verdict::Suspect,
            "worker 1 used 97 %",
        ),
        ("no ports", Figures { resource_errors: 3, ..sound() }, Verdict::Suspect, "ran out of"),
        (
            "pauses",
            Figures { own_waits: vec![own_wait("fleet a", Quantile::P95)], ..sound() },
            Verdict::Suspect,
            "p95 of fleet a is squall's own reconnect pauses (first = 2s), not the service: p95 is 1000.0 ms, and would be 6.7 ms",
        ),
        ("overflow", Figures { overflow: 1, ..sound() }, Verdict::Suspect, "did not fit"),
        ("relay", Figures { unheard: 1, ..sound() }, Verdict::Invalid, "could not be passed"),
        ("lost plan", Figures { planned: 8_000, ..sound() }, Verdict::Invalid, "lost its plan"),
        ("unaccounted", Figures { unaccounted: 2, ..sound() }, Verdict::Invalid, "no outcome"),
        ("nothing", Figures { planned: 0, expected: None, ..sound() }, Verdict::Invalid, "nothing to judge"),
    ]);
}

#[test]
fn what_the_generator_lacked_is_judged_as_the_table_says() {
    let ms = 1_000_000;
    judged(&[
        (
            "starved",
            Figures { worker_starved: vec![0.0, 0.43], ..sound() },
            Verdict::Suspect,
            "worker 1: for 43 %",
        ),
        (
            "starved and late",
            Figures { pacing_lag_p99_ns: Some(30 * ms), worker_starved: vec![0.4], ..sound() },
            Verdict::Invalid,
            "something else used its core",
        ),
        (
            "beyond its power",
            Figures { overrun: Some((10.0, 10.0)), worker_cpu: vec![0.99], ..sound() },
            Verdict::Invalid,
            "achieved 50 % of the planned rate: a plan of 10.0 s took 20.0 s; its core was full",
        ),
        (
            "a little beyond",
            Figures { overrun: Some((10.0, 0.3)), ..sound() },
            Verdict::Suspect,
            "achieved 97 %",
        ),
        ("on time", Figures { overrun: Some((10.0, 0.04)), ..sound() }, Verdict::Valid, ""),
        (
            "late by a standstill",
            Figures {
                overrun: Some((2.0, 0.2)),
                standstills: Standstills { count: 1, total_ns: 190 * ms, ..Standstills::default() },
                ..sound()
            },
            Verdict::Valid,
            "",
        ),
        (
            "stalled",
            Figures {
                overrun: Some((10.0, 0.0)),
                stalls: Standstills {
                    count: 3,
                    total_ns: 300 * ms,
                    longest_ns: 120 * ms,
                    longest_at: Tick(ms),
                },
                ..sound()
            },
            Verdict::Suspect,
            "loops stood still 3 times, for 120 ms",
        ),
        (
            "stalled with the machine",
            Figures {
                overrun: Some((10.0, 0.0)),
                stalls: Standstills { count: 3, total_ns: 300 * ms, ..Standstills::default() },
                standstills: Standstills { count: 3, total_ns: 290 * ms, ..Standstills::default() },
                ..sound()
            },
            Verdict::Valid,
            "",
        ),
        ("stolen", Figures { stolen: Some(0.12), ..sound() }, Verdict::Suspect, "gave 12 %"),
    ]);
}

#[test]
fn a_standstill_of_the_machine_excuses_only_what_it_explains() {
    let ms = 1_000_000;
    let standstills =
        Standstills { count: 1, total_ns: 160 * ms, longest_ns: 160 * ms, ..Standstills::default() };
    let stood = Figures { pacing_lag_p99_ns: Some(40 * ms), standstills, ..sound() };
    let judged = stood.judge();
    assert_eq!(judged.verdict, Verdict::Suspect);
    assert!(judged.reasons[0].contains("stood still 1 times, for 160 ms"), "{judged:?}");
    let sustained = Figures { pacing_lag_p95_ns: Some(20 * ms), ..stood.clone() };
    assert_eq!(sustained.judge().verdict, Verdict::Invalid, "a starved generator");
    let longer = Figures { pacing_lag_p99_ns: Some(200 * ms), ..stood };
    assert_eq!(longer.judge().verdict, Verdict::Invalid, "lag beyond any standstill");
    let unharmed = Figures { standstills, ..sound() };
    assert_eq!(unharmed.judge().verdict, Verdict::Valid);
}

#[test]
fn a_slow_service_raises_what_lag_is_allowed() {
    let lag = Some(20_000_000);
    let slow = Figures { pacing_lag_p99_ns: lag, response_p50_ns: Some(50_000_000), ..sound() };
    assert_eq!(slow.judge().verdict, Verdict::Valid);
}
