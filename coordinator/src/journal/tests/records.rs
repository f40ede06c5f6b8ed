//! At least one record of every kind, with every part that a record can have.

use ar_common::Attempt;
use ar_common::{
    Artifact, Block, Budget, Config, Digest, Dimension, Direction, Epoch, ExperimentId, LeaseSeq, Limits,
    Measures, Metric, Mode, OptionSpec, Outcome, SealedScore, SearchSpec, Seq, Space, Splits, StudyId,
    StudySpec, Tabular, TabularSpec, Task, Verdict, Workload,
};
use ar_core::{Experiment, Finish, Loss, PlannedExperiment, Record, Status};

/// The kind of a record. A new kind does not compile here: add one to [`all`] as well, raise the
/// format, and keep the golden files of the old one.
pub(super) fn kind(record: &Record) -> &'static str {
    match record {
        Record::StoreMade { .. } => "StoreMade",
        Record::Elected { .. } => "Elected",
        Record::Submitted { .. } => "Submitted",
        Record::Extended { .. } => "Extended",
        Record::OptionRemoved { .. } => "OptionRemoved",
        Record::Planned { .. } => "Planned",
        Record::Granted { .. } => "Granted",
        Record::Requeued { .. } => "Requeued",
        Record::Done { .. } => "Done",
        Record::Refused { .. } => "Refused",
        Record::Concluded { .. } => "Concluded",
        Record::SealedOpened { .. } => "SealedOpened",
        Record::Paused { .. } => "Paused",
        Record::Finished { .. } => "Finished",
        Record::Archived { .. } => "Archived",
        Record::Recalled { .. } => "Recalled",
        Record::Held { .. } => "Held",
        Record::Readmitted { .. } => "Readmitted",
    }
}

/// How many kinds there are.
pub(super) const KINDS: usize = 18;

const LEASE: LeaseSeq = LeaseSeq { incarnation: u64::MAX - 1, seq: Seq(6) };

fn config(model: &str) -> Config {
    [("build_model", model), ("scale", "base")].into_iter().collect()
}

fn option(name: &str, conditions: bool) -> OptionSpec {
    let of = |dimension: &str, family: &str| {
        [(dimension.to_owned(), vec![family.to_owned()])].into_iter().collect()
    };
    OptionSpec {
        name: name.into(),
        family: name.split('_').next().unwrap().into(),
        floor: conditions,
        inactive_under: if conditions { of("build_model", "xgb") } else { Default::default() },
        only_with: if conditions { of("scale", "base") } else { Default::default() },
        value: None,
    }
}

fn spec() -> StudySpec {
    let dimension = |name: &str, options, other: &str| Dimension {
        name: name.into(),
        options,
        inactive_under: [(other.to_owned(), vec!["none".to_owned()])].into_iter().collect(),
        scale: None,
    };
    StudySpec {
        version: StudySpec::VERSION,
        name: "Ärger & Söhne".into(),
        seed: 1 << 60,
        metric: Metric {
            name: "rmse".into(),
            direction: Direction::Minimize,
            low: Some(0.0),
            high: Some(1e9),
        },
        workload: Workload::Tabular(Tabular {
            data: TabularSpec {
                path: "data.csv".into(),
                content: Digest::of(b"rows"),
                target: "y".into(),
                task: Task::Regression,
                drop: vec!["id".into()],
                delimiter: ';',
            },
            splits: Splits {
                folds: 5,
                holdout: Some(0.2),
                group: Some("site".into()),
                time: Some("day".into()),
                repeats: 1,
            },
            environment: Digest::of(b"lock"),
            code: Digest::of(b"code"),
        }),
        budget: Budget { rounds: 4, per_round: 15 },
        search: SearchSpec::default(),
        limits: limits(),
        space: Space {
            dimensions: vec![
                dimension("build_model", vec![option("base", false), option("xgb_deep", false)], "scale"),
                dimension("scale", vec![option("base", false), option("none", true)], "build_model"),
            ],
            ..Space::default()
        },
    }
}

fn limits() -> Limits {
    Limits {
        study_seconds: Some(3600.0),
        experiment_seconds: Some(60.5),
        experiment_memory: Some(1 << 33),
        ..Limits::default()
    }
}

fn measures() -> Measures {
    Measures {
        score: Some(0.8125),
        folds: [0.75, 0.875, -1e-300].into(),
        seconds: 0.023,
        predict_seconds: Some(0.002),
        peak_memory: Some(123_456_789),
        sealed: Some(Box::new(SealedScore {
            score: 0.5,
            base_score: 0.25,
            difference: 0.25,
            low: -0.125,
            high: 0.625,
            level: 0.95,
            rows: 200,
        })),
        artifacts: [Artifact { name: "model.bin".into(), digest: Digest::of(b"model") }].into(),
        members: [].into(),
        ..Measures::default()
    }
}

fn outcomes() -> Vec<Outcome> {
    let reason = || "one line".to_owned();
    vec![
        Outcome::Done(measures()),
        Outcome::Done(Measures { seconds: 1.5, ..Measures::default() }),
        Outcome::StoppedEarly { folds: vec![0.5, 0.25], seconds: 0.01, rule: ar_common::Rule::EveryFold },
        Outcome::DuplicateOf { experiment: ExperimentId(1) },
        Outcome::Crashed { reason: reason() },
        Outcome::TimedOut { seconds: 60.0 },
        Outcome::OutOfMemory { reason: reason() },
        Outcome::NoMetric { reason: reason() },
        Outcome::Cancelled { reason: reason() },
    ]
}

pub(super) fn planned() -> Vec<PlannedExperiment> {
    let blocks = [Block::FIRST, Block::Cv { repeat: 3 }, Block::Sealed, Block::Refit];
    let parts = (1..).zip(blocks).zip(Mode::ALL);
    parts
        .map(|((id, block), mode)| PlannedExperiment {
            id: ExperimentId(id),
            config: config("xgb_deep"),
            block,
            mode,
            round: 1,
            reason: "covers xgb".into(),
            members: Vec::new(),
            race: None,
            expected_gain: None,
        })
        .collect()
}

fn verdict(candidate: Option<Config>) -> Verdict {
    Verdict {
        winner: config("base"),
        beats_base: candidate.is_some(),
        difference: 0.015625,
        low: -0.5,
        p_value: 0.0625,
        level: 0.1,
        pairs: 30,
        candidate_score: candidate.as_ref().map(|_| 0.5),
        base_score: candidate.as_ref().map(|_| 0.25),
        best_seen: candidate.clone().map(|config| (config, 0.75)),
        candidate,
        text: "nothing tried is shown to beat the base".into(),
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    }
}

/// One experiment of each status.
fn recalled() -> Vec<Experiment> {
    let lease = Status::Leased { lease: LEASE, worker: "box-1".into(), boot: 7, deadline_ms: 61_000 };
    let ended =
        Status::Done { lease: Some(LEASE), digest: Digest::of(b"outcome"), outcome: outcomes().remove(0) };
    let each = [Status::Queued, lease, ended].into_iter().zip(1..);
    each.map(|(status, id)| Experiment {
        id: ExperimentId(id),
        study: StudyId(Digest::of(b"study").to_string().into()),
        config: config("xgb_deep"),
        block: Block::FIRST,
        mode: Mode::Explore,
        round: 1,
        reason: "covers xgb".into(),
        attempt: Attempt(2),
        newest_lease: Some(LEASE),
        losses_running: 1,
        status,
        members: [].into(),
        race: None,
        expected_gain: Some(0.25),
    })
    .collect()
}

/// The records of the golden files, in their order.
pub(in crate::journal) fn all() -> Vec<Record> {
    let study = StudyId(Digest::of(b"study").to_string().into());
    let experiment = ExperimentId(1);
    let mut records = vec![
        Record::StoreMade { format: 1, incarnation: LEASE.incarnation },
        Record::Elected { epoch: Epoch(70_000) },
        Record::Submitted { study: study.clone(), spec: Box::new(spec()), tree: Digest::of(b"tree") },
        Record::Extended {
            study: study.clone(),
            budget: Budget { rounds: 5, per_round: 15 },
            limits: limits(),
            search: SearchSpec::default(),
        },
        Record::OptionRemoved {
            study: study.clone(),
            dimension: "build_model".into(),
            option: "xgb_deep".into(),
            reason: "not installed".into(),
        },
        Record::Planned { study: study.clone(), as_of: Seq(5), experiments: planned() },
        Record::Granted {
            experiment,
            attempt: Attempt(2),
            worker: "box-1".into(),
            boot: u64::MAX,
            deadline_ms: 61_000,
        },
    ];
    let causes = [(Loss::Lapsed, true), (Loss::Released, false), (Loss::Forgotten, true)];
    records.extend(causes.map(|(cause, running)| Record::Requeued {
        experiment,
        lease: LEASE,
        cause,
        running,
    }));
    records.extend(outcomes().into_iter().enumerate().map(|(n, outcome)| Record::Done {
        experiment,
        lease: (n > 0).then_some(LEASE),
        digest: Digest::of(b"outcome"),
        outcome,
    }));
    records.extend([
        Record::Refused { experiment, lease: LEASE, why: "an older lease".into() },
        Record::Concluded { study: study.clone(), verdict: verdict(Some(config("xgb_deep"))) },
        Record::Concluded { study: study.clone(), verdict: verdict(None) },
        Record::SealedOpened { study: study.clone() },
        Record::Finished { study: study.clone(), how: Finish::Concluded },
        Record::Finished { study: study.clone(), how: Finish::Failed },
        Record::Paused { study: study.clone(), paused: true },
        Record::Finished { study: study.clone(), how: Finish::Cancelled },
        Record::Archived { study: study.clone(), archive: Digest::of(b"archive") },
        Record::Recalled { study, experiments: recalled(), last: true },
        Record::Held { worker: "box-1".into(), boot: Some(7), why: "all of its runs failed".into() },
        Record::Held { worker: "box-2".into(), boot: None, why: "somebody drains it".into() },
        Record::Readmitted { worker: "box-2".into() },
    ]);
    records
}
