//! Racing with real processes: what is far behind is ended before its last fold.

use ar_common::Outcome;
use ar_tests::cluster::{Cluster, Model};
use ar_tests::{processes, run};
use serde_json::Value;

/// Always wrong. Where it has another change beside, so that it is raced, its third fold would never end.
macro_rules! wrong {
    ($name:literal) => {
        Model {
            name: $name,
            code: concat!(
                "import time\n\n",
                "from sklearn.naive_bayes import GaussianNB\n\n",
                "FITS = []\n\n\n",
                "class Wrong(GaussianNB):\n",
                "    raced = False\n\n",
                "    def fit(self, X, y, sample_weight=None):\n",
                "        FITS.append(1)\n",
                "        if self.raced and len(FITS) > 2:\n",
                "            time.sleep(1000)\n",
                "        return super().fit(X, 1 - y)\n\n\n",
                "def make(context):\n",
                "    model = Wrong()\n",
                "    model.raced = context.config['scale'] != 'base'\n",
                "    return model\n",
            ),
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_on_every_fold_is_ended_in_the_middle_of_the_next_and_nothing_of_it_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let models = [wrong!("wrong_a"), wrong!("wrong_b"), wrong!("wrong_c"), wrong!("wrong_d")];
    let arguments = [heart.to_str().unwrap(), "--sampler", "random", "--budget", "12", "--rounds", "1"];
    let arguments: Vec<&str> = arguments.into_iter().chain(["--experiment-limit", "60s"]).collect();
    let study = cluster.submit_with(&arguments, &models, &["scale"]).await;
    let worker = cluster.worker("one", 2);
    cluster.finish(&study).await;

    let entry = &cluster.state.studies[&study];
    let is = |e: &ar_core::Experiment, slot, wanted: &str| {
        e.config.get(slot).is_some_and(|option| option.starts_with(wanted))
    };
    let wrong: Vec<_> =
        cluster.state.experiments_of(entry).filter(|e| is(e, "build_model", "wrong")).collect();
    let (solo, raced): (Vec<_>, Vec<_>) = wrong.into_iter().partition(|e| is(e, "scale", "base"));
    assert!(!raced.is_empty(), "none was tried");
    for experiment in raced {
        match experiment.outcome() {
            Some(Outcome::StoppedEarly { folds, seconds, .. }) => {
                assert_eq!(folds.len(), 2, "it was ended before its third fold: {experiment:?}");
                assert!(*seconds < 30.0, "{experiment:?}");
            }
            other => panic!("{:?} ended as {other:?}", experiment.config),
        }
    }
    assert!(solo.iter().all(|e| e.outcome().and_then(Outcome::score).is_some()), "a solo has all its folds");
    worker.leave().await;
    processes::wait_until("no process is left", || processes::of(folder.path()).is_empty());
}

/// The results of a run of 3 rounds of 15, with one more flag.
fn results(flags: &[&str], out: &std::path::Path) -> (Value, std::path::PathBuf) {
    let heart = run::example("heart-statlog.csv");
    let arguments = ["run", heart.to_str().unwrap(), "--out", out.to_str().unwrap(), "--rounds", "3"];
    let ended = run::finish(&[&arguments[..], flags].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    let folders = std::fs::read_dir(out).unwrap().flatten().map(|entry| entry.path());
    let folder = folders.into_iter().find(|path| path.join("results.json").is_file()).unwrap();
    (serde_json::from_slice(&std::fs::read(folder.join("results.json")).unwrap()).unwrap(), folder)
}

#[test]
fn a_run_stops_some_early_spends_what_that_saves_and_its_budget_adds_up() {
    let out = tempfile::tempdir().unwrap();
    let (results, folder) = results(&[], out.path());
    let experiments = results["experiments"].as_array().unwrap();
    let (mut folds, mut early) = (0, 0);
    for experiment in experiments.iter().filter(|e| e["block"]["kind"] == "cv") {
        let seen = experiment["folds"].as_array().unwrap().len();
        match experiment["outcome"].as_str().unwrap() {
            "stopped early" => {
                assert!((2..5).contains(&seen) && experiment["score"].is_null(), "{experiment}");
                assert_ne!(results["best"]["id"], experiment["id"]);
                let ranked = |ranked: &Value| ranked["config"] == experiment["config"];
                assert!(!results["ranking"].as_array().unwrap().iter().any(ranked), "{experiment}");
                (folds, early) = (folds + seen, early + 1);
            }
            "duplicate" => {}
            // An ensemble costs as much as its members.
            _ => folds += 5 * experiment["members"].as_array().map_or(1, |members| members.len().max(1)),
        }
    }
    assert!(early > 0, "none was stopped early");
    let spent = results["study"]["spent"].as_f64().unwrap();
    assert!((spent - folds as f64 / 5.0).abs() < 1e-9, "{spent} spent, {folds} folds");
    assert!(spent > 43.0 && spent <= 45.0, "what was saved was spent: {spent}");

    let table = std::fs::read_to_string(folder.join("results.tsv")).unwrap();
    let rows = table.lines().filter(|line| line.contains("\tstopped early\t"));
    let status = |line: &str| line.split('\t').nth(3).map(str::to_owned);
    assert_eq!(rows.map(status).collect::<Vec<_>>(), vec![Some("discard".to_owned()); early]);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains(&format!("on each of the first folds: {early}.")), "the page tells of it");
}

#[test]
fn a_run_without_races_stops_nothing_early() {
    let out = tempfile::tempdir().unwrap();
    let (results, _) = results(&["--no-race"], out.path());
    let outcomes: Vec<_> = results["experiments"].as_array().unwrap().iter().map(|e| &e["outcome"]).collect();
    assert!(outcomes.iter().all(|outcome| *outcome != "stopped early"), "{outcomes:?}");
    assert!(results["study"]["spent"].as_f64().is_some_and(|spent| spent.fract() == 0.0));
}
