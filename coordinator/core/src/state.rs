//! The state: the fold of the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ar_common::{Attempt, Block, Budget, Config, Digest, Epoch, ExperimentId, ExperimentKey, LeaseSeq};
use ar_common::{Limits, Measures, Outcome, Race, Seq, Space, StudyId, StudySpec, Verdict, WorkerId};
use ar_common::{Member, Mode};
use serde::{Deserialize, Serialize};

use crate::archive::Archived;
use crate::experiments::Experiments;
use crate::holding::Hold;

/// Everything that the journal says. Two coordinators that folded the same records hold equal states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Position of the last record folded in.
    pub seq: Seq,
    /// Drawn when the store was made.
    pub incarnation: u64,
    /// The reign that the journal is in.
    pub epoch: Epoch,
    /// Studies by identity.
    pub studies: BTreeMap<StudyId, Arc<Study>>,
    /// Experiments by number.
    pub experiments: Experiments,
    /// How many results were refused.
    pub refused: u64,
    /// Workers that get nothing more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<WorkerId, Hold>,
}

/// One search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// As submitted, with its budget and limits as they are now.
    pub spec: StudySpec,
    /// The space less the options that were taken out.
    pub space: Space,
    /// Options that were taken out, with the reason: (dimension, option, reason).
    pub removed: Vec<(String, String, String)>,
    /// The blob that lists its files.
    pub tree: Digest,
    /// How far it is.
    pub phase: Phase,
    /// Its experiments in the order in which they were planned.
    pub experiments: Vec<ExperimentId>,
    /// How many of them count towards the budget: all evaluations, but those that turned out to be
    /// duplicates or were called off.
    pub spent: u32,
    /// Folds of those that were not run, because they were stopped early. The budget is counted in full
    /// evaluations, so as many as make one are one more that may be planned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folds_saved: u64,
    /// What was ever planned, by which duplicates are told. It follows from the experiments, so it is not written.
    #[serde(skip)]
    pub keys: Keys,
    /// The answer, once the search has ended.
    pub verdict: Option<Verdict>,
    /// How often the sealed rows were opened; above 1 the last score is no longer unseen.
    pub sealed_openings: u32,
    /// Position of the last record that ended one of its experiments or took an option out of its
    /// space; a verdict drawn before it is stale.
    pub last_done: Seq,
    /// Somebody wants it to wait: nothing is planned or granted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Where its experiments are, if they are here no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Box<Archived>>,
}

/// How far a study is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Planning and running experiments.
    Searching,
    /// Scoring candidate and base on the sealed rows, then fitting the winner on all rows.
    Closing,
    /// Ended.
    Finished(Finish),
}

/// How a study ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// With a verdict.
    Concluded,
    /// No experiment has a score.
    Failed,
    /// Somebody called it off.
    Cancelled,
}

/// One configuration with one evaluation block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its number.
    pub id: ExperimentId,
    /// Its study.
    pub study: StudyId,
    /// The configuration.
    pub config: Config,
    /// On what it is evaluated.
    pub block: Block,
    /// Why it was chosen.
    pub mode: Mode,
    /// In which round.
    pub round: u32,
    /// Why, in one line.
    pub reason: Box<str>,
    /// The attempt that runs, or that will run next.
    pub attempt: Attempt,
    /// The newest lease ever granted for it.
    pub newest_lease: Option<LeaseSeq>,
    /// How many leases were lost while its process ran.
    pub losses_running: u32,
    /// Where it is.
    pub status: Status,
    /// Those who vote, of an ensemble; its `config` is the space's base.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub members: Box<[Member]>,
    /// Against whom it runs, as long as it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Box<Race>>,
    /// The improvement over the best that the search expected of it, in units of the metric; absent where it expected none
    /// in numbers: first looks, repeats, other samplers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_gain: Option<f64>,
}

/// Keys of experiments, by their fingerprints.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Keys(BTreeSet<u128>);

impl Keys {
    /// Whether this one is among them.
    pub fn contains(&self, key: &ExperimentKey) -> bool {
        self.0.contains(&key.fingerprint())
    }

    pub(crate) fn insert(&mut self, key: &ExperimentKey) {
        self.0.insert(key.fingerprint());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Where an experiment is: `Queued -> Leased -> Done`, or back to `Queued` by one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Status {
    /// Waits for a worker.
    Queued,
    /// A worker has the right to run it.
    Leased {
        /// The token.
        lease: LeaseSeq,
        /// Who.
        worker: WorkerId,
        /// Which start of that worker.
        boot: u64,
        /// Hard deadline from its start, milliseconds.
        deadline_ms: u64,
    },
    /// Ended, for ever.
    Done {
        /// Under which lease.
        lease: Option<LeaseSeq>,
        /// Digest of the outcome as it came.
        digest: Digest,
        /// How.
        outcome: Outcome,
    },
}

impl State {
    /// The incarnation after this one, with random bits: above it, as long as there is a number above it, so that the tokens of
    /// an experiment's leases rise.
    pub fn next_incarnation(before: u64, random: u32) -> u64 {
        before.checked_add(1 + u64::from(random)).unwrap_or(u64::from(random))
    }

    /// A study, to be changed. Whoever has a copy of the state keeps it as it was.
    pub(crate) fn study_mut(&mut self, id: &StudyId) -> Option<&mut Study> {
        self.studies.get_mut(id).map(Arc::make_mut)
    }

    /// The experiment with this number.
    pub fn experiment(&self, id: ExperimentId) -> Option<&Experiment> {
        self.experiments.get(id)
    }

    pub(crate) fn experiment_mut(&mut self, id: ExperimentId) -> Option<&mut Experiment> {
        self.experiments.get_mut(id)
    }

    /// The experiments of a study in the order in which they were planned.
    pub fn experiments_of<'a>(&'a self, study: &'a Study) -> impl Iterator<Item = &'a Experiment> {
        study.experiments.iter().filter_map(|id| self.experiment(*id))
    }

    /// The number that the next experiment gets.
    pub fn next_experiment(&self) -> ExperimentId {
        ExperimentId(self.experiments.given() + 1)
    }

    /// A hash of the whole state; equal for equal folds (invariant I6).
    pub fn hash(&self) -> Digest {
        // Serialising plain data to memory has no way to fail.
        Digest::of(&rmp_serde::to_vec(self).unwrap_or_default())
    }

    /// The best complete evaluation of the study's own split that keeps to the constraints: a fold of the
    /// `Done` records (invariant I5). Ties go to the experiment that was planned first.
    pub fn best<'a>(&'a self, study: &'a Study) -> Option<(&'a Experiment, f64)> {
        let metric = &study.spec.metric;
        let refused = self.refused_configs(study);
        self.experiments_of(study)
            // The weights of an ensemble were chosen on the very rows of this split.
            .filter(|experiment| experiment.block == Block::FIRST && experiment.members.is_empty())
            .filter(|experiment| !refused.contains(&experiment.config))
            .filter_map(|experiment| Some((experiment, experiment.outcome()?.score()?)))
            .reduce(|best, next| if metric.gain(next.1, best.1) > 0.0 { next } else { best })
    }

    /// The configurations that break the study's constraints, by all their complete evaluations.
    pub fn refused_configs<'a>(&'a self, study: &'a Study) -> BTreeSet<&'a Config> {
        let constraints = &study.spec.limits.constraints;
        let mut runs: BTreeMap<&Config, Vec<&Measures>> = BTreeMap::new();
        if !constraints.is_empty() {
            let single = |e: &&Experiment| e.block.counts() && e.members.is_empty();
            for experiment in self.experiments_of(study).filter(single) {
                let measures = experiment.outcome().and_then(Outcome::measures);
                runs.entry(&experiment.config).or_default().extend(measures);
            }
        }
        runs.retain(|_, runs| !constraints.allow(runs));
        runs.into_keys().collect()
    }
}

impl Study {
    /// The budget as it is now.
    pub fn budget(&self) -> Budget {
        self.spec.budget
    }

    /// The base configuration.
    pub fn base(&self) -> Config {
        self.space.base()
    }

    /// Folds of one full evaluation; parts of its time, of a training run.
    fn folds(&self) -> u64 {
        u64::from(self.spec.parts())
    }

    /// Folds that were spent, or are planned.
    pub fn folds_spent(&self) -> u64 {
        (u64::from(self.spent) * self.folds()).saturating_sub(self.folds_saved)
    }

    /// Full evaluations that were spent, or are planned; one that was stopped early counts its folds.
    pub fn evaluations(&self) -> f64 {
        self.folds_spent() as f64 / self.folds() as f64
    }

    /// The same, with a part of one counted whole.
    pub fn evaluations_begun(&self) -> u32 {
        u32::try_from(self.folds_spent().div_ceil(self.folds())).unwrap_or(u32::MAX)
    }

    /// Full evaluations that this budget still has room for.
    pub fn left(&self, budget: &Budget) -> u32 {
        let folds = (u64::from(budget.total()) * self.folds()).saturating_sub(self.folds_spent());
        u32::try_from(folds / self.folds()).unwrap_or(u32::MAX)
    }

    /// Whether no more was spent than this budget has.
    pub fn keeps_to(&self, budget: &Budget) -> bool {
        self.folds_spent() <= u64::from(budget.total()) * self.folds()
    }

    /// Folds that an experiment which ended like this did not run.
    pub(crate) fn saved_by(&self, outcome: &Outcome) -> u64 {
        match outcome {
            Outcome::StoppedEarly { folds, .. } => self.folds().saturating_sub(folds.len() as u64),
            _ => 0,
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished(_))
    }

    /// Whether this budget and these limits let it search on, if its search has ended: with more
    /// experiments, after it was called off, with more time where time ran out before the budget did, or because other
    /// configurations may be handed over, so that the verdict does not hold.
    pub fn reopens(&self, budget: &Budget, limits: &Limits) -> bool {
        let longer = match (limits.study_seconds, self.spec.limits.study_seconds) {
            (None, Some(_)) => true,
            (Some(new), Some(old)) => new > old,
            (_, None) => false,
        };
        let more = budget.total() > self.spec.budget.total();
        let other = !limits.constraints.allow_the_same(&self.spec.limits.constraints);
        // One that was called off has no answer.
        if self.phase == Phase::Finished(Finish::Cancelled) {
            return true;
        }
        self.phase != Phase::Searching && (more || other || (longer && self.left(budget) > 0))
    }
}

impl Experiment {
    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.status {
            Status::Done { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// By what it is told from the others of its study.
    pub fn key(&self) -> ExperimentKey {
        ExperimentKey { config: self.config.clone(), block: self.block, members: self.members.to_vec() }
    }

    /// Whether it runs this: an ensemble if there are members, else the configuration.
    pub fn runs(&self, config: &Config, members: &[Member]) -> bool {
        self.config == *config && *self.members == *members
    }

    /// What it takes from the budget, in full evaluations of a configuration, unless that is given back.
    pub fn cost(&self) -> u32 {
        if self.block.counts() { ar_common::ensemble::cost(&self.members) } else { 0 }
    }

    /// Whether it has not ended.
    pub fn is_pending(&self) -> bool {
        !matches!(self.status, Status::Done { .. })
    }
}
