//! What the detector finds of the anomalies that the quickstart's fleets are seeded with, and what it cries for nothing.
//!
//! A spike is found if its own reading is flagged, any other anomaly if a reading of its marked window is. Readings without
//! a mark are normal, and a flag there is a false alarm. The first 20 readings of a device are not seeded.

use std::sync::Arc;

use super::judge;
use crate::clock::Tick;
use crate::fleet::{AnomalySpec, Channel, ClockSpec, Device, DeviceModel, Payload, Shape, SignalSpec};
use crate::record::AnomalyKind;
use crate::reference::reading::Level;
use crate::seed::Seed;

#[derive(Debug, Default)]
struct Score {
    spikes: (u32, u32),
    shifts: (u32, u32),
    normal: u32,
    alarms: u32,
}

/// The quickstart's fleets: name, signal with its anomalies, readings per second.
fn signals() -> [(&'static str, SignalSpec, f64); 3] {
    let anomalies =
        |size| AnomalySpec { spikes: 0.002, shifts: 0.0005, size, after: 20, ..AnomalySpec::default() };
    let spec = |shape, noise, size| SignalSpec { shape, noise, anomalies: anomalies(size) };
    let sine = Shape::Sine { level: 230.0, amplitude: 4.0, period_ns: 20_000_000_000 };
    let walk = Shape::Walk { level: 55.0, step: 0.05, range: 6.0 };
    [
        ("meters", spec(sine, 0.3, 3.0), 2.0),
        ("machines", spec(walk, 0.1, 10.0), 3.0),
        ("sensors", spec(Shape::Constant { level: 21.5 }, 0.05, 6.0), 3.0),
    ]
}

fn run(fleet: &str, signal: &SignalSpec, rate: f64, devices: u32, readings: u32) -> Score {
    let channels = vec![Channel { name: "value".into(), signal: signal.clone() }];
    let (payload, clock) = (Payload::default(), ClockSpec::default());
    let model = Arc::new(DeviceModel { fleet: fleet.into(), channels, payload, clock, trace: None });
    let mut score = Score::default();
    for index in 0..devices {
        let mut device = Device::new(&model, index, Tick::ZERO, Seed(1));
        let (mut judge, mut at, mut episode, mut found) = (judge(), 0.0, 0, 0);
        let mut gaps = Seed(2).stream("test/score", u64::from(index));
        for _ in 0..readings {
            at += exponential(&mut gaps) / rate;
            let reading = device.reading(Tick((at * 1e9) as u64));
            let flagged = judge.judge(reading.values.as_slice()[0]).1 > Level::None;
            let Some(mark) = reading.mark else {
                score.normal += 1;
                score.alarms += u32::from(flagged);
                continue;
            };
            let kind = if mark.kind == AnomalyKind::Spike { &mut score.spikes } else { &mut score.shifts };
            kind.1 += u32::from(mark.episode != episode);
            episode = mark.episode;
            if flagged && found != episode {
                kind.0 += 1;
                found = episode;
            }
        }
    }
    score
}

fn exponential(stream: &mut crate::seed::Stream) -> f64 {
    use rand_distr::{Distribution, Exp1};
    Exp1.sample(stream)
}

#[test]
fn the_quickstarts_anomalies_are_found_in_short_runs_and_in_long_ones() {
    for (devices, readings) in [(800, 115), (150, 600)] {
        for (fleet, signal, rate) in signals() {
            let Score { spikes, shifts, normal, alarms } = run(fleet, &signal, rate, devices, readings);
            let share = |(found, seeded): (u32, u32)| f64::from(found) / f64::from(seeded);
            let false_alarms = f64::from(alarms) / f64::from(normal);
            println!("{fleet}, {readings}: {spikes:?}, {shifts:?}, {alarms} of {normal}");
            let all = (spikes.0 + shifts.0, spikes.1 + shifts.1);
            assert!(share(all) >= 0.95 && share(shifts) >= 0.9, "{fleet}: {spikes:?} {shifts:?}");
            assert!(false_alarms <= 0.001, "{fleet}: {alarms} of {normal}");
        }
    }
}
