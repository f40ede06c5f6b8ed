//! The confirmation: one candidate, an ensemble if there is one, and the base, measured again on fresh splits.

use ar_common::{Block, Budget};

use crate::ensemble::{self, CERTAIN, Stage};
use crate::grid::{Grid, Point, changes};
use crate::history::{Entry, History, whole};
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
    pub(crate) ensemble: Stage,
}

/// What is measured again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replicate {
    /// A configuration.
    Single(Point),
    /// The ensemble of the agenda.
    Ensemble,
}

impl Agenda {
    /// What became of a replicate, if it was suggested.
    fn find<'h, 'a>(
        &self,
        history: &'h History<'a>,
        (what, block): &(Replicate, Block),
    ) -> Option<&'h Entry<'a>> {
        match (what, &self.ensemble) {
            (Replicate::Single(point), _) => history.find(point, *block),
            (Replicate::Ensemble, Stage::Settled(members)) => ensemble::find(history, members, *block),
            (Replicate::Ensemble, _) => None,
        }
    }

    /// Members of the ensemble.
    fn votes(&self) -> usize {
        if let Stage::Settled(members) = &self.ensemble { members.len() } else { 0 }
    }
}

/// How many splits each has, and the squares.
struct Shares {
    /// Of candidate and base.
    repeats: usize,
    /// Of the ensemble.
    votes: usize,
    squares: Vec<(Point, Block)>,
}

/// What is kept, shared out: to an ensemble one fresh split, if [`CERTAIN`] pairs of candidate and base are left beside
/// it; to squares half of what is kept at most; to the ensemble as many further splits as there are certain pairs;
/// the rest to candidate and base.
fn share(grid: &Grid<'_>, history: &History<'_>, budget: Budget, agenda: &Agenda) -> Shares {
    let kept = whole(f64::from(budget.total()) - history.spent_searching());
    if agenda.ensemble == Stage::Open {
        // What else there is depends on how many vote.
        return Shares { repeats: CERTAIN.min(kept / 2), votes: 0, squares: Vec::new() };
    }
    let certain = 2 * CERTAIN;
    let each = if certain + agenda.votes() > kept { 0 } else { agenda.votes() };
    let room = if each > 0 { kept - certain - each } else { kept };
    let least = kept.min(budget.confirmation() as usize);
    // Of single runs a few say nothing of a square, and the candidate lacks them.
    let for_squares = if history.folds > 1 { room.min(least / SQUARES) } else { 0 };
    let squares = squares(grid, agenda, for_squares);
    let given_back = |(point, block): &&(Point, Block)| {
        history.find(point, *block).is_some_and(|e| e.observation.outcome.is_some() && e.cost == 0.0)
    };
    let paid = squares.len() - squares.iter().filter(given_back).count();
    let spare = kept.saturating_sub(paid);
    let votes = spare.saturating_sub(certain).checked_div(each).unwrap_or(0).min(CERTAIN);
    let mut repeats = (spare - votes * each) / 2;
    if agenda.early {
        let pairs = (budget.confirmation() as usize / 2).max(ENOUGH);
        repeats = repeats.min(pairs.saturating_sub(paid.div_ceil(2)));
    }
    Shares { repeats, votes, squares }
}

/// The replicates that are still to be suggested, up to what is left of the budget: pairs of candidate and base, the
/// ensemble on the first of their splits, and squares.
pub(crate) fn replicates(
    grid: &Grid<'_>,
    history: &History<'_>,
    budget: Budget,
    agenda: &Agenda,
) -> Vec<(Replicate, Block)> {
    let Shares { repeats, votes, squares } = share(grid, history, budget, agenda);
    let single = |point: &Point, block| (Replicate::Single(point.clone()), block);
    let base = grid.base();
    let splits = |n| (1..).take(n).map(|repeat| Block::Cv { repeat });
    let pairs = splits(repeats).map(|block| vec![single(&base, block), single(&agenda.candidate, block)]);
    let voted = splits(votes).map(|block| vec![single(&base, block), (Replicate::Ensemble, block)]);
    // A square is measured on splits that the base is measured on anyway, and the first ones come first.
    let squares = squares.iter().map(|(point, block)| vec![single(point, *block)]);
    let certain = pairs.clone().take(CERTAIN);
    let mut left = history.left(budget);
    let mut wanted: Vec<(Replicate, Block)> = Vec::new();
    for group in certain.chain(voted).chain(pairs.skip(CERTAIN)).chain(squares) {
        // One half without the other is no comparison.
        let lost = |replicate: &(Replicate, Block)| {
            let entry = agenda.find(history, replicate);
            entry.is_some_and(|e| e.observation.outcome.is_some() && e.measures.is_none())
        };
        if group.iter().any(lost) {
            continue;
        }
        let new = |r: &(Replicate, Block)| agenda.find(history, r).is_none() && !wanted.contains(r);
        let open: Vec<(Replicate, Block)> = group.into_iter().filter(new).collect();
        let cost =
            |(what, _): &(Replicate, Block)| if *what == Replicate::Ensemble { agenda.votes() } else { 1 };
        let price: usize = open.iter().map(cost).sum();
        if price > left {
            break;
        }
        left -= price;
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
