//! What an inference costs: processor time that is really spent, or time alone.

use rand_distr::{Distribution, Exp1, StandardNormal};

use crate::clock::{Monotonic, Tick};
use crate::seed::{Seed, Stream};
use crate::service::{CostDistribution, CostKind, Inference};
use crate::units::Span;

/// Costs of one worker's inferences, one after the other.
#[derive(Debug)]
pub(in crate::reference) struct Costs {
    setup: Inference,
    /// The challenger's mean, where it is another.
    challenger: Option<Span>,
    stream: Stream,
}

impl Costs {
    /// The costs of worker `index`: the same with every start.
    pub(in crate::reference) fn new(setup: Inference, challenger: Option<Span>, index: usize) -> Self {
        Self { setup, challenger, stream: Seed(0).stream("reference/cost", index as u64) }
    }

    /// Whether the time is only waited for.
    pub(in crate::reference) fn is_wait(&self) -> bool {
        self.setup.labour == CostKind::Wait
    }

    /// Whether no inference costs anything.
    pub(in crate::reference) fn is_free(&self) -> bool {
        self.setup.is_free() && self.challenger.is_none_or(|cost| cost == Span::ZERO)
    }

    /// What the next inference costs, of `readings` readings; `slowdown` multiplies it. Nanoseconds.
    pub(in crate::reference) fn next(&mut self, is_challenger: bool, readings: usize, slowdown: f64) -> u64 {
        let mean = self.challenger.filter(|_| is_challenger).unwrap_or(self.setup.cost);
        let factor = match self.setup.law {
            _ if mean == Span::ZERO => 0.0,
            CostDistribution::Constant => 1.0,
            CostDistribution::Exponential => Exp1.sample(&mut self.stream),
            CostDistribution::LogNormal => {
                let normal: f64 = StandardNormal.sample(&mut self.stream);
                // The mean of exp(N(μ, 1)) is exp(μ + ½).
                (normal - 0.5).exp()
            }
        };
        let total = mean.as_ns() as f64 * factor + self.setup.per_reading.as_ns() as f64 * readings as f64;
        (total * slowdown) as u64
    }

    /// Spends `cost` nanoseconds on the calling thread.
    pub(in crate::reference) fn spend(&self, clock: Monotonic, cost: u64) {
        if cost == 0 {
            return;
        }
        if self.is_wait() {
            std::thread::sleep(std::time::Duration::from_nanos(cost));
            return;
        }
        // The processor is kept busy: an inference that slept would leave it to others, as no real one does.
        let end: Tick = clock.now().plus_ns(cost);
        while clock.now() < end {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(law: CostDistribution) -> Vec<f64> {
        let setup = Inference { cost: Span::from_ms(2), law, ..Inference::default() };
        let mut costs = Costs::new(setup, None, 0);
        (0..200_000).map(|_| costs.next(false, 1, 1.0) as f64 / 1e6).collect()
    }

    #[test]
    fn every_law_has_the_mean_that_was_asked_for() {
        for (law, variation) in [
            (CostDistribution::Constant, 0.0),
            (CostDistribution::Exponential, 1.0),
            (CostDistribution::LogNormal, 1.31),
        ] {
            let costs = costs(law);
            let mean = costs.iter().sum::<f64>() / costs.len() as f64;
            let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / costs.len() as f64;
            assert!((mean - 2.0).abs() < 0.03, "{}: {mean}", law.name());
            // Of the log-normal with shape 1 it is √(e − 1); its heavy tail makes the sample's own vary.
            assert!((variance.sqrt() / mean - variation).abs() < 0.12, "{}: {variance}", law.name());
        }
    }

    #[test]
    fn readings_of_a_batch_share_the_cost_and_the_challenger_has_its_own() {
        let setup =
            Inference { cost: Span::from_ns(1_000), per_reading: Span::from_ns(10), ..Inference::default() };
        let mut costs = Costs::new(setup, Some(Span::from_ns(500)), 0);
        assert_eq!(
            [costs.next(false, 8, 1.0), costs.next(true, 1, 1.0), costs.next(false, 1, 2.0)],
            [1_080, 510, 2_020]
        );
    }
}
