//! Whole runs: what is printed, what is written, how they end and go on.

use std::path::Path;

use ar_tests::run::{self, Running, is_experiment};
use ar_tests::store;
use ar_tests::{processes, python};
use nix::sys::signal::Signal;
use serde_json::Value;

fn heart() -> String {
    run::example("heart-statlog.csv").to_str().unwrap().to_owned()
}

/// The one results folder below `out`.
fn results_folder(out: &Path) -> std::path::PathBuf {
    let mut folders =
        std::fs::read_dir(out).unwrap().flatten().filter(|e| e.path().join("results.json").is_file());
    let folder = folders.next().expect("a results folder").path();
    assert!(folders.next().is_none(), "there is one results folder");
    folder
}

fn results(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(results_folder(out).join("results.json")).unwrap()).unwrap()
}

#[test]
fn a_run_ends_with_a_verdict_a_model_and_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out_text = out.to_str().unwrap();
    let heart = heart();
    let ended = run::finish(&[
        "run",
        &heart,
        "--out",
        out_text,
        "--budget",
        "12",
        "--rounds",
        "2",
        "--holdout",
        "0.25",
    ]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));

    let results = results(&out);
    let spent = results["study"]["spent"].as_f64();
    assert!(spent.is_some_and(|spent| spent > 12.0 && spent <= 24.0), "a budget is a budget: {spent:?}");
    assert!(results["verdict"]["text"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(results["holdout"]["rows"].as_u64().is_some_and(|rows| rows >= 60), "{}", results["holdout"]);

    let best = results_folder(&out).join("best");
    for file in ["pipeline.py", "model.joblib"] {
        assert!(best.join(file).metadata().is_ok_and(|meta| meta.len() > 100), "{file}");
    }
    let predicted = run::finish(&["predict", "heart-statlog", &heart, "--out", out_text]);
    assert_eq!(predicted.status.code(), Some(0), "{}", run::stderr(&predicted));
    let predictions = run::stdout(&predicted);
    assert!(predictions.starts_with("prediction"), "{predictions}");
    assert_eq!(predictions.lines().count(), 271);

    let repeated = std::process::Command::new(python::of_studies())
        .arg(best.join("pipeline.py"))
        .arg(&heart)
        .output()
        .unwrap();
    let printed = run::stdout(&repeated);
    let again: f64 = printed.split([' ', ',']).nth(1).and_then(|score| score.parse().ok()).expect(&printed);
    let winner = &results["verdict"]["winner"];
    let scored = results["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| &e["config"] == winner && e["score"].is_f64());
    let score = scored.and_then(|e| e["score"].as_f64()).unwrap();
    assert!((again - score).abs() < 1e-9, "{again} by pipeline.py, {score} in the study");

    let listed = run::finish(&["list", "--out", out_text]);
    assert!(run::stdout(&listed).contains("heart-statlog"), "{}", run::stdout(&listed));
    let shown = run::finish(&["results", "heart-statlog", "--out", out_text, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&run::stdout(&shown)).unwrap(), results);
}

#[test]
fn an_interrupted_run_leaves_no_process_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let heart = heart();
    let arguments = ["run", &heart, "--out", out.to_str().unwrap(), "--budget", "10", "--rounds", "2"];
    let mut running = Running::start(&arguments);
    for _ in 0..4 {
        running.until(is_experiment).expect("it runs");
    }
    running.signal(Signal::SIGINT);
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    processes::wait_until("no process is left", || processes::of(&out).is_empty());
    let before = store::ends(&store::records(&out));
    assert!(before.len() >= 4 && before.len() < 20, "{} ended", before.len());

    let (code, said) = Running::start(&arguments).end();
    assert_eq!(code, Some(0), "{said}");
    let after = store::ends(&store::records(&out));
    assert!(before.iter().all(|(experiment, end)| after.get(experiment) == Some(end)));
}

#[test]
fn a_finished_study_is_told_again_and_a_larger_budget_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let heart = heart();
    let run = |rounds: &str| {
        let ended = run::finish(&[
            "run",
            &heart,
            "--out",
            out.to_str().unwrap(),
            "--budget",
            "6",
            "--rounds",
            rounds,
        ]);
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        store::records(&out)
    };
    let first = run("1");
    let again = run("1");
    assert_eq!(first, again, "nothing is left to do");
    let more = run("2");
    assert_eq!(more[..first.len()], first[..]);
    let state = store::fold(&more);
    let study = state.studies.values().next().unwrap();
    let spent = study.evaluations();
    assert!(spent > 6.0 && spent <= 12.0, "{spent} evaluations");
}

#[test]
fn a_second_run_in_a_folder_in_use_is_refused_and_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let heart = heart();
    let arguments = ["run", &heart, "--out", out.to_str().unwrap()];
    let mut first = Running::start(&arguments);
    first.until(is_experiment).expect("it runs");
    let second = run::finish(&arguments);
    assert_eq!(second.status.code(), Some(3));
    let said = run::stderr(&second);
    assert!(said.contains(&first.pid().to_string()) && said.contains("--out"), "{said}");
    assert!(first.until(is_experiment).is_some(), "the first one goes on");
    first.kill_9();
    processes::wait_until("no process is left", || processes::of(&out).is_empty());
}

#[test]
fn json_goes_to_standard_output_and_words_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ended = run::finish(&[
        "run",
        &heart(),
        "--out",
        out.to_str().unwrap(),
        "--budget",
        "3",
        "--rounds",
        "1",
        "--json",
    ]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let printed: Value = serde_json::from_str(&run::stdout(&ended)).expect("only JSON on standard output");
    assert_eq!(printed, results(&out));
    assert!(run::stderr(&ended).contains("machine"));
}

#[test]
fn a_printed_study_runs_as_the_same_study() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let printed = run::finish(&["run", &heart(), "--dry-run", "--budget", "3", "--rounds", "1"]);
    assert!(!out.exists() && printed.status.success());
    let path = folder.path().join("study.toml");
    std::fs::write(&path, printed.stdout).unwrap();
    for input in [path.to_str().unwrap(), &heart()] {
        let ended =
            run::finish(&["run", input, "--out", out.to_str().unwrap(), "--budget", "3", "--rounds", "1"]);
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    }
    let state = store::fold(&store::records(&out));
    assert_eq!(state.studies.len(), 1);
    assert_eq!(state.studies.values().next().unwrap().spent, 3);
}

#[test]
fn a_time_limit_ends_a_run_with_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let began = std::time::Instant::now();
    let ended = run::finish(&[
        "run",
        &heart(),
        "--out",
        out.to_str().unwrap(),
        "--rounds",
        "1000",
        "--time-limit",
        "6s",
    ]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    assert!(results(&out)["verdict"]["text"].is_string());
}

#[test]
fn when_every_experiment_fails_the_exit_code_is_1_and_the_commonest_errors_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Large enough that nothing fits in what an experiment may take.
    let mut table = String::from("a,b,c,d,target\n");
    for row in 0..30_000 {
        let cells = [7, 11, 13, 17].map(|prime| (row * prime % 1009).to_string()).join(",");
        table.push_str(&format!("{cells},{}\n", if row % 3 == 0 { "yes" } else { "no" }));
    }
    let input = folder.path().join("large.csv");
    std::fs::write(&input, table).unwrap();
    let (input, out_text) = (input.to_str().unwrap(), out.to_str().unwrap());
    let ended = run::finish(&["run", input, "--out", out_text, "--experiment-memory", "1MiB"]);
    let said = run::stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("no experiment succeeded") && said.contains("out of memory"), "{said}");
    assert_eq!(results(&out)["study"]["state"], "failed");
}

#[test]
fn groups_stay_together_and_time_goes_forward_in_a_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("visit,patient,dose,outcome\n");
    for row in 0..240 {
        let line = format!(
            "2024-{:02}-{:02},p{},{},{}\n",
            row / 20 + 1,
            row % 20 + 1,
            row % 30,
            row % 7,
            row % 7 + row % 3
        );
        table.push_str(&line);
    }
    let input = folder.path().join("visits.csv");
    std::fs::write(&input, table).unwrap();
    for flags in [["--group", "patient"], ["--time", "visit"]] {
        let out = folder.path().join(flags[1]);
        let mut arguments =
            vec!["run", input.to_str().unwrap(), "--out", out.to_str().unwrap(), "--metric", "rmse"];
        arguments.extend(["--budget", "4", "--rounds", "1"]);
        arguments.extend(flags);
        let ended = run::finish(&arguments);
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        let results = results(&out);
        let base = &results["experiments"][0];
        assert_eq!((base["outcome"].as_str(), base["label"].as_str()), (Some("done"), Some("base")));
        assert!(base["folds"].as_array().unwrap().len() >= 3, "{base}");
    }
}
