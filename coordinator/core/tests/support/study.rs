//! Studies, plans and outcomes to test with.

use ar_common::{
    Block, Budget, BudgetBy, Config, Digest, Dimension, ExperimentId, Limits, Measures, Metric, Mode,
    OptionSpec, Outcome, SearchSpec, Space, Splits, StudySpec, Tabular, TabularSpec, Task, Training,
    Workload,
};
use ar_core::PlannedExperiment;

/// A study of 3 x 3 x 2 options (15 that differ: a forest does not care how columns are scaled), a
/// budget of 2 x 4 and a sealed fifth. Another `seed` is another study.
pub(crate) fn spec(seed: u64) -> StudySpec {
    let Some((metric, task)) = Metric::tabular("accuracy") else { panic!("accuracy is a known metric") };
    assert_eq!(task, Task::Classification);
    let mut scale = dimension("scale", &["base", "none", "robust"]);
    scale.inactive_under = [("model".to_owned(), vec!["model_forest".to_owned()])].into();
    StudySpec {
        version: StudySpec::VERSION,
        name: format!("study {seed}"),
        seed,
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
        budget: Budget { rounds: 2, per_round: 4 },
        search: SearchSpec::default(),
        limits: Limits::default(),
        space: Space {
            dimensions: vec![
                scale,
                dimension("model", &["base", "forest", "boost"]),
                dimension("encode", &["base", "onehot"]),
            ],
            ..Space::default()
        },
    }
}

/// The same of a training script.
pub(crate) fn training(seed: u64) -> StudySpec {
    let workload = Workload::Training(Training {
        path: "project".into(),
        project: Digest::of(b"tree"),
        command: "python train.py".into(),
        edit: vec!["train.py".into()],
        budget_seconds: 10.0,
        startup_seconds: 60.0,
        budget_by: BudgetBy::Variable("TIME_BUDGET".into()),
        metric_regex: None,
        evaluate: None,
        protect: vec![],
        sites: vec![],
        pins: vec![],
        variants: vec![],
        data: vec![],
    });
    StudySpec { workload, ..spec(seed) }
}

fn dimension(name: &str, options: &[&str]) -> Dimension {
    let option = |option: &&str| OptionSpec {
        name: (*option).to_owned(),
        family: format!("{name}_{option}"),
        floor: false,
        inactive_under: Default::default(),
        only_with: Default::default(),
        value: None,
    };
    Dimension { name: name.to_owned(), options: options.iter().map(option).collect(), ..Dimension::default() }
}

/// The base of every study here, with some dimensions changed.
pub(crate) fn config(changes: &[(&str, &str)]) -> Config {
    let base: Config = [("scale", "base"), ("model", "base"), ("encode", "base")].into_iter().collect();
    changes.iter().fold(base, |config, (dimension, option)| config.with(dimension, option))
}

/// `config` on the study's own split, as a search would plan it.
pub(crate) fn cv(changes: &[(&str, &str)]) -> PlannedExperiment {
    planned(config(changes), Block::FIRST)
}

/// `config` on `block`, as a search would plan it.
pub(crate) fn planned(config: Config, block: Block) -> PlannedExperiment {
    let reason = "as told by the test".to_owned();
    let (id, mode, members, race, expected_gain) = (ExperimentId(0), Mode::Explore, Vec::new(), None, None);
    PlannedExperiment { id, config, block, mode, round: 1, reason, members, race, expected_gain }
}

/// A result that took long enough for nothing to be granted ahead.
pub(crate) fn done(score: f64) -> Outcome {
    measured(score, 2.0)
}

/// A result that came so fast that three more are granted ahead for each slot.
pub(crate) fn quick(score: f64) -> Outcome {
    measured(score, 0.02)
}

fn measured(score: f64, seconds: f64) -> Outcome {
    Outcome::Done(Measures { score: Some(score), folds: [score; 5].into(), seconds, ..Measures::default() })
}
