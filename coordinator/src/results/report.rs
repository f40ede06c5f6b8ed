//! The report of a study: what `results.json` holds, as types. A pure fold of the state.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::config::describe;
use ar_common::ensemble;
use ar_common::{
    Block, Config, Constraints, DataRef, Device, Direction, Measures, Member, Outcome, Rule, StudyId,
    Workload,
};
use ar_core::{Experiment, Finish, Phase, State, Study};
use serde::{Deserialize, Serialize};

use super::classes::{ClassPart, best_per_class};
use super::cost::{CostPart, costs};
use super::explanation::ExplanationPart;
use super::judgement::{HoldoutPart, VerdictPart, holdout_part, verdict_part};
use super::warm::{self, WarmPart};
use crate::planner;

/// All that is told of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form, [`Report::VERSION`].
    pub version: u32,
    /// What was searched, on what, how far.
    pub study: StudyPart,
    /// Every experiment in the order in which they were planned.
    pub experiments: Vec<ExperimentPart>,
    /// The highest mean of the study's own split: chosen on the rows it is scored on, so flattering.
    pub best: Option<Scored>,
    /// The best of each class of device, where there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub best_per_class: Vec<ClassPart>,
    /// Configurations by their mean over all folds seen, best first.
    pub ranking: Vec<RankedPart>,
    /// Training runs that went on from a checkpoint, best first: they trained longer than those of the ranking, and do not
    /// compare with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm: Vec<WarmPart>,
    /// What each option contributed.
    pub contributions: Vec<ContributionPart>,
    /// The dummy model that anything must beat.
    pub floor: Option<Scored>,
    /// What the study teaches beside its winner; absent in what earlier versions wrote.
    #[serde(default)]
    pub explanation: Option<ExplanationPart>,
    /// Families and encodings that no experiment covered.
    pub uncovered: Vec<String>,
    /// Options that were taken out during the study.
    pub removed: Vec<RemovedPart>,
    /// The answer; absent until the search has ended.
    pub verdict: Option<VerdictPart>,
    /// Candidate and base on the sealed rows.
    pub holdout: Option<HoldoutPart>,
    /// Why there is no score on the sealed rows, where there is none.
    #[serde(default)]
    pub holdout_reason: Option<String>,
}

/// What was searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyPart {
    /// Its identity.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Where the table was.
    pub data: String,
    /// Rows that have a target, where that is known.
    pub rows: Option<u64>,
    /// Column that is predicted.
    pub target: String,
    /// `classification` or `regression`.
    pub task: String,
    /// Name of the metric.
    pub metric: String,
    /// `maximize` or `minimize`.
    pub direction: String,
    /// Seed of splits, models and search.
    pub seed: u64,
    /// Folds of cross-validation.
    pub folds: u32,
    /// Fraction of the rows that is sealed.
    pub holdout: Option<f64>,
    /// Rounds.
    pub rounds: u32,
    /// Experiments in each round.
    pub per_round: u32,
    /// Full evaluations that count towards the budget: one that was stopped early counts the share of its folds.
    pub spent: f64,
    /// Most milliseconds for predicting 1,000 rows that the answer may take.
    #[serde(default)]
    pub max_predict_ms: Option<f64>,
    /// Most bytes of memory that the answer may take.
    #[serde(default)]
    pub max_memory: Option<u64>,
    /// Of a training script: `verified` where another process measured what a run left, else `self-reported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// Of a training script: data that its runs read where they lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_references: Vec<DataRef>,
    /// `running`, `finished` or `failed`.
    pub state: String,
}

impl StudyPart {
    /// Whether it is of a training script, not of a table.
    pub fn is_training(&self) -> bool {
        self.task == "training"
    }

    /// How much of the budget was used, as people read it.
    pub fn used(&self) -> String {
        let digits = usize::from(self.spent.fract() != 0.0);
        format!("{:.digits$} of {}", self.spent, self.rounds.saturating_mul(self.per_round))
    }
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentPart {
    /// Its number.
    pub id: u64,
    /// Its full configuration: option by slot.
    pub config: Config,
    /// Those who vote, of an ensemble: then `config` is the base and of no account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// What differs from the base, for people.
    pub label: String,
    /// On what it is evaluated.
    pub block: Block,
    /// Mean over its folds.
    pub score: Option<f64>,
    /// The metric on each fold.
    pub folds: Vec<f64>,
    /// `done`, `crashed` and so on; `waiting` or `running` if it has not ended.
    pub outcome: String,
    /// Why there is no score.
    pub reason: Option<String>,
    /// Seconds of fitting and predicting.
    pub seconds: Option<f64>,
    /// Milliseconds for predicting 1,000 rows, the steps before the model not counted.
    #[serde(default)]
    pub predict_ms: Option<f64>,
    /// Largest resident memory of its process, bytes.
    pub peak_memory: Option<u64>,
    /// Of a training run: its loss at 32 points of its time, as far as it told it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<f64>,
    /// Seconds before it trained: to start and to compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_seconds: Option<f64>,
    /// What else a training script printed in its summary, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// On what a training script ran, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Whether this run keeps to the constraints; absent if nothing was measured.
    #[serde(default)]
    pub feasible: Option<bool>,
    /// Why it was chosen: the mode.
    pub mode: String,
    /// And in one line.
    pub why: String,
    /// The improvement over the best that was expected of it when it was chosen, in units of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_gain: Option<f64>,
    /// The round.
    pub round: u32,
    /// How many executions it took.
    pub attempts: u32,
}

/// A configuration and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The experiment.
    pub id: u64,
    /// Its configuration.
    pub config: Config,
    /// What differs from the base.
    pub label: String,
    /// The score.
    pub score: f64,
}

/// A place in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedPart {
    /// The configuration.
    pub config: Config,
    /// What differs from the base.
    pub label: String,
    /// Mean over all folds seen.
    pub score: f64,
    /// Standard deviation over the folds of the study's own split.
    pub spread: Option<f64>,
    /// How many folds.
    pub folds: u32,
    /// The mode that found it.
    pub mode: String,
    /// Whether it was measured on more than the first split.
    #[serde(default)]
    pub replicated: bool,
    /// What all its runs took.
    #[serde(flatten)]
    pub cost: CostPart,
}

/// What an option contributed; positive is better whatever the metric's direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContributionPart {
    /// The slot.
    pub slot: String,
    /// The option.
    pub option: String,
    /// Gain over the base when nothing else was changed.
    pub solo: Option<f64>,
    /// Gain over the slot's base over all configurations, drawn to zero where little speaks for it.
    pub mean: f64,
    /// Evaluations that rests on.
    pub evaluations: f64,
}

/// An option that was taken out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemovedPart {
    /// The slot.
    pub slot: String,
    /// The option.
    pub option: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// The version of this form that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// The report of a study as the state has it; none if the state does not know the study.
    pub fn of(state: &State, id: &StudyId) -> Option<Self> {
        let study = state.studies.get(id)?;
        let base = study.spec.space.base();
        let history = planner::history(state, study);
        let metric = &study.spec.metric;
        let scored = |experiment: &Experiment| {
            let score = experiment.outcome()?.score().and_then(finite)?;
            Some(Scored {
                id: experiment.id.0,
                config: experiment.config.clone(),
                label: describe(&experiment.config, &base),
                score,
            })
        };
        let floors = study.spec.space.floors();
        let holdout = holdout_part(state, study);
        let costs = costs(state, study);
        let mut explanation = planner::explain(study, &history);
        let uncovered = std::mem::take(&mut explanation.uncovered);
        let floor = state.experiments_of(study).filter(|e| floors.contains(&e.config)).find_map(&scored);
        let report = Self {
            version: Self::VERSION,
            study: study_part(study),
            experiments: state
                .experiments_of(study)
                .map(|e| experiment_part(e, &base, &study.spec.limits.constraints))
                .collect(),
            best: state.best(study).and_then(|(experiment, _)| scored(experiment)),
            best_per_class: Vec::new(),
            ranking: ar_search::ranking(metric, &history)
                .into_iter()
                // Sums of scores that are too large to add are no numbers.
                .filter(|ranked| !floors.contains(&ranked.config) && ranked.score.is_finite())
                .map(|ranked| RankedPart {
                    cost: costs.get(&ranked.config).copied().unwrap_or_default(),
                    ..ranked_part(state, study, &base, ranked)
                })
                .collect(),
            warm: warm::ranked(state, study, &base),
            contributions: ar_search::contributions(&study.space, metric, &history)
                .into_iter()
                .filter(|c| c.marginal.is_finite())
                .map(|c| ContributionPart {
                    slot: c.dimension,
                    option: c.option,
                    solo: c.solo.and_then(finite),
                    mean: c.marginal,
                    evaluations: c.n,
                })
                .collect(),
            floor,
            explanation: Some(explanation.into()),
            uncovered,
            removed: study
                .removed
                .iter()
                .map(|(slot, option, reason)| RemovedPart {
                    slot: slot.clone(),
                    option: option.clone(),
                    reason: reason.clone(),
                })
                .collect(),
            verdict: study.verdict.as_ref().map(|verdict| verdict_part(verdict, &base)),
            holdout_reason: holdout.as_ref().err().cloned(),
            holdout: holdout.ok(),
        };
        Some(Self { best_per_class: best_per_class(&report), ..report })
    }

    /// With the number of rows, which the state does not know; a training script has none.
    #[must_use]
    pub fn with_rows(mut self, rows: Option<u64>) -> Self {
        self.study.rows = rows;
        self
    }

    /// As `results.json`.
    pub fn to_json(&self) -> String {
        // Serialising plain data to memory has no way to fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The configurations that break the constraints: those of the ranking by all their runs, a floor by its own.
    pub fn refused(&self) -> BTreeSet<&Config> {
        let ranked: BTreeMap<&Config, bool> =
            self.ranking.iter().map(|ranked| (&ranked.config, ranked.cost.feasible)).collect();
        let breaks = |e: &&ExperimentPart| {
            let alone = || e.feasible != Some(false);
            e.block.counts() && e.members.is_empty() && !ranked.get(&e.config).copied().unwrap_or_else(alone)
        };
        self.experiments.iter().filter(breaks).map(|e| &e.config).collect()
    }

    /// How many experiments were stopped early, and the full evaluations that this saved.
    pub fn stopped_early(&self) -> (usize, f64) {
        let early: Vec<usize> =
            self.experiments.iter().filter(|e| e.outcome == "stopped early").map(|e| e.folds.len()).collect();
        let folds = f64::from(self.study.folds.max(1));
        (early.len(), early.iter().map(|seen| 1.0 - *seen as f64 / folds).sum())
    }

    /// Whether less is better.
    pub fn minimizes(&self) -> bool {
        self.study.direction == "minimize"
    }
}

impl ExperimentPart {
    /// Whether it breaks the constraints: a configuration if it is among those that do, an ensemble by its own runs.
    pub fn breaks(&self, refused: &BTreeSet<&Config>) -> bool {
        if self.members.is_empty() { refused.contains(&self.config) } else { self.feasible == Some(false) }
    }
}

fn study_part(study: &Study) -> StudyPart {
    let spec = &study.spec;
    let (data, target, task) = match &spec.workload {
        Workload::Tabular(t) => (t.data.path.clone(), t.data.target.clone(), t.data.task.to_string()),
        Workload::Training(t) => (t.path.clone(), t.edit.join(", "), "training".to_owned()),
    };
    let state = match study.phase {
        Phase::Searching | Phase::Closing => "running",
        Phase::Finished(Finish::Concluded) => "finished",
        Phase::Finished(Finish::Failed) => "failed",
        Phase::Finished(Finish::Cancelled) => "cancelled",
    };
    let direction = match spec.metric.direction {
        Direction::Maximize => "maximize",
        Direction::Minimize => "minimize",
    };
    StudyPart {
        id: spec.id().to_string(),
        name: spec.name.clone(),
        data,
        rows: None,
        target,
        task,
        metric: spec.metric.name.clone(),
        direction: direction.to_owned(),
        seed: spec.seed,
        folds: spec.folds(),
        holdout: spec.holdout(),
        rounds: spec.budget.rounds,
        per_round: spec.budget.per_round,
        spent: study.evaluations(),
        max_predict_ms: spec.limits.constraints.predict_ms_per_1000_rows,
        max_memory: spec.limits.constraints.memory,
        scores: spec.training().map(|training| match training.evaluate {
            Some(_) => "verified".to_owned(),
            None => "self-reported".to_owned(),
        }),
        data_references: spec.training().map(|training| training.data.clone()).unwrap_or_default(),
        state: state.to_owned(),
    }
}

fn experiment_part(experiment: &Experiment, base: &Config, constraints: &Constraints) -> ExperimentPart {
    let outcome = experiment.outcome();
    let measures = outcome.and_then(Outcome::measures);
    let weights = measures.map_or(&[][..], |m| &m.members);
    let weighed = |(i, member): (usize, &Member)| {
        let weight = weights.get(i).copied().unwrap_or(member.weight);
        Member { weight, config: member.config.clone() }
    };
    let members: Vec<Member> = experiment.members.iter().enumerate().map(weighed).collect();
    let (folds, curve, seconds) = match outcome {
        Some(Outcome::StoppedEarly { folds, seconds, rule: Rule::Latest }) => {
            (Vec::new(), folds.clone(), Some(*seconds))
        }
        Some(Outcome::StoppedEarly { folds, seconds, .. }) => (folds.clone(), Vec::new(), Some(*seconds)),
        _ => {
            let of = |part: fn(&Measures) -> &[f64]| measures.map(part).unwrap_or_default().to_vec();
            (of(|m| &m.folds), of(Measures::curve), measures.map(|m| m.seconds))
        }
    };
    let word = match &experiment.status {
        ar_core::Status::Queued => "waiting",
        ar_core::Status::Leased { .. } => "running",
        ar_core::Status::Done { outcome, .. } => outcome.word(),
    };
    ExperimentPart {
        id: experiment.id.0,
        config: experiment.config.clone(),
        label: ensemble::describe(&experiment.config, &members, base),
        members,
        block: experiment.block,
        score: outcome.and_then(Outcome::score),
        folds,
        outcome: word.to_owned(),
        reason: outcome.and_then(Outcome::reason),
        seconds: seconds.and_then(finite),
        predict_ms: measures.and_then(|m| constraints.predict_ms(&[m])),
        peak_memory: measures.and_then(|m| m.peak_memory),
        curve: curve.into_iter().filter(|loss| loss.is_finite()).collect(),
        startup_seconds: measures.and_then(|m| m.course.as_ref()?.startup_seconds).and_then(finite),
        figures: measures.and_then(|m| m.figures.as_deref().cloned()).unwrap_or_default(),
        device: measures.and_then(|m| m.device.as_deref().cloned()),
        feasible: measures.map(|m| constraints.allow(&[m])),
        mode: experiment.mode.name().to_owned(),
        why: experiment.reason.to_string(),
        expected_gain: experiment.expected_gain,
        round: experiment.round,
        attempts: experiment.attempt.0,
    }
}

fn ranked_part(state: &State, study: &Study, base: &Config, ranked: ar_search::Ranked) -> RankedPart {
    let is_first = |e: &&Experiment| e.block == Block::FIRST && e.runs(&ranked.config, &[]);
    let first = state.experiments_of(study).find(is_first);
    let folds = first.and_then(|e| e.outcome()?.measures()).map_or(&[][..], |m| &m.folds);
    RankedPart {
        label: describe(&ranked.config, base),
        config: ranked.config,
        score: ranked.score,
        spread: deviation(folds).and_then(finite),
        folds: ranked.folds,
        replicated: ranked.replicated,
        cost: CostPart::default(),
        mode: first.map_or("", |e| e.mode.name()).to_owned(),
    }
}

/// Sample standard deviation; none of fewer than two values.
pub(super) fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}

/// JSON knows no other numbers.
pub(super) fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}
