//! Signals against their closed forms, and anomalies against the same signal without them.

use proptest::prelude::*;

use super::*;
use crate::record::AnomalyKind;
use crate::seed::Seed;

const MS: u64 = 1_000_000;
const SINE: Shape = Shape::Sine { level: 20.0, amplitude: 5.0, period_ns: 1_000_000_000 };

fn run(shape: Shape, noise: f64, anomalies: AnomalySpec, count: u64) -> Vec<(f64, Option<AnomalyMark>)> {
    let spec = SignalSpec { shape, noise, anomalies };
    let own = anomalies.any().then(|| Seed(4).stream("anomaly/test", 0));
    let mut signal = Signal::new(&spec, Seed(4).stream("signal/test", 0), own);
    (1..=count).map(|seq| signal.sample(&spec, Tick(seq * MS), seq)).collect()
}

fn values(shape: Shape, noise: f64, count: u64) -> Vec<f64> {
    run(shape, noise, AnomalySpec::default(), count).into_iter().map(|(value, _)| value).collect()
}

#[test]
fn noise_and_swing_are_as_large_as_stated() {
    let flat = values(Shape::Constant { level: 7.0 }, 0.5, 100_000);
    let mean = flat.iter().sum::<f64>() / 1e5;
    let deviation = (flat.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5).sqrt();
    assert!((mean - 7.0).abs() < 4.0 * 0.5 / 1e5_f64.sqrt(), "{mean}");
    assert!((deviation - 0.5).abs() < 0.01, "{deviation}");

    let sine = values(SINE, 0.0, 1_000);
    let (least, most) = sine.iter().fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
    assert!((least - 15.0).abs() < 0.01 && (most - 25.0).abs() < 0.01, "{least} {most}");
    assert!((sine.iter().sum::<f64>() / 1e3 - 20.0).abs() < 0.01);
}

#[test]
fn a_walk_spreads_with_the_root_of_time_until_it_is_reflected() {
    let walk = values(Shape::Walk { level: 0.0, step: 0.1, range: 2.0 }, 0.0, 100_000);
    assert!(walk.iter().all(|v| v.abs() <= 2.0));
    assert!(walk.iter().any(|v| v.abs() > 1.9));
    let steps: f64 = walk.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum::<f64>() / 1e5;
    assert!((steps.sqrt() - 0.1).abs() < 0.002, "{}", steps.sqrt());
}

#[test]
fn steps_days_and_recordings_repeat_as_stated() {
    let steps = values(Shape::Step { level: 1.0, height: 2.0, every_ns: 100 * MS }, 0.0, 2_000);
    assert!(steps.iter().all(|v| [1.0, 3.0].contains(v)));
    let edges: Vec<usize> =
        (1..steps.len()).filter(|i| steps[*i].to_bits() != steps[i - 1].to_bits()).collect();
    assert!(edges.windows(2).all(|pair| pair[1] - pair[0] == 100), "{edges:?}");

    let day_ns = 100 * MS;
    let week = values(Shape::Daily { level: 10.0, amplitude: 4.0, weekend: 0.25, day_ns }, 0.0, 700);
    let swing = |day: usize| {
        let day = &week[day * 100..(day + 1) * 100 - 1];
        day.iter().fold(0.0_f64, |most, v| most.max((v - 10.0).abs()))
    };
    for day in 0..7 {
        let expected = if day < 5 { 4.0 } else { 1.0 };
        assert!((swing(day) - expected).abs() < 0.01, "day {day}: {}", swing(day));
    }

    let track = RecordedSignal { values: (0..10).map(f64::from).collect(), every_ns: 20 * MS };
    let replay = values(Shape::Replay(Arc::new(track)), 0.0, 1_000);
    for pair in replay.windows(2) {
        let stays = pair[0].to_bits() == pair[1].to_bits();
        assert!(stays || ((pair[0] + 1.0) % 10.0 - pair[1]).abs() < 1e-9, "{pair:?}");
    }
    assert_eq!(replay.iter().filter(|v| (**v - 3.0).abs() < 1e-9).count(), 100);
}

fn spec() -> AnomalySpec {
    let size = 3.0;
    AnomalySpec {
        spikes: 0.01,
        shifts: 0.001,
        drifts: 0.001,
        stuck: 0.001,
        variances: 0.001,
        size,
        ..AnomalySpec::default()
    }
}

#[test]
fn anomalies_are_as_frequent_as_stated() {
    // Apart from those that wait for another to end, which the short windows here keep to a few per cent.
    let spec = AnomalySpec { length: 2, ..spec() };
    let with = run(SINE, 0.2, spec, 400_000);
    for kind in AnomalyKind::ALL {
        let onsets = with.iter().filter(|v| v.1.is_some_and(|mark| mark.kind == kind && mark.onset)).count();
        let expected = if kind == AnomalyKind::Spike { 4_000.0 } else { 400.0 };
        let most = 4.0 * f64::sqrt(expected) + 0.03 * expected;
        assert!((onsets as f64 - expected).abs() < most, "{kind}: {onsets}");
    }
}

#[test]
fn anomalies_disturb_a_signal_exactly_as_stated_and_leave_the_rest_alone() {
    let (with, without) = (run(SINE, 0.2, spec(), 200_000), values(SINE, 0.2, 200_000));
    let distance = 3.0 * (5.0 + 0.6);
    let (mut offset, mut age, mut held, mut episode) = (0.0, 0_u32, 0.0, 0);
    for ((value, mark), normal) in with.iter().zip(&without) {
        let added = value - normal - offset;
        let Some(mark) = mark else {
            assert!(added.abs() < 1e-6, "{added}");
            continue;
        };
        age = if mark.onset { 1 } else { age + 1 };
        episode += u32::from(mark.onset);
        assert_eq!(mark.episode, episode, "numbers run without gaps, one at a time");
        match mark.kind {
            AnomalyKind::Spike => assert!(age == 1 && (added.abs() - distance).abs() < 1e-6),
            AnomalyKind::Shift => {
                if mark.onset {
                    assert!((added.abs() - distance).abs() < 1e-6);
                    offset += added;
                } else {
                    assert!(added.abs() < 1e-6);
                }
                assert!(age <= 10);
            }
            AnomalyKind::Drift => {
                assert!(age <= 30 && (added.abs() - distance * f64::from(age) / 30.0).abs() < 1e-6);
            }
            AnomalyKind::Stuck => {
                held = if mark.onset { *value } else { held };
                assert!(age <= 30 && value.to_bits() == f64::to_bits(held));
            }
            AnomalyKind::Variance => assert!(age <= 30),
        }
    }
    let noisy: Vec<f64> = with
        .iter()
        .zip(&without)
        .filter(|((_, mark), _)| mark.is_some_and(|mark| mark.kind == AnomalyKind::Variance))
        .map(|((value, _), normal)| value - normal)
        .collect();
    // Shifts change what is added by a constant, so look at differences within.
    let differences: Vec<f64> =
        noisy.windows(2).map(|w| w[1] - w[0]).filter(|difference| difference.abs() < 10.0).collect();
    let square = differences.iter().map(|d| d * d).sum::<f64>() / differences.len() as f64;
    // Two independent readings of 3 × 0.2 more noise each.
    assert!((square.sqrt() - 0.6 * 2_f64.sqrt()).abs() < 0.05, "{}", square.sqrt());
}

#[test]
fn the_first_anomaly_waits_as_long_as_stated() {
    let with = run(SINE, 0.1, AnomalySpec { after: 500, spikes: 0.5, ..spec() }, 1_000);
    assert!(with[..500].iter().all(|v| v.1.is_none()));
    assert!(with[500..].iter().any(|v| v.1.is_some()));
    let always = run(SINE, 0.0, AnomalySpec { spikes: 1.0, ..AnomalySpec::default() }, 100);
    assert!(always.iter().all(|v| v.1.is_some_and(|mark| mark.kind == AnomalyKind::Spike)));
}

proptest! {
    #[test]
    fn reflection_stays_in_range_and_moves_nothing_inside(position in -1e6..1e6_f64, range in 0.0..1e3_f64) {
        let folded = reflect(position, range);
        prop_assert!(folded.abs() <= range + 1e-6);
        if position.abs() <= range {
            prop_assert_eq!(folded.to_bits(), position.to_bits());
        }
    }
}
