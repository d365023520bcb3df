//! The bookkeeping of a closed loop, and its report.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// A reading of 120 bytes as squall's own JSON payload has it.
pub const PAYLOAD: &str = concat!(
    "{\"device\":\"http-00017\",\"seq\":123456,\"intended_ns\":12345678901,\"value\":21.5312,",
    "\"pad\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"
);

/// What a run is asked for on the command line: `PORT CLIENTS SECONDS [RATE]`.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub port: u16,
    pub clients: usize,
    pub length: Duration,
    /// Of all clients together, per second; 0 in a closed loop.
    pub rate: f64,
}

impl Order {
    /// Reads the command line.
    ///
    /// # Panics
    /// If it is not as it should be: the only caller is the bench.
    pub fn read() -> Self {
        let mut words = std::env::args().skip(1);
        let mut next = || words.next().expect("PORT CLIENTS SECONDS [RATE]");
        let (port, clients, seconds) = (next(), next(), next());
        Self {
            port: port.parse().expect("a port"),
            clients: clients.parse().expect("a number of clients"),
            length: Duration::from_secs_f64(seconds.parse().expect("seconds")),
            rate: words.next().map_or(0.0, |rate| rate.parse().expect("a rate")),
        }
    }
}

/// What all clients record together.
pub struct Tally {
    histogram: RefCell<Histogram<u64>>,
    lag: RefCell<Histogram<u64>>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram =
            || RefCell::new(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("sound bounds"));
        Self { histogram: histogram(), lag: histogram() }
    }
}

impl Tally {
    /// A message that was sent at `sent` has been answered now.
    pub fn answered(&self, sent: Instant) {
        self.histogram.borrow_mut().saturating_record(ns(sent.elapsed()));
    }

    /// A message was sent `late` after it could and should have been.
    pub fn lagged(&self, late: Duration) {
        self.lag.borrow_mut().saturating_record(ns(late));
    }

    /// Prints what `seconds` of load came to, as JSON.
    pub fn print(&self, seconds: f64) {
        let (times, lag) = (self.histogram.borrow(), self.lag.borrow());
        let us = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1e3;
        println!(
            "{{\"completed\":{},\"seconds\":{seconds:.3},\"p50_us\":{:.1},\"p99_us\":{:.1},\"lag_p50_us\":{:.1},\"lag_p99_us\":{:.1}}}",
            times.len(),
            us(&times, 0.5),
            us(&times, 0.99),
            us(&lag, 0.5),
            us(&lag, 0.99)
        );
    }
}

fn ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1)
}
