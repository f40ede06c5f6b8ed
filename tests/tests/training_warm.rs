//! Training runs that go on from what another one left, with real processes.

use std::collections::BTreeMap;
use std::fs;

use ar_tests::project::Project;
use ar_tests::run;

/// Counts how often its model was trained; the score is the constant, and lower by each time.
const SCRIPT: &str = "lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
times=0
if [ -n \"$CHECKPOINT_IN\" ]; then times=$(cat \"$CHECKPOINT_IN\") || exit 4; fi
times=$((times + 1))
echo $times > \"$CHECKPOINT_OUT\"
score=$(awk \"BEGIN { print $lr + 10 - $times }\")
printf -- '---\\nval_bpb: %s\\ntraining_seconds: 0.001\\ntimes: %s\\n' $score $times
";

#[test]
fn the_best_checkpoint_goes_from_run_to_run_and_is_ranked_apart() {
    let project = Project::new(SCRIPT);
    let before = project.tree();
    let flags = ["--budget", "14", "--rounds", "2", "--warm-start", "best", "--seed", "3"];
    let ended = project.run(&flags);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    project.nothing_left();
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    let results = project.results();
    let experiments = results["experiments"].as_array().unwrap();
    let times: BTreeMap<u64, f64> = experiments
        .iter()
        .filter_map(|e| Some((e["id"].as_u64()?, e["figures"]["times"].as_f64()?)))
        .collect();
    assert_eq!(times.len(), experiments.len(), "every run has a score");
    let mut warm = 0;
    for experiment in experiments {
        let trained = times[&experiment["id"].as_u64().unwrap()];
        match experiment["block"]["from"].as_u64() {
            Some(from) => {
                warm += 1;
                assert!((trained - times[&from] - 1.0).abs() < 1e-9, "{experiment}");
            }
            None => assert!((trained - 1.0).abs() < 1e-9, "{experiment}"),
        }
    }
    assert!(warm >= 4, "{warm} runs went on");
    let longest = times.values().copied().fold(0.0, f64::max);
    assert!(longest >= 3.0, "a chain of them: {longest}");

    let apart = results["warm"].as_array().unwrap();
    assert_eq!(apart.len(), warm);
    let best = &apart[0];
    let of_best = times[&best["id"].as_u64().unwrap()];
    assert!((of_best - longest).abs() < 1e-9, "{best}");
    let seconds = best["seconds_trained"].as_f64().unwrap();
    assert!((seconds - 0.001 * longest).abs() < 1e-9, "all its training is counted: {seconds}");
    for part in ["ranking", "best", "verdict"] {
        let cold = |score: &serde_json::Value| score.as_f64().is_none_or(|score| score > 8.9);
        let parts = results[part].as_array().cloned().unwrap_or_else(|| vec![results[part].clone()]);
        assert!(parts.iter().all(|p| cold(&p["score"]) && cold(&p["candidate_score"])), "{part}: {parts:?}");
    }
    let folder = project.results_folder().join("warm");
    let model = fs::read_to_string(folder.join("checkpoint")).unwrap();
    assert_eq!(model.trim(), longest.to_string());
    assert!(fs::read_to_string(folder.join("train.py")).unwrap().contains("LR = "));
    let said = run::stdout(&ended);
    assert!(said.contains("went on from a checkpoint"), "{said}");
    let page = fs::read_to_string(project.results_folder().join("report.html")).unwrap();
    assert!(page.contains("Trained on from a checkpoint"));
    let table = fs::read_to_string(project.results_folder().join("results.tsv")).unwrap();
    assert!(table.lines().any(|line| line.contains("\twarm1\t") || line.contains("\twarm")), "{table}");
}

#[test]
fn a_script_that_leaves_nothing_is_searched_as_ever() {
    let project = Project::new(ar_tests::project::GOOD);
    let ended = project.run(&["--budget", "6", "--rounds", "1", "--warm-start", "best"]);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let results = project.results();
    assert!(results.get("warm").is_none());
    assert!(results["experiments"].as_array().unwrap().iter().all(|e| e["block"]["kind"] == "cv"));
}
