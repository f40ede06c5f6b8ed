use ar_common::{
    Artifact, Device, SealedScore, Space, Splits, StudySpec, Tabular, TabularSpec, Verdict, Workload,
};
use ar_common::{
    Attempt, Budget, Digest, Dimension, ExperimentId, Limits, Measures, Metric, Mode, OptionSpec, SearchSpec,
    Seq,
};
use ar_core::{Finish, PlannedExperiment, Record};

use super::*;
use crate::summary;

pub(super) fn option(name: &str, floor: bool) -> OptionSpec {
    OptionSpec { name: name.into(), family: name.into(), floor, ..OptionSpec::default() }
}

pub(super) fn spec() -> StudySpec {
    let (metric, task) = Metric::tabular("accuracy").unwrap();
    let model = ["base", "tree", "dummy"].map(|name| option(name, name == "dummy")).to_vec();
    StudySpec {
        version: 1,
        name: "heart statlog/../x".into(),
        seed: 3,
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
            splits: Splits { folds: 2, holdout: Some(0.2), group: None, time: None, repeats: 1 },
            environment: Digest::of(b"lock"),
            code: Digest::of(b"code"),
        }),
        budget: Budget { rounds: 1, per_round: 5 },
        search: SearchSpec::default(),
        limits: Limits::default(),
        space: Space {
            dimensions: vec![Dimension {
                name: "build_model".into(),
                options: model,
                ..Dimension::default()
            }],
            ..Space::default()
        },
    }
}

/// A study with these experiments: model, block, outcome (none: not ended).
pub(super) fn state(
    spec: &StudySpec,
    experiments: &[(&str, Block, Option<Outcome>)],
    more: Vec<Record>,
) -> State {
    let study = spec.id();
    let planned = (1..).zip(experiments).map(|(id, (model, block, _))| PlannedExperiment {
        id: ExperimentId(id),
        config: spec.space.base().with("build_model", model),
        block: *block,
        mode: Mode::Explore,
        round: 1,
        reason: "because".into(),
        members: Vec::new(),
        race: None,
        expected_gain: None,
    });
    let mut records = vec![
        Record::Submitted { study: study.clone(), spec: Box::new(spec.clone()), tree: Digest::of(b"tree") },
        Record::Planned { study, as_of: Seq(1), experiments: planned.collect() },
    ];
    for (id, (_, _, outcome)) in (1..).zip(experiments) {
        if let Some(outcome) = outcome.clone() {
            let (experiment, digest) = (ExperimentId(id), Digest::of(b"outcome"));
            records.push(Record::Done { experiment, lease: None, digest, outcome });
        }
    }
    records.extend(more);
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    assert!(state.experiments.iter().all(|experiment| experiment.attempt == Attempt(1)));
    state
}

pub(super) fn done(folds: &[f64]) -> Option<Outcome> {
    let score = Some(folds.iter().sum::<f64>() / folds.len() as f64);
    Some(Outcome::Done(Measures { score, folds: folds.into(), seconds: 0.5, ..Measures::default() }))
}

pub(super) fn crashed(reason: &str) -> Option<Outcome> {
    Some(Outcome::Crashed { reason: reason.into() })
}

#[test]
fn a_running_study_has_its_best_its_ranking_and_no_verdict() {
    let spec = spec();
    let state = state(
        &spec,
        &[
            ("base", Block::FIRST, done(&[0.8, 0.9])),
            ("tree", Block::FIRST, done(&[0.9, 0.95])),
            ("dummy", Block::FIRST, done(&[0.5, 0.6])),
            ("base", Block::Cv { repeat: 1 }, None),
        ],
        vec![],
    );
    let report = Report::of(&state, &spec.id()).unwrap();
    assert_eq!(report.study.state, "running");
    assert_eq!(
        report.best.as_ref().map(|best| (best.id, best.label.as_str())),
        Some((2, "build_model=tree"))
    );
    let labels: Vec<&str> = report.ranking.iter().map(|ranked| ranked.label.as_str()).collect();
    assert_eq!(labels, ["build_model=tree", "base"], "the floor is no competitor");
    assert_eq!(report.floor.as_ref().map(|floor| floor.score), Some(0.55));
    assert_eq!(report.experiments[3].outcome, "waiting");
    assert!(report.verdict.is_none() && report.holdout.is_none());
    let solo = report.contributions.iter().find(|part| part.option == "tree").and_then(|part| part.solo);
    assert!((solo.unwrap() - 0.075).abs() < 1e-12);

    let back: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(back, report);
}

#[test]
fn the_table_has_five_known_columns_first_and_one_line_per_experiment() {
    let spec = spec();
    let experiments =
        [("base", Block::FIRST, done(&[0.8, 0.9])), ("tree", Block::FIRST, crashed("no\tluck\nat all"))];
    let report = Report::of(&state(&spec, &experiments, vec![]), &spec.id()).unwrap();
    let tsv = table::tsv(&report, &repository::Commits::new());
    let rows: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][..5], ["experiment", "accuracy", "memory_gb", "status", "description"]);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{tsv}");
    assert_eq!(rows[1][..5], ["1", "0.850000", "", "keep", "base"]);
    assert_eq!((rows[2][3], rows[2][11]), ("crash", "no luck at all"));
}

fn verdict(spec: &StudySpec, winner: &str) -> Record {
    let winner = spec.space.base().with("build_model", winner);
    let verdict = Verdict {
        candidate: Some(spec.space.base().with("build_model", "tree")),
        beats_base: winner != spec.space.base(),
        winner,
        difference: f64::NAN,
        low: f64::NEG_INFINITY,
        p_value: 0.03,
        level: 0.1,
        pairs: 10,
        candidate_score: Some(0.9),
        base_score: Some(0.8),
        best_seen: None,
        text: "tree beats the base".into(),
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    };
    Record::Concluded { study: spec.id(), verdict }
}

#[test]
fn the_winner_and_the_sealed_score_are_written_whole() {
    let spec = spec();
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let digest = blobs.put(b"print('pipeline')").unwrap();
    let sealed = SealedScore {
        score: 0.9,
        base_score: 0.8,
        difference: 0.1,
        low: 0.02,
        high: 0.2,
        level: 0.95,
        rows: 60,
    };
    let outcome = |measures| Some(Outcome::Done(measures));
    let artifacts = vec![Artifact { name: "pipeline.py".into(), digest }];
    let study = spec.id();
    let state = state(
        &spec,
        &[
            ("base", Block::FIRST, done(&[0.8, 0.9])),
            (
                "tree",
                Block::Sealed,
                outcome(Measures { sealed: Some(Box::new(sealed)), ..Measures::default() }),
            ),
            ("tree", Block::Refit, outcome(Measures { artifacts: artifacts.into(), ..Measures::default() })),
        ],
        vec![
            Record::SealedOpened { study: study.clone() },
            verdict(&spec, "tree"),
            Record::Finished { study, how: Finish::Concluded },
        ],
    );
    let report = Report::of(&state, &spec.id()).unwrap();
    assert_eq!(report.holdout.as_ref().map(|holdout| (holdout.rows, holdout.openings)), Some((60, 1)));
    assert_eq!(
        report.verdict.as_ref().map(|v| (v.difference, v.low)),
        Some((None, None)),
        "JSON knows no NaN"
    );

    let name = folder_name(&report);
    assert!(name.starts_with("heart-statlog-..-x-") && !name.contains('/'), "{name}");
    let results = folder.path().join(&name);
    write(&results, &report, &state, &blobs).unwrap();
    assert_eq!(std::fs::read(results.join("best/pipeline.py")).unwrap(), b"print('pipeline')");
    assert_eq!(read(&results).unwrap(), report);

    let text = summary::text(&report, &results, Path::new("out"), 80);
    for part in ["tree beats the base", "60 rows that the search never saw", "results   "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

#[test]
fn a_study_in_which_everything_failed_tells_the_commonest_errors() {
    let spec = spec();
    let experiments = [("base", "a"), ("tree", "b"), ("dummy", "b")];
    let experiments = experiments.map(|(model, reason)| (model, Block::FIRST, crashed(reason)));
    let finished = Record::Finished { study: spec.id(), how: Finish::Failed };
    let report = Report::of(&state(&spec, &experiments, vec![finished]), &spec.id()).unwrap();
    assert_eq!(report.study.state, "failed");
    let errors = summary::commonest_errors(&report, 1);
    assert_eq!(errors, [(2, "crashed: b".to_owned())]);
}

#[test]
fn a_study_is_found_by_name_folder_or_digits_and_else_the_near_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert!(matches!(find(root, "heart"), Err(FindError::Empty(_))));
    let spec = spec();
    let state = state(&spec, &[("base", Block::FIRST, None)], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let blobs = BlobStore::open(&root.join("blobs")).unwrap();
    for name in ["heart-0123abcd", "heart-9999abcd", "concrete-77777777"] {
        write(&root.join(name), &report, &state, &blobs).unwrap();
    }
    assert_eq!(find(root, "concrete").unwrap(), root.join("concrete-77777777"));
    assert_eq!(find(root, "9999").unwrap(), root.join("heart-9999abcd"));
    assert_eq!(
        find(root, root.join("heart-0123abcd").to_str().unwrap()).unwrap(),
        root.join("heart-0123abcd")
    );
    assert!(matches!(find(root, "heart"), Err(FindError::Ambiguous { names, .. }) if names.len() == 2));
    let near = find(root, "concret").unwrap_err().to_string();
    assert!(near.contains("did you mean concrete-77777777"), "{near}");

    std::fs::write(root.join("concrete-77777777/results.json"), b"{\"version\": 99}").unwrap();
    let other = read(&root.join("concrete-77777777")).unwrap_err().to_string();
    assert!(other.contains("version 99"), "{other}");
    let listed = crate::commands::list::list(root, false).unwrap();
    assert!(listed.contains("heart-0123abcd") && listed.contains("version 99"), "{listed}");
}

#[test]
fn results_of_an_earlier_version_are_read_and_explain_says_what_they_lack() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec();
    let state = state(&spec, &[("base", Block::FIRST, done(&[0.8, 0.9]))], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let results = folder.path().join("heart-0123abcd");
    write(&results, &report, &state, &blobs).unwrap();
    let told = crate::commands::explain::explain(folder.path(), "heart", false).unwrap();
    assert!(told.contains("accuracy (higher is better), 1 of 5 experiments, not finished"), "{told}");

    let mut earlier: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    earlier.as_object_mut().unwrap().remove("explanation");
    for field in ["replicated", "seconds", "predict_ms", "peak_memory", "feasible"] {
        earlier["ranking"][0].as_object_mut().unwrap().remove(field).expect("it is a field");
    }
    std::fs::write(results.join("results.json"), earlier.to_string()).unwrap();
    let read = read(&results).unwrap();
    assert!(read.explanation.is_none() && read.ranking[0].cost.feasible, "nothing was forbidden then");
    let refused = crate::commands::explain::explain(folder.path(), "heart", true).unwrap_err().to_string();
    assert!(refused.contains("earlier version") && refused.contains("run the study again"), "{refused}");
}

/// As [`done`], on a device of this class.
fn done_on(class: &str, score: f64) -> Option<Outcome> {
    let device = Device { class: class.into(), ids: vec!["GPU-1".into()] };
    let figures = [("gpu_peak_memory_mb".to_owned(), 2048.0)].into();
    Some(Outcome::Done(Measures {
        score: Some(score),
        folds: [score].into(),
        device: Some(Box::new(device)),
        figures: Some(Box::new(figures)),
        ..Measures::default()
    }))
}

#[test]
fn of_two_classes_of_devices_each_has_its_best_and_of_one_nothing_is_said() {
    let spec = spec();
    let part = |experiments: &[(&str, Block, Option<Outcome>)]| {
        Report::of(&state(&spec, experiments, vec![]), &spec.id()).unwrap()
    };
    let fast = [("base", Block::FIRST, done_on("H100", 0.7)), ("tree", Block::FIRST, done_on("H100", 0.9))];
    let alone = part(&fast);
    assert_eq!(alone.best_per_class, vec![]);
    assert!(!summary::text(&alone, Path::new("x"), Path::new("x"), 100).contains("classes"));
    assert_eq!(alone.experiments[1].device.as_ref().unwrap().class, "H100");
    let tsv = table::tsv(&alone, &repository::Commits::new());
    assert!(tsv.contains("\t0.700000\t2.15\tkeep"), "2 GiB of the GPU are 2.15 GB: {tsv}");

    let slow = [
        ("base", Block::FIRST, done_on("A10", 0.6)),
        ("base", Block::Cv { repeat: 1 }, done_on("A10", 0.95)),
        ("tree", Block::FIRST, done(&[0.99])),
    ];
    let both = part(&[&fast[..], &slow].concat());
    let best: Vec<(&str, u32, f64, &str)> = both
        .best_per_class
        .iter()
        .map(|part| {
            let best = part.best.as_ref().unwrap();
            (part.class.as_str(), part.runs, best.score, best.label.as_str())
        })
        .collect();
    assert_eq!(best, [("A10", 2, 0.6, "base"), ("H100", 2, 0.9, "build_model=tree")]);
    let said = summary::text(&both, Path::new("x"), Path::new("x"), 100);
    assert!(said.contains("  A10   0.6000  2 runs  base") && said.contains("  H100  0.9000"), "{said}");
    let back: Report = serde_json::from_str(&both.to_json()).unwrap();
    assert_eq!(back, both);
}
