//! Whether the space is rich enough and the search finds it: the best of 60 experiments by 5-fold
//! cross-validation, seeds 0 to 4, with the verdict beside it:
//! `cargo run --release -p ar-tests --bin strength -- [--json] [TABLE...]`.
//!
//! The best seen is chosen on the rows it is scored on: a floor for the space, not an honest estimate.

use ar_tests::figures::{Figures, quantile};
use ar_tests::run;
use serde_json::Value;

/// Table, metric, goal for the median of the best seen, whether more is better.
const TABLES: [(&str, &str, f64, bool); 4] = [
    ("heart-statlog", "accuracy", 0.850, true),
    ("kr-vs-kp", "accuracy", 0.992, true),
    ("pima-diabetes", "accuracy", 0.770, true),
    ("concrete", "rmse", 4.2, false),
];

fn main() {
    let figures = Figures::from_args();
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for (table, metric, goal, more) in TABLES {
        if !asked.is_empty() && !asked.iter().any(|name| name == table) {
            continue;
        }
        let mut best = Vec::new();
        for seed in 0..5 {
            let Some(results) = study(table, metric, seed) else {
                figures.note(&format!("{table}, seed {seed}: the run failed"));
                continue;
            };
            let score = results["best"]["score"].as_f64().unwrap_or(f64::NAN);
            let verdict = &results["verdict"];
            figures.note(&format!(
                "{table}, seed {seed}: best seen {score:.4} ({}); {}",
                results["best"]["label"].as_str().unwrap_or("?"),
                verdict["text"].as_str().unwrap_or("no verdict")
            ));
            best.push(score);
        }
        let goal = format!("{} {goal}", if more { ">=" } else { "<=" });
        let median = quantile(&mut best, 0.5);
        figures.tell(
            &format!("{table}: best seen of 60 ({metric}), median of 5 seeds"),
            median,
            metric,
            &goal,
            &[],
        );
    }
}

fn study(table: &str, metric: &str, seed: u32) -> Option<Value> {
    let folder = tempfile::tempdir().ok()?;
    let input = run::example(&format!("{table}.csv"));
    let (out, seed) = (folder.path().join("out"), seed.to_string());
    let ended = run::finish(&[
        "run",
        &input.to_string_lossy(),
        "--out",
        &out.to_string_lossy(),
        "--metric",
        metric,
        "--holdout",
        "none",
        "--seed",
        &seed,
        "--json",
    ]);
    serde_json::from_slice(&ended.stdout).ok().filter(|_| ended.status.success())
}
