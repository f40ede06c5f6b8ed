//! `promote`: what was kept runs again beside the base, with more time.

use std::fs;

use ar_tests::project::{GOOD, Project};
use ar_tests::run;
use serde_json::Value;

fn promote(project: &Project, study: &str, more: &[&str]) -> std::process::Output {
    let out = project.out();
    run::finish(&[&["promote", study, "--out", out.to_str().unwrap()], more].concat())
}

#[test]
fn what_was_kept_runs_again_beside_the_base_with_four_times_the_time() {
    let project = Project::new(GOOD);
    project.write("train.py", "LR = 0.05\nDEPTH = 2\n");
    let before = project.tree();
    let flags = ["--time-budget", "7s", "--budget", "14", "--rounds", "1", "--pin", "DEPTH=3"];
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let kept = project.results_folder();
    let results: Value = serde_json::from_slice(&fs::read(kept.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["verdict"]["beats_base"], true, "{}", results["verdict"]["text"]);
    // The project may be gone by then.
    project.write("train.sh", "exit 1\n");
    let name = kept.file_name().unwrap().to_str().unwrap();
    let ended = promote(&project, name, &["--json"]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let promoted: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(promoted["study"]["name"], "project-promoted");
    let verdict = &promoted["verdict"];
    assert_eq!(
        (&verdict["beats_base"], verdict["winner"]["promoted"].as_str()),
        (&Value::Bool(true), Some("winner"))
    );
    let experiments = promoted["experiments"].as_array().unwrap();
    assert!((6..=12).contains(&experiments.len()), "{}", experiments.len());
    for experiment in experiments {
        assert_eq!(experiment["figures"]["budget"].as_f64(), Some(28.0), "{experiment}");
        let is_winner = experiment["config"]["promoted"] == "winner";
        let score = if is_winner { results["best"]["score"].as_f64() } else { Some(0.05) };
        assert_eq!(experiment["score"].as_f64(), score, "{experiment}");
    }
    let id = promoted["study"]["id"].as_str().unwrap();
    let best = project.out().join(format!("project-promoted-{}", &id[..8])).join("best/train.py");
    assert_eq!(fs::read(best).unwrap(), fs::read(kept.join("best/train.py")).unwrap());
    project.write("train.sh", GOOD);
    assert_eq!(project.tree(), before);
    project.nothing_left();
}

#[test]
fn what_cannot_be_promoted_is_one_line() {
    let refused = |project: &Project, study: &str, reason: &str| {
        let ended = promote(project, study, &[]);
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.trim_end().lines().count() == 1 && said.contains(reason), "{said}");
    };
    let project = Project::new("printf -- '---\\nval_bpb: 1\\n'");
    refused(&project, "project", "there are no results");
    assert_eq!(project.run(&["--budget", "12", "--rounds", "1"]).status.code(), Some(0));
    refused(&project, "project", "kept nothing but its base");
    refused(&project, "gone", "there is no study `gone`");
}
