//! `examples/train-cpu`: its own tests pass, and it runs as its README says.

use std::process::Command;

use ar_tests::{python, run};

fn python() -> std::path::PathBuf {
    let lock = std::fs::read_to_string(run::root().join("examples/train-cpu/requirements.txt")).unwrap();
    python::ensure(&lock, false)
}

#[test]
fn its_gradients_are_right_and_its_runs_repeat() {
    let folder = run::root().join("examples/train-cpu");
    let mut tests = Command::new(python());
    tests.args(["-B", "-m", "unittest", "-q"]).current_dir(folder);
    let ended = tests.output().unwrap();
    assert!(ended.status.success(), "{}", run::stderr(&ended));
    assert!(run::stderr(&ended).contains("Ran "), "tests ran: {}", run::stderr(&ended));
}

#[test]
fn it_is_searched_and_its_scores_are_verified() {
    let out = tempfile::tempdir().unwrap();
    let project = run::root().join("examples/train-cpu");
    let (project, out) = (project.to_str().unwrap(), out.path().to_str().unwrap());
    let ended = run::finish(&[
        "run",
        project,
        "--time-budget",
        "1s",
        "--budget",
        "3",
        "--rounds",
        "1",
        "--evaluate",
        "python evaluate.py",
        "--knob",
        "DEPTH=1..2",
        "--out",
        out,
        "--json",
    ]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let results: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let base = &results["experiments"][0];
    assert_eq!(base["outcome"], "done", "{base}");
    let (score, said) = (base["score"].as_f64().unwrap(), base["figures"]["self_reported"].as_f64().unwrap());
    assert!((score - said).abs() < 1e-5 && score > 1.0 && score < 8.0, "{base}");
    assert!(base["figures"]["training_seconds"].as_f64().is_some_and(|s| (0.9..3.0).contains(&s)), "{base}");
}

#[test]
fn the_example_for_gpus_has_the_same_knobs() {
    let knobs = |example: &str| {
        let project = run::root().join("examples").join(example);
        let ended = run::finish(&["run", project.to_str().unwrap(), "--time-budget", "30s", "--dry-run"]);
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        let study: toml::Table = run::stdout(&ended).parse().unwrap();
        let dimensions = study["space"]["dimensions"].as_array().unwrap();
        dimensions.iter().map(|dimension| dimension["name"].to_string()).collect::<Vec<_>>()
    };
    let (cpu, gpu) = (knobs("train-cpu"), knobs("train-gpu"));
    assert!(cpu.len() > 10, "{cpu:?}");
    assert_eq!(cpu, gpu);
}
