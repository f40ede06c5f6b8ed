//! Whether scores speak for something that the kernel does not have, such as two options that do more together.
//!
//! With `u` the rows that have it, an effect of variance `v` of its own changes the marginal likelihood of the scores by
//! `ln B = v q^2 / (2 (1 + v s)) - ln(1 + v s) / 2`, where `q = u' K^-1 y` and `s = u' K^-1 u` (the matrix determinant
//! lemma; `q^2 / s` is the score test of Rao 1948). What main effects explain is no evidence: `K` has it.

use nalgebra::{DMatrix, DVector};

use super::posterior::Row;

/// The scores seen through the inverse of their covariance.
pub(crate) struct Evidence {
    inverse: DMatrix<f64>,
    weights: DVector<f64>,
}

impl Evidence {
    /// `covariance` is that of two configurations' scores without noise. `None` where the matrix cannot be inverted.
    pub(crate) fn new(rows: &[&Row], covariance: impl Fn(&[u32], &[u32]) -> f64) -> Option<Self> {
        let n = rows.len();
        let mut k = DMatrix::zeros(n, n);
        for (i, row) in rows.iter().enumerate() {
            for j in 0..=i {
                k[(i, j)] = covariance(&row.point, &rows[j].point);
            }
            k[(i, i)] += row.noise + 1e-9;
        }
        let inverse = k.cholesky()?.inverse();
        let values = DVector::from_iterator(n, rows.iter().map(|row| row.value.unwrap_or(0.0)));
        let weights = &inverse * values;
        Some(Self { inverse, weights })
    }

    /// `ln B` for an effect of variance `v` (standardised) that these rows have in common.
    pub(crate) fn of(&self, having: &[usize], v: f64) -> f64 {
        let q: f64 = having.iter().map(|i| self.weights[*i]).sum();
        let s: f64 = having.iter().map(|i| having.iter().map(|j| self.inverse[(*i, *j)]).sum::<f64>()).sum();
        let grown = 1.0 + v * s.max(0.0);
        0.5 * v * q * q / grown - 0.5 * grown.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log marginal likelihood of two scores, but for a constant, by the formulas for 2 x 2 matrices.
    fn likelihood([a, b, d]: [f64; 3], [y, z]: [f64; 2]) -> f64 {
        let determinant = a * d - b * b;
        -0.5 * (d * y * y - 2.0 * b * y * z + a * z * z) / determinant - 0.5 * determinant.ln()
    }

    #[test]
    fn it_is_the_ratio_of_the_likelihoods_with_and_without_the_effect() {
        let row = |o, value| Row { point: vec![o], value: Some(value), noise: 0.1 };
        let rows = [row(0, 1.0), row(1, -0.4)];
        let evidence = Evidence::new(&[&rows[0], &rows[1]], |a, b| if a == b { 1.0 } else { 0.5 }).unwrap();
        let without = likelihood([1.1, 0.5, 1.1], [1.0, -0.4]);
        let both = likelihood([1.1 + 0.7, 0.5 + 0.7, 1.1 + 0.7], [1.0, -0.4]);
        let first = likelihood([1.1 + 0.7, 0.5, 1.1], [1.0, -0.4]);
        assert!((evidence.of(&[0, 1], 0.7) - (both - without)).abs() < 1e-6);
        assert!((evidence.of(&[0], 0.7) - (first - without)).abs() < 1e-6);
        assert_eq!(evidence.of(&[], 0.7), 0.0);
    }
}
