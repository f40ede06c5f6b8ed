//! How alike two configurations are: the covariance of their scores before anything is measured.
//!
//! Per dimension `d` a similarity `k_d` in `[0, 1]`: 1 for the same option, `kinship` for two options of one
//! family, Matern 5/2 for numbers. With `S1 = sum a_d k_d`,
//!
//! ```text
//! k(x, x') = mean + S1 + tau * sum over pairs (a_d k_d)(a_e k_e) + h * exp(-sum (1 - k_d))
//! ```
//!
//! main effects, effects of pairs, and whatever is left between close configurations (Hamming distance). A pair's
//! variance is `tau a_d a_e`: it shrinks unless both main effects are there (heredity: Chipman 1996), and the
//! sum over pairs is `tau / 2 (S1^2 - sum (a_d k_d)^2)`, linear in the number of dimensions. Main effects and
//! products in one additive kernel: Duvenaud, Nickisch and Rasmussen 2011, "Additive Gaussian processes".

use crate::grid::{Grid, Point};

/// Variance of the mean of all scores, in units of the scores' variance.
const MEAN: f64 = 1.0;

/// The numbers a kernel is made of. Variances are in units of the scores' variance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hyper {
    /// Variance of the main effects of each dimension, `a_d`.
    pub(crate) main: Vec<f64>,
    /// Per dimension: the share that options of one family have in common; for numbers the length scale, as
    /// a share of the declared range.
    pub(crate) shape: Vec<f64>,
    /// Variance of the effects of pairs over the product of those of the main effects, `tau`.
    pub(crate) pair: f64,
    /// Variance of what main effects and pairs leave, `h`.
    pub(crate) rest: f64,
    /// Variance of one full evaluation's noise.
    pub(crate) noise: f64,
}

/// What `shape` means in a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// No two options are kin: there is nothing to fit.
    None,
    /// Options of one family are alike.
    Kinship,
    /// Numbers close to each other are alike.
    Length,
}

/// The dimensions, as far as the kernel sees them.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    axes: Vec<AxisLayout>,
}

#[derive(Debug, Clone)]
struct AxisLayout {
    shape: Shape,
    family: Vec<usize>,
    /// Position of each number in the declared range, 0 to 1.
    place: Vec<f64>,
}

impl Layout {
    pub(crate) fn new(grid: &Grid<'_>) -> Self {
        let axis = |axis: &crate::grid::Axis| {
            let kin = axis.searched_families().any(|family| axis.members(family).nth(1).is_some());
            let shape = match (&axis.place, kin) {
                (Some(_), _) => Shape::Length,
                (None, true) => Shape::Kinship,
                (None, false) => Shape::None,
            };
            AxisLayout { shape, family: axis.family.clone(), place: axis.place.clone().unwrap_or_default() }
        };
        Self { axes: grid.axes.iter().map(axis).collect() }
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.axes.len()
    }

    pub(crate) fn shape(&self, d: usize) -> Shape {
        self.axes[d].shape
    }

    /// Similarity of two options of dimension `d`, and its derivative by the logarithm (a length) or by the
    /// value (a kinship) of `shape`.
    fn similarity(&self, d: usize, a: u32, b: u32, shape: f64) -> (f64, f64) {
        let axis = &self.axes[d];
        if a == b {
            return (1.0, 0.0);
        }
        match axis.shape {
            Shape::None => (0.0, 0.0),
            Shape::Kinship if axis.family[a as usize] == axis.family[b as usize] => (shape, 1.0),
            Shape::Kinship => (0.0, 0.0),
            Shape::Length => matern(axis.place[a as usize] - axis.place[b as usize], shape),
        }
    }
}

/// Matern 5/2 at distance `r` with length `l`, and its derivative by `ln l` (Rasmussen and Williams 2006, eq. 4.17).
fn matern(r: f64, l: f64) -> (f64, f64) {
    let s = 5.0_f64.sqrt() * r.abs() / l;
    let decay = (-s).exp();
    ((1.0 + s + s * s / 3.0) * decay, s * s * (1.0 + s) / 3.0 * decay)
}

/// A kernel with its similarities in tables.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    hyper: Hyper,
    /// Per dimension, options by options: `k_d`.
    tables: Vec<Table>,
}

#[derive(Debug, Clone)]
struct Table {
    width: usize,
    similar: Vec<f64>,
    /// The same times the variance of the main effect.
    parts: Vec<f64>,
    slope: Vec<f64>,
}

/// A kernel seen from one configuration.
pub(crate) struct Toward<'k> {
    kernel: &'k Kernel,
    /// Per dimension, by the other's option: part and similarity.
    rows: Vec<(&'k [f64], &'k [f64])>,
}

impl Toward<'_> {
    /// Covariance of the scores, without noise.
    pub(crate) fn covariance(&self, y: &[u32]) -> f64 {
        let (mut sum, mut squares, mut distance) = (0.0, 0.0, 0.0);
        for ((parts, similar), o) in self.rows.iter().zip(y) {
            let part = parts[*o as usize];
            sum += part;
            squares += part * part;
            distance += 1.0 - similar[*o as usize];
        }
        self.kernel.joined(sum, squares, distance)
    }
}

impl Kernel {
    pub(crate) fn new(layout: &Layout, hyper: Hyper) -> Self {
        let table = |d: usize| {
            let width = layout.axes[d].family.len();
            let pairs = (0..width * width).map(|i| ((i / width) as u32, (i % width) as u32));
            let (similar, slope) = pairs.map(|(a, b)| layout.similarity(d, a, b, hyper.shape[d])).unzip();
            let similar: Vec<f64> = similar;
            let parts = similar.iter().map(|k| hyper.main[d] * k).collect();
            Table { width, similar, parts, slope }
        };
        let tables = (0..layout.dimensions()).map(table).collect();
        Self { hyper, tables }
    }

    pub(crate) fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    fn similar(&self, d: usize, a: u32, b: u32) -> f64 {
        let table = &self.tables[d];
        table.similar[a as usize * table.width + b as usize]
    }

    /// Covariance of the scores of two configurations, without noise.
    pub(crate) fn covariance(&self, x: &[u32], y: &[u32]) -> f64 {
        let (mut sum, mut squares, mut distance) = (0.0, 0.0, 0.0);
        for d in 0..self.tables.len() {
            let k = self.similar(d, x[d], y[d]);
            let part = self.hyper.main[d] * k;
            sum += part;
            squares += part * part;
            distance += 1.0 - k;
        }
        self.joined(sum, squares, distance)
    }

    fn joined(&self, sum: f64, squares: f64, distance: f64) -> f64 {
        MEAN + sum + 0.5 * self.hyper.pair * (sum * sum - squares) + self.hyper.rest * (-distance).exp()
    }

    /// [`Kernel::covariance`] of one configuration with many: the same, sooner.
    pub(crate) fn toward<'k>(&'k self, x: &[u32]) -> Toward<'k> {
        let row = |(table, o): (&'k Table, &u32)| {
            let at = *o as usize * table.width;
            (&table.parts[at..at + table.width], &table.similar[at..at + table.width])
        };
        Toward { kernel: self, rows: self.tables.iter().zip(x).map(row).collect() }
    }

    /// The part of [`Kernel::covariance`] that mean and main effects make.
    pub(crate) fn main_effects(&self, x: &[u32], y: &[u32]) -> f64 {
        MEAN + (0..self.tables.len()).map(|d| self.hyper.main[d] * self.similar(d, x[d], y[d])).sum::<f64>()
    }

    /// Variance of a score before anything is measured, without noise; the same for all configurations.
    pub(crate) fn variance(&self) -> f64 {
        let sum: f64 = self.hyper.main.iter().sum();
        let squares: f64 = self.hyper.main.iter().map(|a| a * a).sum();
        MEAN + sum + 0.5 * self.hyper.pair * (sum * sum - squares) + self.hyper.rest
    }

    /// Derivatives of [`Kernel::covariance`], scaled by `weight` and added to `out`, in the order of
    /// [`crate::surrogate::fit`]: by each `main`, each `shape`, `pair` and `rest`.
    pub(crate) fn add_slopes(&self, x: &Point, y: &Point, weight: f64, out: &mut [f64]) {
        let n = self.tables.len();
        let (mut sum, mut squares, mut distance) = (0.0, 0.0, 0.0);
        for d in 0..n {
            let k = self.similar(d, x[d], y[d]);
            let part = self.hyper.main[d] * k;
            sum += part;
            squares += part * part;
            distance += 1.0 - k;
        }
        let near = (-distance).exp();
        for d in 0..n {
            let table = &self.tables[d];
            let at = x[d] as usize * table.width + y[d] as usize;
            let (k, slope) = (table.similar[at], table.slope[at]);
            let others = 1.0 + self.hyper.pair * (sum - self.hyper.main[d] * k);
            out[d] += weight * k * others;
            out[n + d] += weight * slope * (self.hyper.main[d] * others + self.hyper.rest * near);
        }
        out[2 * n] += weight * 0.5 * (sum * sum - squares);
        out[2 * n + 1] += weight * near;
    }
}
