//! The confirmation: one candidate and the base, measured again on fresh splits.

use ar_common::{Block, Budget, Metric};

use crate::grid::{Grid, Point, changes};
use crate::history::History;
use crate::marginals::{Marginals, Reach};

/// Pairs of replicates after which more of them say little: the correction for overlapping training sets
/// stays, however many splits there are. Only a search that ended before its budget stops here.
const ENOUGH: usize = 6;

/// The configuration to be compared with the base: of all that ran to their end on the first split, the one
/// with the highest expected score, not the highest score; of equal ones the simplest. `None` if none
/// but the base has a score. It rests on the first split alone, so confirming does not change it.
pub(crate) fn candidate(grid: &Grid<'_>, history: &History<'_>, metric: &Metric) -> Option<Point> {
    let samples = history.samples(grid, metric);
    let model = Marginals::fit(grid, history, &samples, Reach::Good);
    let base = grid.base();
    let tried = samples.iter().filter(|s| s.complete && s.point != base);
    let ranked = tried.map(|s| (model.settle(&s.point, s.value), &s.point));
    let better = |a: &(f64, &Point), b: &(f64, &Point)| {
        let simpler = || changes(b.1).count().cmp(&changes(a.1).count()).then_with(|| b.1.cmp(a.1));
        let scale = 1e-12 * a.0.abs().max(b.0.abs()).max(1e-300);
        if (a.0 - b.0).abs() <= scale { simpler() } else { a.0.total_cmp(&b.0) }
    };
    ranked.max_by(better).map(|(_, point)| point.clone())
}

/// The replicates that are still to be suggested, in pairs, up to what is left of the budget. `early` says
/// that the search ended before its share was spent: then the confirmation has its own share, or
/// [`ENOUGH`] pairs if that is more and the budget has them.
pub(crate) fn replicates(
    grid: &Grid<'_>,
    history: &History<'_>,
    budget: Budget,
    candidate: &Point,
    early: bool,
) -> Vec<(Point, Block)> {
    let mut left = history.left(budget);
    let kept = f64::from(budget.total()) - history.spent_searching();
    let mut repeats = ((kept + 1e-9) / 2.0).max(0.0) as usize;
    if early {
        repeats = repeats.min((budget.confirmation() as usize / 2).max(ENOUGH));
    }
    let mut wanted = Vec::new();
    for repeat in (1..).take(repeats) {
        let block = Block::Cv { repeat };
        let pair = [grid.base(), candidate.clone()];
        // One half without the other is no comparison.
        let lost = |point: &Point| {
            let entry = history.find(point, block);
            entry.is_some_and(|e| e.observation.outcome.is_some() && e.measures.is_none())
        };
        if pair.iter().any(lost) {
            continue;
        }
        let open: Vec<Point> = pair.into_iter().filter(|point| !history.has(point, block)).collect();
        if open.len() > left {
            break;
        }
        left -= open.len();
        wanted.extend(open.into_iter().map(|point| (point, block)));
    }
    wanted
}
