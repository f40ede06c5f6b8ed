//! What is believed of every configuration after some scores, kept up to date one score at a time.
//!
//! The Cholesky factor of the covariance grows by a row per score, and each cached candidate keeps its row of
//! `L^-1 k`: a new score costs one dot product per candidate. Nothing is solved from scratch, and a row is computed
//! in the same order of operations whenever it is added, so that a posterior built at once is bit for bit one
//! that grew.

use std::collections::BTreeMap;

use super::kernel::Kernel;
use crate::grid::Point;

/// Smallest share of a variance that is told from zero.
const TINY: f64 = 1e-10;

/// A belief about one score: mean and variance, standardised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Belief {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Belief {
    /// With a variance that rounding has not made negative.
    fn proper(self) -> Self {
        Self { variance: self.variance.max(TINY), ..self }
    }

    pub(crate) fn deviation(self) -> f64 {
        self.variance.sqrt()
    }
}

/// What one row of the factor rests on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) point: Point,
    /// The score; `None` while it is pending: what is expected of it is then taken as seen, so that its
    /// neighbours become less worth trying, and no better or worse.
    pub(crate) value: Option<f64>,
    /// Variance of its noise.
    pub(crate) noise: f64,
}

/// A Gaussian process given some scores.
#[derive(Debug, Clone)]
pub(crate) struct Posterior {
    kernel: Kernel,
    rows: Vec<Row>,
    /// Lower triangle, row by row.
    factor: Vec<Vec<f64>>,
    /// `L^-1` times the scores.
    whitened: Vec<f64>,
}

impl Posterior {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { kernel, rows: Vec::new(), factor: Vec::new(), whitened: Vec::new() }
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Makes the rows these, keeping what both have in common at the front; returns how many that is.
    pub(crate) fn become_rows(&mut self, rows: &[Row]) -> usize {
        let common = self.rows.iter().zip(rows).take_while(|(a, b)| a == b).count();
        self.rows.truncate(common);
        self.factor.truncate(common);
        self.whitened.truncate(common);
        rows[common..].iter().for_each(|row| self.push(row.clone()));
        common
    }

    pub(crate) fn push(&mut self, row: Row) {
        let mut l = self.whiten(&row.point);
        let variance = self.kernel.variance() + row.noise - squares(&l);
        let pivot = variance.max(TINY).sqrt();
        let expected = dot(&l, &self.whitened);
        self.whitened.push(row.value.map_or(0.0, |value| (value - expected) / pivot));
        l.push(pivot);
        self.factor.push(l);
        self.rows.push(row);
    }

    /// `L^-1 k(X, point)`.
    pub(crate) fn whiten(&self, point: &[u32]) -> Vec<f64> {
        let mut v = Vec::with_capacity(self.rows.len() + 1);
        self.extend(point, &mut v);
        v
    }

    /// Adds to `v` what rows it has not seen.
    fn extend(&self, point: &[u32], v: &mut Vec<f64>) {
        let toward = self.kernel.toward(point);
        for i in v.len()..self.rows.len() {
            let l = &self.factor[i];
            let k = toward.covariance(&self.rows[i].point);
            v.push((k - dot(&l[..i], v)) / l[i]);
        }
    }

    /// What is expected of the scored rows, noise taken out: the score less its noise's share (Rasmussen and
    /// Williams 2006, eq. 2.25, at the scores themselves).
    pub(crate) fn settled(&self) -> Vec<f64> {
        let mut weights = self.whitened.clone();
        for i in (0..weights.len()).rev() {
            let (before, from) = weights.split_at_mut(i);
            from[0] /= self.factor[i][i];
            before.iter_mut().zip(&self.factor[i]).for_each(|(w, l)| *w -= l * from[0]);
        }
        let scored = self.rows.iter().zip(weights);
        scored.filter_map(|(row, weight)| Some(row.value? - row.noise * weight)).collect()
    }

    /// What is believed of `point`.
    pub(crate) fn believe(&self, point: &[u32]) -> Belief {
        self.belief(&self.whiten(point)).proper()
    }

    fn belief(&self, v: &[f64]) -> Belief {
        let (mut mean, mut variance) = (0.0, self.kernel.variance());
        for (v, w) in v.iter().zip(&self.whitened) {
            mean += v * w;
            variance -= v * v;
        }
        Belief { mean, variance }
    }

    /// Variance of a weighted sum of scores before anything was measured.
    pub(crate) fn prior(&self, terms: &[(f64, &Point)]) -> f64 {
        let row = |(weight, point): &(f64, &Point)| -> f64 {
            terms.iter().map(|(other, partner)| weight * other * self.kernel.covariance(point, partner)).sum()
        };
        terms.iter().map(row).sum()
    }

    /// Mean and variance of a weighted sum of scores, e.g. of the contrast of a 2x2 table. What `known` holds is not
    /// whitened again.
    pub(crate) fn contrast(&self, terms: &[(f64, &Point)], known: &mut Whitened) -> Belief {
        let mut mean = 0.0;
        let mut whitened = vec![0.0; self.rows.len()];
        for (weight, point) in terms {
            let v = known.0.entry((*point).clone()).or_insert_with(|| self.whiten(point));
            mean += weight * dot(v, &self.whitened);
            whitened.iter_mut().zip(v.iter()).for_each(|(sum, v)| *sum += weight * v);
        }
        Belief { mean, variance: self.prior(terms) - squares(&whitened) }.proper()
    }
}

/// Configurations that several contrasts have in common, whitened once. For one posterior as it stands.
#[derive(Debug, Default)]
pub(crate) struct Whitened(BTreeMap<Point, Vec<f64>>);

/// Candidates whose beliefs follow a posterior.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    points: Vec<Point>,
    index: BTreeMap<Point, usize>,
    whitened: Vec<Vec<f64>>,
    /// Not yet [`Belief::proper`].
    beliefs: Vec<Belief>,
}

impl Pool {
    pub(crate) fn new(points: Vec<Point>) -> Self {
        let whitened = vec![Vec::new(); points.len()];
        let beliefs = vec![Belief { mean: 0.0, variance: 0.0 }; points.len()];
        let index = points.iter().cloned().zip(0..).collect();
        Self { points, index, whitened, beliefs }
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// The belief about `point`, which is cached from now on.
    pub(crate) fn add(&mut self, posterior: &Posterior, point: &Point) -> Belief {
        if let Some(i) = self.index.get(point) {
            return self.belief(*i);
        }
        let v = posterior.whiten(point);
        let belief = posterior.belief(&v);
        self.index.insert(point.clone(), self.points.len());
        self.points.push(point.clone());
        self.whitened.push(v);
        self.beliefs.push(belief);
        belief.proper()
    }

    /// Forgets all but the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        for point in self.points.drain(n.min(self.points.len())..) {
            self.index.remove(&point);
        }
        self.whitened.truncate(n);
        self.beliefs.truncate(n);
    }

    pub(crate) fn belief(&self, i: usize) -> Belief {
        self.beliefs[i].proper()
    }

    /// Follows the posterior, whose first `common` rows are those of the last call.
    pub(crate) fn follow(&mut self, posterior: &Posterior, common: usize) {
        let n = posterior.rows.len();
        for ((point, v), belief) in self.points.iter().zip(&mut self.whitened).zip(&mut self.beliefs) {
            let seen = v.len();
            if seen > common || seen == 0 {
                v.truncate(common);
                v.reserve_exact(n.saturating_sub(v.len()));
                posterior.extend(point, v);
                *belief = posterior.belief(v);
                continue;
            }
            posterior.extend(point, v);
            for (v, w) in v[seen..].iter().zip(&posterior.whitened[seen..]) {
                belief.mean += v * w;
                belief.variance -= v * v;
            }
        }
    }
}

fn squares(v: &[f64]) -> f64 {
    dot(v, v)
}

/// Eight partial sums, so that the processor adds them side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut sums = [0.0; 8];
    let (heads, tail) = a.as_chunks::<8>();
    let (others, rest) = b.as_chunks::<8>();
    for (x, y) in heads.iter().zip(others) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    let tail: f64 = tail.iter().zip(rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + tail
}
