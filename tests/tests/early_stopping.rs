//! Training runs that are behind are stopped before their end, with real processes.

use std::fs;

use ar_tests::run;
use serde_json::Value;

/// Trains for its budget; the loss falls to the distance of LR from 0.2, which is the score.
const TRAIN: &str = "import math, os, time
LR = 0.05
WARMUP = 3
budget = float(os.environ['TIME_BUDGET'])
time.sleep(0.3)  # as if it compiled
goal = abs(math.log(LR / 0.2))
begin = time.monotonic()
step = 0
while time.monotonic() - begin < budget:
    step += 1
    done = (time.monotonic() - begin) / budget
    print(f'\\rstep {step:05d} ({done:.1%}) | loss: {goal + 3 * (1 - done):.6f} | lr: {LR}', end='', flush=True)
    time.sleep(budget / 100)
print(f'\\n---\\nval_bpb: {goal:.6f}\\nnum_steps: {step}')
";

fn study(more: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("train.py"), TRAIN).unwrap();
    let out = home.path().join("out");
    let fixed = [
        "--time-budget",
        "1s",
        "--budget",
        "8",
        "--rounds",
        "4",
        "--sampler",
        "random",
        "--slots",
        "2",
        "--knob",
        "WARMUP=3|4",
    ];
    let places =
        ["run", project.to_str().unwrap(), "--train", "python3 train.py", "--out", out.to_str().unwrap()];
    let ended = run::finish(&[&places[..], &fixed, more, &["--json"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    serde_json::from_slice(&ended.stdout).unwrap()
}

#[test]
fn what_is_behind_the_median_from_half_of_its_time_on_is_stopped_and_its_time_goes_to_others() {
    let results = study(&[]);
    let experiments = results["experiments"].as_array().unwrap();
    let early: Vec<&Value> = experiments.iter().filter(|e| e["outcome"] == "stopped early").collect();
    assert!(!early.is_empty(), "{}", results["verdict"]["text"]);
    for experiment in &early {
        let points = experiment["curve"].as_array().unwrap().len();
        assert!((16..32).contains(&points), "{experiment}");
        assert!(experiment["id"].as_u64() > Some(5), "never the first runs: {experiment}");
        assert_eq!(
            experiment["config"]["WARMUP"], "base",
            "another schedule has another curve: {experiment}"
        );
        let seconds = experiment["seconds"].as_f64().unwrap();
        assert!(seconds > 0.4, "{experiment}");
        assert!(experiment["reason"].as_str().unwrap().contains("above the median"), "{experiment}");
    }
    for done in experiments.iter().filter(|e| e["outcome"] == "done") {
        assert_eq!(done["curve"].as_array().map(Vec::len), Some(32), "{done}");
        assert!(done["startup_seconds"].as_f64() >= Some(0.3), "{done}");
    }
    assert!(experiments.len() > 32, "what was saved is spent: {}", experiments.len());
    assert!(results["study"]["spent"].as_f64() <= Some(32.0));
    assert_eq!(results["verdict"]["beats_base"], true, "{}", results["verdict"]["text"]);
}

#[test]
fn nothing_is_stopped_where_that_is_not_wanted() {
    let results = study(&["--no-early-stop"]);
    let experiments = results["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 32);
    assert!(experiments.iter().all(|e| e["outcome"] == "done"));
}
