//! A closer look at the few that may be the candidate, where data are small.
//!
//! On few rows a cross-validation depends on how they were split, but costs little. There one run on a fresh split covers
//! several ([`Problem::repeats`](crate::Problem::repeats)) and counts as one evaluation. The best few by expected score
//! are run so once more before the candidate is chosen among them. The splits that choose are not those that judge: the
//! verdict has its own ([`History::first_fresh`]), so the choice does not flatter it.

use std::cmp::Ordering;

use ar_common::{Block, Metric};

use crate::Problem;
use crate::ensemble;
use crate::grid::{Grid, Point, changes};
use crate::history::{History, whole};
use crate::surrogate::Surrogate;

/// The split on which contenders are looked at, where there are several to a run; the first one chose them.
pub(crate) const CLOSER: Block = Block::Cv { repeat: 1 };
/// Contenders: most of what a closer look may gain is between the first few.
const MOST: usize = 3;
/// Of one alone nothing is chosen.
const FEWEST: usize = 2;
/// Expected scores closer than this, in deviations of all scores, are the same.
const SAME: f64 = 1e-9;

/// The configurations but the base that ran to their end on the first split and keep to the constraints, with their
/// expected scores, best first; of equal ones the simplest. It rests on the scores of the first split alone.
pub(crate) fn ranked<'s>(
    grid: &Grid<'_>,
    history: &History<'_>,
    surrogate: &'s Surrogate,
) -> Vec<(&'s Point, f64)> {
    let base = grid.base();
    let complete = |point: &Point| {
        let entry = history.find(point, Block::FIRST);
        *point != base && history.keeps(point) && entry.is_some_and(|e| e.score().is_some())
    };
    let mut ranked = surrogate.settled();
    ranked.retain(|(point, _)| complete(point));
    ranked.sort_by(best_first);
    ranked
}

/// Equal is what is equal up to rounding, which makes no order: so values are put in steps.
fn best_first(a: &(&Point, f64), b: &(&Point, f64)) -> Ordering {
    let step = |value: f64| (value / SAME).round();
    let simpler = || changes(a.0).count().cmp(&changes(b.0).count()).then_with(|| a.0.cmp(b.0));
    step(b.1).total_cmp(&step(a.1)).then_with(simpler)
}

/// The configuration to be compared with the base: the one with the highest expected score, after a closer look if there
/// was one, and not the one with the highest score. `None` if none but the base has a score and keeps to the constraints.
/// Confirming changes it only if the new runs show that it breaks a constraint.
pub(crate) fn candidate(
    grid: &Grid<'_>,
    history: &History<'_>,
    metric: &Metric,
    surrogate: &Surrogate,
) -> Option<Point> {
    let ranked = ranked(grid, history, surrogate);
    let (leader, highest) = *ranked.first()?;
    // One deviation of all scores, in units of the metric.
    let unit = surrogate.in_units(1.0);
    let closer = |point: &Point| Some(metric.gain(history.find(point, CLOSER)?.measures?.score?, 0.0));
    let seen =
        |(point, value): &(&'_ Point, f64)| Some(((*point).clone(), value - highest, closer(point)? / unit));
    let seen: Vec<(Point, f64, f64)> = ranked.iter().take(MOST).filter_map(seen).collect();
    if history.repeats == 1 || seen.is_empty() {
        return Some(leader.clone());
    }
    // Each split counts the same: what is expected rests on one, and that others were seen on it, too, takes away the
    // luck of a configuration and not that of the split. One weight for all, so it does not matter that what was
    // expected is relative to the leader.
    let splits = f64::from(history.repeats);
    let trust = splits / (splits + 1.0);
    let judged = seen.iter().map(|(point, before, now)| (point, before + trust * (now - before)));
    judged.min_by(best_first).map(|(point, _)| point.clone())
}

/// Those that are still to be looked at closer, now that the search is over and `proposed` configurations are weighed for
/// an ensemble; none where data are not small, or where the budget has room for the comparison with the base alone.
pub(crate) fn open(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    (surrogate, proposed): (&Surrogate, usize),
) -> Vec<(Point, Block)> {
    // What time is left is for the comparison.
    if history.repeats == 1 || problem.spent_time {
        return Vec::new();
    }
    let kept = whole(f64::from(problem.budget.total()) - history.spent_searching()).saturating_sub(proposed);
    let others = 2 * ensemble::certain(history.repeats) + ensemble::votes_at_most(problem);
    let room = kept.saturating_sub(others).min(MOST);
    if room < FEWEST {
        return Vec::new();
    }
    let contenders = ranked(grid, history, surrogate);
    let new = contenders.into_iter().take(room).filter(|(point, _)| !history.has(point, CLOSER));
    let new: Vec<(Point, Block)> = new.map(|(point, _)| (point.clone(), CLOSER)).collect();
    let alone = new.len() < FEWEST && history.spent_looking() == 0.0;
    if alone || new.len() > history.left(problem.budget) { Vec::new() } else { new }
}

/// Whether a closer look has not ended.
pub(crate) fn pending(history: &History<'_>) -> bool {
    history.repeats > 1 && history.on_split(CLOSER).any(|e| e.observation.outcome.is_none())
}
