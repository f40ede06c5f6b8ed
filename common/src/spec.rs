//! A study as submitted: the one form that flags, a `study.toml` and the API compile to.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::constraints::Constraints;
use crate::data::DataRef;
use crate::digest::Digest;
use crate::experiment::Config;
use crate::ids::StudyId;
use crate::metric::{Metric, Task};
use crate::racing::Race;
use crate::sampler::Sampler;
use crate::sharing::{Needs, Share};
use crate::space::Space;
use crate::workload::{BudgetBy, Pin, Site, Tabular, Training, Variants, Workload};

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

/// A study as it is written: the parts of its workload stand beside the others, those of a table or `training`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    name: String,
    seed: u64,
    metric: Metric,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<TabularSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    splits: Option<Splits>,
    budget: Budget,
    #[serde(default, skip_serializing_if = "SearchSpec::is_default")]
    search: SearchSpec,
    #[serde(default)]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Training>,
    space: Space,
}

/// A study that says neither what a table's study says, nor `training`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a study has either `training`, or all of `data`, `splits`, `environment` and `code`")]
pub struct FormError;

impl TryFrom<Form> for StudySpec {
    type Error = FormError;

    fn try_from(form: Form) -> Result<Self, FormError> {
        let Form { version, name, seed, metric, budget, search, limits, space, .. } = form;
        let workload = match (form.data, form.splits, form.environment, form.code, form.training) {
            (Some(data), Some(splits), Some(environment), Some(code), None) => {
                Workload::Tabular(Tabular { data, splits, environment, code })
            }
            (None, None, None, None, Some(training)) => Workload::Training(training),
            _ => return Err(FormError),
        };
        Ok(Self { version, name, seed, metric, workload, budget, search, limits, space })
    }
}

impl From<StudySpec> for Form {
    fn from(spec: StudySpec) -> Self {
        let StudySpec { version, name, seed, metric, workload, budget, search, limits, space } = spec;
        let (tabular, training) = match workload {
            Workload::Tabular(tabular) => (Some(tabular), None),
            Workload::Training(training) => (None, Some(training)),
        };
        let (data, splits, environment, code) = match tabular {
            Some(t) => (Some(t.data), Some(t.splits), Some(t.environment), Some(t.code)),
            None => (None, None, None, None),
        };
        Self {
            version,
            name,
            seed,
            metric,
            data,
            splits,
            budget,
            search,
            limits,
            environment,
            code,
            training,
            space,
        }
    }
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

/// How rows are split into sealed rows and folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splits {
    /// Folds of cross-validation.
    pub folds: u32,
    /// Fraction of the rows that is sealed until the end, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<f64>,
    /// Column whose equal values stay in one fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Column that orders the rows; folds then predict forward in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Splits that one run on a fresh split covers, so that it counts as one evaluation and sees more of small data; see
    /// [`Splits::repeats_for`].
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeats: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_once(repeats: &u32) -> bool {
    *repeats == 1
}

impl Splits {
    /// Rows that the splits of one fresh run shall predict together.
    const ROWS: u64 = 2_000;
    /// Splits of one fresh run, at most: of the variance of a mean difference over 5 splits of 5 folds, (1 / 25 + 1 / 4) s2,
    /// more of them take less than a seventh.
    pub const MOST_REPEATS: u32 = 5;

    /// How many splits one fresh run covers of a table with so many rows outside the sealed ones: a fold of few rows costs
    /// little, and its score scatters the more.
    pub fn repeats_for(rows: u64) -> u32 {
        u32::try_from(Self::ROWS / rows.max(1)).unwrap_or(Self::MOST_REPEATS).clamp(1, Self::MOST_REPEATS)
    }

    /// Rows that a fold is tested on, per row that it is trained on: what the scores of a cross-validation have in common
    /// grows with it. Forward in time fold `i` is tested on one part and trained on `i`; the mean over the folds. 1 where
    /// there is one fold only.
    pub fn test_share(&self) -> f64 {
        match (self.folds, self.time.is_some()) {
            (0 | 1, _) => 1.0,
            (folds, false) => 1.0 / f64::from(folds - 1),
            (folds, true) => (1..=folds).map(|i| 1.0 / f64::from(i)).sum::<f64>() / f64::from(folds),
        }
    }

    /// Rows that one whole cross-validation predicts, of a table with so many. Where groups or classes are sealed whole
    /// it may be off by a few; a further split by time leaves out a few of the newest.
    pub fn predicted_rows(&self, rows: u64) -> u64 {
        let sealed = self.holdout.map_or(0.0, |share| (rows as f64 * share).round().max(0.0));
        // Not negative, and no more than there are.
        let open = rows - (sealed as u64).min(rows);
        let folds = u64::from(self.folds);
        if self.time.is_some() { open / (folds + 1) * folds } else { open }
    }
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

/// What the identity is made of, in a fixed order with names, so that adding a part is a new version.
#[derive(Serialize)]
struct Identity<'a> {
    version: u32,
    content: &'a Digest,
    target: &'a str,
    task: Task,
    drop: &'a [String],
    delimiter: char,
    metric: &'a Metric,
    splits: &'a Splits,
    seed: u64,
    space: &'a Space,
    code: &'a Digest,
    environment: &'a Digest,
}

/// The same of a training script.
#[derive(Serialize)]
struct TrainingIdentity<'a> {
    version: u32,
    project: &'a Digest,
    command: &'a str,
    budget_seconds: f64,
    budget_by: &'a BudgetBy,
    metric: &'a Metric,
    metric_regex: Option<&'a str>,
    evaluate: Option<&'a str>,
    protect: &'a [String],
    sites: &'a [Site],
    #[serde(skip_serializing_if = "<[Pin]>::is_empty")]
    pins: &'a [Pin],
    #[serde(skip_serializing_if = "<[Variants]>::is_empty")]
    variants: &'a [Variants],
    #[serde(skip_serializing_if = "<[DataRef]>::is_empty")]
    data: &'a [DataRef],
    seed: u64,
    space: &'a Space,
}

impl StudySpec {
    /// The version of the form that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// The identity: a hash of everything that decides results, and of nothing else. Raising the
    /// budget, moving the file or renaming the study keeps it.
    pub fn id(&self) -> StudyId {
        // Serialising plain data to memory has no way to fail.
        let bytes = match &self.workload {
            Workload::Tabular(tabular) => serde_json::to_vec(&self.identity(tabular)),
            Workload::Training(training) => serde_json::to_vec(&self.training_identity(training)),
        };
        StudyId(Digest::of(&bytes.unwrap_or_default()).to_string())
    }

    fn identity<'a>(&'a self, tabular: &'a Tabular) -> Identity<'a> {
        let Tabular { data, splits, environment, code } = tabular;
        Identity {
            version: 1,
            content: &data.content,
            target: &data.target,
            task: data.task,
            drop: &data.drop,
            delimiter: data.delimiter,
            metric: &self.metric,
            splits,
            seed: self.seed,
            space: &self.space,
            code,
            environment,
        }
    }

    fn training_identity<'a>(&'a self, training: &'a Training) -> TrainingIdentity<'a> {
        TrainingIdentity {
            version: 1,
            project: &training.project,
            command: &training.command,
            budget_seconds: training.budget_seconds,
            budget_by: &training.budget_by,
            metric: &self.metric,
            metric_regex: training.metric_regex.as_deref(),
            evaluate: training.evaluate.as_deref(),
            protect: &training.protect,
            sites: &training.sites,
            pins: &training.pins,
            variants: &training.variants,
            data: &training.data,
            seed: self.seed,
            space: &self.space,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Dimension, OptionSpec};

    fn spec() -> StudySpec {
        let (metric, task) = Metric::tabular("accuracy").unwrap();
        let options = ["base", "none"].map(|name| OptionSpec {
            name: name.into(),
            family: name.into(),
            floor: false,
            inactive_under: Default::default(),
            only_with: Default::default(),
            value: None,
        });
        StudySpec {
            version: 1,
            name: "heart".into(),
            seed: 0,
            metric,
            workload: Workload::Tabular(Tabular {
                data: TabularSpec {
                    path: "heart.csv".into(),
                    content: Digest::of(b"rows"),
                    target: "target".into(),
                    task,
                    drop: vec![],
                    delimiter: ',',
                },
                splits: Splits { folds: 5, holdout: Some(0.2), group: None, time: None, repeats: 1 },
                environment: Digest::of(b"lock"),
                code: Digest::of(b"code"),
            }),
            budget: Budget { rounds: 4, per_round: 15 },
            search: SearchSpec::default(),
            limits: Limits::default(),
            space: Space {
                dimensions: vec![Dimension {
                    name: "scale".into(),
                    options: options.to_vec(),
                    ..Dimension::default()
                }],
                ..Space::default()
            },
        }
    }

    #[test]
    fn what_decides_results_changes_the_identity_and_nothing_else_does() {
        let original = spec().id();
        let mut same = spec();
        same.name = "other".into();
        same.tabular_mut().unwrap().data.path = "elsewhere.csv".into();
        same.budget.rounds = 40;
        same.search.sampler = Sampler::Random;
        same.search.no_ensemble = true;
        same.search.no_race = true;
        same.limits.experiment_seconds = Some(5.0);
        same.limits.constraints.memory = Some(1 << 30);
        assert_eq!(same.id(), original);

        let changes: [fn(&mut StudySpec); 6] = [
            |s| s.tabular_mut().unwrap().data.content = Digest::of(b"other rows"),
            |s| s.tabular_mut().unwrap().data.target = "y".into(),
            |s| s.seed = 1,
            |s| s.tabular_mut().unwrap().splits.folds = 4,
            |s| s.tabular_mut().unwrap().code = Digest::of(b"other code"),
            |s| s.space.dimensions[0].options[1].name = "robust".into(),
        ];
        for change in changes {
            let mut other = spec();
            change(&mut other);
            assert_ne!(other.id(), original);
        }
    }

    #[test]
    fn a_cross_validation_predicts_what_is_not_sealed_and_by_time_all_but_the_first_part() {
        let mut splits = Splits { folds: 5, holdout: Some(0.2), group: None, time: None, repeats: 1 };
        assert_eq!(splits.predicted_rows(270), 216);
        splits.time = Some("month".into());
        assert_eq!(splits.predicted_rows(270), 180);
        splits.holdout = None;
        assert_eq!(splits.predicted_rows(3), 0);
    }

    #[test]
    fn the_fewer_the_rows_the_more_splits_a_fresh_run_covers() {
        let repeats = [0, 54, 399, 400, 667, 1_000, 1_001, u64::MAX].map(Splits::repeats_for);
        assert_eq!(repeats, [5, 5, 5, 5, 2, 2, 1, 1]);
    }

    #[test]
    fn one_split_to_a_run_is_not_written_down() {
        let splits = |repeats| Splits { folds: 5, holdout: None, group: None, time: None, repeats };
        assert_eq!(serde_json::to_string(&splits(1)).unwrap(), r#"{"folds":5}"#);
        let several = serde_json::to_string(&splits(4)).unwrap();
        assert_eq!(several, r#"{"folds":5,"repeats":4}"#);
        assert_eq!(serde_json::from_str::<Splits>(&several).unwrap(), splits(4));
    }
}
