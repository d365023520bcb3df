//! Where squall's own waiting decides a percentile, and where it does not.

use super::*;

/// What decides what, where of 200 readings of 10 ms `paused` waited for `own_ms` more by our own rule, and `slow` for as long for
/// the service.
fn found(layout: &Layout, paused: u64, slow: u64, own_ms: u64, outcome: Outcome) -> Vec<OwnPause> {
    let out = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..200)
        .map(|seq| {
            let at = Tick(2 * SECOND + seq * MS);
            let longer = if seq < paused + slow { own_ms } else { 0 };
            let own_wait_ns = if seq < paused { own_ms * MS } else { 0 };
            let plain = sample(layout, 1, at, (10 + longer) * MS, outcome);
            let eligible = Some(at.plus_ns(longer * MS));
            (0, Sample { seq, eligible, actual: eligible, own_wait_ns, stages: None, ..plain })
        })
        .collect();
    let (_, totals, _) = run_of(out.path(), &samples, 1);
    totals.own_pauses()
}

#[test]
fn own_waiting_is_found_where_it_decides_a_percentile_and_only_there() {
    let layout = layout();
    let p = |percents: &[u32]| {
        percents.iter().map(|n| format!("p{n}").parse().unwrap()).collect::<Vec<Quantile>>()
    };
    for (paused, slow, own_ms, outcome, decided) in [
        (0, 30, 2_000, Outcome::Ok, &[][..]),
        // p99 of 200 has two samples beyond it.
        (2, 0, 2_000, Outcome::Ok, &[]),
        (3, 0, 2_000, Outcome::Ok, &[99]),
        (30, 0, 2_000, Outcome::Ok, &[90, 95, 99]),
        (110, 0, 2_000, Outcome::Ok, &[50, 90, 95, 99]),
        // The service is as slow for others.
        (15, 30, 2_000, Outcome::Ok, &[]),
        // Less than a tenth of what is shown, and less than a millisecond.
        (110, 0, 1, Outcome::Ok, &[]),
        // What failed counts as its time-out with the pause and without.
        (110, 0, 2_000, Outcome::Timeout, &[]),
    ] {
        let found = found(&layout, paused, slow, own_ms, outcome);
        let quantiles: Vec<Quantile> = found.iter().map(|pause| pause.quantile).collect();
        assert_eq!(quantiles, p(decided), "{paused} paused, {slow} slow, {own_ms} ms, {outcome:?}");
        for pause in found {
            assert_eq!((pause.fleet, pause.phase), (FleetId(1), None));
            let near = |ns: u64, ms: u64| ns.abs_diff(ms * MS) <= ms * MS / 500;
            assert!(near(pause.response_ns, 10 + own_ms) && near(pause.without_ns, 10), "{pause:?}");
        }
    }
}
