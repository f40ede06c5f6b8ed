//! A study as submitted: the one form that flags, a `study.toml` and the API compile to.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::constraints::Constraints;
use crate::digest::Digest;
use crate::ids::StudyId;
use crate::metric::{Metric, Task};
use crate::sampler::Sampler;
use crate::space::Space;

/// One search: what is searched, on what, judged by what, for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Version of this form, 1.
    pub version: u32,
    /// A name for people; not part of the identity.
    pub name: String,
    /// Seed of splits, models and search.
    pub seed: u64,
    /// What is measured.
    pub metric: Metric,
    /// The table and its target.
    pub data: TabularSpec,
    /// How rows are split.
    pub splits: Splits,
    /// How many experiments.
    pub budget: Budget,
    /// How the search goes.
    #[serde(default, skip_serializing_if = "SearchSpec::is_default")]
    pub search: SearchSpec,
    /// Bounds on time and memory.
    #[serde(default)]
    pub limits: Limits,
    /// Digest of the pinned requirements of the environment.
    pub environment: Digest,
    /// Digest of the code that evaluates: options, loader, splitter, metrics.
    pub code: Digest,
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
}

impl Splits {
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
    /// What a configuration must keep to, to be handed over.
    #[serde(default, skip_serializing_if = "Constraints::is_default")]
    pub constraints: Constraints,
}

/// How the search goes; not part of the identity, as it decides no score.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
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
    /// Whether every experiment runs all its folds, however far behind it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_race: bool,
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

impl StudySpec {
    /// The version of [`StudySpec`] that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// The identity: a hash of everything that decides results, and of nothing else. Raising the
    /// budget, moving the file or renaming the study keeps it.
    pub fn id(&self) -> StudyId {
        let identity = Identity {
            version: 1,
            content: &self.data.content,
            target: &self.data.target,
            task: self.data.task,
            drop: &self.data.drop,
            delimiter: self.data.delimiter,
            metric: &self.metric,
            splits: &self.splits,
            seed: self.seed,
            space: &self.space,
            code: &self.code,
            environment: &self.environment,
        };
        // Serialising plain data to memory has no way to fail.
        let bytes = serde_json::to_vec(&identity).unwrap_or_default();
        StudyId(Digest::of(&bytes).to_string())
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
            data: TabularSpec {
                path: "heart.csv".into(),
                content: Digest::of(b"rows"),
                target: "target".into(),
                task,
                drop: vec![],
                delimiter: ',',
            },
            splits: Splits { folds: 5, holdout: Some(0.2), group: None, time: None },
            budget: Budget { rounds: 4, per_round: 15 },
            search: SearchSpec::default(),
            limits: Limits::default(),
            environment: Digest::of(b"lock"),
            code: Digest::of(b"code"),
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
        same.data.path = "elsewhere.csv".into();
        same.budget.rounds = 40;
        same.search.sampler = Sampler::Random;
        same.search.no_ensemble = true;
        same.search.no_race = true;
        same.limits.experiment_seconds = Some(5.0);
        same.limits.constraints.memory = Some(1 << 30);
        assert_eq!(same.id(), original);

        let changes: [fn(&mut StudySpec); 6] = [
            |s| s.data.content = Digest::of(b"other rows"),
            |s| s.data.target = "y".into(),
            |s| s.seed = 1,
            |s| s.splits.folds = 4,
            |s| s.code = Digest::of(b"other code"),
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
        let mut splits = Splits { folds: 5, holdout: Some(0.2), group: None, time: None };
        assert_eq!(splits.predicted_rows(270), 216);
        splits.time = Some("month".into());
        assert_eq!(splits.predicted_rows(270), 180);
        splits.holdout = None;
        assert_eq!(splits.predicted_rows(3), 0);
    }
}
