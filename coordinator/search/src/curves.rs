//! Training runs by their loss while they run: which are stopped early, and what a stopped one tells.
//!
//! The losses of two runs are compared at the same training time, so only runs that change no schedule, batch size or
//! tokenizer are ([`SearchSpec::incomparable`](ar_common::SearchSpec)). When a race is lost is a rule of `ar_common::racing`.

use ar_common::{Block, ExperimentId, Measures, Metric, Race};

use crate::Problem;
use crate::grid::{Grid, Point};
use crate::history::{Entry, History, mean};

/// Finished runs before one is compared with them: the first ones tell what is usual.
const FIRST_RUNS: usize = 5;
/// Finished runs by which a score is told from a loss.
const FOR_A_LINE: usize = 3;

/// A finished run with a whole curve.
#[derive(Clone, Copy)]
struct Finished<'a> {
    experiment: ExperimentId,
    curve: &'a [f64],
    /// Higher is better.
    gain: f64,
}

/// All of them that may be compared.
pub(crate) struct Curves<'a>(Vec<Finished<'a>>);

impl<'a> Curves<'a> {
    pub(crate) fn of(history: &History<'a>, metric: &Metric) -> Self {
        let finished = |entry: &Entry<'a>| {
            let point = entry.point.as_ref().filter(|point| history.is_comparable(point))?;
            let curve = entry.measures.map(Measures::curve)?;
            let whole = curve.len() == Race::CURVE_POINTS as usize && history.keeps(point);
            let gain = metric.gain(entry.score()?, 0.0);
            whole.then_some(Finished { experiment: entry.observation.experiment, curve, gain })
        };
        Self(history.on_split(Block::FIRST).filter_map(finished).collect())
    }

    /// The median loss at each point.
    fn medians(&self) -> Vec<f64> {
        let median = |i: usize| {
            let mut losses: Vec<f64> = self.0.iter().filter_map(|run| run.curve.get(i).copied()).collect();
            losses.sort_by(f64::total_cmp);
            losses.get(losses.len() / 2).copied().unwrap_or(f64::NAN)
        };
        (0..Race::CURVE_POINTS as usize).map(median).collect()
    }

    /// What the score of a run would have been that was stopped with these losses, higher is better: on the line of least
    /// squares through loss and score of those that were planned before it and finished. `None` with too few of them. A
    /// line on which less loss is worse is none: then it is that of the worst of them.
    pub(crate) fn expected(&self, stopped: ExperimentId, seen: &[f64]) -> Option<f64> {
        let at = seen.len().checked_sub(1)?;
        let loss = seen[at];
        let before = self.0.iter().filter(|run| run.experiment < stopped);
        let known: Vec<(f64, f64)> = before.filter_map(|run| Some((*run.curve.get(at)?, run.gain))).collect();
        if known.len() < FOR_A_LINE || !loss.is_finite() {
            return None;
        }
        let x = mean(&known.iter().map(|(x, _)| *x).collect::<Vec<_>>());
        let y = mean(&known.iter().map(|(_, y)| *y).collect::<Vec<_>>());
        let across: f64 = known.iter().map(|(a, _)| (a - x).powi(2)).sum();
        let both: f64 = known.iter().map(|(a, b)| (a - x) * (b - y)).sum();
        let slope = both / across;
        let worst = known.iter().map(|(_, gain)| *gain).fold(f64::INFINITY, f64::min);
        Some(if slope < 0.0 { y + slope * (loss - x) } else { worst })
    }
}

/// The race of a training run against the median of those that have finished; `None` before there are enough.
pub(crate) fn race(history: &History<'_>, problem: &Problem<'_>) -> Option<Race> {
    if problem.search.no_race {
        return None;
    }
    let curves = Curves::of(history, problem.metric);
    (curves.0.len() >= FIRST_RUNS).then(|| Race::against_curve(&curves.medians())).flatten()
}

/// Whether a pick may be stopped by its loss.
pub(crate) fn may_be_stopped(grid: &Grid<'_>, history: &History<'_>, point: &Point) -> bool {
    *point != grid.base() && history.is_comparable(point)
}
