//! What a reader must not be told: figures of another candidate, a model of another winner, `null` where
//! a number is read.

use std::path::Path;

use ar_common::{Artifact, Block, Limits, Measures, Outcome, SealedScore, StudySpec, Verdict};
use ar_common::{Budget, Digest, ExperimentId, Mode, Seq};
use ar_core::{Finish, PlannedExperiment, Record, State};
use ar_net::BlobStore;

use super::tests::{crashed, done, option, spec, state};
use super::*;
use crate::summary;

fn three() -> StudySpec {
    let mut spec = spec();
    spec.space.dimensions[0].options.push(option("forest", false));
    spec
}

fn concluded(spec: &StudySpec, model: &str) -> Record {
    let winner = spec.space.base().with("build_model", model);
    let verdict = Verdict {
        candidate: Some(winner.clone()),
        beats_base: true,
        winner,
        difference: 0.1,
        low: 0.05,
        p_value: 0.03,
        level: 0.1,
        pairs: 10,
        candidate_score: Some(0.9),
        base_score: Some(0.8),
        best_seen: None,
        text: format!("{model} beats the base"),
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    };
    Record::Concluded { study: spec.id(), verdict }
}

fn sealed(score: f64, low: f64) -> Option<Outcome> {
    let sealed =
        SealedScore { score, base_score: 0.8, difference: 0.1, low, high: 0.2, level: 0.95, rows: 60 };
    Some(Outcome::Done(Measures { sealed: Some(Box::new(sealed)), ..Measures::default() }))
}

fn refit(blobs: &BlobStore, content: &[u8]) -> Option<Outcome> {
    let digest = blobs.put(content).unwrap();
    let artifacts = vec![Artifact { name: "model.joblib".into(), digest }];
    Some(Outcome::Done(Measures { artifacts: artifacts.into(), ..Measures::default() }))
}

/// Goes on with the study: a larger budget, one more experiment with its end.
fn more(state: &mut State, spec: &StudySpec, model: &str, block: Block, outcome: Option<Outcome>) {
    let id = state.next_experiment();
    let config = spec.space.base().with("build_model", model);
    let (mode, reason, members, race) = (Mode::Narrow, "on".into(), Vec::new(), None);
    let expected_gain = None;
    let planned =
        PlannedExperiment { id, config, block, mode, round: 2, reason, members, race, expected_gain };
    state.apply(&Record::Planned { study: spec.id(), as_of: Seq(1), experiments: vec![planned] });
    if let Some(outcome) = outcome {
        done_with(state, id, outcome);
    }
}

fn done_with(state: &mut State, experiment: ExperimentId, outcome: Outcome) {
    state.apply(&Record::Done { experiment, lease: None, digest: Digest::of(b"x"), outcome });
}

fn extend(state: &mut State, spec: &StudySpec) {
    let (budget, limits) = (Budget { rounds: 2, per_round: 5 }, Limits::default());
    state.apply(&Record::Extended { study: spec.id(), budget, limits, search: spec.search.clone() });
}

#[test]
fn sealed_rows_that_are_not_scored_yet_are_not_called_failed() {
    let spec = spec();
    let experiments = [("base", Block::FIRST, done(&[0.8, 0.9])), ("tree", Block::Sealed, None)];
    let opened = Record::SealedOpened { study: spec.id() };
    let state = state(&spec, &experiments, vec![concluded(&spec, "tree"), opened]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let text = summary::text(&report, Path::new("none"), Path::new("out"), 100);
    assert!(!text.contains("gave no score"), "{text}");
}

#[test]
fn the_sealed_score_of_an_earlier_candidate_is_not_told_as_that_of_the_new_one() {
    let spec = three();
    let first = [
        ("base", Block::FIRST, done(&[0.8, 0.9])),
        ("tree", Block::FIRST, done(&[0.9, 0.9])),
        ("tree", Block::Sealed, sealed(0.91, 0.02)),
    ];
    let finished = Record::Finished { study: spec.id(), how: Finish::Concluded };
    let opened = || Record::SealedOpened { study: spec.id() };
    let mut state = state(&spec, &first, vec![opened(), concluded(&spec, "tree"), finished.clone()]);
    extend(&mut state, &spec);
    more(&mut state, &spec, "forest", Block::FIRST, done(&[0.95, 0.95]));
    state.apply(&concluded(&spec, "forest"));
    state.apply(&opened());
    more(&mut state, &spec, "forest", Block::Sealed, crashed("no memory"));
    state.apply(&finished);
    let report = Report::of(&state, &spec.id()).unwrap();
    assert_eq!(report.holdout.as_ref().map(|h| h.candidate_score), None, "0.91 is that of the tree");
}

#[test]
fn the_sealed_score_of_a_candidate_that_was_scored_before_another_is_its_own() {
    let spec = three();
    let experiments = [
        ("base", Block::FIRST, done(&[0.8, 0.9])),
        ("tree", Block::Sealed, sealed(0.91, 0.02)),
        ("forest", Block::Sealed, sealed(0.70, 0.02)),
    ];
    let state = state(&spec, &experiments, vec![concluded(&spec, "tree")]);
    let report = Report::of(&state, &spec.id()).unwrap();
    assert_eq!(report.holdout.as_ref().map(|h| h.candidate_score), Some(0.91));
}

#[test]
fn best_never_holds_the_model_of_another_winner() {
    let spec = three();
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let results = folder.path().join("x-01234567");
    let first = [
        ("base", Block::FIRST, done(&[0.8, 0.9])),
        ("tree", Block::FIRST, done(&[0.9, 0.9])),
        ("tree", Block::Refit, refit(&blobs, b"tree")),
    ];
    let finished = Record::Finished { study: spec.id(), how: Finish::Concluded };
    let mut state = state(&spec, &first, vec![concluded(&spec, "tree"), finished.clone()]);
    write(&results, &Report::of(&state, &spec.id()).unwrap(), &state, &blobs).unwrap();
    assert!(results.join("best/model.joblib").is_file());

    extend(&mut state, &spec);
    state.apply(&concluded(&spec, "forest"));
    more(&mut state, &spec, "forest", Block::Refit, crashed("no memory"));
    state.apply(&finished);
    let report = Report::of(&state, &spec.id()).unwrap();
    write(&results, &report, &state, &blobs).unwrap();
    assert!(!results.join("best/model.joblib").exists(), "that is the tree");
    assert!(!summary::text(&report, &results, Path::new("out"), 100).contains("predict "));
}

#[test]
fn a_number_that_is_none_leaves_results_that_can_be_read() {
    let spec = spec();
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let experiments =
        [("base", Block::FIRST, done(&[0.8, 0.9])), ("tree", Block::Sealed, sealed(0.9, f64::NEG_INFINITY))];
    let state = state(&spec, &experiments, vec![concluded(&spec, "tree")]);
    write(folder.path(), &Report::of(&state, &spec.id()).unwrap(), &state, &blobs).unwrap();
    assert!(read(folder.path()).is_ok(), "{}", read(folder.path()).unwrap_err());
}

#[test]
fn scores_too_large_to_square_leave_results_that_can_be_read() {
    for huge in [1e160, 1.7e308] {
        let mut spec = spec();
        (spec.metric, spec.tabular_mut().unwrap().data.task) = ar_common::Metric::tabular("r2").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
        let folds = [-huge, -huge];
        let experiments = [
            ("base", Block::FIRST, done(&[0.8, 0.9])),
            (
                "tree",
                Block::FIRST,
                Some(Outcome::Done(Measures {
                    score: Some(-huge),
                    folds: folds.into(),
                    seconds: 0.5,
                    ..Measures::default()
                })),
            ),
        ];
        let state = state(&spec, &experiments, vec![]);
        write(folder.path(), &Report::of(&state, &spec.id()).unwrap(), &state, &blobs).unwrap();
        assert!(read(folder.path()).is_ok(), "{huge}: {}", read(folder.path()).unwrap_err());
    }
}

#[test]
fn the_folds_of_a_raced_out_experiment_are_kept() {
    let spec = spec();
    let early =
        Some(Outcome::StoppedEarly { folds: vec![0.1, 0.2], seconds: 0.3, rule: ar_common::Rule::EveryFold });
    let state = state(&spec, &[("base", Block::FIRST, done(&[0.8])), ("tree", Block::FIRST, early)], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    assert_eq!(report.experiments[1].folds, [0.1, 0.2]);
    assert_eq!(report.experiments[1].seconds, Some(0.3));
}

#[test]
fn what_was_stopped_early_counts_its_folds_and_is_ranked_and_kept_nowhere() {
    let mut spec = spec();
    spec.tabular_mut().unwrap().splits.folds = 5;
    let early =
        Some(Outcome::StoppedEarly { folds: vec![0.9, 0.9], seconds: 0.3, rule: ar_common::Rule::EveryFold });
    let experiments = [("base", Block::FIRST, done(&[0.8; 5])), ("tree", Block::FIRST, early)];
    let report = Report::of(&state(&spec, &experiments, vec![]), &spec.id()).unwrap();
    assert_eq!((report.study.spent, report.study.used()), (1.4, "1.4 of 5".to_owned()));
    assert_eq!(report.best.as_ref().map(|best| best.id), Some(1));
    assert_eq!(report.ranking.len(), 1);
    assert_eq!(report.stopped_early(), (1, 0.6));

    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    write(folder.path(), &report, &state(&spec, &experiments, vec![]), &blobs).unwrap();
    let table = std::fs::read_to_string(folder.path().join("results.tsv")).unwrap();
    let row: Vec<&str> = table.lines().nth(2).unwrap().split('\t').collect();
    assert_eq!(row[..6], ["2", "", "", "discard", "build_model=tree", "stopped early"], "{table}");
    assert_eq!((row[9], row[11]), ("0.900000 0.900000", "behind the best on each of its first 2 folds"));
    let text = summary::text(&report, folder.path(), Path::new("out"), 100);
    assert!(
        text.contains("early     1 was stopped") && text.contains("0.6 evaluations were saved"),
        "{text}"
    );
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("1.4 of 5 experiments"), "the budget on the page");
}

fn two(root: &Path, names: [&str; 2]) -> BlobStore {
    let spec = spec();
    let blobs = BlobStore::open(&root.join("blobs")).unwrap();
    let state = state(&spec, &[("base", Block::FIRST, None)], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    names.iter().for_each(|name| write(&root.join(name), &report, &state, &blobs).unwrap());
    blobs
}

#[test]
fn a_study_is_found_by_the_name_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    two(folder.path(), ["heart-statlog-..-x-01234567", "other-89abcdef"]);
    assert!(find(folder.path(), "heart statlog/../x").is_ok());
}

#[test]
fn a_folder_named_in_full_is_never_ambiguous() {
    let folder = tempfile::tempdir().unwrap();
    two(folder.path(), ["a-01234567", "a-01234567-89abcdef"]);
    assert_eq!(find(folder.path(), "a-01234567").unwrap(), folder.path().join("a-01234567"));
}

#[test]
fn a_damaged_study_is_in_the_json_list_too() {
    let folder = tempfile::tempdir().unwrap();
    two(folder.path(), ["a-01234567", "b-89abcdef"]);
    std::fs::write(folder.path().join("a-01234567/results.json"), b"{").unwrap();
    let json = crate::commands::list::list(folder.path(), true).unwrap();
    assert!(json.contains("a-01234567"), "{json}");
}

#[test]
fn commands_that_are_shown_can_be_pasted() {
    let root = tempfile::tempdir().unwrap();
    let spec = spec();
    let results = root.path().join("my results").join("x-01234567");
    std::fs::create_dir_all(results.join("best")).unwrap();
    std::fs::write(results.join("best/model.joblib"), b"m").unwrap();
    let state = state(&spec, &[("base", Block::FIRST, done(&[0.8]))], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let text = summary::text(&report, &results, &root.path().join("my results"), 100);
    let line = text.lines().find(|line| line.contains("--out")).unwrap();
    assert!(line.contains("--out '"), "{line}");
}

#[test]
fn a_reason_of_several_lines_takes_one() {
    let spec = spec();
    let bad = crashed("first\nsecond\u{1b}[31m red");
    let state = state(&spec, &[("base", Block::FIRST, bad)], vec![]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let text = summary::text(&report, Path::new("none"), Path::new("out"), 100);
    assert!(!text.contains('\u{1b}') && text.contains("first second"), "{text:?}");
}

#[test]
fn winner_json_has_the_score() {
    let spec = spec();
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let experiments = [("base", Block::FIRST, done(&[0.8])), ("tree", Block::Refit, refit(&blobs, b"m"))];
    let state = state(&spec, &experiments, vec![concluded(&spec, "tree")]);
    write(folder.path(), &Report::of(&state, &spec.id()).unwrap(), &state, &blobs).unwrap();
    let text = std::fs::read(folder.path().join("best/winner.json")).unwrap();
    let winner: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(winner["score"], 0.9);
}

#[test]
fn the_base_is_not_said_to_be_kept_where_something_else_is() {
    let spec = spec();
    let experiments = [("base", Block::FIRST, crashed("no")), ("tree", Block::FIRST, done(&[0.8]))];
    let Record::Concluded { study, mut verdict } = concluded(&spec, "tree") else { return };
    (verdict.beats_base, verdict.candidate, verdict.base_score) = (false, None, None);
    let state = state(&spec, &experiments, vec![Record::Concluded { study, verdict }]);
    let report = Report::of(&state, &spec.id()).unwrap();
    let text = summary::text(&report, Path::new("none"), Path::new("out"), 100);
    assert!(!text.contains("The base is kept"), "{text}");
}
