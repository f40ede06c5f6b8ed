//! The confirmation: one candidate and the base, measured again on fresh splits.

use ar_common::{Block, Budget};

use crate::grid::{Grid, Point, changes};
use crate::history::{History, whole};
use crate::insight::Pair;
use crate::surrogate::Surrogate;

/// Pairs of replicates after which more of them say little: the correction for overlapping training sets
/// stays, however many splits there are. Only a search that ended before its budget stops here.
const ENOUGH: usize = 6;
/// One part in so many of what is kept for confirmation may go to squares of two options. The verdict hardly feels it: of
/// the variance of its mean difference, (1 / n + 1 / 4) s2 with five folds, half as many pairs n add a tenth.
const SQUARES: usize = 2;
/// Fresh splits on which a square is measured, at most.
const SPLITS: u32 = 4;

/// Expected scores closer than this, in deviations of all scores, are the same.
const SAME: f64 = 1e-9;

/// The configuration to be compared with the base: of all that ran to their end on the first split, the one
/// with the highest expected score, not the highest score; of equal ones the simplest. `None` if none
/// but the base has a score and keeps to the constraints. It rests on the scores of the first split alone, so
/// confirming changes it only if the new runs show that it breaks a constraint.
pub(crate) fn candidate(grid: &Grid<'_>, history: &History<'_>, surrogate: &Surrogate) -> Option<Point> {
    let base = grid.base();
    let settled = surrogate.settled();
    let complete = |point: &Point| {
        let entry = history.find(point, Block::FIRST);
        *point != base && history.keeps(point) && entry.is_some_and(|e| e.score().is_some())
    };
    let ranked =
        settled.into_iter().filter(|(point, _)| complete(point)).map(|(point, value)| (value, point));
    let better = |a: &(f64, &Point), b: &(f64, &Point)| {
        let simpler = || changes(b.1).count().cmp(&changes(a.1).count()).then_with(|| b.1.cmp(a.1));
        if (a.0 - b.0).abs() <= SAME { simpler() } else { a.0.total_cmp(&b.0) }
    };
    ranked.max_by(better).map(|(_, point)| point.clone())
}

/// What is measured again: the candidate against the base, and squares of two options that seem to do more together.
pub(crate) struct Agenda {
    pub(crate) candidate: Point,
    pub(crate) claims: Vec<Pair>,
    /// The search ended before its share was spent: then the confirmation has its own share, or [`ENOUGH`]
    /// pairs if that is more and the budget has them.
    pub(crate) early: bool,
}

/// The replicates that are still to be suggested, up to what is left of the budget: squares first, as far as half of
/// what is kept reaches, then pairs of candidate and base on as many splits as the rest allows.
pub(crate) fn replicates(
    grid: &Grid<'_>,
    history: &History<'_>,
    budget: Budget,
    agenda: &Agenda,
) -> Vec<(Point, Block)> {
    let kept = whole(f64::from(budget.total()) - history.spent_searching());
    let share = kept.min(budget.confirmation() as usize);
    let squares = squares(grid, agenda, share / SQUARES);
    let given_back = |(point, block): &&(Point, Block)| {
        history.find(point, *block).is_some_and(|e| e.observation.outcome.is_some() && e.cost == 0.0)
    };
    let paid = squares.len() - squares.iter().filter(given_back).count();
    let mut repeats = kept.saturating_sub(paid) / 2;
    if agenda.early {
        let pairs = (budget.confirmation() as usize / 2).max(ENOUGH);
        repeats = repeats.min(pairs.saturating_sub(paid.div_ceil(2)));
    }
    let splits = (1..).take(repeats).map(|repeat| Block::Cv { repeat });
    let pairs = splits.map(|block| vec![(grid.base(), block), (agenda.candidate.clone(), block)]);
    // A square is measured on splits that the base is measured on anyway, and the first ones come first.
    let squares: Vec<_> = squares.into_iter().map(|square| vec![square]).collect();
    let mut left = history.left(budget);
    let mut wanted: Vec<(Point, Block)> = Vec::new();
    for group in pairs.chain(squares) {
        // One half without the other is no comparison.
        let lost = |(point, block): &(Point, Block)| {
            let entry = history.find(point, *block);
            entry.is_some_and(|e| e.observation.outcome.is_some() && e.measures.is_none())
        };
        if group.iter().any(lost) {
            continue;
        }
        let open: Vec<(Point, Block)> = group
            .into_iter()
            .filter(|(point, block)| {
                !history.has(point, *block) && !wanted.contains(&(point.clone(), *block))
            })
            .collect();
        if open.len() > left {
            break;
        }
        left -= open.len();
        wanted.extend(open);
    }
    wanted
}

/// The cells of the claimed pairs on fresh splits, without those that candidate and base cover: as many whole squares
/// as `room` allows, one split after the other.
fn squares(grid: &Grid<'_>, agenda: &Agenda, room: usize) -> Vec<(Point, Block)> {
    let mut wanted: Vec<(Point, Block)> = Vec::new();
    for repeat in 1..=SPLITS {
        let block = Block::Cv { repeat };
        for claim in &agenda.claims {
            let covered = |cell: &Point| *cell == grid.base() || *cell == agenda.candidate;
            let open: Vec<(Point, Block)> = claim
                .cells
                .iter()
                .filter(|cell| !covered(cell))
                .map(|cell| (cell.clone(), block))
                .filter(|cell| !wanted.contains(cell))
                .collect();
            if wanted.len() + open.len() > room {
                return wanted;
            }
            wanted.extend(open);
        }
    }
    wanted
}
