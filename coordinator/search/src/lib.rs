//! What to try next, and whether anything is shown to beat the base.
//!
//! *Architecture Invariant:* the search does no I/O, reads no clock and draws no unseeded randomness. A plan is a
//! function of (space, metric, budget, seed, history), and the order in which results of simultaneous
//! experiments arrived does not matter: observations are sorted by experiment first. It knows nothing of
//! leases and workers; it sees configurations and outcomes.
//!
//! One study goes: base, floors, coverage (`coverage.rs`); four modes on one surrogate (`surrogate/`,
//! `candidates.rs`, `modes.rs`); replicates of one candidate and the base (`confirm.rs`); the verdict
//! (`verdict.rs`). There is no barrier but the one before confirmation, where the candidate is chosen, and an ensemble
//! of the best beside it (`ensemble.rs`).

mod acceptance;
mod candidates;
mod climb;
mod confirm;
mod contenders;
mod contributions;
mod coverage;
mod curves;
mod ensemble;
mod grid;
mod history;
mod insight;
mod marginals;
mod memory;
mod modes;
mod paired;
pub mod pareto;
mod racing;
mod samplers;
mod surrogate;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;
mod warm;

use std::collections::BTreeSet;

use ar_common::{
    Block, Budget, Config, Constraints, ExperimentId, Member, Metric, Mode, Outcome, Race, Sampler,
    SearchSpec, Space, Verdict,
};

pub use contributions::{Contribution, Ranked, contributions, ranking};
pub use coverage::uncovered;
pub use insight::{COVERAGE, Effect, Explanation, Importance, Interaction, Pruned, Status, Triple};
pub use memory::Search;
pub use paired::{PairedTest, Prior, paired_test};
pub use verdict::LEVEL;

use candidates::Sight;
use confirm::{Agenda, Replicate};
use ensemble::Stage;
use grid::{Grid, Point};
use history::{History, Sample, whole};
use insight::Pruning;
use marginals::{Marginals, Reach};
use memory::{generator, modelled};
use modes::Progress;
use surrogate::Below;

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
    /// Those who vote, of an ensemble; its `config` is the base and of no account.
    pub members: Vec<Member>,
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
    /// Seconds of evaluation that the study's time limit has room for on all slots together, if it has one.
    pub seconds: Option<f64>,
    /// Rows that a fold is tested on, per row that it is trained on; see [`ar_common::spec::Splits::test_share`].
    pub test_share: f64,
    /// Splits that one run on a fresh split covers, see [`ar_common::spec::Splits::repeats`]; 1 or more.
    pub repeats: u32,
    /// What a configuration must keep to, to be the answer.
    pub constraints: Constraints,
    /// Seed of every draw.
    pub seed: u64,
    /// How the search goes.
    pub search: &'a SearchSpec,
}

impl Problem<'_> {
    /// Whether two runs share nothing but their data, as training runs do: each is new evidence, and what is kept is decided on
    /// pairs of runs (`acceptance`).
    fn independent(&self) -> bool {
        self.test_share == 0.0
    }
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
    /// The improvement over the best that the surrogate expects of it, in units of the metric; absent where it was not
    /// asked: coverage, other samplers, confirmation.
    pub expected_gain: Option<f64>,
    /// Those who vote, of an ensemble; its `config` is the base. Weights of 0 are to be chosen by the run.
    pub members: Vec<Member>,
    /// Against whom it runs; to its end if against nobody.
    pub race: Option<Race>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Run these; at most as many as were asked for, but for a pair of runs, which stays whole.
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
    Search::default().plan(problem, history, want)
}

fn next(memory: &mut Search, problem: &Problem<'_>, history: &[Observation], want: usize) -> Plan {
    let grid = Grid::new(problem.space);
    let history = History::new(&grid, history).of(problem);
    let wait_or_end = |memory: &mut Search| {
        if history.pending() { Plan::Wait } else { end(memory, problem, &grid, &history) }
    };
    if !history.any_score() && history.failures() >= HOPELESS {
        return wait_or_end(memory);
    }
    if problem.independent() {
        let runs = acceptance::noise_runs(problem, &grid, &history);
        if !runs.is_empty() {
            return Plan::Suggest(acceptance::suggestions(
                problem,
                &grid,
                &history,
                (Mode::Explore, runs, want),
            ));
        }
    }
    let left = history.search_left(problem);
    let mut early = problem.spent_time;
    if left > 0 && !early {
        let refunds = REFUNDS.saturating_mul(problem.budget.total() as usize);
        if history.refunded() < refunds {
            let mut suggestions = warm::next(problem, &grid, &history, want.min(left));
            let more = want.min(left) - suggestions.len();
            if more > 0 {
                suggestions.extend(search(memory, problem, &grid, &history, more));
            }
            if !suggestions.is_empty() {
                return Plan::Suggest(suggestions);
            }
        }
        early = true;
    }
    confirm(memory, problem, &grid, &history, want, early).unwrap_or_else(|| wait_or_end(memory))
}

/// How the study ends with what is known now; what is pending is left out. For a study that is
/// called off, or out of time. Never [`Plan::Suggest`] or [`Plan::Wait`].
pub fn conclude(problem: &Problem<'_>, history: &[Observation]) -> Plan {
    let grid = Grid::new(problem.space);
    let history = History::new(&grid, history).of(problem);
    end(&mut Search::default(), problem, &grid, &history)
}

/// What the study teaches so far; empty as long as nothing has a score.
pub fn explain(problem: &Problem<'_>, history: &[Observation]) -> Explanation {
    let uncovered = uncovered(problem.space, history);
    let grid = Grid::new(problem.space);
    let history = History::new(&grid, history).of(problem);
    if !history.any_score() {
        return Explanation { uncovered, ..Explanation::default() };
    }
    let surrogate = Search::default().surrogate(problem, &grid, &history);
    let rank = |(point, value): &(&Point, f64)| (history.keeps(point), *value);
    let higher = |a: (bool, f64), b: (bool, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    let best = surrogate.settled().into_iter().max_by(|a, b| higher(rank(a), rank(b)));
    let pruning = Pruning::new(&grid, &history, &surrogate, best.map(|(_, mark)| mark));
    let best = best.map(|(point, _)| grid.config(point));
    let samples = history.all_samples(&grid, problem.metric);
    let teacher = modelled(None, problem, (&grid, Below::Far), &history, &samples);
    let judged = (problem.metric, problem.test_share);
    Explanation {
        importance: insight::importance(&grid, &teacher),
        effects: insight::effects(&grid, &history, &teacher),
        interactions: insight::interactions(&grid, &history, &teacher, judged),
        triples: insight::triples(&grid, &teacher),
        pruned: insight::pruned(&grid, &history, &pruning, best.as_ref()),
        uncovered,
    }
}

fn end(memory: &mut Search, problem: &Problem<'_>, grid: &Grid<'_>, history: &History<'_>) -> Plan {
    let candidate = memory.candidate(problem, grid, history);
    let ensemble = ensemble::stage(grid, history, &problem.constraints);
    let judged = (problem.metric, problem.test_share);
    match verdict::judge(grid, history, judged, (candidate, ensemble)) {
        Some(verdict) => Plan::Conclude(verdict),
        None if history.any_score() => {
            let reason =
                "what has a score does not keep to the constraints, and the base has none".to_owned();
            Plan::Fail { reason }
        }
        None => {
            let failures = history.failures();
            let last =
                history.last_failure().map(|last| format!("; the last one: {last}")).unwrap_or_default();
            Plan::Fail { reason: format!("no experiment has a score: {failures} failed{last}") }
        }
    }
}

/// The next experiments of the search: coverage first, then the modes. Empty if nothing is left to try.
fn search(
    memory: &mut Search,
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    want: usize,
) -> Vec<Suggestion> {
    let samples = history.samples(grid, problem.metric);
    let model = Marginals::fit(grid, Some(history), &samples, Reach::Good);
    let mut progress = Progress {
        budget: problem.budget,
        spent: whole(history.spent()) as u32,
        left: history.search_left(problem),
        made: Vec::new(),
        stop_below: problem.search.stop_below,
        taken: BTreeSet::new(),
    };
    let suggestion = |mode, point: &Point, round, reason| Suggestion {
        config: grid.config(point),
        block: Block::FIRST,
        mode,
        round,
        reason,
        expected_gain: None,
        members: Vec::new(),
        race: None,
    };
    let sampler = samplers::resolve(problem.search.sampler, grid);
    let mut suggestions = Vec::new();
    for look in coverage::next(grid, history, problem, (sampler, want)) {
        let round = progress.suggest(Mode::Explore, look.point.clone());
        suggestions.push(suggestion(Mode::Explore, &look.point, round, look.reason));
    }
    if suggestions.len() == want {
        return suggestions;
    }
    if sampler != Sampler::Gp {
        let draws = if sampler == Sampler::Grid { 0 } else { history.entries.len() };
        let ask = (want - suggestions.len(), &mut generator(problem, draws));
        let race = match problem.independent() {
            true => curves::race(history, problem),
            false => racing::against_best(grid, history, problem),
        };
        for pick in samplers::picks(sampler, grid, history, &samples, &progress.taken, ask) {
            let round = progress.suggest(pick.mode, pick.point.clone());
            let made = suggestion(pick.mode, &pick.point, round, pick.reason);
            let race = race.clone().filter(|_| racing::may_be(problem, grid, history, &pick.point));
            suggestions.push(Suggestion { race, ..made });
        }
        return suggestions;
    }
    let surrogate = memory.surrogate(problem, grid, history);
    let seconds = history.seconds(grid);
    let seconds = runs_out(problem, &seconds).then(|| Marginals::fit(grid, None, &seconds, Reach::All));
    let mut sight = Sight::new(grid, history, model, surrogate, seconds);
    progress.taken.iter().for_each(|point| sight.expect(point));
    let race = match problem.independent() {
        true => curves::race(history, problem),
        false => racing::against(&sight.leaders[0], history, problem),
    };
    let mut rng = generator(problem, sight.surrogate.fitted());
    let mut pool = Vec::new();
    while suggestions.len() < want {
        let Some(pick) = modes::pick(&mut sight, &progress, &mut pool, &mut rng) else {
            break;
        };
        let round = progress.suggest(pick.mode, pick.point.clone());
        let made = suggestion(pick.mode, &pick.point, round, pick.reason);
        // What was given up is audited by all its folds.
        let audited = sight.pruning.rules_out(grid, &pick.point);
        let may_be = racing::may_be(problem, grid, history, &pick.point) && !audited;
        let race = race.clone().filter(|_| may_be);
        suggestions.push(Suggestion { expected_gain: pick.expected_gain, race, ..made });
        // The last one's end is known before the next plan, or is told with it.
        if suggestions.len() < want {
            sight.expect(&pick.point);
        }
    }
    memory.keep(problem.space, sight.surrogate);
    suggestions
}

/// Whether the study's time ends before its experiments do, at what they take on average; `seconds` are the logarithms
/// of what those took that have ended.
fn runs_out(problem: &Problem<'_>, seconds: &[Sample]) -> bool {
    let each = history::mean(&seconds.iter().map(|s| s.value.exp()).collect::<Vec<_>>());
    problem.seconds.is_some_and(|room| each * f64::from(problem.budget.total()) > room)
}

/// Replicates of the candidate, the base and squares; `None` if there is nothing to confirm or it is done.
fn confirm(
    memory: &mut Search,
    problem: &Problem<'_>,
    grid: &Grid<'_>,
    history: &History<'_>,
    want: usize,
    early: bool,
) -> Option<Plan> {
    // The candidate is chosen once, when everything that may be it has ended.
    if history.searched().any(|e| e.observation.outcome.is_none() && e.observation.members.is_empty()) {
        return Some(Plan::Wait);
    }
    let surrogate = memory.surrogate(problem, grid, history);
    if problem.independent() {
        let runs = acceptance::next(problem, grid, history, (&surrogate, early, want));
        memory.keep(problem.space, surrogate);
        let whole_pairs = runs.len();
        return (!runs.is_empty()).then(|| {
            Plan::Suggest(acceptance::suggestions(problem, grid, history, (Mode::Narrow, runs, whole_pairs)))
        });
    }
    let candidate = contenders::candidate(grid, history, problem.metric, &surrogate);
    let proposed = ensemble::propose(problem, grid, history, &surrogate);
    let others = (&surrogate, proposed.as_ref().map_or(0, Vec::len));
    let looks = contenders::open(problem, grid, history, others);
    memory.keep(problem.space, surrogate);
    let claims = memory.claims(problem, grid, history);
    let candidate = candidate?;
    let base = history.find(&grid.base(), Block::FIRST)?;
    let cancelled = matches!(base.observation.outcome, Some(Outcome::Cancelled { .. }));
    if base.measures.is_none() && !cancelled {
        return None;
    }
    let stage = ensemble::stage(grid, history, &problem.constraints);
    let stage = if proposed.is_some() { Stage::Open } else { stage };
    // Who is compared is not known before that.
    let looking = !looks.is_empty() || contenders::pending(history);
    let agenda = Agenda { candidate, claims, early, ensemble: stage };
    let mut spent = whole(history.spent()) as u32;
    let mut suggest = |mode, members: Vec<Member>, config, block, reason| {
        let round = problem.budget.round_of(spent);
        spent += ar_common::ensemble::cost(&members);
        Suggestion { config, block, mode, round, reason, expected_gain: None, members, race: None }
    };
    let base = grid.config(&grid.base());
    let mut suggestions = Vec::new();
    if let Some(members) = proposed {
        let reason = ensemble::reason(grid, &members);
        suggestions.push(suggest(Mode::Combine, members, base.clone(), Block::FIRST, reason));
    }
    for (point, block) in looks {
        let reason = format!("confirmation: a closer look at one of the best, {}", grid.describe(&point));
        suggestions.push(suggest(Mode::Narrow, Vec::new(), grid.config(&point), block, reason));
    }
    let replicates = match looking {
        true => Vec::new(),
        false => confirm::replicates(grid, history, problem.budget, &agenda),
    };
    for (what, block) in replicates {
        let (config, members, who) = match (what, &agenda.ensemble) {
            (Replicate::Single(point), _) => (grid.config(&point), Vec::new(), role(grid, &agenda, &point)),
            (Replicate::Ensemble, Stage::Settled(members)) => (base.clone(), members.clone(), "the ensemble"),
            (Replicate::Ensemble, _) => continue,
        };
        let name = ar_common::ensemble::describe(&config, &members, &base);
        let reason = format!("confirmation: {who} on a fresh split, {name}");
        suggestions.push(suggest(Mode::Narrow, members, config, block, reason));
    }
    suggestions.truncate(want);
    match suggestions.is_empty() {
        true => looking.then_some(Plan::Wait),
        false => Some(Plan::Suggest(suggestions)),
    }
}

/// Why a configuration is measured again.
fn role(grid: &Grid<'_>, agenda: &Agenda, point: &Point) -> &'static str {
    match () {
        () if *point == agenda.candidate => "the candidate",
        () if *point == grid.base() => "the base",
        () => "a cell of a square of two options",
    }
}
