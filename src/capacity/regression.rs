//! Least squares with a few regressors.

/// What a regression found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Regression<const N: usize> {
    /// One per regressor.
    pub(super) coefficients: [f64; N],
    /// Their standard errors; 0 where the data leave no residual.
    pub(super) errors: [f64; N],
    /// Degrees of freedom of the residuals.
    pub(super) df: f64,
}

/// The coefficients by which the regressors in `rows` give `values` with the least sum of squares; `None` if there are no more rows than
/// regressors, or the regressors do not tell each other apart.
pub(super) fn regress<const N: usize>(rows: &[[f64; N]], values: &[f64]) -> Option<Regression<N>> {
    let df = rows.len().checked_sub(N).filter(|df| *df > 0)? as f64;
    let mut normal = [[0.0; N]; N];
    let mut right = [0.0; N];
    for (row, value) in rows.iter().zip(values) {
        for i in 0..N {
            right[i] += row[i] * value;
            for j in 0..N {
                normal[i][j] += row[i] * row[j];
            }
        }
    }
    let inverse = inverted(normal)?;
    let coefficients: [f64; N] = std::array::from_fn(|i| (0..N).map(|j| inverse[i][j] * right[j]).sum());
    let fitted = |row: &[f64; N]| row.iter().zip(&coefficients).map(|(x, b)| x * b).sum::<f64>();
    let squares: f64 = rows.iter().zip(values).map(|(row, value)| (value - fitted(row)).powi(2)).sum();
    let errors = std::array::from_fn(|i| (squares / df * inverse[i][i]).max(0.0).sqrt());
    Some(Regression { coefficients, errors, df })
}

/// Regressors of which so little is their own, as a share, are not told apart.
const SINGULAR: f64 = 1e-10;

/// The inverse of a positive definite matrix, by elimination (Gauss and Jordan).
fn inverted<const N: usize>(mut matrix: [[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let diagonal: [f64; N] = std::array::from_fn(|i| matrix[i][i]);
    let mut inverse: [[f64; N]; N] =
        std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    for pivot in 0..N {
        let size = matrix[pivot][pivot];
        if size.is_nan() || size <= SINGULAR * diagonal[pivot] {
            return None;
        }
        for column in 0..N {
            matrix[pivot][column] /= size;
            inverse[pivot][column] /= size;
        }
        for row in (0..N).filter(|row| *row != pivot) {
            let factor = matrix[row][pivot];
            for column in 0..N {
                matrix[row][column] -= factor * matrix[pivot][column];
                inverse[row][column] -= factor * inverse[pivot][column];
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_the_errors_of_the_textbook() {
        // y = 1, 3, 2, 5 at x = 0, 1, 2, 3: slope 1.1, intercept 1.1, residual sum of squares 2.7, so s² = 1.35.
        let rows = [0.0, 1.0, 2.0, 3.0].map(|x| [1.0, x]);
        let found = regress(&rows, &[1.0, 3.0, 2.0, 5.0]).unwrap();
        let close = |left: f64, right: f64| (left - right).abs() < 1e-12;
        assert!(close(found.coefficients[0], 1.1) && close(found.coefficients[1], 1.1), "{found:?}");
        // s² ÷ Σ(x − x̄)² = 1.35 ÷ 5, and s² (1/4 + 1.5² ÷ 5).
        assert!(
            close(found.errors[1], 0.27_f64.sqrt()) && close(found.errors[0], 0.945_f64.sqrt()),
            "{found:?}"
        );
        assert!(close(found.df, 2.0));
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_fitted() {
        assert_eq!(regress(&[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], &[1.0, 2.0, 4.0]), None);
        assert_eq!(regress(&[[1.0, 2.0], [2.0, 5.0]], &[1.0, 2.0]), None, "no residual");
        assert_eq!(regress(&[[1.0, f64::NAN], [2.0, 5.0], [2.0, 6.0]], &[1.0, 2.0, 3.0]), None);
    }

    proptest! {
        #[test]
        fn what_follows_the_model_is_found_again(
            x in prop::collection::vec(-1.0..1.0_f64, 8..20), truth in prop::array::uniform3(-3.0..3.0_f64),
        ) {
            let rows: Vec<[f64; 3]> = x.iter().map(|x| [1.0, *x, x * x]).collect();
            let values: Vec<f64> = rows.iter().map(|row| row.iter().zip(&truth).map(|(x, b)| x * b).sum()).collect();
            if let Some(found) = regress(&rows, &values) {
                for (found, truth) in found.coefficients.iter().zip(&truth) {
                    prop_assert!((found - truth).abs() < 1e-3, "{found} {truth}");
                }
            }
        }
    }
}
