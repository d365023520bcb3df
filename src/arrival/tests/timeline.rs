//! The whole way from law to instant: counts under every course of the load, edges, bounds and order.

use std::sync::Arc;

use crate::arrival::*;
use crate::seed::Seed;
use crate::units::Span;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn secs(secs: u64) -> Span {
    Span::from_ns(secs * SECOND)
}

fn load_of(courses: &[(u64, Shape)]) -> Arc<Load> {
    let mut start = Tick::ZERO;
    let stretches = courses.iter().map(|&(length_ns, shape)| {
        let stretch = Stretch { start, end: start.plus_ns(length_ns), shape };
        start = stretch.end;
        stretch
    });
    Arc::new(Load::new(stretches.collect()))
}

/// Every shape, and silence between two of them.
fn varied() -> Arc<Load> {
    load_of(&[
        (100 * SECOND, Shape::Flat(0.8)),
        (20 * SECOND, Shape::Flat(0.0)),
        (100 * SECOND, Shape::Ramp { from: 0.2, to: 2.0 }),
        (100 * SECOND, Shape::Sine { mean: 1.0, amplitude: 0.9, period: secs(30), phase: 0.6 }),
        (100 * SECOND, Shape::Bursts { base: 0.3, peak: 5.0, every: secs(10), length: secs(1) }),
    ])
}

fn flat(secs: u64) -> Arc<Load> {
    load_of(&[(secs * SECOND, Shape::Flat(1.0))])
}

fn recording(times: impl IntoIterator<Item = u64>) -> Recording {
    Recording::new(times.into_iter().collect::<Box<[u64]>>())
}

/// Laws of every kind, for device `device` of `devices`; `times` is the fleet's recording.
fn processes(times: &Recording, device: u32, devices: u32) -> Vec<ArrivalProcess> {
    vec![
        ArrivalProcess::Constant { jitter: 0.0 },
        ArrivalProcess::Constant { jitter: 0.5 },
        ArrivalProcess::Poisson,
        ArrivalProcess::Gamma { shape: 0.3 },
        ArrivalProcess::Gamma { shape: 4.0 },
        ArrivalProcess::LogNormal { sigma: 1.0 },
        ArrivalProcess::Pareto { tail: 3.5 },
        ArrivalProcess::OnOff { on: secs(1), off: secs(2) },
        ArrivalProcess::Aligned { spread: Span::from_ms(150) },
        ArrivalProcess::Recorded { times: times.clone(), device, devices },
    ]
}

fn draw(process: &ArrivalProcess, per_second: f64, load: &Arc<Load>, seed: u64) -> Vec<Tick> {
    arrivals(process, per_second, load, seed, 0).collect()
}

fn arrivals(process: &ArrivalProcess, per_second: f64, load: &Arc<Load>, seed: u64, device: u64) -> Arrivals {
    let rate = Rate::per_second(per_second).unwrap();
    Arrivals::new(process, rate, None, Arc::clone(load), Seed(seed).stream("arrival/test", device))
}

fn count(due: &[Tick], from: Tick, to: Tick) -> usize {
    due.partition_point(|at| *at < to) - due.partition_point(|at| *at < from)
}

#[test]
fn counts_follow_the_integral_of_every_course_for_every_law() {
    const DEVICES: u32 = 60;
    let (load, rate) = (varied(), Rate::per_second(5.0).unwrap());
    let times = recording((0..110_000_u64).map(|n| n * 3_336_111 + n % 7));
    let windows: Vec<_> = load
        .stretches()
        .iter()
        .flat_map(|stretch| {
            let part = stretch.end.since(stretch.start) / 7;
            (0..7)
                .map(move |n| (stretch.start.plus_ns(n * part), stretch.start.plus_ns((n + 1) * part)))
                .chain([(stretch.start, stretch.end)])
        })
        .collect();
    for which in 0..processes(&times, 0, DEVICES).len() {
        let (mut counts, mut expected) = (vec![0.0; windows.len()], vec![0.0; windows.len()]);
        let mut drawn = 0;
        for device in 0..DEVICES {
            let process = processes(&times, device, DEVICES).swap_remove(which);
            let due: Vec<_> = arrivals(&process, 5.0, &load, 7, u64::from(device)).collect();
            drawn += due.len();
            for (nth, &(from, to)) in windows.iter().enumerate() {
                counts[nth] += count(&due, from, to) as f64;
                expected[nth] += expected_count(&process, rate, None, &load, from, to);
            }
        }
        let process = processes(&times, 0, DEVICES).swap_remove(which);
        assert!(drawn > 100_000, "{process:?}: {drawn}");
        for (nth, window) in windows.iter().enumerate() {
            // A renewal count's variance is dispersion × mean, and less than 1 a device more for its edges.
            let exact = matches!(process, ArrivalProcess::Recorded { .. });
            let variance =
                if exact { 0.0 } else { process.dispersion(rate) * expected[nth] + f64::from(DEVICES) };
            let off = (counts[nth] - expected[nth]).abs();
            assert!(
                off <= 4.0 * variance.sqrt(),
                "{process:?} {window:?}: {} for {}",
                counts[nth],
                expected[nth]
            );
            assert!(expected[nth] > 0.0 || counts[nth] < 0.5, "{process:?} {window:?}: {}", counts[nth]);
        }
    }
}

#[test]
fn the_first_short_window_is_as_busy_as_any() {
    let (load, devices) = (flat(1), 8_000_u32);
    let mut processes = processes(&recording([]), 0, 1);
    processes.retain(|process| {
        !matches!(process, ArrivalProcess::Recorded { .. } | ArrivalProcess::Aligned { .. })
    });
    processes.push(ArrivalProcess::Pareto { tail: 1.2 });
    processes.push(ArrivalProcess::OnOff { on: Span::from_ms(50), off: secs(5) });
    for process in processes {
        let counts: Vec<f64> = (0..devices)
            .map(|device| {
                let due = arrivals(&process, 1.0, &load, 21, u64::from(device));
                due.take_while(|at| at.0 < SECOND / 10).count() as f64
            })
            .collect();
        let n = f64::from(devices);
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((mean - 0.1).abs() < 4.0 * (variance / n).sqrt(), "{process:?}: {mean}");
    }
}

#[test]
fn a_silent_phase_is_silent_and_a_burst_begins_on_its_edge() {
    let load = load_of(&[
        (100 * SECOND, Shape::Flat(1.0)),
        (50 * SECOND, Shape::Flat(3.0)),
        (30 * SECOND, Shape::Flat(0.0)),
        (120 * SECOND, Shape::Flat(0.5)),
    ]);
    let due = draw(&ArrivalProcess::Constant { jitter: 0.0 }, 1_000.0, &load, 3);
    assert_eq!(count(&due, Tick(150 * SECOND), Tick(180 * SECOND)), 0);
    // Gaps are an exact interval ÷ load on both sides of the edge at 100 s; the gap across the edge is
    // shortened from the very nanosecond of the edge.
    let edge = 100 * SECOND;
    let after = due.partition_point(|t| t.0 < edge);
    let (before, first, second) = (due[after - 1].0, due[after].0, due[after + 1].0);
    let spent = edge - before;
    assert!((first - edge).abs_diff((1_000_000 - spent) / 3) <= 1, "{before} {first}");
    assert!((second - first).abs_diff(333_333) <= 1);
    assert_eq!(due.iter().find(|t| t.0 >= 150 * SECOND).unwrap().0 / SECOND, 180);
}

#[test]
fn nothing_arrives_between_bursts_and_every_burst_is_full() {
    let (every, length) = (Span::from_ns(7_000_001), Span::from_ns(1_000_003));
    let shape = Shape::Bursts { base: 0.0, peak: 1.0, every, length };
    let load = load_of(&[(SECOND / 3, Shape::Flat(0.0)), (4 * SECOND + 77, shape)]);
    for process in processes(&recording((0..500_000).map(|n| n * 1_000)), 0, 1) {
        let due = draw(&process, 200_000.0, &load, 4);
        assert!(due.len() > 50_000, "{process:?}: {}", due.len());
        assert!(due.iter().all(|at| (at.0 - SECOND / 3) % every.as_ns() < length.as_ns()), "{process:?}");
    }
    // A grid of one point a nanosecond fills each burst from edge to edge.
    let shape =
        Shape::Bursts { base: 0.0, peak: 1.0, every: Span::from_ns(7_001), length: Span::from_ns(1_003) };
    let due = draw(&ArrivalProcess::Aligned { spread: Span::ZERO }, 1e9, &load_of(&[(21_003, shape)]), 4);
    let bursts = (0..3).flat_map(|n| (0..1_003).map(move |into| Tick(n * 7_001 + into)));
    assert!(due.iter().copied().eq(bursts));
}

#[test]
fn poisson_gaps_are_exponential_on_the_time_line() {
    let due = draw(&ArrivalProcess::Poisson, 100.0, &flat(1_100), 11);
    assert!(due.len() > 100_000, "{}", due.len());
    let gaps: Vec<f64> = due.windows(2).map(|w| w[1].since(w[0]) as f64 / 1e9).collect();
    let p = crate::seed::tests::statistic::kolmogorov_smirnov(gaps, |gap| 1.0 - (-100.0 * gap).exp());
    assert!(p > 0.001, "p = {p}");
}

#[test]
fn a_constant_phase_is_uniform_over_the_interval() {
    let load = flat(1);
    let phases = (0..10_000)
        .map(|device| {
            let mut due = arrivals(&ArrivalProcess::Constant { jitter: 0.0 }, 1.0, &load, 9, device);
            due.next().unwrap().as_secs_f64()
        })
        .collect();
    let p = crate::seed::tests::statistic::kolmogorov_smirnov(phases, |x| x.clamp(0.0, 1.0));
    assert!(p > 0.001, "p = {p}");
}

#[test]
fn aligned_devices_meet_at_each_period_uniformly_late() {
    let process = ArrivalProcess::Aligned { spread: Span::from_ms(300) };
    let mut late = Vec::new();
    for device in 0..100 {
        let due: Vec<_> = arrivals(&process, 1.0, &flat(1_000), 13, device).collect();
        assert_eq!(due.len(), 1_000);
        for (n, at) in due.into_iter().enumerate() {
            late.push((at.as_secs_f64() - n as f64) / 0.3);
        }
    }
    let p = crate::seed::tests::statistic::kolmogorov_smirnov(late, |x| x.clamp(0.0, 1.0));
    assert!(p > 0.001, "p = {p}");
}

#[test]
fn an_aligned_grid_is_counted_exactly() {
    let load = load_of(&[
        (10 * SECOND, Shape::Flat(1.0)),
        (7 * SECOND, Shape::Flat(2.0)),
        (9 * SECOND, Shape::Flat(0.5)),
    ]);
    for per_second in [1.0, 3.0, 7.0, 0.3, 1_000.0] {
        let (process, rate) =
            (ArrivalProcess::Aligned { spread: Span::ZERO }, Rate::per_second(per_second).unwrap());
        let due = draw(&process, per_second, &load, 1);
        for stretch in load.stretches() {
            let expected = expected_count(&process, rate, None, &load, stretch.start, stretch.end);
            let counted = count(&due, stretch.start, stretch.end) as f64;
            assert!((counted - expected).abs() < 1e-6, "{per_second}: {counted} for {expected}");
        }
    }
    // Half the spread after a grid point, half the devices have sent.
    let (process, rate) =
        (ArrivalProcess::Aligned { spread: Span::from_ms(200) }, Rate::per_second(1.0).unwrap());
    let half = expected_count(&process, rate, None, &load, Tick::ZERO, Tick(3 * SECOND + SECOND / 10));
    assert!((half - 3.5).abs() < 1e-9, "{half}");
}

#[test]
fn a_recording_comes_back_exactly_and_is_dealt_out_without_loss() {
    let times: Vec<u64> = (0..10_001_u64).map(|n| n * n * 97 % 1_000 + n * 1_000).collect();
    let shared = recording(times.iter().copied());
    let load = flat(60);
    let devices = 7;
    let mut all = Vec::new();
    for device in 0..devices {
        let process = ArrivalProcess::Recorded { times: shared.clone(), device, devices };
        // The rate is ignored, even one of 0.
        let due = draw(&process, 0.0, &load, 1);
        let own: Vec<_> = times.iter().skip(device as usize).step_by(7).copied().map(Tick).collect();
        assert_eq!(due, own);
        let rate = Rate::default();
        for (from, to) in [(0, 60 * SECOND), (0, 1_000), (5_000_500, 7_123_456), (9, 9)] {
            let expected = expected_count(&process, rate, None, &load, Tick(from), Tick(to));
            assert!((expected - count(&due, Tick(from), Tick(to)) as f64).abs() < 1e-9, "{from} {to}");
        }
        all.extend(due);
    }
    all.sort();
    assert!(all.iter().map(|at| at.0).eq(times.iter().copied()));
}

#[test]
fn bounds_leave_out_exactly_what_lies_outside() {
    let load = varied();
    for process in processes(&recording((0..100_000).map(|n| n * 3_000_000)), 0, 1) {
        let due = draw(&process, 20.0, &load, 17);
        for (from, to) in [(0, 500), (130, 300), (100, 120), (319, 320), (350, 20)] {
            let (from, to) = (Tick(from * SECOND), Tick(to * SECOND));
            let kept: Vec<_> = arrivals(&process, 20.0, &load, 17, 0).between(from, to).collect();
            let inside: Vec<_> = due.iter().copied().filter(|at| *at >= from && *at < to).collect();
            assert_eq!(kept, inside, "{process:?} {from} {to}");
        }
        let (early, late) = (Tick(50 * SECOND), Tick(330 * SECOND));
        let twice =
            arrivals(&process, 20.0, &load, 17, 0).between(early, Tick::FAR).between(Tick::ZERO, late);
        let once = arrivals(&process, 20.0, &load, 17, 0).between(early, late);
        assert!(twice.eq(once), "{process:?}");
    }
}

#[test]
fn a_course_composes_with_the_load() {
    let load = varied();
    let inner = [Shape::Flat(0.5), Shape::Ramp { from: 0.5, to: 3.0 }, Shape::Flat(1.0)];
    let course = load_of(&inner.map(|shape| (120 * SECOND, shape)));
    let rate = Rate::per_second(5.0).unwrap();
    let stretches = load.stretches();
    for process in [
        ArrivalProcess::Poisson,
        ArrivalProcess::Gamma { shape: 2.0 },
        ArrivalProcess::Aligned { spread: Span::from_ms(100) },
    ] {
        let (mut counts, mut expected) = (vec![0.0; stretches.len()], vec![0.0; stretches.len()]);
        for device in 0..20 {
            let stream = Seed(19).stream("arrival/test", device);
            let due: Vec<_> =
                Arrivals::new(&process, rate, Some(Arc::clone(&course)), Arc::clone(&load), stream).collect();
            for (nth, stretch) in stretches.iter().enumerate() {
                let (from, to) = (stretch.start, stretch.end);
                counts[nth] += count(&due, from, to) as f64;
                expected[nth] += expected_count(&process, rate, Some(&course), &load, from, to);
            }
        }
        for (count, expected) in counts.iter().zip(&expected) {
            let deviation = (process.dispersion(rate) * expected + 20.0).sqrt();
            assert!((count - expected).abs() <= 4.0 * deviation, "{process:?}: {count} for {expected}");
        }
        // The chain of the two integrals, by hand: 80 s of load at a course of 0.5 are 40 s of the law's time.
        assert!((expected[0] - 20.0 * 5.0 * 40.0).abs() < 21.0, "{process:?}: {}", expected[0]);
    }
    // A course of 1 changes nothing but the fraction of a nanosecond.
    let process = ArrivalProcess::Aligned { spread: Span::ZERO };
    let stream = Seed(1).stream("arrival/test", 0);
    let plain = Arrivals::new(&process, rate, Some(flat(1_000)), flat(100), stream);
    assert!(plain.eq(draw(&process, 5.0, &flat(100), 1)));
}

#[test]
fn an_arrival_process_fits_beside_a_connection() {
    assert!(size_of::<Arrivals>() <= 432, "{}", size_of::<Arrivals>());
}

#[test]
fn nothing_never_arrives() {
    let silent = load_of(&[(SECOND, Shape::Flat(0.0)), (SECOND, Shape::Ramp { from: 0.0, to: 0.0 })]);
    for process in processes(&recording([5, 6]), 0, 1) {
        assert_eq!(draw(&process, 5.0, &Arc::new(Load::new(vec![])), 1), [], "{process:?}");
        assert_eq!(draw(&process, 5.0, &silent, 1), [], "{process:?}");
        if !matches!(process, ArrivalProcess::Recorded { .. }) {
            assert_eq!(draw(&process, 0.0, &varied(), 1), [], "{process:?}");
        }
    }
}

#[test]
fn a_gap_beyond_every_run_ends_the_process() {
    let load = load_of(&[(u64::MAX, Shape::Flat(1.0))]);
    for process in processes(&recording([]), 0, 1) {
        // One reading in 10²⁸³ years, and gaps at the end of what a number can hold.
        for per_second in [1e-290, 1e-299] {
            let mut due = arrivals(&process, per_second, &load, 23, 0);
            // The first point of the aligned grid is its beginning.
            let first = usize::from(matches!(process, ArrivalProcess::Aligned { .. }));
            assert!(due.by_ref().count() <= first, "{process:?}");
            assert_eq!(due.next(), None, "{process:?}");
        }
    }
}

#[test]
fn every_law_has_its_own_word() {
    let names: Vec<_> = processes(&recording([]), 0, 1).iter().map(ArrivalProcess::name).collect();
    let mut unique = names.clone();
    unique.dedup();
    assert_eq!(unique, ArrivalProcess::NAMES);
}

fn any_law() -> impl Strategy<Value = ArrivalProcess> {
    let span = (0_u64..u64::MAX).prop_map(Span::from_ns);
    let short = (0_u64..10_000_000_000).prop_map(Span::from_ns);
    prop_oneof![
        (0.0..=0.5_f64).prop_map(|jitter| ArrivalProcess::Constant { jitter }),
        Just(ArrivalProcess::Poisson),
        prop_oneof![0.1..5.0_f64, any::<f64>()].prop_map(|shape| ArrivalProcess::Gamma { shape }),
        prop_oneof![0.01..3.0_f64, any::<f64>()].prop_map(|sigma| ArrivalProcess::LogNormal { sigma }),
        prop_oneof![1.05..5.0_f64, any::<f64>()].prop_map(|tail| ArrivalProcess::Pareto { tail }),
        (prop_oneof![short.clone(), span.clone()], prop_oneof![short.clone(), span.clone()])
            .prop_map(|(on, off)| ArrivalProcess::OnOff { on, off }),
        prop_oneof![short, span].prop_map(|spread| ArrivalProcess::Aligned { spread }),
        (prop::collection::vec(any::<u32>(), 0..50), any::<u32>(), 0..4_u32).prop_map(
            |(mut times, device, devices)| {
                times.sort_unstable();
                let times = recording(times.into_iter().map(u64::from));
                ArrivalProcess::Recorded { times, device: device % 5, devices }
            }
        ),
    ]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let load = || prop_oneof![Just(0.0), 0.0..4.0_f64];
    let span = || (0_u64..2_000_000_000).prop_map(Span::from_ns);
    prop_oneof![
        load().prop_map(Shape::Flat),
        (load(), load()).prop_map(|(from, to)| Shape::Ramp { from, to }),
        (load(), 0.0..=1.0_f64, span(), any::<f64>().prop_filter("finite", |phase| phase.is_finite()))
            .prop_map(|(mean, amplitude, period, phase)| Shape::Sine { mean, amplitude, period, phase }),
        (load(), load(), span(), span()).prop_map(|(base, peak, every, length)| Shape::Bursts {
            base,
            peak,
            every,
            length
        }),
    ]
}

proptest! {
    #[test]
    fn instants_never_go_back_and_stay_inside_the_load(
        process in any_law(), rate in prop_oneof![0.0..2_000.0_f64, 0.0..1e-300_f64], seed in any::<u64>(),
        courses in prop::collection::vec((1_u64..1_000_000_000, any_shape()), 1..5),
        inner in prop::option::of(prop::collection::vec((1_u64..2_000_000_000, any_shape()), 1..3)),
    ) {
        let load = load_of(&courses);
        let rate = Rate::per_second(rate).unwrap();
        let stream = Seed(seed).stream("arrival/test", 0);
        let course = inner.map(|inner| load_of(&inner));
        // Of a process that is too dense to end soon, the beginning.
        let due: Vec<_> = Arrivals::new(&process, rate, course, Arc::clone(&load), stream).take(20_000).collect();
        prop_assert!(due.windows(2).all(|w| w[0] <= w[1]));
        for at in due {
            let inside = load.stretches().iter().find(|s| (s.start..s.end).contains(&at));
            prop_assert!(inside.is_some_and(|s| s.shape.peak() > 0.0), "{} lies in no sending stretch", at);
            if inside.is_some_and(|s| matches!(s.shape, Shape::Bursts { .. } | Shape::Flat(_))) {
                prop_assert!(load.at(at) > 0.0, "{} lies in silence", at);
            }
        }
    }
}
