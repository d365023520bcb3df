//! The laws against theory: distributions of gaps and of the first instant, and dispersion of counts.

use std::sync::Arc;

use super::statistic::dispersion;
use crate::arrival::renewal::Gap;
use crate::arrival::variate::exponential;
use crate::arrival::*;
use crate::seed::Seed;
use crate::seed::tests::statistic::kolmogorov_smirnov;
use crate::units::Span;

const SECOND: u64 = 1_000_000_000;
const DRAWS: usize = 100_000;

/// A law with the distribution of its gaps and the length-biased one, both with mean gap 1 and written anew here.
struct Theory {
    process: ArrivalProcess,
    cdf: Box<dyn Fn(f64) -> f64>,
    biased: Box<dyn Fn(f64) -> f64>,
}

/// Regularised lower incomplete gamma function by its series (Abramowitz & Stegun 6.5.29).
fn incomplete_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= x / (a + n);
        sum += term;
        n += 1.0;
    }
    (sum.ln() + a * x.ln() - x - libm::lgamma(a + 1.0)).exp().min(1.0)
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / 2.0_f64.sqrt())
}

fn gamma(shape: f64) -> Theory {
    Theory {
        process: ArrivalProcess::Gamma { shape },
        cdf: Box::new(move |x| incomplete_gamma(shape, x * shape)),
        biased: Box::new(move |x| incomplete_gamma(shape + 1.0, x * shape)),
    }
}

fn erlang_3() -> Theory {
    let poisson_below = |k: i32, x: f64| {
        let terms: f64 = (0..k).map(|n| x.powi(n) / libm::tgamma(f64::from(n) + 1.0)).sum();
        1.0 - (-x).exp() * terms
    };
    Theory {
        process: ArrivalProcess::Gamma { shape: 3.0 },
        cdf: Box::new(move |x| poisson_below(3, 3.0 * x)),
        biased: Box::new(move |x| poisson_below(4, 3.0 * x)),
    }
}

fn log_normal(sigma: f64) -> Theory {
    Theory {
        process: ArrivalProcess::LogNormal { sigma },
        cdf: Box::new(move |x| normal_cdf((x.ln() + 0.5 * sigma * sigma) / sigma)),
        biased: Box::new(move |x| normal_cdf((x.ln() - 0.5 * sigma * sigma) / sigma)),
    }
}

fn pareto(tail: f64) -> Theory {
    let least = 1.0 - 1.0 / tail;
    let cdf = move |tail: f64, x: f64| 1.0 - (least / x).min(1.0).powf(tail);
    Theory {
        process: ArrivalProcess::Pareto { tail },
        cdf: Box::new(move |x| cdf(tail, x)),
        biased: Box::new(move |x| cdf(tail - 1.0, x)),
    }
}

/// Times in mean gaps: `on` and `off` sojourns. Solves the two-state chain's equations by their textbook roots.
fn on_off(on: f64, off: f64) -> Theory {
    let (lambda, r, s) = ((on + off) / on, 1.0 / on, 1.0 / off);
    let sum = lambda + r + s;
    let root = (sum * sum - 4.0 * lambda * s).sqrt();
    let (fast, slow) = (0.5 * (sum + root), 0.5 * (sum - root));
    let share = (lambda - slow) / (fast - slow);
    let exp = |rate: f64, x: f64| 1.0 - (-rate * x).exp();
    let biased = move |rate: f64, x: f64| 1.0 - (1.0 + rate * x) * (-rate * x).exp();
    Theory {
        process: ArrivalProcess::OnOff { on: Span::from_secs_f64(on), off: Span::from_secs_f64(off) },
        cdf: Box::new(move |x| share * exp(fast, x) + (1.0 - share) * exp(slow, x)),
        biased: Box::new(move |x| share / fast * biased(fast, x) + (1.0 - share) / slow * biased(slow, x)),
    }
}

fn theories() -> Vec<Theory> {
    vec![
        Theory {
            process: ArrivalProcess::Poisson,
            cdf: Box::new(|x| 1.0 - (-x).exp()),
            biased: Box::new(|x| 1.0 - (1.0 + x) * (-x).exp()),
        },
        erlang_3(),
        gamma(0.3),
        gamma(7.5),
        log_normal(0.5),
        log_normal(2.0),
        pareto(1.5),
        pareto(4.0),
        on_off(2.0, 3.0),
        on_off(0.2, 20.0),
    ]
}

#[test]
fn gaps_are_distributed_by_their_law() {
    for (index, Theory { process, cdf, .. }) in theories().into_iter().enumerate() {
        let mut stream = Seed(31).stream("arrival/test", index as u64);
        let gap = Gap::new(&process, 1e9).unwrap();
        let gaps = (0..DRAWS).map(|_| gap.sample(&mut stream) / 1e9).collect();
        let p = kolmogorov_smirnov(gaps, cdf);
        assert!(p > 0.001, "{process:?}: p = {p}");
    }
}

#[test]
fn the_first_instant_is_distributed_as_in_equilibrium() {
    for (index, Theory { process, cdf, biased }) in theories().into_iter().enumerate() {
        let mut stream = Seed(32).stream("arrival/test", index as u64);
        let gap = Gap::new(&process, 1e9).unwrap();
        let firsts = (0..20_000).map(|_| gap.residual(&mut stream) / 1e9).collect();
        // ∫₀ˣ (1 − F) by parts: Cox, Renewal Theory, §5.2.
        let p = kolmogorov_smirnov(firsts, |x| x * (1.0 - cdf(x)) + biased(x));
        assert!(p > 0.001, "{process:?}: p = {p}");
    }
}

#[test]
fn the_gaps_of_the_on_off_law_are_those_of_simulated_sojourns() {
    let (on, off) = (2.0, 3.0);
    let lambda = (on + off) / on;
    let mut stream = Seed(33).stream("arrival/test", 0);
    let mut gaps = Vec::with_capacity(DRAWS);
    let (mut gap, mut left) = (0.0, on * exponential(&mut stream));
    while gaps.len() < DRAWS {
        let wait = exponential(&mut stream) / lambda;
        if wait < left {
            left -= wait;
            gaps.push(gap + wait);
            gap = 0.0;
        } else {
            gap += left + off * exponential(&mut stream);
            left = on * exponential(&mut stream);
        }
    }
    let p = kolmogorov_smirnov(gaps, on_off(on, off).cdf);
    assert!(p > 0.001, "p = {p}");
}

/// Dispersion of the counts of `windows` windows of `window_ns`, at 10 readings a second.
fn drawn_dispersion(process: &ArrivalProcess, window_ns: u64, windows: usize) -> f64 {
    let end = Tick(window_ns * windows as u64);
    let load = Load::new(vec![Stretch { start: Tick::ZERO, end, shape: Shape::Flat(1.0) }]);
    let rate = Rate::per_second(10.0).unwrap();
    let due: Vec<_> =
        Arrivals::new(process, rate, None, Arc::new(load), Seed(5).stream("arrival/test", 0)).collect();
    assert!(due.len() > DRAWS, "{process:?}: {}", due.len());
    dispersion(&due, window_ns, windows)
}

#[test]
fn poisson_counts_are_as_dispersed_as_poisson_and_constant_ones_are_not() {
    let poisson = drawn_dispersion(&ArrivalProcess::Poisson, SECOND, 20_000);
    assert!((poisson - 1.0).abs() < 0.03, "{poisson}");
    let constant = drawn_dispersion(&ArrivalProcess::Constant { jitter: 0.1 }, SECOND, 12_000);
    assert!(constant < 0.1, "{constant}");
    let aligned = drawn_dispersion(&ArrivalProcess::Aligned { spread: Span::from_ms(100) }, SECOND, 12_000);
    assert!(aligned < 0.1, "{aligned}");
}

#[test]
fn counts_over_long_windows_are_as_dispersed_as_the_law_says() {
    let rate = Rate::per_second(10.0).unwrap();
    for process in [
        ArrivalProcess::Gamma { shape: 4.0 },
        ArrivalProcess::Gamma { shape: 0.5 },
        ArrivalProcess::LogNormal { sigma: 0.7 },
        ArrivalProcess::Pareto { tail: 6.0 },
        ArrivalProcess::OnOff { on: Span::from_ms(200), off: Span::from_ms(300) },
    ] {
        let (drawn, expected) = (drawn_dispersion(&process, 10 * SECOND, 2_000), process.dispersion(rate));
        // 2 000 windows: the variance's relative standard deviation is √(2 ÷ 2 000) = 3.2 %.
        assert!((drawn / expected - 1.0).abs() < 0.12, "{process:?}: {drawn} for {expected}");
    }
}

#[test]
fn on_off_counts_are_dispersed_as_the_cookbook_says_at_every_window() {
    // Fischer & Meier-Hellstern (1993), index of dispersion of the two-state MMPP with the second rate 0:
    // 1 + K (1 − (1 − e^(−at)) ÷ (at)), a = r + s, K = 2 λ r ÷ a².
    let (on, off) = (0.3_f64, 0.2_f64);
    let process = ArrivalProcess::OnOff { on: Span::from_secs_f64(on), off: Span::from_secs_f64(off) };
    let (lambda, r, s) = (10.0 * (on + off) / on, 1.0 / on, 1.0 / off);
    let (a, window) = (r + s, 0.25);
    let k = 2.0 * lambda * r / (a * a);
    let expected = 1.0 + k * (1.0 - (1.0 - (-a * window).exp()) / (a * window));
    let drawn = drawn_dispersion(&process, SECOND / 4, 60_000);
    assert!((drawn / expected - 1.0).abs() < 0.05, "{drawn} for {expected}");
    assert!((process.dispersion(Rate::per_second(10.0).unwrap()) - (1.0 + k)).abs() < 1e-9);
}

#[test]
fn the_limits_of_dispersion_are_those_of_the_literature() {
    let rate = Rate::per_second(2.0).unwrap();
    let none = Recording::new(Box::default());
    let second = Span::from_ms(1_000);
    for (process, expected) in [
        (ArrivalProcess::Constant { jitter: 0.3 }, 0.0),
        (ArrivalProcess::Poisson, 1.0),
        (ArrivalProcess::Gamma { shape: 0.25 }, 4.0),
        (ArrivalProcess::LogNormal { sigma: 1.0 }, std::f64::consts::E - 1.0),
        (ArrivalProcess::Pareto { tail: 3.0 }, 1.0 / 3.0),
        (ArrivalProcess::Pareto { tail: 2.0 }, f64::INFINITY),
        (ArrivalProcess::OnOff { on: second, off: second }, 3.0),
        (ArrivalProcess::OnOff { on: second, off: Span::ZERO }, 1.0),
        (ArrivalProcess::Aligned { spread: second }, 0.0),
        (ArrivalProcess::Recorded { times: none, device: 0, devices: 1 }, 0.0),
    ] {
        let drawn = process.dispersion(rate);
        assert!(
            drawn.total_cmp(&expected).is_eq() || (drawn - expected).abs() < 1e-9,
            "{process:?}: {drawn}"
        );
    }
}

#[test]
fn draws_are_fixed_for_ever() {
    // Guards stored plan digests: the samplers rest on libm and exact operations only, so these bits hold anywhere.
    let bits = |process: &ArrivalProcess| {
        let mut stream = Seed(1).stream("arrival/test", 0);
        let gap = Gap::new(process, 1e9).unwrap();
        (0..1_000).fold(0_u64, |hash, _| hash.rotate_left(5) ^ gap.sample(&mut stream).to_bits())
    };
    let seconds = |secs| Span::from_secs_f64(secs);
    for (process, expected) in [
        (ArrivalProcess::Poisson, 12_147_687_721_647_996_623),
        (ArrivalProcess::Gamma { shape: 0.5 }, 8_146_043_706_216_949_568),
        (ArrivalProcess::Gamma { shape: 3.0 }, 1_457_020_057_370_914_125),
        (ArrivalProcess::LogNormal { sigma: 1.0 }, 4_011_882_669_468_133_853),
        (ArrivalProcess::Pareto { tail: 1.5 }, 12_106_960_724_273_939_623),
        (ArrivalProcess::OnOff { on: seconds(2.0), off: seconds(3.0) }, 14_654_803_591_427_858_191),
    ] {
        assert_eq!(bits(&process), expected, "{process:?}");
    }
}
