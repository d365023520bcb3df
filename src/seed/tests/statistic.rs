//! The statistic that judges what is drawn from streams, in tests.

/// The p-value of a one-sample Kolmogorov–Smirnov test of `samples` against `cdf`, by the asymptotic series
/// with Stephens' correction (Numerical Recipes, 3rd ed., §14.3.3).
pub(crate) fn kolmogorov_smirnov(mut samples: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let distance = samples.iter().enumerate().fold(0.0_f64, |most, (i, x)| {
        let theory = cdf(*x);
        most.max((theory - i as f64 / n).abs()).max(((i as f64 + 1.0) / n - theory).abs())
    });
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    if lambda < 0.2 {
        // The series converges too slowly here, and the value is 1 to twelve digits.
        return 1.0;
    }
    let series: f64 = (1..=100)
        .map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * (f64::from(k) * lambda).powi(2)).exp()
        })
        .sum();
    (2.0 * series).clamp(0.0, 1.0)
}

#[test]
fn the_judges_know_right_from_wrong() {
    let even: Vec<f64> = (0..10_000).map(|i| (f64::from(i) + 0.5) / 10_000.0).collect();
    assert!(kolmogorov_smirnov(even.clone(), |x| x) > 0.99);
    assert!(kolmogorov_smirnov(even, |x| x * x) < 1e-6);
    // Known value of the Kolmogorov distribution: Q(1.36) = 0.049.
    let shifted: Vec<f64> = (0..10_000).map(|i| (f64::from(i) / 10_000.0 + 0.013_584).min(1.0)).collect();
    let p = kolmogorov_smirnov(shifted, |x| x);
    assert!((p - 0.049).abs() < 0.002, "{p}");
}
