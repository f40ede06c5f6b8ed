//! An ensemble of the best: who is in it, and how far it is.
//!
//! When the search is over, one experiment fits the best few configurations again on the study's own split and weighs
//! them by greedy selection on their out-of-fold predictions. What has a weight is a second candidate of the verdict,
//! its weights fixed from then on. Its score on that split is that of the rows its weights were chosen on, so only
//! fresh splits count for it.
//!
//! It costs a full evaluation for each member. The first of its runs is paid by the search, which ends so many
//! experiments sooner ([`set_aside`]); those on fresh splits by the confirmation, which keeps [`certain`] pairs for the
//! other candidate whatever the ensemble takes.

use std::collections::BTreeMap;

use ar_common::ensemble::{FEWEST, weighed};
use ar_common::{Block, Constraints, Measures, Member};

use crate::Problem;
use crate::grid::{Grid, Point, changes};
use crate::history::{Entry, History, whole};
use crate::surrogate::Surrogate;

/// Members that are weighed.
const MEMBERS: usize = 4;
/// Of one family, as long as there are others.
const KIN: usize = 2;
/// Configurations with a score before the best of them are worth averaging.
const SCORED: usize = 3;
/// Fresh splits that the other candidate has in any case: 15 pairs with five folds.
const CERTAIN: u32 = 3;

/// Runs of each half of the pairs that the other candidate has in any case, where one covers so many splits.
pub(crate) fn certain(repeats: u32) -> usize {
    CERTAIN.div_ceil(repeats.max(1)) as usize
}

/// What a fresh split of the members may cost, if there is to be an ensemble at all.
pub(crate) fn votes_at_most(problem: &Problem<'_>) -> usize {
    // However many splits a run covers: of fewer experiments the search should not give as many away.
    let room = problem.budget.confirmation() as usize >= 2 * certain(1) + FEWEST;
    if room && !problem.search.no_ensemble { MEMBERS } else { 0 }
}

/// How far the study's ensemble is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// There is none.
    Absent,
    /// Its members are being weighed.
    Open,
    /// These vote.
    Settled(Vec<Member>),
}

/// Full evaluations that the search leaves for weighing the members, where what is kept for confirmation has room for
/// both candidates.
pub(crate) fn set_aside(problem: &Problem<'_>, history: &History<'_>) -> usize {
    let spent: f64 = all(history).map(|e| e.cost).sum();
    votes_at_most(problem).saturating_sub(whole(spent))
}

/// The ensembles whose members were to be weighed, in order.
fn all<'h, 'a>(history: &'h History<'a>) -> impl Iterator<Item = &'h Entry<'a>> {
    history.searched().filter(|e| !e.observation.members.is_empty())
}

/// The members to weigh now that the search is over; `None` if that was done since, if there is too little to choose
/// from, or if the budget has no room for it beside the [`certain`] pairs of the other candidate.
pub(crate) fn propose(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    surrogate: &Surrogate,
) -> Option<Vec<Member>> {
    // What time is left is for the comparison.
    if problem.search.no_ensemble || problem.spent_time {
        return None;
    }
    if history.searched().last().is_some_and(|e| !e.observation.members.is_empty()) {
        return None;
    }
    // The weighing and one fresh split of all members.
    let most = history.left(problem.budget).saturating_sub(2 * certain(history.repeats)) / 2;
    let chosen = best(grid, history, surrogate, most.min(MEMBERS))?;
    let members: Vec<Member> =
        chosen.iter().map(|point| Member { config: grid.config(point), weight: 0 }).collect();
    let again = all(history).any(|e| e.observation.members == members);
    (!again && members.len() >= FEWEST).then_some(members)
}

/// The configurations with the highest expected scores, of all that ran to their end on the first split and keep to the
/// constraints; at most [`KIN`] of one family of the slot with most options, as long as there are others.
fn best(grid: &Grid<'_>, history: &History<'_>, surrogate: &Surrogate, most: usize) -> Option<Vec<Point>> {
    let complete = |point: &Point| {
        let entry = history.find(point, Block::FIRST);
        history.keeps(point) && entry.is_some_and(|e| e.score().is_some())
    };
    let mut ranked: Vec<(&Point, f64)> =
        surrogate.settled().into_iter().filter(|(point, _)| complete(point)).collect();
    ranked.sort_by(|a, b| {
        let simpler = || changes(a.0).count().cmp(&changes(b.0).count()).then_with(|| a.0.cmp(b.0));
        b.1.total_cmp(&a.1).then_with(simpler)
    });
    if ranked.len() < SCORED {
        return None;
    }
    let options = |d: &usize| (grid.axes[*d].place.is_none(), grid.axes[*d].searched.len());
    // Of equally large slots the first.
    let slot = (0..grid.axes.len()).rev().max_by_key(options)?;
    let mut kin: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut chosen, mut others): (Vec<Point>, Vec<Point>) = (Vec::new(), Vec::new());
    for (point, _) in ranked {
        let known = kin.entry(grid.family(slot, point[slot])).or_default();
        *known += 1;
        let list = if *known <= KIN { &mut chosen } else { &mut others };
        list.push(point.clone());
    }
    Some(chosen.into_iter().chain(others).take(most).collect())
}

/// How far the newest ensemble is. One that breaks the constraints, or has an option that is not there any more, is
/// none.
pub(crate) fn stage(grid: &Grid<'_>, history: &History<'_>, constraints: &Constraints) -> Stage {
    let Some(first) = all(history).last() else {
        return Stage::Absent;
    };
    if first.observation.outcome.is_none() {
        return Stage::Open;
    }
    let weights = first.measures.map_or(&[][..], |m| &m.members);
    let Some(members) = weighed(&first.observation.members, weights) else {
        return Stage::Absent;
    };
    let mut measures: Vec<&Measures> = runs(history, &members).into_values().collect();
    measures.extend(first.measures);
    let there = members.iter().all(|member| grid.point(&member.config).is_some());
    if there && constraints.allow(&measures) { Stage::Settled(members) } else { Stage::Absent }
}

/// The complete runs of an ensemble on fresh splits.
pub(crate) fn runs<'a>(history: &History<'a>, members: &[Member]) -> BTreeMap<u32, &'a Measures> {
    let voted = history.entries.iter().filter(|e| e.observation.members == members);
    voted.filter_map(|e| Some((e.repeat().filter(|repeat| *repeat > 0)?, e.measures?))).collect()
}

/// What became of an ensemble's run on a split.
pub(crate) fn find<'h, 'a>(
    history: &'h History<'a>,
    members: &[Member],
    block: Block,
) -> Option<&'h Entry<'a>> {
    history.entries.iter().find(|e| e.observation.block == block && e.observation.members == members)
}

/// Why an ensemble is run, in a line.
pub(crate) fn reason(grid: &Grid<'_>, members: &[Member]) -> String {
    let name = describe(grid, members);
    format!("what the best weigh when their predictions are averaged, {name}")
}

/// An ensemble in words.
pub(crate) fn describe(grid: &Grid<'_>, members: &[Member]) -> String {
    let base = grid.config(&grid.base());
    ar_common::ensemble::describe(&base, members, &base)
}
