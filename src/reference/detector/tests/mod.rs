//! Seeded signals with seeded anomalies: what must be found, and what must not be.

mod noise;
mod score;

use std::f64::consts::TAU;

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::reference::alert::Watch;
use crate::reference::reading::Level;
use crate::seed::{Seed, Stream};
use crate::service::{Alerts, Features};

/// A judge as the service has it unless told otherwise.
fn judge() -> Judge {
    Judge::new(Alerts::default().thresholds, Features::default().resolution)
}

/// Level 20, noise σ 0.2, amplitude 2: the anomaly of 3.0 is no larger than the signal itself.
const NOISE: f64 = 0.2;
const SIZE: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Signal {
    Constant,
    Sine,
    TwoSines,
    Walk,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Spike,
    Shift,
}

fn signal(kind: Signal, length: usize, stream: &mut Stream) -> Vec<f64> {
    let mut walk = 0.0;
    let phase: f64 = stream.random();
    (0..length)
        .map(|step| {
            let turn = |period: f64| (TAU * (step as f64 / period + phase)).sin();
            let noise: f64 = StandardNormal.sample(stream);
            let drawn: f64 = StandardNormal.sample(stream);
            walk += 0.05 * drawn;
            20.0 + NOISE * noise
                + match kind {
                    Signal::Constant => 0.0,
                    Signal::Sine => 2.0 * turn(100.0),
                    Signal::TwoSines => 1.5 * turn(100.0) + 0.5 * turn(23.0),
                    Signal::Walk => walk,
                }
        })
        .collect()
}

/// Which readings alerted.
fn alerts(values: &[f64]) -> Vec<usize> {
    let mut judge = judge();
    let flagged = |(index, value): (usize, &f64)| (judge.judge(*value).1 > Level::None).then_some(index);
    values.iter().enumerate().filter_map(flagged).collect()
}

/// Share of 100 trials in which the fault, at two thirds of `length`, is found within `patience` readings, and false
/// alarms per reading before it.
fn trial(kind: Signal, fault: Fault, length: usize, patience: usize) -> (f64, f64) {
    const TRIALS: u64 = 100;
    let at = length * 2 / 3;
    let (mut found, mut false_alarms) = (0, 0);
    for index in 0..TRIALS {
        let mut values = signal(kind, length, &mut Seed(1).stream("test/detector", index));
        match fault {
            Fault::Spike => values[at] += SIZE,
            Fault::Shift => values[at..].iter_mut().for_each(|value| *value += SIZE),
        }
        let alerts = alerts(&values);
        found += u64::from(alerts.iter().any(|alert| (at..at + patience).contains(alert)));
        false_alarms += alerts.iter().filter(|alert| **alert < at).count();
    }
    (found as f64 / TRIALS as f64, false_alarms as f64 / (TRIALS as f64 * at as f64))
}

#[test]
fn spikes_and_shifts_are_found_and_little_else_alerts() {
    println!("signal, fault, length: found, false alarms per 1 000");
    for kind in [Signal::Constant, Signal::Sine, Signal::TwoSines, Signal::Walk] {
        for (fault, patience) in [(Fault::Spike, 3), (Fault::Shift, 40)] {
            for length in [150, 300, 3_000] {
                let (found, alarms) = trial(kind, fault, length, patience);
                println!("{kind:?}, {fault:?}, {length}: {:.1} %, {:.2}", found * 100.0, alarms * 1e3);
                assert!(found >= 0.95, "{kind:?}, {fault:?}, {length}: found {found}");
                assert!(alarms < 1e-3, "{kind:?}, {length}: {alarms} false alarms per reading");
            }
        }
    }
}

#[test]
fn a_device_is_silent_at_first_and_heard_soon_after() {
    let loud: Vec<f64> = (0..15).map(|step| if step % 7 == 0 { 1e6 } else { 0.0 }).collect();
    assert_eq!(alerts(&loud), Vec::<usize>::new());
    let mut values = signal(Signal::Constant, 31, &mut Seed(3).stream("test/detector", 0));
    values[30] += 2.0 * SIZE;
    assert_eq!(alerts(&values), [30]);
}

#[test]
fn what_lies_a_world_away_is_critical_however_young_the_device() {
    for kind in [Signal::Constant, Signal::Sine, Signal::TwoSines, Signal::Walk] {
        for (length, deviations) in [(40, 5_000.0), (200, 5_000.0), (200, -5_000.0), (3_000, 5_000.0)] {
            let mut judge = judge();
            for value in signal(kind, length, &mut Seed(4).stream("test/detector", 0)) {
                judge.judge(value);
            }
            let (score, level) = judge.judge(20.0 + deviations * NOISE);
            assert_eq!(level, Level::Critical, "{kind:?}, {deviations} after {length}: {score}");
        }
    }
    let mut judge = judge();
    for value in signal(Signal::Constant, 200, &mut Seed(4).stream("test/detector", 0)) {
        judge.judge(value);
    }
    let level = judge.judge(20.0 + 15.0 * NOISE).1;
    assert!((Level::Low..Level::Critical).contains(&level), "a spike of 15 deviations is {level:?}");
}

#[test]
fn a_step_is_told_once_and_becomes_the_new_normal() {
    let mut values = signal(Signal::Constant, 5_000, &mut Seed(5).stream("test/detector", 0));
    values[1_000..].iter_mut().for_each(|value| *value += SIZE);
    values[4_500] += SIZE;
    let alerts = alerts(&values);
    assert_eq!((alerts.first(), alerts.last()), (Some(&1_000), Some(&4_500)), "{alerts:?}");
    assert!(alerts.len() <= 4, "{alerts:?}");
}

#[test]
fn the_same_readings_give_the_same_vectors() {
    let values = signal(Signal::TwoSines, 500, &mut Seed(2).stream("test/detector", 0));
    let vectors = || {
        let mut detector = Detector::default();
        values.iter().map(|value| detector.observe(*value, 8)).collect::<Vec<_>>()
    };
    assert_eq!(vectors(), vectors());
}

#[test]
fn extreme_values_do_not_poison_the_state() {
    let mut judge = judge();
    for value in [0.0, 0.0, 5.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0, 1e-300] {
        assert!(judge.judge(value).0.is_finite());
    }
    let values = signal(Signal::Constant, 5_000, &mut Seed(6).stream("test/detector", 0));
    assert!(values.iter().all(|value| judge.judge(*value).0.is_finite()));
}

#[test]
fn a_device_takes_less_than_a_kibibyte() {
    // With the three words that a boxed or shared state costs, whatever else the service keeps of the device.
    let bytes = size_of::<Detector>() + size_of::<Watch>() + 3 * size_of::<usize>();
    assert!(bytes < 1_024, "{bytes} bytes");
}
