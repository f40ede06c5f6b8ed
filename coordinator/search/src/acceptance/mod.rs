//! What is kept of a training study: decisions on pairs of runs, one after the other.
//!
//! Two training runs share nothing but their data, so each pair of runs with the same fresh seed is new evidence, and may be
//! looked at as it comes ([`evidence`]). The base runs first and on [`NOISE`] fresh seeds, which tell the noise. Once the search is
//! over, the best configuration challenges the incumbent, which is the base at first: both run on a fresh seed, then on
//! the next, in alternating order, until the evidence is strong enough to keep it or weak enough to drop it. Then the
//! next one challenges whoever is the incumbent. What was kept runs again beside the base on seeds that no
//! decision rests on. Of all that a study keeps, a share of [`FALSE_KEEPS`] is expected to be no better, at most.
//!
//! A pair of which one run failed, or whose runs were on two devices, is lost.
//!
//! All of it is read off the history: which two ran on a fresh seed says what was decided.

mod evidence;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use ar_common::{Block, Fate, Metric, Mode, Outcome};

use crate::contenders;
use crate::grid::{Grid, Point};
use crate::history::{Entry, History, mean};
use crate::surrogate::Surrogate;
use crate::{Problem, Suggestion};
use evidence::Noise;

pub(crate) use verdict::judge;

/// Fresh seeds on which the base runs alone, early: with its first run they are three, and two degrees of freedom of
/// its noise save one or two pairs of each decision.
const NOISE: u32 = 2;
/// The share of false ones among what a study keeps that is expected at most.
pub(crate) const FALSE_KEEPS: f64 = 0.05;
/// Pairs before anything is kept: one run may be a stroke of luck that no noise of the base knows of.
const FEWEST: usize = 2;
/// After so many pairs a challenger is dropped whose e-value is below this: what is that weak seldom recovers.
const WEAK_AFTER: usize = 3;
const WEAK: f64 = 0.25;
/// Pairs without a score after which a challenger is dropped.
const LOST: u32 = 2;
/// Pairs of one decision that run at once: most end after two or three.
const AT_ONCE: usize = 3;
/// Pairs with the base that follow what was kept: one before anything else is tried, the others with what is left.
const AGAIN: [usize; 2] = [1, 3];
/// Runs that a search which ended early may still spend on decisions, at least.
const ENOUGH: usize = 12;

/// One challenger against the incumbent of its time.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) challenger: Point,
    pub(crate) incumbent: Point,
    /// How much better the challenger was in each pair that was asked, in order.
    pub(crate) differences: Vec<f64>,
    /// The same of pairs that ended after it was decided.
    pub(crate) again: Vec<f64>,
    /// The scores of both in all pairs.
    pub(crate) scores: Vec<[f64; 2]>,
    /// Pairs that gave no comparison before it was decided, and after.
    pub(crate) lost: u32,
    lost_again: u32,
    /// Pairs that have not ended, or come after one that has not.
    pending: usize,
    /// It is kept if its e-value is at least the inverse of this.
    pub(crate) level: f64,
    pub(crate) log_e: f64,
    pub(crate) fate: Fate,
}

/// All decisions so far, in order.
pub(crate) struct Chain {
    pub(crate) decisions: Vec<Decision>,
    pub(crate) incumbent: Point,
    noise: Option<Noise>,
    /// Pairs of what was kept with the base, on seeds that no decision rests on.
    again: BTreeMap<Point, Decision>,
    /// The first seed that nothing ran on.
    fresh: u32,
}

/// A run to be made.
pub(crate) struct Run {
    pub(crate) point: Point,
    pub(crate) block: Block,
    pub(crate) reason: String,
}

impl Decision {
    fn new(challenger: Point, incumbent: Point, level: f64) -> Self {
        Self {
            challenger,
            incumbent,
            differences: Vec::new(),
            again: Vec::new(),
            scores: Vec::new(),
            lost: 0,
            lost_again: 0,
            pending: 0,
            level,
            log_e: 0.0,
            fate: Fate::Undecided,
        }
    }

    fn is_of(&self, pair: &[&Point; 2]) -> bool {
        let [a, b] = pair;
        (&&self.challenger, &&self.incumbent) == (a, b) || (&&self.challenger, &&self.incumbent) == (b, a)
    }

    /// Takes the next pair of scores, the challenger's first.
    fn take(&mut self, metric: &Metric, noise: Option<Noise>, scores: [f64; 2]) {
        let gain = evidence::without_rounding(metric.gain(scores[0], scores[1]), scores);
        self.scores.push(scores);
        if self.fate != Fate::Undecided {
            self.again.push(gain);
            let all = self.all();
            if self.fate == Fate::Kept && all.len() > FEWEST && mean(&all) <= 0.0 {
                self.fate = Fate::Revoked;
            }
            return;
        }
        self.differences.push(gain);
        self.log_e = evidence::log_e(&self.differences, noise);
        let pairs = self.differences.len();
        if pairs >= FEWEST && self.log_e >= -self.level.ln() {
            self.fate = Fate::Kept;
        } else if (pairs >= FEWEST && mean(&self.differences) <= 0.0)
            || (pairs >= WEAK_AFTER && self.log_e < WEAK.ln())
        {
            self.fate = Fate::Dropped;
        }
    }

    fn lose(&mut self) {
        if self.fate != Fate::Undecided {
            self.lost_again += 1;
            return;
        }
        self.lost += 1;
        if self.lost >= LOST {
            self.fate = Fate::Dropped;
        }
    }

    /// All differences, those after the decision, too.
    pub(crate) fn all(&self) -> Vec<f64> {
        [&self.differences[..], &self.again].concat()
    }
}

impl Chain {
    /// What the runs on fresh seeds say, in the order of the seeds.
    pub(crate) fn of(grid: &Grid<'_>, history: &History<'_>, metric: &Metric) -> Self {
        let mut chain = Self {
            decisions: Vec::new(),
            incumbent: grid.base(),
            noise: noise(grid, history, metric),
            again: BTreeMap::new(),
            fresh: NOISE + 1,
        };
        let mut seeds: BTreeMap<u32, Vec<&Entry<'_>>> = BTreeMap::new();
        for entry in history.entries.iter().filter(|entry| entry.point.is_some()) {
            if let Some(seed) = entry.repeat() {
                seeds.entry(seed).or_default().push(entry);
            }
        }
        for (seed, runs) in seeds.range(NOISE + 1..) {
            chain.fresh = seed + 1;
            if let [first, second] = runs[..]
                && let (Some(a), Some(b)) = (&first.point, &second.point)
                && a != b
            {
                chain.take(grid, metric, [(a, first), (b, second)]);
            }
        }
        chain
    }

    /// What two runs on one seed are about.
    fn decision(&mut self, base: &Point, pair: &[&Point; 2]) -> Option<&mut Decision> {
        if let Some(place) = self.decisions.iter().rposition(|decision| decision.is_of(pair)) {
            return self.decisions.get_mut(place);
        }
        let [a, b] = *pair;
        let other = |than: &Point| if a == than { b } else { a };
        if !pair.contains(&&self.incumbent) || (self.incumbent != *base && other(&self.incumbent) == base) {
            // What was kept by way of another runs beside the base.
            let kept = other(base);
            let fresh = || Decision { fate: Fate::Kept, ..Decision::new(kept.clone(), base.clone(), 1.0) };
            return pair.contains(&base).then(|| self.again.entry(kept.clone()).or_insert_with(fresh));
        }
        let kept = self.decisions.iter().filter(|d| d.fate == Fate::Kept).count();
        let level = evidence::level(FALSE_KEEPS, self.decisions.len() + 1, kept);
        let challenger = other(&self.incumbent).clone();
        self.decisions.push(Decision::new(challenger, self.incumbent.clone(), level));
        self.decisions.last_mut()
    }

    fn take(&mut self, grid: &Grid<'_>, metric: &Metric, runs: [(&Point, &Entry<'_>); 2]) {
        let (base, noise) = (grid.base(), self.noise);
        let Some(decision) = self.decision(&base, &runs.map(|(point, _)| point)) else {
            return;
        };
        let before = decision.fate;
        let score = |of: &Point| {
            let (_, entry) = runs.iter().find(|(point, _)| *point == of)?;
            entry.measures?.score
        };
        // Runs on two devices differ by more than their configurations.
        let device =
            |entry: &Entry<'_>| entry.measures.and_then(|m| m.device.as_ref()).map(|d| d.ids.clone());
        let [(_, first), (_, second)] = &runs;
        let ended = [first, second].iter().all(|entry| entry.measures.is_some());
        let scores = match ended && device(first) != device(second) {
            true => (None, None),
            false => (score(&decision.challenger), score(&decision.incumbent)),
        };
        let is = |entry: &Entry<'_>, what: fn(&Outcome) -> bool| {
            entry.observation.outcome.as_ref().is_some_and(what)
        };
        let called_off =
            |entry: &&&Entry<'_>| is(entry, |outcome| matches!(outcome, Outcome::Cancelled { .. }));
        match scores {
            // It says nothing of either.
            _ if [first, second].iter().any(called_off) => {}
            // In the order of the seeds, so that nothing that was decided is decided otherwise when an earlier pair ends.
            _ if decision.fate == Fate::Undecided && decision.pending > 0 => decision.pending += 1,
            (Some(ours), Some(theirs)) => decision.take(metric, noise, [ours, theirs]),
            _ if runs.iter().any(|(_, entry)| entry.observation.outcome.is_none()) => decision.pending += 1,
            _ => decision.lose(),
        }
        let (after, challenger, incumbent) =
            (decision.fate, decision.challenger.clone(), decision.incumbent.clone());
        match (before, after) {
            (Fate::Undecided, Fate::Kept) => self.incumbent = challenger,
            (Fate::Kept, Fate::Revoked) if self.incumbent == challenger => self.incumbent = incumbent,
            _ => {}
        }
    }

    /// Pairs of what is the incumbent now with the base that no decision rests on.
    fn checks(&self, base: &Point) -> (usize, usize) {
        let direct = self.decisions.iter().find(|d| d.challenger == self.incumbent && d.incumbent == *base);
        let found = direct.or_else(|| self.again.get(&self.incumbent));
        found.map_or((0, 0), |d| (d.again.len() + d.lost_again as usize, d.pending))
    }
}

/// The variance of the difference of two runs with different seeds, by the runs of the base alone. Two runs with the same
/// seed differ less, if anything, so it is no underestimate.
fn noise(grid: &Grid<'_>, history: &History<'_>, metric: &Metric) -> Option<Noise> {
    let base = grid.base();
    let runs = (0..=NOISE).filter_map(|repeat| history.find(&base, Block::Cv { repeat })?.measures?.score);
    let runs: Vec<f64> = runs.map(|score| metric.gain(score, 0.0)).collect();
    let level = mean(&runs);
    let squares: f64 = runs.iter().map(|score| (score - level).powi(2)).sum();
    let freedom = u32::try_from(runs.len()).unwrap_or(0).saturating_sub(1);
    (freedom > 0).then(|| Noise { variance: 2.0 * squares / f64::from(freedom), freedom })
}

/// Runs of the base on fresh seeds that tell the noise, and are still to be made; none where the budget has no decision.
pub(crate) fn noise_runs(problem: &Problem<'_>, grid: &Grid<'_>, history: &History<'_>) -> Vec<Run> {
    let base = grid.base();
    let ended = history.find(&base, Block::FIRST).is_some_and(|entry| entry.measures.is_some());
    if !ended || problem.budget.decisions() == 0 || problem.spent_time {
        return Vec::new();
    }
    let blocks = (1..=NOISE).map(|repeat| Block::Cv { repeat });
    let new = blocks.filter(|block| !history.has(&base, *block)).take(history.left(problem.budget));
    let run = |block| Run {
        point: base.clone(),
        block,
        reason: "the base on a fresh seed: how much do scores scatter?".to_owned(),
    };
    new.map(run).collect()
}

/// The pairs to run now that the search is over, up to `want` runs and one pair at least; none if what is pending decides or
/// nothing is left to decide.
pub(crate) fn next(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    (surrogate, early, want): (&Surrogate, bool, usize),
) -> Vec<Run> {
    let chain = Chain::of(grid, history, problem.metric);
    let mut left = history.left(problem.budget);
    if early {
        let spent = history.spent() - history.spent_searching();
        let room = (problem.budget.decisions() as usize).max(ENOUGH);
        left = left.min(room.saturating_sub(crate::history::whole(spent)));
    }
    let wanted = want.div_ceil(2).max(1).min(left / 2);
    let base = grid.base();
    let pairs = |a: &Point, b: &Point, n: usize, why: &str| -> Vec<Run> {
        let seeds = (chain.fresh..).take(n.min(wanted));
        seeds.flat_map(|seed| pair(grid, (a, b), seed, why)).collect()
    };
    let open = chain.decisions.last().filter(|decision| decision.fate == Fate::Undecided);
    if let Some(open) = open {
        let more = AT_ONCE.saturating_sub(open.pending);
        return pairs(&open.challenger, &open.incumbent, more, "is it better?");
    }
    let (checked, pending) = chain.checks(&base);
    let check = |most: usize| {
        let more = if chain.incumbent == base { 0 } else { most.saturating_sub(checked + pending) };
        pairs(&chain.incumbent, &base, more, "what was kept, again")
    };
    let first = check(AGAIN[0]);
    if !first.is_empty() {
        return first;
    }
    // A check may take back what was kept.
    if pending > 0 && checked < AGAIN[0] {
        return Vec::new();
    }
    match challenger(grid, history, surrogate, &chain) {
        Some(challenger) => pairs(&challenger, &chain.incumbent, AT_ONCE, "is it better?"),
        None => check(AGAIN[1]),
    }
}

/// Two runs on one seed, in an order that changes from seed to seed.
fn pair(grid: &Grid<'_>, (a, b): (&Point, &Point), seed: u32, why: &str) -> [Run; 2] {
    let block = Block::Cv { repeat: seed };
    let run = |point: &Point| {
        let name = grid.describe(point);
        Run { point: point.clone(), block, reason: format!("a pair on a fresh seed, {why} {name}") }
    };
    if seed.is_multiple_of(2) { [run(a), run(b)] } else { [run(b), run(a)] }
}

/// Who challenges the incumbent next: the configuration with the highest expected score of those that never did, if that is
/// above the incumbent's.
fn challenger(grid: &Grid<'_>, history: &History<'_>, surrogate: &Surrogate, chain: &Chain) -> Option<Point> {
    let base = grid.base();
    let tried: BTreeSet<&Point> =
        chain.decisions.iter().flat_map(|d| [&d.challenger, &d.incumbent]).chain([&base]).collect();
    let known = surrogate.settled();
    let floor = known.iter().find(|(point, _)| **point == chain.incumbent).map(|(_, value)| *value);
    let ranked = contenders::ranked(grid, history, surrogate);
    let (best, value) = ranked.into_iter().find(|(point, _)| !tried.contains(point))?;
    floor.is_none_or(|floor| value > floor).then(|| best.clone())
}

/// Runs on fresh seeds as suggestions, `want` at most.
pub(crate) fn suggestions(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    (mode, runs, want): (Mode, Vec<Run>, usize),
) -> Vec<Suggestion> {
    let spent = crate::history::whole(history.spent()) as u32;
    let suggestion = |(n, run): (u32, Run)| Suggestion {
        config: grid.config(&run.point),
        block: run.block,
        mode,
        round: problem.budget.round_of(spent + n),
        reason: run.reason,
        expected_gain: None,
        members: Vec::new(),
        race: None,
    };
    (0..).zip(runs).take(want).map(suggestion).collect()
}
