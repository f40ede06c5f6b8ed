//! The kernel's numbers: those under which the scores are likeliest, given what such numbers usually are.
//!
//! Maximum of the log marginal likelihood (Rasmussen and Williams 2006, eq. 5.8 and 5.9) plus normal priors on
//! the logarithms (kinship: on the logit), by BFGS (Nocedal and Wright 2006, algorithm 6.1). It starts at
//! the mode of the priors always, so that the same scores give the same numbers.

use nalgebra::{DMatrix, DVector};

use super::kernel::{Hyper, Kernel, Layout, Shape};
use crate::grid::Point;

/// What is fitted: where, what was measured (standardised), and how many full evaluations it rests on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Datum {
    pub(crate) point: Point,
    pub(crate) value: f64,
    pub(crate) weight: f64,
}

/// Steps of BFGS; more do not change a suggestion.
const STEPS: usize = 30;
/// Scores beyond which the numbers are fitted to a part of them.
const ENOUGH: usize = 300;

/// A normal prior on a transformed number.
#[derive(Clone, Copy)]
struct Prior {
    centre: f64,
    spread: f64,
}

/// The priors, in the order main, shape, pair, rest, noise.
fn priors(layout: &Layout, noise: f64) -> Vec<Prior> {
    let n = layout.dimensions();
    let each = (0.7 / n.max(1) as f64).ln();
    let mut priors = vec![Prior { centre: each, spread: 1.0 }; n];
    priors.extend((0..n).map(|d| match layout.shape(d) {
        Shape::Length => Prior { centre: 0.5_f64.ln(), spread: 0.7 },
        Shape::None | Shape::Kinship => Prior { centre: 0.0, spread: 1.0 },
    }));
    priors.push(Prior { centre: 0.0, spread: 1.0 });
    priors.push(Prior { centre: 0.1_f64.ln(), spread: 1.0 });
    priors.push(Prior { centre: noise.clamp(1e-3, 1.0).ln(), spread: 1.0 });
    priors
}

fn hyper(layout: &Layout, at: &DVector<f64>) -> Hyper {
    let n = layout.dimensions();
    let shape = |d: usize| match layout.shape(d) {
        Shape::Kinship => logistic(at[n + d]),
        Shape::Length => at[n + d].exp(),
        Shape::None => 0.0,
    };
    Hyper {
        main: (0..n).map(|d| at[d].exp()).collect(),
        shape: (0..n).map(shape).collect(),
        pair: at[2 * n].exp(),
        rest: at[2 * n + 1].exp(),
        noise: at[2 * n + 2].exp(),
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The likeliest numbers for `data`; `noise` is what the folds say of one full evaluation's noise, in units of the
/// scores' variance.
pub(crate) fn fit(layout: &Layout, data: &[Datum], noise: f64) -> Hyper {
    let priors = priors(layout, noise);
    let start = DVector::from_iterator(priors.len(), priors.iter().map(|p| p.centre));
    let thinned: Vec<&Datum> = thin(data);
    if thinned.len() < 2 {
        return hyper(layout, &start);
    }
    let loss = |at: &DVector<f64>| loss(layout, &priors, &thinned, at);
    hyper(layout, &minimise(loss, start))
}

/// Evenly spaced scores where there are more than [`ENOUGH`].
fn thin(data: &[Datum]) -> Vec<&Datum> {
    let n = data.len().min(ENOUGH);
    (0..n).map(|i| &data[i * data.len() / n.max(1)]).collect()
}

/// Negative log posterior density and its gradient; `None` where the covariance is not positive definite.
fn loss(
    layout: &Layout,
    priors: &[Prior],
    data: &[&Datum],
    at: &DVector<f64>,
) -> Option<(f64, DVector<f64>)> {
    let hyper = hyper(layout, at);
    let dimensions = layout.dimensions();
    let kernel = Kernel::new(layout, hyper);
    let n = data.len();
    let noise = kernel.hyper().noise;
    let mut k = DMatrix::zeros(n, n);
    for i in 0..n {
        for j in 0..=i {
            k[(i, j)] = kernel.covariance(&data[i].point, &data[j].point);
        }
        k[(i, i)] += noise / data[i].weight + 1e-9;
    }
    let factor = k.cholesky()?;
    let values = DVector::from_iterator(n, data.iter().map(|d| d.value));
    let alpha = factor.solve(&values);
    let half_log_det: f64 = factor.l_dirty().diagonal().iter().map(|v| v.ln()).sum();
    let mut loss = 0.5 * values.dot(&alpha) + half_log_det;
    let inverse = factor.inverse();
    let mut slopes = vec![0.0; 2 * dimensions + 3];
    for i in 0..n {
        for j in 0..=i {
            // Each pair stands twice in the symmetric matrix, the diagonal once.
            let times = if i == j { 0.5 } else { 1.0 };
            let weight = times * (inverse[(i, j)] - alpha[i] * alpha[j]);
            kernel.add_slopes(&data[i].point, &data[j].point, weight, &mut slopes);
        }
        slopes[2 * dimensions + 2] += 0.5 * (inverse[(i, i)] - alpha[i] * alpha[i]) / data[i].weight;
    }
    let mut gradient = DVector::zeros(at.len());
    for (i, prior) in priors.iter().enumerate() {
        let is_shape = (dimensions..2 * dimensions).contains(&i);
        // By the logarithm; the slope of a length is by its logarithm already.
        let chain = match is_shape.then(|| layout.shape(i - dimensions)) {
            Some(Shape::Kinship) => logistic(at[i]) * (1.0 - logistic(at[i])),
            Some(Shape::Length) => 1.0,
            Some(Shape::None) => 0.0,
            None => at[i].exp(),
        };
        let z = (at[i] - prior.centre) / prior.spread;
        loss += 0.5 * z * z;
        gradient[i] = chain * slopes[i] + z / prior.spread;
    }
    loss.is_finite().then_some((loss, gradient))
}

/// BFGS with backtracking; where a step fails it ends with what it has.
fn minimise(
    loss: impl Fn(&DVector<f64>) -> Option<(f64, DVector<f64>)>,
    mut at: DVector<f64>,
) -> DVector<f64> {
    let Some((mut value, mut gradient)) = loss(&at) else {
        return at;
    };
    let n = at.len();
    let mut curvature = DMatrix::identity(n, n) / gradient.norm().max(1.0);
    for _ in 0..STEPS {
        let mut step = -(&curvature * &gradient);
        // No number moves by more than a factor of e^2 at once.
        let largest = step.amax();
        if largest > 2.0 {
            step *= 2.0 / largest;
        }
        let slope = step.dot(&gradient);
        if slope > -1e-6 {
            break;
        }
        let mut length = 1.0;
        let found = loop {
            let next = &at + length * &step;
            match loss(&next) {
                Some((v, g)) if v <= value + 1e-4 * length * slope => break Some((next, v, g)),
                _ if length < 1e-3 => break None,
                _ => length *= 0.4,
            }
        };
        let Some((next, v, g)) = found else {
            break;
        };
        update(&mut curvature, &(&next - &at), &(&g - &gradient));
        let gained = value - v;
        (at, value, gradient) = (next, v, g);
        if gained < 1e-4 {
            break;
        }
    }
    at
}

/// The update of the inverse Hessian (Nocedal and Wright 2006, eq. 6.17).
fn update(curvature: &mut DMatrix<f64>, s: &DVector<f64>, y: &DVector<f64>) {
    let sy = s.dot(y);
    if sy <= 1e-10 {
        return;
    }
    let hy = &*curvature * y;
    let scale = (1.0 + y.dot(&hy) / sy) / sy;
    *curvature += scale * s * s.transpose() - (&hy * s.transpose() + s * hy.transpose()) / sy;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::tests::fixtures::{families, numbers};

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        for space in [families(), numbers()] {
            let grid = Grid::new(&space);
            let layout = Layout::new(&grid);
            let points = grid.all(10_000).unwrap();
            let data: Vec<Datum> = points
                .iter()
                .step_by(3)
                .take(24)
                .enumerate()
                .map(|(i, point)| Datum {
                    point: point.clone(),
                    value: (i as f64 * 1.7).sin(),
                    weight: if i % 5 == 0 { 0.4 } else { 1.0 },
                })
                .collect();
            let data: Vec<&Datum> = data.iter().collect();
            let priors = priors(&layout, 0.2);
            let at = DVector::from_fn(priors.len(), |i, _| priors[i].centre + 0.3 * (i as f64).cos());
            let (_, gradient) = loss(&layout, &priors, &data, &at).unwrap();
            for i in 0..at.len() {
                let by = |h: f64| {
                    let mut moved = at.clone();
                    moved[i] += h;
                    loss(&layout, &priors, &data, &moved).unwrap().0
                };
                let numeric = (by(1e-5) - by(-1e-5)) / 2e-5;
                assert!((numeric - gradient[i]).abs() < 1e-4, "{i}: {numeric} is not {}", gradient[i]);
            }
        }
    }
}
