//! The aligned law: every device at the same multiples of the period, each a little late.

use rand::RngExt;

use crate::seed::Stream;

/// The n-th point lies at n × period, plus a uniform displacement below the spread.
#[derive(Debug, Clone)]
pub(super) struct Aligned {
    period_ns: f64,
    /// At most the period, so that points never change places.
    spread_ns: f64,
    next: f64,
}

impl Aligned {
    pub(super) fn new(period_ns: f64, spread_ns: f64) -> Self {
        Self { period_ns, spread_ns: spread_ns.min(period_ns), next: 0.0 }
    }

    /// The next point, nanoseconds of operational time.
    pub(super) fn next(&mut self, stream: &mut Stream) -> f64 {
        let at = self.next * self.period_ns + self.spread_ns * stream.random::<f64>();
        self.next += 1.0;
        at
    }

    /// The expected number of points before `operational` nanoseconds.
    pub(super) fn expected(&self, operational: f64) -> f64 {
        // Division may round across a grid point; the products are what `next` compares to.
        let mut whole = (operational / self.period_ns).floor().max(0.0);
        if whole * self.period_ns > operational {
            whole -= 1.0;
        }
        if (whole + 1.0) * self.period_ns <= operational {
            whole += 1.0;
        }
        let into = operational - whole * self.period_ns;
        if into <= 0.0 {
            whole.max(0.0)
        } else if into >= self.spread_ns {
            whole + 1.0
        } else {
            whole + into / self.spread_ns
        }
    }
}
