//! The largest rate that is sustained.

/// The largest rate up to `most` for which `sustains` holds, as far as `trials` halvings tell; `None` if it holds for none of
/// those tried. Assumes that who sustains a rate sustains every lower one.
///
/// # Errors
/// What `sustains` gives.
pub(super) fn largest<E>(
    most: f64,
    trials: u32,
    mut sustains: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Option<f64>, E> {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..trials {
        let middle = f64::midpoint(low, high);
        if sustains(middle)? { low = middle } else { high = middle }
    }
    Ok((low > 0.0).then_some(low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_limit_is_found_to_within_the_last_halving(most in 1e3_f64..1e6, share in 0.0_f64..1.2, trials in 1_u32..12) {
            let limit = most * share;
            let found = largest(most, trials, |rate| Ok::<_, ()>(rate <= limit)).unwrap();
            let step = most / f64::from(1 << trials);
            let low = found.unwrap_or(0.0);
            prop_assert!(low <= limit && limit.min(most) - low <= step * 1.000_001);
        }
    }

    #[test]
    fn trouble_ends_the_search() {
        assert_eq!(largest(10.0, 5, |_| Err("no target")), Err("no target"));
    }
}
