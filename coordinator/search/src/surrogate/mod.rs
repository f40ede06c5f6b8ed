//! What is expected of every configuration, and how sure that is: an exact Gaussian process on the space.
//!
//! It is a function of the scores alone. The [`Surrogate`] that is kept between two plans saves work and changes
//! nothing: the kernel's numbers are fitted to the first scores, as many as a fixed schedule says, and rows
//! follow in the order of the experiments.
//!
//! Beyond [`EXACT`] scores it rests on a subset of them, the best half and an even choice of the others: the
//! plainest approximation, and hard to beat for its cost (Chalupka, Williams and Murray 2013, "A framework for
//! evaluating approximation methods for Gaussian process regression", JMLR 14).

mod evidence;
pub(crate) mod fit;
mod kernel;
pub(crate) mod posterior;
mod scaling;

use std::collections::BTreeSet;

pub(crate) use self::evidence::Evidence;
use self::fit::Datum;
use self::kernel::{Kernel, Layout};
pub(crate) use self::posterior::{Belief, Pool, Posterior, Row, Whitened};
pub(crate) use self::scaling::Below;
use self::scaling::Scaling;
use crate::grid::{Grid, Point};

/// Scores up to which nothing is left out.
const EXACT: usize = 1_500;

/// Candidates beyond the first ones that stay cached.
const REMEMBERED: usize = 2_000;

/// One configuration's score, oriented so that higher is better.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Score {
    pub(crate) point: Point,
    pub(crate) value: f64,
    /// Full evaluations it rests on.
    pub(crate) weight: f64,
}

/// The posterior with what it was fitted on.
#[derive(Debug, Clone)]
pub(crate) struct Surrogate {
    /// What the kernel's numbers and the scaling were fitted to; if that changes, so do they.
    fitted: Vec<Score>,
    scaling: Scaling,
    posterior: Posterior,
    pool: Pool,
    /// How many of the pool were there from the start.
    core: usize,
}

impl Surrogate {
    /// The surrogate for `scores` (in the order of their experiments) with `pending` configurations on their way.
    /// `last` is that of an earlier plan of the same study, or none; the result is the same with and without.
    /// When the kernel's numbers are fitted anew, `noise` is asked for the variance of one evaluation's score as
    /// the folds of the first so many scores tell it, and `candidates` for configurations worth keeping in sight
    /// in the light of so many.
    pub(crate) fn new(
        last: Option<Self>,
        (grid, below): (&Grid<'_>, Below),
        scores: &[Score],
        pending: &[Point],
        noise: impl FnOnce(usize) -> f64,
        candidates: impl FnOnce(usize) -> Vec<Point>,
    ) -> Self {
        let fitted = &scores[..fitted_at(scores.len())];
        let mut surrogate = match last {
            Some(last) if last.fitted == fitted => last,
            _ => Self::fit((grid, below), fitted, noise(fitted.len()), candidates(fitted.len())),
        };
        let rows = surrogate.rows(scores, pending);
        if surrogate.pool.points().len() > surrogate.core + REMEMBERED {
            surrogate.pool.truncate(surrogate.core);
        }
        let common = surrogate.posterior.become_rows(&rows);
        surrogate.pool.follow(&surrogate.posterior, common);
        surrogate
    }

    fn fit(
        (grid, below): (&Grid<'_>, Below),
        scores: &[Score],
        fold_noise: f64,
        candidates: Vec<Point>,
    ) -> Self {
        let layout = Layout::new(grid);
        let scaling = Scaling::of(scores, below);
        let data: Vec<Datum> = scores
            .iter()
            .map(|s| Datum { point: s.point.clone(), value: scaling.apply(s.value), weight: s.weight })
            .collect();
        let hyper = fit::fit(&layout, &data, scaling.variance(fold_noise));
        let posterior = Posterior::new(Kernel::new(&layout, hyper));
        let core = candidates.len();
        let pool = Pool::new(candidates);
        Self { fitted: scores.to_vec(), scaling, posterior, pool, core }
    }

    fn rows(&self, scores: &[Score], pending: &[Point]) -> Vec<Row> {
        let noise = self.posterior.kernel().hyper().noise;
        let scored = subset(scores).into_iter().map(|s| Row {
            point: s.point.clone(),
            value: Some(self.scaling.apply(s.value)),
            noise: noise / s.weight,
        });
        scored.chain(pending.iter().map(|point| Row { point: point.clone(), value: None, noise })).collect()
    }

    /// Takes a configuration as being on its way.
    pub(crate) fn expect(&mut self, point: &Point) {
        let noise = self.posterior.kernel().hyper().noise;
        let before = self.posterior.rows().len();
        self.posterior.push(Row { point: point.clone(), value: None, noise });
        self.pool.follow(&self.posterior, before);
    }

    /// How many scores the kernel's numbers are fitted to.
    pub(crate) fn fitted(&self) -> usize {
        self.fitted.len()
    }

    /// The cached candidates, with what is believed of them.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (&Point, Belief)> {
        self.pool.points()[..self.core].iter().enumerate().map(|(i, point)| (point, self.pool.belief(i)))
    }

    /// What is believed of `point`, cached or not.
    pub(crate) fn believe(&mut self, point: &Point) -> Belief {
        self.pool.add(&self.posterior, point)
    }

    /// The same of a point that is looked at once.
    pub(crate) fn glance(&self, point: &Point) -> Belief {
        self.posterior.believe(point)
    }

    /// The tried configurations, in the order of their scores.
    pub(crate) fn tried(&self) -> impl Iterator<Item = &Point> {
        self.posterior.rows().iter().filter(|row| row.value.is_some()).map(|row| &row.point)
    }

    /// The scores of the tried configurations without their noise, in the order of the scores.
    pub(crate) fn settled(&self) -> Vec<(&Point, f64)> {
        self.tried().zip(self.posterior.settled()).collect()
    }

    /// The scores as evidence for what the kernel's main effects do not explain.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        let kernel = self.posterior.kernel();
        let rows: Vec<&Row> = self.posterior.rows().iter().filter(|row| row.value.is_some()).collect();
        Evidence::new(&rows, |a, b| kernel.main_effects(a, b))
    }

    /// A difference of standardised scores, in units of the metric.
    pub(crate) fn in_units(&self, difference: f64) -> f64 {
        self.scaling.in_units(difference)
    }

    /// Mean and standard deviation, in units of the metric, of a weighted sum of scores whose weights add up to 0.
    pub(crate) fn contrast(&self, terms: &[(f64, &Point)], known: &mut Whitened) -> (f64, f64) {
        let belief = self.posterior.contrast(terms, known);
        (self.scaling.in_units(belief.mean), self.scaling.in_units(belief.deviation()))
    }
}

/// How many of the first `n` scores the kernel's numbers are fitted to: all up to 32, then anew whenever there are a
/// twelfth more.
fn fitted_at(n: usize) -> usize {
    let mut at = n.min(32);
    while at + (at / 12).max(1) <= n {
        at += (at / 12).max(1);
    }
    at
}

/// All scores, or the best half of [`EXACT`] and an even choice of the others, in their order.
fn subset(scores: &[Score]) -> Vec<&Score> {
    if scores.len() <= EXACT {
        return scores.iter().collect();
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].value.total_cmp(&scores[*a].value).then(a.cmp(b)));
    let (best, others) = order.split_at(EXACT / 2);
    let mut others = others.to_vec();
    others.sort_unstable();
    let room = EXACT - best.len();
    let even = (0..room).map(|i| others[i * others.len() / room]);
    let chosen: BTreeSet<usize> = best.iter().copied().chain(even).collect();
    chosen.into_iter().map(|i| &scores[i]).collect()
}
