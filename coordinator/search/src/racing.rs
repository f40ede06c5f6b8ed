//! Who may be stopped early, and against whom it runs. When it has lost is a rule of `ar_common::racing`.
//!
//! Only what is picked for what it may gain is raced. The base, floors, replicates and squares are compared fold by
//! fold; a solo is what effects and interactions rest on; a first look and an audit ask what something is worth, not
//! whether it leads.

use ar_common::{Block, Race};

use crate::Problem;
use crate::curves;
use crate::grid::{Grid, Point, changes};
use crate::history::{Entry, History};

/// Whether a pick may be stopped: not if it has one change from the base.
fn may_be_stopped(point: &Point) -> bool {
    changes(point).count() > 1
}

/// Whether a pick may be stopped before its end.
pub(crate) fn may_be(problem: &Problem<'_>, grid: &Grid<'_>, history: &History<'_>, point: &Point) -> bool {
    match problem.independent() {
        true => curves::may_be_stopped(grid, history, point),
        false => may_be_stopped(point),
    }
}

/// The race against `leader`; `None` before it has a score of all folds, or if it is not to be handed over: then
/// what loses to it may still be the answer.
pub(crate) fn against(leader: &Point, history: &History<'_>, problem: &Problem<'_>) -> Option<Race> {
    let entry = history.find(leader, Block::FIRST).filter(|e| e.score().is_some())?;
    let folds = &entry.measures?.folds;
    let races = !problem.search.no_race && history.keeps(leader) && folds.len() == history.folds;
    races.then(|| Race::against(problem.metric, folds)).flatten()
}

/// The race against the best score that keeps to the constraints, for samplers that expect nothing.
pub(crate) fn against_best(grid: &Grid<'_>, history: &History<'_>, problem: &Problem<'_>) -> Option<Race> {
    let scored = |entry: &Entry<'_>| Some((entry.score()?, entry.point.clone()?));
    let complete =
        history.searched().filter_map(scored).filter(|(_, p)| history.keeps(p) && !grid.is_floor(p));
    let better = |a: (f64, Point), b: (f64, Point)| if problem.metric.gain(b.0, a.0) > 0.0 { b } else { a };
    against(&complete.reduce(better)?.1, history, problem)
}
