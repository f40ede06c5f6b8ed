//! The identity of a study: everything that decides results, and nothing else.

use serde::Serialize;

use super::{Splits, StudySpec};
use crate::data::DataRef;
use crate::digest::Digest;
use crate::ids::StudyId;
use crate::metric::{Metric, Task};
use crate::space::Space;
use crate::workload::{BudgetBy, Pin, Site, Tabular, Training, Variants, Workload};

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
    /// The identity: a hash of everything that decides results, and of nothing else. Raising the
    /// budget, moving the file or renaming the study keeps it.
    pub fn id(&self) -> StudyId {
        // Serialising plain data to memory has no way to fail.
        let bytes = match &self.workload {
            Workload::Tabular(tabular) => serde_json::to_vec(&self.identity(tabular)),
            Workload::Training(training) => serde_json::to_vec(&self.training_identity(training)),
        };
        StudyId(Digest::of(&bytes.unwrap_or_default()).to_string().into())
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::sampler::Sampler;
    use crate::space::{Dimension, OptionSpec};
    use crate::spec::{Limits, SearchSpec, TabularSpec};

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
}
