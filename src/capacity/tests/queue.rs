//! Simulated services: queues by Lindley's recursion, with the factor at which they keep to a budget by the closed formulas.

use rand::RngExt as _;

use crate::capacity::{Probe, Verdict};
use crate::seed::Stream;
use theory::{Queue, Service};

#[expect(dead_code, reason = "the tests of live queues use all of it")]
#[path = "../../../tests/queueing/theory.rs"]
mod theory;

/// The budget is on this percentile.
const QUANTILE: f64 = 0.9;
/// Of the readings of a probe, so many come first and are not counted.
const WARM_UP: f64 = 0.2;
/// How long a cliff takes below and above its edge, in units of the budget.
const CLIFF: [f64; 2] = [0.5, 20.0];

/// The kinds of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// M/D/1.
    Constant,
    /// M/M/1.
    Exponential,
    /// M/M/4.
    Four,
    /// Keeps to its budget up to some load, and never above.
    Cliff,
}

/// A simulated service. Its mean service time is 1 (4 of M/M/4), so that it saturates at one reading per unit of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simulated {
    pub(crate) kind: Kind,
    /// The utilisation at which the budget is just met.
    pub(crate) edge: f64,
    /// The bound of the budget.
    bound: f64,
    /// The load factor at which the budget is just met.
    pub(crate) truth: f64,
    /// Readings of a probe.
    readings: usize,
}

impl Simulated {
    /// A service that just meets its budget at utilisation `edge` and load factor `truth`.
    pub(crate) fn new(kind: Kind, edge: f64, truth: f64, readings: usize) -> Self {
        let single = |service| Queue { service, lambda: edge, mean_service: 1.0 }.quantile(QUANTILE);
        let bound = match kind {
            Kind::Constant => single(Service::Deterministic),
            Kind::Exponential => single(Service::Exponential),
            Kind::Four => many_quantile(edge),
            Kind::Cliff => 1.0,
        };
        Self { kind, edge, bound, truth, readings }
    }

    /// One probe at `factor`.
    pub(crate) fn probe(&self, number: u32, factor: f64, stream: &mut Stream) -> Probe {
        self.slowed(1.0, number, factor, stream)
    }

    /// One probe at `factor` while everything takes `slower` times as long.
    pub(crate) fn slowed(&self, slower: f64, number: u32, factor: f64, stream: &mut Stream) -> Probe {
        let lambda = self.edge * factor / self.truth;
        let measured = match self.kind {
            Kind::Cliff => CLIFF[usize::from(factor * slower > self.truth)] * slower,
            _ => self.measured(lambda * slower, stream) * slower,
        };
        let mut probe = judged(number, factor, measured / self.bound);
        probe.goodput_per_s = lambda.min(1.0 / slower);
        probe
    }

    /// The percentile of one probe.
    fn measured(&self, lambda: f64, stream: &mut Stream) -> f64 {
        let servers = if self.kind == Kind::Four { 4 } else { 1 };
        let mean_service = servers as f64;
        let mut free = vec![0.0_f64; servers];
        let (mut now, mut times) = (0.0, Vec::with_capacity(self.readings));
        let warm_up = (self.readings as f64 * WARM_UP) as usize;
        for reading in 0..self.readings + warm_up {
            now += exponential(stream) / lambda;
            let service = match self.kind {
                Kind::Constant => mean_service,
                _ => mean_service * exponential(stream),
            };
            // First come, first served: the server that is free first (Kiefer and Wolfowitz 1955; Lindley 1952 for one).
            let next = (0..servers).fold(0, |best, own| if free[own] < free[best] { own } else { best });
            free[next] = free[next].max(now) + service;
            if reading >= warm_up {
                times.push(free[next] - now);
            }
        }
        let rank = (times.len() as f64 * QUANTILE).ceil() as usize - 1;
        *times.select_nth_unstable_by(rank, f64::total_cmp).1
    }
}

/// A probe that uses so much of its budget.
pub(crate) fn judged(number: u32, factor: f64, usage: f64) -> Probe {
    Probe {
        number,
        factor,
        offered_per_s: factor,
        goodput_per_s: factor,
        p50_ms: None,
        p99_ms: None,
        usage: Some(usage),
        verdict: if usage < 1.0 { Verdict::Met } else { Verdict::Missed },
    }
}

fn exponential(stream: &mut Stream) -> f64 {
    -(1.0 - stream.random::<f64>()).ln()
}

/// The quantile of the response time of M/M/4 with mean service time 4 at utilisation `rho`: the sum of a service and, with Erlang's
/// probability C, a wait that is exponential with rate 4µ − λ (Kleinrock, *Queueing Systems* I, 1975, §3.5).
fn many_quantile(rho: f64) -> f64 {
    let (mu, load) = (0.25, 4.0 * rho);
    let terms: Vec<f64> = (0..4).map(|k| load.powi(k) / (1..=k).map(f64::from).product::<f64>()).collect();
    let last = load.powi(4) / 24.0 / (1.0 - rho);
    let erlang = last / (terms.iter().sum::<f64>() + last);
    let rate = 1.0 - rho;
    let beyond = |t: f64| {
        let both = (rate * (-mu * t).exp() - mu * (-rate * t).exp()) / (rate - mu);
        (1.0 - erlang) * (-mu * t).exp() + erlang * both
    };
    let (mut low, mut high) = (0.0, 1_000.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if beyond(middle) > 1.0 - QUANTILE { low = middle } else { high = middle }
    }
    high
}

#[test]
fn long_simulations_agree_with_the_closed_formulas() {
    let mut stream = crate::seed::Seed(5).stream("test", 0);
    for kind in [Kind::Constant, Kind::Exponential, Kind::Four] {
        for edge in [0.5, 0.7] {
            let simulated = Simulated::new(kind, edge, 1.0, 150_000);
            let usage = simulated.probe(1, 1.0, &mut stream).usage.unwrap();
            assert!((usage - 1.0).abs() < 0.03, "{kind:?} at {edge}: {usage}");
        }
    }
}
