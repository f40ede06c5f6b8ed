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
