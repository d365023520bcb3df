//! What normal data of every kind cry for nothing: less than one reading in a thousand may alert.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Poisson, StandardNormal, StudentT};

use super::{Judge, judge};
use crate::reference::reading::Level;
use crate::seed::{Seed, Stream};

/// Value number n of a device, drawn from a stream.
type Course = Box<dyn Fn(u32, &mut Stream) -> f64>;

fn normal(stream: &mut Stream) -> f64 {
    StandardNormal.sample(stream)
}

fn laplace(stream: &mut Stream) -> f64 {
    let size: f64 = Exp1.sample(stream);
    if stream.random::<bool>() { size } else { -size }
}

/// 10 and 20 by turns, `half` readings each.
fn square(nth: u32, half: u32) -> f64 {
    f64::from(10 + nth / half % 2 * 10)
}

/// From 0 to 10 within `period` readings, and down at once.
fn saw_tooth(nth: u32, period: u32) -> f64 {
    10.0 * f64::from(nth % period) / f64::from(period)
}

fn wave(nth: u32, period: f64) -> f64 {
    (TAU * f64::from(nth) / period).sin()
}

/// How many of the courses are without jumps: the first ones.
const SMOOTH: usize = 9;

fn courses() -> Vec<(String, Course)> {
    let mut all: Vec<(String, Course)> = vec![
        ("Gaussian".into(), Box::new(|_, stream| 20.0 + 0.2 * normal(stream))),
        ("Laplace".into(), Box::new(|_, stream| 20.0 + 0.2 * laplace(stream))),
        ("Student's t, 3 degrees".into(), {
            let law = StudentT::new(3.0).unwrap();
            Box::new(move |_, stream| 20.0 + 0.2 * law.sample(stream))
        }),
        ("seasonal".into(), Box::new(|nth, stream| 20.0 + 2.0 * wave(nth, 288.0) + 0.2 * normal(stream))),
        ("seasonal, without noise".into(), Box::new(|nth, _| 20.0 + 2.0 * wave(nth, 100.0))),
        ("days and weekends".into(), {
            let height = |nth: u32| if nth / 288 % 7 < 5 { 2.0 } else { 0.7 };
            Box::new(move |nth, stream| 20.0 + height(nth) * wave(nth, 288.0) + 0.2 * normal(stream))
        }),
        ("tied, rounded".into(), Box::new(|_, stream| 20.0 + 0.1 * (2.0 * normal(stream)).round())),
        ("tied, counts".into(), {
            let law = Poisson::new(1.0).unwrap();
            Box::new(move |_, stream| law.sample(stream))
        }),
        ("constant".into(), Box::new(|_, _| 20.0)),
        ("tied, one in ten".into(), Box::new(|_, stream| f64::from(u8::from(stream.random::<f64>() < 0.1)))),
    ];
    for length in [10, 25, 50, 100, 200] {
        let name = |kind: &str| format!("{kind} of {length}");
        all.push((name("square"), Box::new(move |nth, _| square(nth, length))));
        let noisy = move |nth, stream: &mut Stream| square(nth, length) + 0.2 * normal(stream);
        all.push((name("noisy square"), Box::new(noisy)));
        all.push((name("saw-tooth"), Box::new(move |nth, _| saw_tooth(nth, length))));
        let noisy = move |nth, stream: &mut Stream| saw_tooth(nth, length) + 0.2 * normal(stream);
        all.push((name("noisy saw-tooth"), Box::new(noisy)));
    }
    all
}

/// Alerts of `devices` devices with `readings` readings each, per 1 000 readings.
fn alarms(course: &Course, devices: u64, readings: u32) -> f64 {
    let mut alarms = 0;
    for device in 0..devices {
        let mut stream = Seed(1).stream("test/noise", device);
        let mut judge: Judge = judge();
        let flagged = (0..readings).filter(|nth| judge.judge(course(*nth, &mut stream)).1 > Level::None);
        alarms += flagged.count();
    }
    1e3 * alarms as f64 / (devices * u64::from(readings)) as f64
}

#[test]
fn fewer_than_one_normal_reading_in_a_thousand_alerts_whatever_the_data() {
    println!("false alarms per 1 000");
    let mut loud = Vec::new();
    for (name, course) in courses() {
        let alarms = alarms(&course, 10, 10_000);
        println!("{name}: {alarms:.2}");
        if alarms >= 1.0 {
            loud.push((name, alarms));
        }
    }
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn a_young_device_is_no_louder_where_its_data_have_no_jumps() {
    for (name, course) in courses().into_iter().take(SMOOTH) {
        let alarms = alarms(&course, 100, 300);
        println!("{name}: {alarms:.2}");
        assert!(alarms < 1.0, "{name}: {alarms}");
    }
}

#[test]
fn what_recurs_is_learned() {
    for (name, course) in courses().into_iter().skip(SMOOTH) {
        let mut stream = Seed(2).stream("test/noise", 0);
        let mut judge = judge();
        let (mut early, mut late) = (0, 0);
        for nth in 0..6_000 {
            let flagged = judge.judge(course(nth, &mut stream)).1 > Level::None;
            *(if nth < 3_000 { &mut early } else { &mut late }) += u32::from(flagged);
        }
        println!("{name}: {early} at first, {late} later");
        assert!(early <= 10 && late <= 1, "{name}: {early} at first, {late} later");
    }
}
