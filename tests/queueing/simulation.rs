//! Lindley's recursion: what a queue does to given arrivals and services, and how far chance takes its percentiles.

use squall::seed::{Seed, Stream};

use super::theory::{Queue, Service};
use rand::RngExt;

/// The figures of one sample of response times, seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures(pub(crate) [f64; 4]);

pub(crate) const NAMES: [&str; 4] = ["mean", "p50", "p90", "p99"];
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

impl Figures {
    /// Of a sample that is not empty.
    pub(crate) fn of(mut times: Vec<f64>) -> Self {
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        times.sort_by(f64::total_cmp);
        let at = |q: f64| times[((times.len() as f64 * q).ceil() as usize).clamp(1, times.len()) - 1];
        Self([mean, at(QUANTILES[0]), at(QUANTILES[1]), at(QUANTILES[2])])
    }

    /// By the closed formulas.
    pub(crate) fn expected(queue: Queue) -> Self {
        Self([
            queue.mean(),
            queue.quantile(QUANTILES[0]),
            queue.quantile(QUANTILES[1]),
            queue.quantile(QUANTILES[2]),
        ])
    }

    /// Of the waits alone, by the closed formulas.
    pub(crate) fn expected_waits(queue: Queue) -> Self {
        let wait = |q| queue.wait_quantile(q);
        let mean = queue.mean() - queue.mean_service;
        Self([mean, wait(QUANTILES[0]), wait(QUANTILES[1]), wait(QUANTILES[2])])
    }
}

/// Service times in the order of arrival.
#[derive(Debug)]
pub(crate) struct Services {
    queue: Queue,
    stream: Stream,
}

impl Services {
    pub(crate) fn new(queue: Queue, seed: Seed, label: &str) -> Self {
        Self { queue, stream: seed.stream(label, 0) }
    }

    pub(crate) fn next(&mut self) -> f64 {
        match self.queue.service {
            Service::Deterministic => self.queue.mean_service,
            Service::Exponential => -(1.0 - self.stream.random::<f64>()).ln() * self.queue.mean_service,
        }
    }
}

/// Response times of customers who arrive at `arrivals`, which do not go back: d = max(a, d of the one before) + s
/// (Lindley 1952).
pub(crate) fn responses(arrivals: &[f64], services: &mut Services) -> Vec<f64> {
    let mut departed = 0.0_f64;
    let respond = |&arrival: &f64| {
        departed = departed.max(arrival) + services.next();
        departed - arrival
    };
    arrivals.iter().map(respond).collect()
}

/// The times that the same customers wait before their services begin.
pub(crate) fn waits(arrivals: &[f64], services: &mut Services) -> Vec<f64> {
    let mut departed = 0.0_f64;
    let wait = |&arrival: &f64| {
        let begin = departed.max(arrival);
        departed = begin + services.next();
        begin - arrival
    };
    arrivals.iter().map(wait).collect()
}

/// What a queue does to arrivals: [`responses`] or [`waits`].
pub(crate) type Path = fn(&[f64], &mut Services) -> Vec<f64>;

/// For each figure, how far below and above its average the middle 99 % of `replications` lie, and that average. Each begins
/// empty, like the run, and counts what arrives between `warm_up` and `end`.
pub(crate) fn spread(
    queue: Queue,
    path: Path,
    warm_up: f64,
    end: f64,
    replications: u64,
) -> [(f64, f64, f64); 4] {
    let mut found: [Vec<f64>; 4] = Default::default();
    for number in 0..replications {
        let mut stream = Seed(number).stream("replication", 0);
        let mut services = Services::new(queue, Seed(number), "service");
        let mut arrivals = Vec::new();
        let mut at = 0.0;
        loop {
            at -= (1.0 - stream.random::<f64>()).ln() / queue.lambda;
            if at >= end {
                break;
            }
            arrivals.push(at);
        }
        let times = path(&arrivals, &mut services);
        let counted = arrivals.iter().zip(times).filter(|(at, _)| **at >= warm_up).map(|(_, r)| r);
        for (all, one) in found.iter_mut().zip(Figures::of(counted.collect()).0) {
            all.push(one);
        }
    }
    found.map(|mut all| {
        all.sort_by(f64::total_cmp);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let at = |q: f64| all[((all.len() - 1) as f64 * q).round() as usize];
        (mean - at(0.005), at(0.995) - mean, mean)
    })
}
