//! Whole runs in which an ensemble is weighed, and in which it wins.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ar_tests::{python, run, store};
use serde_json::Value;

fn results_folder(out: &Path) -> PathBuf {
    let folders = std::fs::read_dir(out).unwrap().flatten().map(|entry| entry.path());
    folders.filter(|folder| folder.join("results.json").is_file()).last().expect("a results folder")
}

fn results(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(results_folder(out).join("results.json")).unwrap()).unwrap()
}

fn ensembles(results: &Value) -> Vec<&Value> {
    let all = results["experiments"].as_array().unwrap();
    all.iter().filter(|e| e["members"].is_array()).collect()
}

/// Straight lines, a step that depends on two columns at once, a wave, and noise: no single model is made for all of it.
fn table(folder: &Path) -> PathBuf {
    let mut state: u64 = 2;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut text = String::from("a,b,c,d,e,f,y\n");
    for _ in 0..260 {
        let x: [f64; 6] = std::array::from_fn(|_| 2.0 * next() - 1.0);
        let noise = (0..12).map(|_| next()).sum::<f64>() - 6.0;
        let step = if x[3] * x[4] > 0.0 { 2.0 } else { -2.0 };
        let y = 3.0 * x[0] - 2.0 * x[1] + 1.5 * x[2] * x[2] + step + (4.0 * x[5]).sin() + noise;
        let cells: Vec<String> = x.iter().chain([&y]).map(|value| format!("{value:.5}")).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    let path = folder.join("waves.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// The first of a few studies in which an ensemble wins: which configurations a search finds depends on the order in which
/// its experiments end, and so does whether they have something to gain from each other.
fn won(folder: &Path, input: &str) -> PathBuf {
    for seed in ["0", "1", "2", "3", "4", "5"] {
        let out = folder.join(seed);
        let flags = ["--metric", "rmse", "--budget", "40", "--rounds", "1", "--seed", seed];
        let ended = run::finish(&[&["run", input, "--out", out.to_str().unwrap()][..], &flags].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        if results(&out)["verdict"]["members"].is_array() {
            return out;
        }
    }
    panic!("no ensemble wins in any of six studies of data that none of the models is made for");
}

#[test]
fn an_ensemble_that_wins_is_handed_over_as_one_model_and_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let input = table(folder.path());
    let input = input.to_str().unwrap();
    let out = won(folder.path(), input);
    let out_text = out.to_str().unwrap();
    let results = results(&out);
    let verdict = &results["verdict"];
    let label = verdict["winner_label"].as_str().unwrap();
    assert!(label.starts_with("ensemble of "), "{}", verdict["text"]);
    assert_eq!(verdict["beats_base"], true);
    let members = verdict["members"].as_array().unwrap();
    assert!(members.len() >= 2 && members.iter().all(|m| m["weight"].as_u64().is_some_and(|w| w > 0)));
    assert_eq!(verdict["compared"].as_array().unwrap().len(), 2);
    // What a mode chose says what it hoped for; a first look and a repeat hope for nothing in numbers.
    let hopes: Vec<Option<f64>> =
        results["experiments"].as_array().unwrap().iter().map(|e| e["expected_gain"].as_f64()).collect();
    assert!(hopes[0].is_none() && hopes.iter().flatten().any(|gain| *gain > 0.0), "{hopes:?}");

    let best = results_folder(&out).join("best");
    let repeated = std::process::Command::new(python::of_studies())
        .arg(best.join("pipeline.py"))
        .arg(input)
        .output()
        .unwrap();
    let printed = run::stdout(&repeated);
    let again: f64 = printed.split([' ', ',']).nth(1).and_then(|score| score.parse().ok()).expect(&printed);
    let weighed = ensembles(&results)[0];
    let score = weighed["score"].as_f64().unwrap();
    assert_eq!((&weighed["block"]["repeat"], weighed["outcome"].as_str()), (&Value::from(0), Some("done")));
    assert!((again - score).abs() < 1e-9, "{again} by pipeline.py, {score} in the study");
    let best_seen = results["best"]["id"].as_u64();
    assert_ne!(best_seen, weighed["id"].as_u64(), "its score is that of the rows its weights were chosen on");

    let predicted = run::finish(&["predict", "waves", input, "--out", out_text]);
    assert_eq!(predicted.status.code(), Some(0), "{}", run::stderr(&predicted));
    assert_eq!(run::stdout(&predicted).lines().count(), 261);
    assert!(run::stderr(&predicted).contains(label), "{}", run::stderr(&predicted));
    let page = std::fs::read_to_string(results_folder(&out).join("report.html")).unwrap();
    assert!(page.contains("An ensemble is shown to beat the base") && page.contains(label));
    assert!(!page.contains("◄ handed over"), "no single configuration is");
    for command in ["results", "explain"] {
        let said = run::stdout(&run::finish(&[command, "waves", "--out", out_text]));
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain(&said).contains(label), "{command}: {said}");
    }
}

#[test]
fn an_ensemble_is_weighed_within_the_budget_and_only_where_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let heart = run::example("heart-statlog.csv");
    let finish = |out: &Path, flags: &[&str]| {
        let common = [
            "run",
            heart.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--budget",
            "40",
            "--rounds",
            "1",
        ];
        let ended = run::finish(&[&common[..], flags].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
        let state = store::fold(&store::records(out));
        state.studies.values().next().unwrap().evaluations_begun()
    };
    let with = folder.path().join("with");
    assert!(finish(&with, &[]) <= 40);
    let results_with = results(&with);
    let weighed = ensembles(&results_with);
    assert_eq!(weighed.iter().filter(|e| e["block"]["repeat"] == 0).count(), 1);
    let weights: Vec<u64> =
        weighed[0]["members"].as_array().unwrap().iter().filter_map(|m| m["weight"].as_u64()).collect();
    assert!(weights.len() >= 2 && weights.iter().sum::<u64>() >= 1, "{}", weighed[0]);
    assert!(weighed[0]["folds"].as_array().unwrap().len() == 5);
    let without = folder.path().join("without");
    assert!(finish(&without, &["--no-ensemble"]) <= 40);
    assert!(ensembles(&results(&without)).is_empty());
}
