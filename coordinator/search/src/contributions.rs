//! What the report says of the study: the configurations in order, and what each option contributed.

use std::cmp::Ordering;

use ar_common::{Block, Config, Metric, Space};

use crate::Observation;
use crate::grid::{Grid, Point, changes};
use crate::history::{History, mean};
use crate::marginals::{Marginals, Reach};
use crate::verdict::fold_scores;

/// A configuration with a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The configuration.
    pub config: Config,
    /// Its mean score over all its folds.
    pub score: f64,
    /// How many folds that is.
    pub folds: u32,
    /// Whether it was measured on more than the first split.
    pub replicated: bool,
}

/// What an option contributed, compared with `base` in its dimension; positive is better in either
/// direction of the metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// The dimension.
    pub dimension: String,
    /// The option.
    pub option: String,
    /// Its gain over the base configuration when nothing else was changed, if that was measured.
    pub solo: Option<f64>,
    /// Its gain over `base` in all configurations it was in, by the additive model: drawn to zero where
    /// few scores speak for it.
    pub marginal: f64,
    /// How many scores that rests on, in evaluations of all folds.
    pub n: f64,
}

/// The configurations with a score of their own, best mean first. It says what was measured and not what is
/// better: see [`Verdict`](ar_common::Verdict).
pub fn ranking(metric: &Metric, history: &[Observation]) -> Vec<Ranked> {
    // Needs no space: an option that was taken out since then keeps its place in the report.
    let space = Space::default();
    let grid = Grid::new(&space);
    let history = History::new(&grid, history);
    let rank = |(config, runs): (&Config, Vec<(u32, &ar_common::Measures)>)| {
        let folds: Vec<f64> = runs.iter().flat_map(|(_, measures)| fold_scores(measures)).collect();
        let replicated = runs.iter().any(|(repeat, _)| *repeat > 0);
        Ranked { config: config.clone(), score: mean(&folds), folds: folds.len() as u32, replicated }
    };
    let mut ranked: Vec<Ranked> = history.scored().into_iter().map(rank).collect();
    ranked.sort_by(|a, b| by_gain(metric, b.score, a.score).then_with(|| a.config.cmp(&b.config)));
    ranked
}

fn by_gain(metric: &Metric, a: f64, b: f64) -> Ordering {
    metric.gain(a, 0.0).total_cmp(&metric.gain(b, 0.0))
}

/// What each option that has a score contributed, in the order of the space.
pub fn contributions(space: &Space, metric: &Metric, history: &[Observation]) -> Vec<Contribution> {
    let grid = Grid::new(space);
    let history = History::new(&grid, history);
    let samples = history.samples(&grid, metric);
    let model = Marginals::fit(&grid, Some(&history), &samples, Reach::All);
    let score = |point: &Point| history.find(point, Block::FIRST)?.measures?.score;
    let base = score(&grid.base());
    let mut all = Vec::new();
    for (d, axis) in grid.axes.iter().enumerate() {
        for option in axis.searched.iter().copied().filter(|o| *o != 0 && model.scored(d, *o) > 0.0) {
            let alone = grid.with(&grid.base(), (d, option)).filter(|point| changes(point).count() == 1);
            let solo = alone.and_then(|point| Some(metric.gain(score(&point)?, base?)));
            all.push(Contribution {
                dimension: space.dimensions[d].name.clone(),
                option: space.dimensions[d].options[option as usize].name.clone(),
                solo,
                marginal: model.effect(d, option) - model.effect(d, 0),
                n: model.scored(d, option),
            });
        }
    }
    all
}
