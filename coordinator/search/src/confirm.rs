//! The confirmation: one candidate, an ensemble if there is one, and the base, measured again on fresh splits.

use ar_common::{Block, Budget};

use crate::ensemble::{self, Stage, certain};
use crate::grid::{Grid, Point};
use crate::history::{Entry, History, whole};
use crate::insight::Pair;

/// Pairs of replicates after which more of them say little: the correction for overlapping training sets
/// stays, however many splits there are; fewer of them where each covers several splits. Only a search that ended before
/// its budget stops here.
const ENOUGH: usize = 6;
/// One part in so many of what is kept for confirmation may go to squares of two options. The verdict hardly feels it: of
/// the variance of its mean difference, (1 / n + 1 / 4) s2 with five folds, half as many pairs n add a tenth.
const SQUARES: usize = 2;
/// Fresh splits on which a square is measured, at most.
const SPLITS: u32 = 4;

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

/// What is kept, shared out: to an ensemble one fresh split, if [`certain`] pairs of candidate and base are left beside
/// it; to squares half of what is kept at most; to the ensemble as many further splits as there are certain pairs;
/// the rest to candidate and base.
fn share(grid: &Grid<'_>, history: &History<'_>, budget: Budget, agenda: &Agenda) -> Shares {
    let kept = whole(f64::from(budget.total()) - history.spent_searching() - history.spent_looking());
    let pairs = certain(history.repeats);
    if agenda.ensemble == Stage::Open {
        // What else there is depends on how many vote.
        return Shares { repeats: pairs.min(kept / 2), votes: 0, squares: Vec::new() };
    }
    let both = 2 * pairs;
    let each = if both + agenda.votes() > kept { 0 } else { agenda.votes() };
    let room = if each > 0 { kept - both - each } else { kept };
    let least = kept.min(budget.confirmation() as usize);
    // Of single runs a few say nothing of a square, and the candidate lacks them.
    let for_squares = if history.folds > 1 { room.min(least / SQUARES) } else { 0 };
    let squares = squares(grid, agenda, history, for_squares);
    let given_back = |(point, block): &&(Point, Block)| {
        history.find(point, *block).is_some_and(|e| e.observation.outcome.is_some() && e.cost == 0.0)
    };
    let paid = squares.len() - squares.iter().filter(given_back).count();
    let spare = kept.saturating_sub(paid);
    let votes = spare.saturating_sub(both).checked_div(each).unwrap_or(0).min(pairs);
    let mut repeats = (spare - votes * each) / 2;
    if agenda.early {
        let pairs = (budget.confirmation() as usize / 2).max(ENOUGH.div_ceil(history.repeats as usize));
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
    let splits = |n| (history.first_fresh()..).take(n).map(|repeat| Block::Cv { repeat });
    let pairs = splits(repeats).map(|block| vec![single(&base, block), single(&agenda.candidate, block)]);
    let voted = splits(votes).map(|block| vec![single(&base, block), (Replicate::Ensemble, block)]);
    // A square is measured on splits that the base is measured on anyway, and the first ones come first.
    let squares = squares.iter().map(|(point, block)| vec![single(point, *block)]);
    let few = certain(history.repeats);
    let certain = pairs.clone().take(few);
    let mut left = history.left(budget);
    let mut wanted: Vec<(Replicate, Block)> = Vec::new();
    for group in certain.chain(voted).chain(pairs.skip(few)).chain(squares) {
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
fn squares(grid: &Grid<'_>, agenda: &Agenda, history: &History<'_>, room: usize) -> Vec<(Point, Block)> {
    let mut wanted: Vec<(Point, Block)> = Vec::new();
    for repeat in (history.first_fresh()..).take(SPLITS.div_ceil(history.repeats) as usize) {
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
