//! What to try next, and whether anything is shown to beat the base.
//!
//! *Architecture Invariant:* the search does no I/O, reads no clock and draws no unseeded randomness. A plan is a
//! function of (space, metric, budget, seed, history), and the order in which results of simultaneous
//! experiments arrived does not matter: observations are sorted by experiment first. It knows nothing of
//! leases and workers; it sees configurations and outcomes.
//!
//! One study goes: base, floors, coverage (`coverage.rs`); four modes on an additive model (`marginals.rs`,
//! `candidates.rs`, `modes.rs`); replicates of one candidate and the base (`confirm.rs`); the verdict
//! (`verdict.rs`). There is no barrier but the one before confirmation, where the candidate is chosen.

mod candidates;
mod confirm;
mod contributions;
mod coverage;
mod grid;
mod history;
mod marginals;
mod modes;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;

use ar_common::{Block, Budget, Config, ExperimentId, Metric, Mode, Outcome, Space, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use contributions::{Contribution, Ranked, contributions, ranking};
pub use coverage::uncovered;
pub use verdict::{LEVEL, PairedTest, paired_test};

use candidates::Sight;
use grid::Grid;
use history::{History, whole};
use marginals::{Marginals, Reach};
use modes::Progress;

/// Failures without a single success after which nothing more is tried: then it is not the options.
const HOPELESS: usize = 12;

/// Times the budget that may be given back before the space counts as exhausted: one whose
/// configurations nearly all come to the same would otherwise be gone through for free, for ever.
const REFUNDS: usize = 4;

/// One experiment that was suggested, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Its number; the order of the history.
    pub experiment: ExperimentId,
    /// What was tried.
    pub config: Config,
    /// On which split.
    pub block: Block,
    /// Why it was suggested.
    pub mode: Mode,
    /// How it ended; `None` while it is pending.
    pub outcome: Option<Outcome>,
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// What is searched.
    pub space: &'a Space,
    /// What is measured.
    pub metric: &'a Metric,
    /// How many experiments.
    pub budget: Budget,
    /// The study's time has passed the search's share of it: no more search, confirm what there is.
    pub spent_time: bool,
    /// Seed of every draw.
    pub seed: u64,
}

/// An experiment to run next.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What to try; canonical for the space.
    pub config: Config,
    /// On which split.
    pub block: Block,
    /// Why, in a word.
    pub mode: Mode,
    /// The round it belongs to, from 1.
    pub round: u32,
    /// Why, in a line that a person understands.
    pub reason: String,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Run these; at most as many as were asked for.
    Suggest(Vec<Suggestion>),
    /// What is pending decides: ask again when one of them ends.
    Wait,
    /// The study is done.
    Conclude(Verdict),
    /// The study is done, and no experiment has a score.
    Fail {
        /// One sentence for a person.
        reason: String,
    },
}

/// What to run next, up to `want` experiments, or how the study ends. A pure function of its arguments.
pub fn plan(problem: &Problem<'_>, history: &[Observation], want: usize) -> Plan {
    match next(problem, history, want.max(1)) {
        Plan::Suggest(_) if want == 0 => Plan::Wait,
        plan => plan,
    }
}

fn next(problem: &Problem<'_>, history: &[Observation], want: usize) -> Plan {
    let grid = Grid::new(problem.space);
    let history = History::new(&grid, history);
    let wait_or_end = || {
        if history.pending() { Plan::Wait } else { end(problem, &grid, &history) }
    };
    if !history.any_score() && history.failures() >= HOPELESS {
        return wait_or_end();
    }
    let left = history.search_left(problem.budget);
    let mut early = problem.spent_time;
    if left > 0 && !early {
        let refunds = REFUNDS.saturating_mul(problem.budget.total() as usize);
        if history.refunded() < refunds {
            let suggestions = search(problem, &grid, &history, want.min(left));
            if !suggestions.is_empty() {
                return Plan::Suggest(suggestions);
            }
        }
        early = true;
    }
    confirm(problem, &grid, &history, want, early).unwrap_or_else(wait_or_end)
}

/// How the study ends with what is known now; what is pending is left out. For a study that is
/// called off, or out of time. Never [`Plan::Suggest`] or [`Plan::Wait`].
pub fn conclude(problem: &Problem<'_>, history: &[Observation]) -> Plan {
    let grid = Grid::new(problem.space);
    end(problem, &grid, &History::new(&grid, history))
}

fn end(problem: &Problem<'_>, grid: &Grid<'_>, history: &History<'_>) -> Plan {
    match verdict::judge(grid, history, problem.metric) {
        Some(verdict) => Plan::Conclude(verdict),
        None => {
            let failures = history.failures();
            let last =
                history.last_failure().map(|last| format!("; the last one: {last}")).unwrap_or_default();
            Plan::Fail { reason: format!("no experiment has a score: {failures} failed{last}") }
        }
    }
}

/// The next experiments of the search: coverage first, then the modes. Empty if nothing is left to try.
fn search(problem: &Problem<'_>, grid: &Grid<'_>, history: &History<'_>, want: usize) -> Vec<Suggestion> {
    let samples = history.samples(grid, problem.metric);
    let model = Marginals::fit(grid, history, &samples, Reach::Good);
    let mut progress = Progress {
        budget: problem.budget,
        spent: whole(history.spent()) as u32,
        left: history.search_left(problem.budget),
        made: Vec::new(),
        taken: BTreeSet::new(),
    };
    let mut suggestions = Vec::new();
    for look in coverage::next(grid, history, &model, problem.budget, want) {
        let config = grid.config(&look.point);
        let round = progress.suggest(Mode::Explore, look.point);
        suggestions.push(Suggestion {
            config,
            block: Block::FIRST,
            mode: Mode::Explore,
            round,
            reason: look.reason,
        });
    }
    if suggestions.len() == want {
        return suggestions;
    }
    let mut sight = Sight::new(grid, history, &samples, model);
    progress.taken.iter().for_each(|point| sight.model.expect(point));
    let mut rng = ChaCha8Rng::seed_from_u64(problem.seed);
    rng.set_stream(history.entries.len() as u64);
    let mut pool = Vec::new();
    while suggestions.len() < want {
        let Some(pick) = modes::pick(&mut sight, &progress, &mut pool, &mut rng) else {
            break;
        };
        let config = grid.config(&pick.point);
        let round = progress.suggest(pick.mode, pick.point);
        suggestions.push(Suggestion {
            config,
            block: Block::FIRST,
            mode: pick.mode,
            round,
            reason: pick.reason,
        });
    }
    suggestions
}

/// Replicates of the candidate and the base; `None` if there is nothing to confirm or it is done.
fn confirm(
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    want: usize,
    early: bool,
) -> Option<Plan> {
    // The candidate is chosen once, when everything that may be it has ended.
    if history.searched().any(|e| e.observation.outcome.is_none()) {
        return Some(Plan::Wait);
    }
    let candidate = confirm::candidate(grid, history, problem.metric)?;
    let base = history.find(&grid.base(), Block::FIRST)?;
    let cancelled = matches!(base.observation.outcome, Some(Outcome::Cancelled { .. }));
    if base.measures.is_none() && !cancelled {
        return None;
    }
    let spent = whole(history.spent()) as u32;
    let suggest = |(n, (point, block)): (u32, (grid::Point, Block))| {
        let who = if point == candidate { "the candidate" } else { "the base" };
        Suggestion {
            config: grid.config(&point),
            block,
            mode: Mode::Narrow,
            round: problem.budget.round_of(spent + n),
            reason: format!("confirmation: {who} on a fresh split, {}", grid.describe(&point)),
        }
    };
    let replicates = confirm::replicates(grid, history, problem.budget, &candidate, early);
    let suggestions: Vec<Suggestion> = (0..).zip(replicates).take(want).map(suggest).collect();
    (!suggestions.is_empty()).then_some(Plan::Suggest(suggestions))
}
