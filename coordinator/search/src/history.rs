//! What is known so far, in an order that does not depend on who reported first.

use std::collections::BTreeMap;

use ar_common::{
    Block, Budget, Config, Constraints, ExperimentId, Measures, Metric, Mode, Outcome, Race, Rule,
};

use crate::contenders::CLOSER;
use crate::curves::Curves;
use crate::ensemble;
use crate::grid::{Grid, Point, Slot};
use crate::tally::{Tally, tally};
use crate::{Observation, Problem};

/// Seconds that a run takes at least, beside its fits.
const SHORTEST: f64 = 0.01;

/// Complete runs after which the effects of folds are known well enough.
const ENOUGH: usize = 16;

/// An observation with what was read out of it.
pub(crate) struct Entry<'a> {
    pub(crate) observation: &'a Observation,
    /// Where it lies; `None` if the space no longer has one of its options, or it is an ensemble.
    pub(crate) point: Option<Point>,
    /// What was measured; a duplicate has the measures of its twin.
    pub(crate) measures: Option<&'a Measures>,
    /// Share of a full evaluation that it costs.
    pub(crate) cost: f64,
}

impl Entry<'_> {
    pub(crate) fn repeat(&self) -> Option<u32> {
        self.observation.block.repeat()
    }

    /// Its own score: duplicates have none of their own.
    pub(crate) fn score(&self) -> Option<f64> {
        self.observation.outcome.as_ref().and_then(Outcome::score).filter(|score| score.is_finite())
    }
}

/// A score of the first split, oriented so that higher is better.
pub(crate) struct Sample {
    pub(crate) point: Point,
    pub(crate) value: f64,
    /// Share of the folds it rests on.
    pub(crate) weight: f64,
}

/// Everything observed, sorted by experiment.
pub(crate) struct History<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    index: BTreeMap<(Point, Block), usize>,
    tallies: Vec<Vec<Tally>>,
    /// Folds of one cross-validation, as far as any complete one shows.
    pub(crate) folds: usize,
    /// Configurations that may not be handed over, and why.
    refused: BTreeMap<Point, String>,
    /// Splits that one run on a fresh split covers.
    pub(crate) repeats: u32,
    /// Runs share nothing but their data, see [`Problem::independent`].
    independent: bool,
    /// Dimensions whose change makes a curve one of its own.
    incomparable: Vec<usize>,
}

impl<'a> History<'a> {
    pub(crate) fn new(grid: &Grid<'_>, observations: &'a [Observation]) -> Self {
        let mut sorted: Vec<&Observation> = observations.iter().collect();
        sorted.sort_by_key(|o| (o.experiment, &o.config, o.block));
        let mut measured: BTreeMap<ExperimentId, &Measures> = BTreeMap::new();
        for observation in &sorted {
            let measures = match &observation.outcome {
                // The original was planned earlier; it may be a duplicate itself.
                Some(Outcome::DuplicateOf { experiment }) => measured.get(experiment).copied(),
                outcome => outcome.as_ref().and_then(Outcome::measures),
            };
            if let Some(measures) = measures.filter(|m| m.score.is_some_and(f64::is_finite)) {
                measured.insert(observation.experiment, measures);
            }
        }
        let first = sorted.iter().filter(|o| o.block == Block::FIRST);
        let folds = first.filter_map(|o| Some(measured.get(&o.experiment)?.folds.len())).max().unwrap_or(0);
        let entry = |observation: &'a Observation| {
            let measures = measured.get(&observation.experiment).copied();
            let point = grid.point(&observation.config).filter(|_| observation.members.is_empty());
            Entry { observation, point, measures, cost: cost(observation, folds) }
        };
        let entries: Vec<Entry<'a>> = sorted.into_iter().map(entry).collect();
        let key = |(i, e): (usize, &Entry<'_>)| Some(((e.point.clone()?, e.observation.block), i));
        let index = entries.iter().enumerate().filter_map(key).collect();
        let tallies = tally(grid, &entries);
        Self {
            entries,
            index,
            tallies,
            folds,
            refused: BTreeMap::new(),
            repeats: 1,
            independent: false,
            incomparable: Vec::new(),
        }
    }

    /// As it is seen by a study.
    pub(crate) fn of(self, problem: &Problem<'_>) -> Self {
        let independent = problem.independent();
        let names = problem.space.dimensions.iter().map(|dimension| &dimension.name).enumerate();
        let incomparable =
            names.filter(|(_, name)| problem.search.incomparable.contains(name)).map(|(d, _)| d);
        let (repeats, incomparable) = (problem.repeats.max(1), incomparable.collect());
        Self { repeats, independent, incomparable, ..self.under(problem.constraints) }
    }

    /// With what breaks the constraints told apart from what keeps to them: a configuration by all its runs, an
    /// option by the runs that had it.
    pub(crate) fn under(mut self, constraints: Constraints) -> Self {
        if constraints.is_empty() {
            return self;
        }
        let mut runs: BTreeMap<&Point, Vec<&Measures>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|e| e.observation.block.counts()) {
            let (Some(point), Some(measures)) = (&entry.point, entry.measures) else {
                continue;
            };
            runs.entry(point).or_default().push(measures);
            let keeps = constraints.allow(&[measures]);
            for (d, option) in point.iter().enumerate() {
                let tally = &mut self.tallies[d][*option as usize];
                tally.kept += u32::from(keeps);
                tally.refused += u32::from(!keeps);
            }
        }
        let broken =
            |(point, runs): (&Point, Vec<&Measures>)| Some((point.clone(), constraints.broken(&runs)?));
        self.refused = runs.into_iter().filter_map(broken).collect();
        self
    }

    /// Whether a configuration may be handed over, as far as is known.
    pub(crate) fn keeps(&self, point: &Point) -> bool {
        !self.refused.contains_key(point)
    }

    /// Which constraints a configuration breaks, in words.
    pub(crate) fn broken(&self, point: &Point) -> Option<&str> {
        self.refused.get(point).map(String::as_str)
    }

    /// Whether anything but `base` breaks the constraints.
    pub(crate) fn refuses_others(&self, base: &Point) -> bool {
        self.refused.keys().any(|point| point != base)
    }

    /// Whether this experiment was suggested before, whatever became of it.
    pub(crate) fn has(&self, point: &Point, block: Block) -> bool {
        self.index.contains_key(&(point.clone(), block))
    }

    /// What became of an experiment.
    pub(crate) fn find(&self, point: &Point, block: Block) -> Option<&Entry<'a>> {
        self.index.get(&(point.clone(), block)).map(|i| &self.entries[*i])
    }

    pub(crate) fn pending(&self) -> bool {
        self.counted().any(|e| e.observation.outcome.is_none())
    }

    /// Cross-validations; the opening of the sealed rows and the final fit are no part of the search.
    fn counted(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter().filter(|e| e.observation.block.counts())
    }

    /// The first split's, on which the search goes.
    pub(crate) fn searched(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.on_split(Block::FIRST)
    }

    /// What ran on a split.
    pub(crate) fn on_split(&self, block: Block) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter().filter(move |e| e.observation.block == block)
    }

    /// Whether the loss of a training run is that of the base's schedule, batch size and tokenizer.
    pub(crate) fn is_comparable(&self, point: &[u32]) -> bool {
        self.incomparable.iter().all(|d| point.get(*d) == Some(&0))
    }

    /// The first split that no choice rests on.
    pub(crate) fn first_fresh(&self) -> u32 {
        if self.repeats > 1 { 2 } else { 1 }
    }

    /// Full evaluations spent on closer looks at contenders.
    pub(crate) fn spent_looking(&self) -> f64 {
        if self.repeats > 1 { self.on_split(CLOSER).map(|e| e.cost).sum() } else { 0.0 }
    }

    /// Configurations of the first split that have not ended.
    pub(crate) fn on_their_way(&self) -> impl Iterator<Item = &Point> {
        let pending = self.searched().filter(|e| e.observation.outcome.is_none());
        pending.filter_map(|e| e.point.as_ref())
    }

    /// Full evaluations spent in all.
    pub(crate) fn spent(&self) -> f64 {
        self.counted().map(|e| e.cost).sum()
    }

    /// Full evaluations spent on the first split, and on what goes on from a checkpoint.
    pub(crate) fn spent_searching(&self) -> f64 {
        self.searched().chain(self.warm()).map(|e| e.cost).sum()
    }

    /// Training runs that go on from a checkpoint. Nothing else is learnt from them.
    pub(crate) fn warm(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter().filter(|e| matches!(e.observation.block, Block::Warm { .. }))
    }

    /// Experiments given back to the budget.
    pub(crate) fn refunded(&self) -> usize {
        self.searched().filter(|e| e.cost == 0.0).count()
    }

    /// Experiments the search may still start: what is neither spent, nor kept for confirmation, nor
    /// already spent on it, nor set aside for an ensemble. Extending a budget reopens the search.
    pub(crate) fn search_left(&self, problem: &Problem<'_>) -> usize {
        let budget = problem.budget;
        let replicates = self.spent() - self.spent_searching();
        let reserve = if problem.independent() { budget.decisions() } else { budget.confirmation() };
        let kept = f64::from(reserve).max(replicates);
        let left = whole(f64::from(budget.total()) - kept - self.spent_searching());
        left.saturating_sub(ensemble::set_aside(problem, self))
    }

    /// Experiments that may still start in all.
    pub(crate) fn left(&self, budget: Budget) -> usize {
        whole(f64::from(budget.total()) - self.spent())
    }

    /// Whether anything has a score.
    pub(crate) fn any_score(&self) -> bool {
        self.counted().any(|e| e.measures.is_some())
    }

    /// Experiments that ended without a score through their own fault.
    pub(crate) fn failures(&self) -> usize {
        self.counted().filter(|e| failed(e)).count()
    }

    /// One line on the last failure.
    pub(crate) fn last_failure(&self) -> Option<String> {
        let last = self.counted().filter(|e| failed(e)).last()?;
        let outcome = last.observation.outcome.as_ref()?;
        Some(format!("{}: {}", outcome.word(), outcome.reason().unwrap_or_else(|| "no score".to_owned())))
    }

    pub(crate) fn tally(&self, (d, option): Slot) -> Tally {
        self.tallies[d][option as usize]
    }

    /// Whether no option of `point` is skipped for crashing.
    pub(crate) fn allows(&self, point: &[u32]) -> bool {
        point.iter().enumerate().all(|(d, o)| !self.tally((d, *o)).skipped())
    }

    /// How often each mode was used, and how often in `round`.
    pub(crate) fn modes(&self, budget: Budget, round: u32) -> BTreeMap<Mode, (u32, u32)> {
        let mut spent = 0.0;
        let mut uses: BTreeMap<Mode, (u32, u32)> = BTreeMap::new();
        for entry in self.counted().filter(|e| e.cost > 0.0) {
            let used = uses.entry(entry.observation.mode).or_default();
            used.0 += 1;
            used.1 += u32::from(budget.round_of(whole(spent) as u32) == round);
            spent += entry.cost;
        }
        uses
    }

    /// The scores of the first split that the model learns from; of all seeds, where runs are independent. Floors are no
    /// part of the space that is searched; a raced-out run is set right for the folds it did not see.
    pub(crate) fn samples(&self, grid: &Grid<'_>, metric: &Metric) -> Vec<Sample> {
        let effects = self.fold_effects();
        let curves = Curves::of(self, metric);
        let stopped = |entry: &Entry<'_>| stopped_by_curve(entry, grid, &curves);
        self.learnt().filter_map(|e| sample(e, grid, metric, &effects).or_else(|| stopped(e))).collect()
    }

    /// What the model learns from.
    fn learnt(&self) -> impl Iterator<Item = &Entry<'a>> {
        let of_all = |entry: &&Entry<'a>| self.independent && entry.repeat().is_some();
        self.counted().filter(move |entry| of_all(entry) || entry.observation.block == Block::FIRST)
    }

    /// [`History::samples`], and what fresh splits gave, set right for how much higher a split scores than the first one.
    pub(crate) fn all_samples(&self, grid: &Grid<'_>, metric: &Metric) -> Vec<Sample> {
        if self.independent {
            return self.samples(grid, metric);
        }
        let mut splits: BTreeMap<u32, Vec<(&Point, f64, f64)>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|e| e.repeat().is_some_and(|repeat| repeat > 0)) {
            let point = entry.point.as_ref().filter(|point| !grid.is_floor(point));
            if let (Some(point), Some(repeat), Some(score)) = (point, entry.repeat(), entry.score()) {
                let folds = entry.measures.map_or(0, |m| m.folds.len());
                // Of a run that covers several splits the mean scatters less.
                let weight = (folds as f64 / self.folds.max(1) as f64).max(1.0);
                splits.entry(repeat).or_default().push((point, metric.gain(score, 0.0), weight));
            }
        }
        let first = |point: &Point| Some(metric.gain(self.find(point, Block::FIRST)?.score()?, 0.0));
        let mut samples = self.samples(grid, metric);
        for runs in splits.into_values() {
            let higher: Vec<f64> =
                runs.iter().filter_map(|(point, value, _)| Some(value - first(point)?)).collect();
            let level = if higher.len() > 1 { mean(&higher) } else { 0.0 };
            let sample = |(point, value, weight): (&Point, f64, f64)| Sample {
                point: point.clone(),
                value: value - level,
                weight,
            };
            samples.extend(runs.into_iter().map(sample));
        }
        samples
    }

    /// Logarithms of the seconds that runs of the first split took.
    pub(crate) fn seconds(&self, grid: &Grid<'_>) -> Vec<Sample> {
        let sample = |entry: &Entry<'_>| {
            let point = entry.point.clone().filter(|point| !grid.is_floor(point))?;
            let seconds = entry.score().and(entry.measures)?.seconds.max(SHORTEST);
            seconds.is_finite().then(|| Sample { point, value: seconds.ln(), weight: 1.0 })
        };
        self.searched().filter_map(sample).collect()
    }

    /// Fold scores of complete runs on the first split, in their order.
    fn complete_folds(&self) -> Vec<&[f64]> {
        self.searched().filter_map(|entry| self.complete(entry)).collect()
    }

    /// Fold scores of a configuration's complete run.
    fn complete(&self, entry: &Entry<'a>) -> Option<&'a [f64]> {
        let folds = entry.score().and(entry.measures).map(|m| &*m.folds);
        let single = entry.observation.members.is_empty();
        folds.filter(|folds| single && folds.len() == self.folds && self.folds > 0)
    }

    /// How much higher each fold scores than the mean of all, shared by all configurations.
    /// Only the first runs are asked, so that what is known of a raced-out run does not change with every
    /// score that comes in.
    fn fold_effects(&self) -> Vec<f64> {
        let mut rows = self.complete_folds();
        rows.truncate(ENOUGH);
        effects_of(&rows)
    }

    /// Variance of a configuration's mean that comes from the folds alone: the residual variance of
    /// the two-way table configuration x fold, over the folds. 0 where it cannot be told.
    /// It asks the complete runs among the first `n` of [`History::samples`], so that later ones do not change it.
    pub(crate) fn noise(&self, grid: &Grid<'_>, metric: &Metric, n: usize) -> f64 {
        let sampled = self.learnt().filter(|entry| sample(entry, grid, metric, &[]).is_some()).take(n);
        let rows: Vec<&[f64]> = sampled.filter_map(|entry| self.complete(entry)).collect();
        if rows.len() < 2 || self.folds < 2 {
            return 0.0;
        }
        let (variance, _) = residual(&rows, &effects_of(&rows));
        variance / self.folds as f64
    }

    /// Variance of one fold's score that configuration and fold do not explain, among the best complete runs, one in
    /// `part` and four at least; and its degrees of freedom.
    pub(crate) fn spread(&self, metric: &Metric, part: usize) -> (f64, f64) {
        let mut rows = self.complete_folds();
        rows.sort_by(|a, b| metric.gain(mean(b), mean(a)).total_cmp(&0.0));
        rows.truncate(rows.len().div_ceil(part).max(4));
        residual(&rows, &effects_of(&rows))
    }

    /// The complete cross-validations of one configuration: repeat and measures. A duplicate stands
    /// for its twin.
    pub(crate) fn runs(&self, point: &Point) -> BTreeMap<u32, &'a Measures> {
        self.entries
            .iter()
            .filter(|e| e.point.as_ref() == Some(point))
            .filter_map(|e| Some((e.repeat()?, e.measures?)))
            .collect()
    }

    /// Configurations with a score of their own on any split, with its runs.
    pub(crate) fn scored(&self) -> BTreeMap<&'a Config, Vec<(u32, &'a Measures)>> {
        let mut by_config: BTreeMap<&Config, Vec<(u32, &Measures)>> = BTreeMap::new();
        let single = self.counted().filter(|e| e.observation.members.is_empty());
        for entry in single.filter(|e| e.score().is_some()) {
            if let (Some(repeat), Some(measures)) = (entry.repeat(), entry.measures) {
                by_config.entry(&entry.observation.config).or_default().push((repeat, measures));
            }
        }
        by_config
    }
}

/// What the model learns from a run of the first split.
fn sample(entry: &Entry<'_>, grid: &Grid<'_>, metric: &Metric, effects: &[f64]) -> Option<Sample> {
    let point = entry.point.clone().filter(|point| !grid.is_floor(point))?;
    let (score, weight) = match (entry.measures, &entry.observation.outcome) {
        (Some(measures), _) => (measures.score?, 1.0),
        (None, Some(Outcome::StoppedEarly { folds, rule: Rule::EveryFold, .. })) if !folds.is_empty() => {
            let level = folds.iter().zip(effects.iter().chain(std::iter::repeat(&0.0))).map(|(s, e)| s - e);
            (level.sum::<f64>() / folds.len() as f64, entry.cost)
        }
        _ => return None,
    };
    let value = metric.gain(score, 0.0);
    value.is_finite().then_some(Sample { point, value, weight })
}

/// What the model learns from a training run that was stopped: the score that its loss lets expect, for what it ran.
fn stopped_by_curve(entry: &Entry<'_>, grid: &Grid<'_>, curves: &Curves<'_>) -> Option<Sample> {
    let Some(Outcome::StoppedEarly { folds, rule: Rule::Latest, .. }) = &entry.observation.outcome else {
        return None;
    };
    let point = entry.point.clone().filter(|point| !grid.is_floor(point))?;
    let value = curves.expected(entry.observation.experiment, folds)?;
    value.is_finite().then_some(Sample { point, value, weight: entry.cost })
}

/// How much higher each fold scores than the mean of all.
fn effects_of(rows: &[&[f64]]) -> Vec<f64> {
    let folds = rows.first().map_or(0, |row| row.len());
    let means: Vec<f64> =
        (0..folds).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / rows.len() as f64).collect();
    let level = mean(&means);
    means.into_iter().map(|m| m - level).collect()
}

/// Variance that is left of a two-way table of configurations and folds, and its degrees of freedom.
fn residual(rows: &[&[f64]], effects: &[f64]) -> (f64, f64) {
    let freedom = (rows.len().saturating_sub(1) * effects.len().saturating_sub(1)) as f64;
    let squares = |row: &&[f64]| -> f64 {
        let level = mean(row);
        row.iter().zip(effects).map(|(score, effect)| (score - level - effect).powi(2)).sum()
    };
    let left: f64 = rows.iter().map(squares).sum();
    (left / freedom.max(1.0), freedom)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Whole experiments that fit; a hair of rounding is not an experiment less.
pub(crate) fn whole(left: f64) -> usize {
    (left + 1e-9).floor().max(0.0) as usize
}

/// Share of a full evaluation: what is pending counts whole, what was stopped early counts its folds,
/// a duplicate or a cancelled one is given back. An ensemble costs as many as it has members.
fn cost(observation: &Observation, folds: usize) -> f64 {
    let whole = f64::from(ar_common::ensemble::cost(&observation.members));
    match &observation.outcome {
        _ if !observation.block.counts() => 0.0,
        Some(Outcome::DuplicateOf { .. } | Outcome::Cancelled { .. }) => 0.0,
        Some(Outcome::StoppedEarly { folds: seen, rule: Rule::Latest, .. }) => {
            (seen.len() as f64 / f64::from(Race::CURVE_POINTS)).min(1.0)
        }
        Some(Outcome::StoppedEarly { folds: seen, .. }) if folds > 0 => {
            whole * (seen.len() as f64 / folds as f64).min(1.0)
        }
        _ => whole,
    }
}

pub(crate) fn failed(entry: &Entry<'_>) -> bool {
    let excused = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::DuplicateOf { .. } | Outcome::Cancelled { .. } | Outcome::StoppedEarly { .. }
        )
    };
    entry.measures.is_none() && entry.observation.outcome.as_ref().is_some_and(|outcome| !excused(outcome))
}
