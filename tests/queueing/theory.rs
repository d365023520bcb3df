//! Closed formulas of the single-server queue with Poisson arrivals. Times in seconds, rates per second.

/// How long the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Always the same time: M/D/1.
    Deterministic,
    /// Exponentially distributed times: M/M/1.
    Exponential,
}

/// A queue in equilibrium.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    pub(crate) service: Service,
    /// Arrival rate.
    pub(crate) lambda: f64,
    /// Mean service time.
    pub(crate) mean_service: f64,
}

impl Queue {
    pub(crate) fn utilisation(self) -> f64 {
        self.lambda * self.mean_service
    }

    /// Mean response time: Pollaczek–Khinchine, W = λ E[S²] / 2(1 − ρ), with E[S²] = s² or 2s² (Kleinrock, Queueing
    /// Systems I, 1975, §5.6).
    pub(crate) fn mean(self) -> f64 {
        let second_moment = match self.service {
            Service::Deterministic => self.mean_service.powi(2),
            Service::Exponential => 2.0 * self.mean_service.powi(2),
        };
        self.mean_service + self.lambda * second_moment / (2.0 * (1.0 - self.utilisation()))
    }

    /// The wait that a share `q` of customers does not exceed: of M/M/1, P(W > t) = ρ exp(−(μ − λ) t) (Kleinrock 1975, §5.12);
    /// of M/D/1, the response time less the constant service.
    pub(crate) fn wait_quantile(self, q: f64) -> f64 {
        let wait = match self.service {
            Service::Deterministic => self.quantile(q) - self.mean_service,
            Service::Exponential => {
                (self.utilisation() / (1.0 - q)).ln() / (1.0 / self.mean_service - self.lambda)
            }
        };
        wait.max(0.0)
    }

    /// The response time that a share `q` of customers does not exceed.
    pub(crate) fn quantile(self, q: f64) -> f64 {
        match self.service {
            // The response time of M/M/1 is exponential with rate μ − λ (Kleinrock, §5.6).
            Service::Exponential => -(1.0 - q).ln() / (1.0 / self.mean_service - self.lambda),
            Service::Deterministic => {
                let at_most = self.cumulative_lengths();
                let (mut low, mut high) = (0.0, 60.0 * self.mean_service);
                for _ in 0..60 {
                    let middle = f64::midpoint(low, high);
                    if self.waits_at_most(middle, &at_most) < q { low = middle } else { high = middle }
                }
                self.mean_service + high
            }
        }
    }

    /// P(W ≤ x) of M/D/1 for (k − 1)D ≤ x < kD: `e^(−λ(kD−x)) Σ_{j<k} Q_{k−1−j} (λ(kD−x))^j / j!`, where `Q_m` is the
    /// probability that at most m wait, so at most m + 1 are in the system (Franx, A simple solution for the M/D/c waiting
    /// time distribution, Operations Research Letters 29, 2001). All terms are positive: nothing cancels, unlike in
    /// Erlang's series.
    fn waits_at_most(self, x: f64, at_most: &[f64]) -> f64 {
        let k = (x / self.mean_service).floor() as usize + 1;
        let u = self.lambda * (k as f64 * self.mean_service - x);
        let mut term = (-u).exp();
        let mut sum = 0.0;
        for j in 0..k {
            sum += term * at_most[k - j];
            term *= u / (j + 1) as f64;
        }
        sum
    }

    /// The probabilities that at most n are in the system of M/D/1, from the balance of flows across the cut between n − 1
    /// and n at departures: `p_n a_0 = p_0 P(A ≥ n) + Σ_{0<i<n} p_i P(A ≥ n − i + 1)`, A the Poisson number of arrivals in one
    /// service. Positive terms throughout.
    fn cumulative_lengths(self) -> Vec<f64> {
        const MOST: usize = 200;
        let rho = self.utilisation();
        let mut arrivals = vec![(-rho).exp()];
        for n in 1..=MOST {
            arrivals.push(arrivals[n - 1] * rho / n as f64);
        }
        let mut at_least = vec![0.0; MOST + 2];
        for n in (0..=MOST).rev() {
            at_least[n] = at_least[n + 1] + arrivals[n];
        }
        let mut lengths = vec![1.0 - rho];
        for n in 1..=MOST {
            let inner: f64 = (1..n).map(|i| lengths[i] * at_least[n - i + 1]).sum();
            lengths.push((lengths[0] * at_least[n] + inner) / arrivals[0]);
        }
        let mut sum = 0.0;
        lengths
            .into_iter()
            .map(|p| {
                sum += p;
                sum
            })
            .collect()
    }
}

#[test]
fn the_formulas_agree_with_textbook_values() {
    let queue = |service, rho| Queue { service, lambda: rho, mean_service: 1.0 };
    // M/M/1 at 0.5: exponential with mean 2.
    let exponential = queue(Service::Exponential, 0.5);
    assert!((exponential.mean() - 2.0).abs() < 1e-12);
    assert!((exponential.quantile(0.99) - 2.0 * 100_f64.ln()).abs() < 1e-9);
    for rho in [0.5, 0.7, 0.9] {
        let constant = queue(Service::Deterministic, rho);
        let lengths = constant.cumulative_lengths();
        // P(W = 0) = 1 − ρ, whatever the service; and P(W ≤ D−) = (1 − ρ) e^ρ (Erlang 1909).
        assert!((constant.waits_at_most(0.0, &lengths) - (1.0 - rho)).abs() < 1e-12);
        assert!((constant.waits_at_most(1.0 - 1e-12, &lengths) - (1.0 - rho) * rho.exp()).abs() < 1e-9);
        // The mean is the integral of the tail.
        let steps = 60_000;
        let tail = (0..steps).map(|i| 1.0 - constant.waits_at_most((f64::from(i) + 0.5) / 1_000.0, &lengths));
        let mean = 1.0 + tail.sum::<f64>() / 1_000.0;
        assert!((mean - constant.mean()).abs() < 0.002 * mean, "{rho}: {mean} against {}", constant.mean());
    }
}
