//! A study as submitted: the one form that flags, a `study.toml` and the API compile to.

mod form;
mod identity;
mod splits;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::config::Config;
use crate::constraints::Constraints;
use crate::digest::Digest;
use crate::metric::{Metric, Task};
use crate::racing::Race;
use crate::sampler::Sampler;
use crate::sharing::{Needs, Share};
use crate::space::Space;
use crate::workload::{Tabular, Training, Workload};

use form::Form;

pub use form::FormError;
pub use splits::Splits;

/// One search: what is searched, on what, judged by what, for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct StudySpec {
    /// Version of its form, 1.
    pub version: u32,
    /// A name for people; not part of the identity.
    pub name: String,
    /// Seed of splits, models and search.
    pub seed: u64,
    /// What is measured.
    pub metric: Metric,
    /// What its experiments run.
    pub workload: Workload,
    /// How many experiments.
    pub budget: Budget,
    /// How the search goes.
    pub search: SearchSpec,
    /// Bounds on time and memory.
    pub limits: Limits,
    /// What is searched.
    pub space: Space,
}

/// A table and what is predicted from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TabularSpec {
    /// Where the file was when the study was made; not part of the identity.
    pub path: String,
    /// Digest of the file's content.
    pub content: Digest,
    /// Column to predict.
    pub target: String,
    /// What kind of prediction.
    pub task: Task,
    /// Columns left out on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Separator between cells, one character.
    pub delimiter: char,
}

/// Bounds on time and memory; not part of the identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Wall-clock seconds of one `run`, after which no new experiment starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_seconds: Option<f64>,
    /// Seconds one experiment may take; if absent, max(60, 20 x the base).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_seconds: Option<f64>,
    /// Bytes of memory one experiment may take beyond what its server holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_memory: Option<u64>,
    /// How it shares the workers with other studies.
    #[serde(default, skip_serializing_if = "Share::is_default")]
    pub share: Share,
    /// What a worker must have to run its experiments.
    #[serde(default, skip_serializing_if = "Needs::is_default")]
    pub needs: Needs,
    /// What a configuration must keep to, to be handed over.
    #[serde(default, skip_serializing_if = "Constraints::is_default")]
    pub constraints: Constraints,
}

/// How the search goes; not part of the identity, as it decides no score.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchSpec {
    /// How configurations are chosen.
    pub sampler: Sampler,
    /// The search ends early when nothing left is expected to improve on the best by this much, in units of the
    /// metric. Never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_below: Option<f64>,
    /// Whether an ensemble of the best is left out of the verdict.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_ensemble: bool,
    /// Whether every experiment runs all its folds, or all its time, however far behind it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_race: bool,
    /// Dimensions whose change makes the curve of a training run one that is not compared with others: schedules, batch
    /// sizes, tokenizers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomparable: Vec<String>,
    /// Whether some training runs go on from the best checkpoint, beside those that start anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStart>,
    /// Configurations that somebody asked for, to be tried right after the base, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enqueue: Vec<Config>,
}

/// Training runs that go on from what another one left. They are ranked apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmStart {
    /// Dimensions that shape the model: a checkpoint fits a configuration that has the same options of these.
    pub shape: Vec<String>,
}

impl WarmStart {
    /// Whether what a run of `from` left is taken by one of `to`.
    pub fn fits(&self, from: &Config, to: &Config) -> bool {
        self.shape.iter().all(|dimension| from.get(dimension) == to.get(dimension))
    }
}

impl SearchSpec {
    /// Whether nothing was asked for; then it is not written down.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl StudySpec {
    /// The version of the form that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// What is known of a table's study; `None` of any other.
    pub fn tabular(&self) -> Option<&Tabular> {
        match &self.workload {
            Workload::Tabular(tabular) => Some(tabular),
            Workload::Training(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn tabular_mut(&mut self) -> Option<&mut Tabular> {
        match &mut self.workload {
            Workload::Tabular(tabular) => Some(tabular),
            Workload::Training(_) => None,
        }
    }

    /// What is known of a training script's study; `None` of any other.
    pub fn training(&self) -> Option<&Training> {
        match &self.workload {
            Workload::Tabular(_) => None,
            Workload::Training(training) => Some(training),
        }
    }

    /// Splits that one run on a fresh split covers, see [`Splits::repeats`]; a training run is one.
    pub fn repeats(&self) -> u32 {
        self.tabular().map_or(1, |tabular| tabular.splits.repeats.max(1))
    }

    /// Folds of one full evaluation; a training run is one.
    pub fn folds(&self) -> u32 {
        self.tabular().map_or(1, |tabular| tabular.splits.folds.max(1))
    }

    /// Parts of one full evaluation in which the budget is counted where it is stopped early: its folds, or the points of a
    /// training run's curve.
    pub fn parts(&self) -> u32 {
        if self.training().is_some() { Race::CURVE_POINTS } else { self.folds() }
    }

    /// What the scores of one full evaluation have in common, see [`Splits::test_share`]. Two training runs share nothing but
    /// their data, so their differences are independent.
    pub fn test_share(&self) -> f64 {
        self.tabular().map_or(0.0, |tabular| tabular.splits.test_share())
    }

    /// Share of the rows that is sealed until the end, if any.
    pub fn holdout(&self) -> Option<f64> {
        self.tabular().and_then(|tabular| tabular.splits.holdout)
    }
}
