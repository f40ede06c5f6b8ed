//! Training runs that go on from the best checkpoint, beside those that start anew.
//!
//! What was trained twice as long is better for that alone, so these runs tell nothing about configurations: the search does
//! not learn from them, no decision rests on them, and they are ranked apart. One run in [`EVERY`] is one. It takes the best
//! model there is, whoever trained it, and trains it on with the best configuration of its shape that has not had it yet.

use ar_common::{Block, Mode, WarmStart};

use crate::grid::{Grid, Point};
use crate::history::{Entry, History, whole};
use crate::{Problem, Suggestion};

/// One run in so many goes on from a checkpoint.
const EVERY: usize = 4;

/// The runs that are due, up to `want`.
pub(crate) fn next(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    want: usize,
) -> Vec<Suggestion> {
    let Some(warm) = &problem.search.warm_start else {
        return Vec::new();
    };
    let ended = history.searched().filter(|entry| entry.observation.outcome.is_some()).count();
    let due = (ended / (EVERY - 1)).saturating_sub(history.warm().count()).min(want);
    let Some(source) = best(history, problem) else {
        return Vec::new();
    };
    let from = source.observation.experiment;
    let block = Block::Warm { from };
    let spent = whole(history.spent()) as u32;
    let made = |(n, point): (u32, &Point)| Suggestion {
        config: grid.config(point),
        block,
        mode: Mode::Exploit,
        round: problem.budget.round_of(spent + n),
        reason: format!("goes on from the checkpoint of experiment {from}: {}", grid.describe(point)),
        expected_gain: None,
        members: Vec::new(),
        race: None,
    };
    let open = fitting(problem, history, (warm, source));
    (0..).zip(open.into_iter().filter(|point| !history.has(point, block)).take(due)).map(made).collect()
}

/// The run with the best score of those whose checkpoint is kept.
fn best<'h, 'a>(history: &'h History<'a>, problem: &Problem<'_>) -> Option<&'h Entry<'a>> {
    let gain = |entry: &Entry<'_>| entry.score().map(|score| problem.metric.gain(score, 0.0));
    let kept = |entry: &&Entry<'_>| entry.measures.is_some_and(|m| m.checkpoint().is_some());
    let all = history.searched().chain(history.warm()).filter(kept);
    all.filter_map(|entry| Some((gain(entry)?, entry))).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, e)| e)
}

/// The configurations that a checkpoint fits, the best one first.
fn fitting<'h>(
    problem: &Problem<'_>,
    history: &'h History<'_>,
    (warm, source): (&WarmStart, &Entry<'_>),
) -> Vec<&'h Point> {
    let fits = |entry: &&Entry<'_>| warm.fits(&source.observation.config, &entry.observation.config);
    let scored =
        |entry: &'h Entry<'_>| Some((problem.metric.gain(entry.score()?, 0.0), entry.point.as_ref()?));
    let mut all: Vec<(f64, &Point)> = history.searched().filter(fits).filter_map(scored).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, point)| point).collect()
}
