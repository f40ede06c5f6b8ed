//! Which candidate of which mode is next.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::{Budget, Mode};
use rand_chacha::ChaCha8Rng;

use crate::candidates::{Candidate, Sight, generate, improvement};
use crate::grid::{Axis, Grid, Point, Slot};
use crate::history::History;

/// One experiment in so many goes to what was given up, if anything was.
const AUDIT: u32 = 20;

/// What the surrogate takes for a deviation, times this, when a candidate is chosen: it rests on few scores and
/// does not know how little it knows. Measured on eight synthetic spaces: a tenth less regret after 60
/// experiments; on nine complete tables the same regret, with fewer runs that stay with the first good family.
const WIDER: f64 = 2.0;

/// A candidate that was picked, with the reason in words.
pub(crate) struct Pick {
    pub(crate) mode: Mode,
    pub(crate) point: Point,
    pub(crate) reason: String,
    /// The improvement over the best that is expected of it, in units of the metric.
    pub(crate) expected_gain: Option<f64>,
}

/// How far the experiments of this plan have come in the budget.
pub(crate) struct Progress {
    pub(crate) budget: Budget,
    /// Experiments spent before the next one.
    pub(crate) spent: u32,
    /// Experiments that the search may still start.
    pub(crate) left: usize,
    /// The modes of what this plan suggests so far, with their rounds.
    pub(crate) made: Vec<(Mode, u32)>,
    /// Expected improvement below which the search ends, if that was asked for.
    pub(crate) stop_below: Option<f64>,
    /// What this plan suggests so far.
    pub(crate) taken: BTreeSet<Point>,
}

impl Progress {
    /// Whether the next experiment may go to what was given up.
    fn audits(&self) -> bool {
        self.spent % AUDIT == AUDIT - 1
    }

    /// The round of the next experiment.
    pub(crate) fn round(&self) -> u32 {
        self.budget.round_of(self.spent)
    }

    /// Counts a suggestion; returns its round.
    pub(crate) fn suggest(&mut self, mode: Mode, point: Point) -> u32 {
        let round = self.round();
        self.made.push((mode, round));
        self.taken.insert(point);
        self.spent += 1;
        self.left = self.left.saturating_sub(1);
        round
    }

    /// Experiments of the search that the present round still has room for.
    fn slots(&self) -> usize {
        let size = self.budget.per_round.max(1);
        self.left.min((size - self.spent % size) as usize)
    }
}

/// The best candidate of the mode whose turn it is, taken out of the pool; the pool is filled anew when it
/// has run dry. `None` if nothing is left to try.
///
/// Each mode that has candidates gets an experiment in every round as far as the round has room; the
/// rest go to whichever candidate promises most.
pub(crate) fn pick(
    sight: &mut Sight<'_>,
    progress: &Progress,
    pool: &mut Vec<Candidate>,
    rng: &mut ChaCha8Rng,
) -> Option<Pick> {
    if pool.is_empty() || progress.audits() {
        *pool = generate(sight, &progress.taken, progress.audits(), rng);
    }
    if progress.stop_below.is_some_and(|least| !progress.audits() && hope(sight, pool) < least) {
        return None;
    }
    let due = due(pool, sight, progress);
    let mut best: Option<(f64, usize)> = None;
    for (i, candidate) in pool.iter().enumerate().filter(|(_, c)| due.is_none_or(|mode| c.mode == mode)) {
        let promise = expected_gain(sight, &candidate.point, WIDER) / sight.price(&candidate.point);
        if best.is_none_or(|(most, _)| promise > most) {
            best = Some((promise, i));
        }
    }
    let candidate = pool.swap_remove(best?.1);
    let pick = chosen(sight, pool, candidate);
    if progress.audits() {
        pool.clear();
    }
    Some(pick)
}

/// Takes a candidate out of the pool.
fn chosen(sight: &mut Sight<'_>, pool: &mut Vec<Candidate>, candidate: Candidate) -> Pick {
    let Candidate { mode, point, why } = candidate;
    let expected_gain = expected_gain(sight, &point, 1.0);
    let expected_gain = Some(sight.surrogate.in_units(expected_gain));
    pool.retain(|c| c.point != point);
    Pick { mode, reason: why.text(sight.grid, &sight.leaders[0], &point), point, expected_gain }
}

/// The largest improvement that is expected of any candidate, in units of the metric.
fn hope(sight: &mut Sight<'_>, pool: &[Candidate]) -> f64 {
    let most = pool.iter().map(|c| expected_gain(sight, &c.point, 1.0)).fold(0.0, f64::max);
    sight.surrogate.in_units(most)
}

/// The mode that has to be next so that none of those with candidates is left out of the round: the
/// one used least so far. `None` while there is room for all of them later.
fn due(pool: &[Candidate], sight: &Sight<'_>, progress: &Progress) -> Option<Mode> {
    let round = progress.round();
    let mut uses: BTreeMap<Mode, (u32, u32)> = sight.history.modes(progress.budget, round);
    for (mode, made_in) in &progress.made {
        let used = uses.entry(*mode).or_default();
        used.0 += 1;
        used.1 += u32::from(*made_in == round);
    }
    let uses = |mode: Mode| uses.get(&mode).copied().unwrap_or_default();
    let offered: BTreeSet<Mode> = pool.iter().map(|c| c.mode).collect();
    let missing: Vec<Mode> = offered.into_iter().filter(|mode| uses(*mode).1 == 0).collect();
    if missing.len() < progress.slots() {
        return None;
    }
    missing.into_iter().min_by_key(|mode| uses(*mode).0)
}

/// Expected improvement over the best expected score of what was tried, with the deviation taken `wider` times,
/// times the chance that it runs at all and keeps to the constraints.
fn expected_gain(sight: &mut Sight<'_>, point: &Point, wider: f64) -> f64 {
    let mark = sight.mark.unwrap_or(0.0);
    let mut belief = sight.surrogate.believe(point);
    belief.variance *= wider * wider;
    let improvement = improvement(belief, mark);
    improvement * counts(sight, point)
}

/// The chance that a run of `point` gives a score and keeps to the constraints.
pub(crate) fn counts(sight: &Sight<'_>, point: &Point) -> f64 {
    point.iter().zip(&sight.chances).map(|(option, chances)| chances[*option as usize]).product()
}

/// Per dimension and option, the chance that a run with it gives a score and keeps to the constraints, from how its runs
/// went; one before there are any. An option mostly breaks a constraint always or hardly ever: as long as it always has,
/// each run halves the chance, or the search would go on trying what scores high and may not be handed over.
pub(crate) fn chances(grid: &Grid<'_>, history: &History<'_>) -> Vec<Vec<f64>> {
    let share = |good: u32, bad: u32| {
        let good = f64::from(good) + 2.0;
        good / (good + f64::from(bad))
    };
    let chance = |slot: Slot| {
        let tally = history.tally(slot);
        let keeps = match tally.kept {
            0 => 0.5_f64.powf(tally.refused.into()),
            kept => share(kept, tally.refused),
        };
        share(tally.succeeded, tally.failed) * keeps
    };
    let of_axis = |(d, axis): (usize, &Axis)| (0..axis.family.len() as u32).map(|o| chance((d, o))).collect();
    grid.axes.iter().enumerate().map(of_axis).collect()
}
