//! The times of one kind of reading, added up from the files.

use hdrhistogram::Histogram;

use super::packed::{Bounds, add_values};
use super::row::Row;
use crate::results::Percentile;

/// Times of one kind of reading, nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the intended start, of all that ended.
    pub(crate) response: Option<Histogram<u64>>,
    /// From the actual start, of what ended ok.
    pub(crate) service: Option<Histogram<u64>>,
    /// The smallest bound that a failed one counts as.
    pub(crate) floor: Option<u64>,
}

impl Times {
    /// Forgets the times, not the bound: rows tell that, which are read before the log.
    pub(super) fn reset(&mut self) {
        let sums = [&mut self.response, &mut self.service];
        sums.into_iter().flatten().for_each(Histogram::reset);
    }

    pub(super) fn add(&mut self, times: &str, values: &[(u64, u64)], bounds: Bounds) {
        match times {
            "response" => add_values(&mut self.response, values, bounds),
            "service" => add_values(&mut self.service, values, bounds),
            _ => {}
        }
    }

    pub(super) fn bound(&mut self, row: Row<'_>) {
        self.floor = [self.floor, row.time("censored_floor_ms")].into_iter().flatten().min();
    }

    /// How many readings ended.
    pub(crate) fn samples(&self) -> u64 {
        self.response.as_ref().map_or(0, Histogram::len)
    }

    /// The response time at `fraction`, and whether it is only a lower bound; `None` if nothing ended.
    pub(crate) fn at(&self, fraction: f64) -> Option<Percentile> {
        let times = self.response.as_ref().filter(|times| !times.is_empty())?;
        let ns = if fraction < 1.0 { times.value_at_quantile(fraction) } else { times.max() };
        Some(Percentile { ns, censored: self.floor.is_some_and(|floor| floor <= ns) })
    }
}
