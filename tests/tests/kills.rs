//! What a kill -9 may and may not do to a run.

use std::path::Path;

use ar_common::config::describe;
use ar_core::Record;
use ar_tests::processes::{self, Process};
use ar_tests::run::{self, Running, is_experiment};
use ar_tests::store;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KILLS: usize = 30;

fn arguments<'a>(input: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["run", input, "--out", out, "--slots", "2"]
}

/// A study whose budget covers its whole space: 2 x 2 x 7 combinations.
fn small_study(folder: &Path) -> String {
    let heart = run::example("heart-statlog.csv");
    let printed = run::finish(&[
        "run",
        heart.to_str().unwrap(),
        "--dry-run",
        "--budget",
        "20",
        "--rounds",
        "2",
        "--holdout",
        "0.2",
    ]);
    let mut study: toml::Table = toml::from_str(&run::stdout(&printed)).unwrap();
    let keep = [
        ("scale", vec!["base", "robust"]),
        ("features", vec!["base", "discrete"]),
        ("weighting", vec!["base"]),
        ("build_model", vec!["base", "linear_strong", "knn", "nb", "lda", "tree", "svm_linear", "dummy"]),
    ];
    for dimension in study["space"]["dimensions"].as_array_mut().unwrap() {
        let name = dimension["name"].as_str().unwrap().to_owned();
        if let Some((_, kept)) = keep.iter().find(|(dimension, _)| *dimension == name) {
            let options = dimension["options"].as_array_mut().unwrap();
            options.retain(|option| kept.contains(&option["name"].as_str().unwrap()));
        }
    }
    let path = folder.join("study.toml");
    std::fs::write(&path, toml::to_string(&study).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn nothing_is_left(out: &Path) {
    processes::wait_until("no process of the run is left", || processes::of(out).is_empty());
}

fn best(out: &Path) -> (String, f64) {
    let state = store::fold(&store::records(out));
    let study = state.studies.values().next().expect("there is a study");
    let (experiment, score) = state.best(study).expect("there is a best");
    (describe(&experiment.config, &study.base()), score)
}

#[test]
fn thirty_kills_of_the_coordinator_lose_nothing_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let study = small_study(folder.path());
    let whole = folder.path().join("whole");
    let (code, said) = Running::start(&arguments(&study, whole.to_str().unwrap())).end();
    assert_eq!(code, Some(0), "{said}");

    let out = folder.path().join("killed");
    let arguments = arguments(&study, out.to_str().unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(30);
    let mut known = std::collections::BTreeMap::new();
    let mut felt = 0;
    for _ in 0..KILLS {
        let mut running = Running::start(&arguments);
        // Some kills hit the start, most hit the search; a little later than a line, so that the
        // moment is not always the same one of the cycle.
        let lines = random.random_range(0..3);
        let mut printed = 0;
        let ended = (0..lines).any(|_| running.until(is_experiment).map(|_| printed += 1).is_none());
        std::thread::sleep(std::time::Duration::from_millis(random.random_range(0..30)));
        let was_running = processes::is_alive(running.pid()) && !ended;
        running.kill_9();
        felt += usize::from(was_running);
        nothing_is_left(&out);
        if !out.join("store/journal.redb").exists() {
            continue;
        }
        let records = store::records(&out);
        let ends = store::ends(&records);
        assert!(ends.len() >= known.len() + printed, "a result that was shown is not in the journal");
        for (experiment, end) in &known {
            assert_eq!(ends.get(experiment), Some(end), "a result was lost or changed");
        }
        known = ends;
    }
    assert!(felt >= KILLS / 2, "only {felt} of {KILLS} kills hit a run");

    let (code, said) = Running::start(&arguments).end();
    assert_eq!(code, Some(0), "{said}");
    let ends = store::ends(&store::records(&out));
    assert!(known.iter().all(|(experiment, end)| ends.get(experiment) == Some(end)));
    assert_eq!(best(&out), best(&whole), "the budget covers the space, so the best is the same");
    nothing_is_left(&out);
}

/// Starts a run, waits for some experiments, kills one of its processes, and lets it end.
fn survives_a_kill_of(what: &str, choose: impl Fn(&[Process], i32) -> Option<i32>) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = run::example("heart-statlog.csv");
    let mut arguments = arguments(input.to_str().unwrap(), out.to_str().unwrap());
    arguments.extend(["--budget", "10", "--rounds", "2"]);
    let mut running = Running::start(&arguments);
    running.until(is_experiment).expect("an experiment ends");
    let mut victim = None;
    processes::wait_until(what, || {
        victim = choose(&processes::of(&out), running.pid());
        victim.is_some()
    });
    processes::kill_9(victim.unwrap());
    processes::wait_until("the kill was felt", || !processes::is_alive(victim.unwrap()));
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    let records = store::records(&out);
    let ends = store::ends(&records);
    let state = store::fold(&records);
    assert!(state.experiments.iter().all(|experiment| !experiment.is_pending()));
    assert!(ends.len() >= 20, "{} experiments ended", ends.len());
    nothing_is_left(&out);
    records
}

fn is_worker(process: &Process) -> bool {
    process.command.contains(" worker --coordinator")
}

fn servers(all: &[Process]) -> impl Iterator<Item = &Process> {
    let workers: Vec<i32> = all.iter().filter(|p| is_worker(p)).map(|p| p.pid).collect();
    all.iter().filter(move |p| p.command.contains("ar_runner") && workers.contains(&p.parent))
}

#[test]
fn a_killed_worker_is_started_again_and_its_leases_run_again() {
    let records =
        survives_a_kill_of("the worker runs", |all, _| Some(all.iter().find(|p| is_worker(p))?.pid));
    let requeued = store::count(&records, |record| matches!(record, Record::Requeued { .. }));
    assert!(requeued > 0, "the worker held leases");
}

#[test]
fn a_killed_fork_server_is_started_again_and_no_experiment_is_lost() {
    let records = survives_a_kill_of("the fork server runs", |all, _| Some(servers(all).next()?.pid));
    let state = store::fold(&records);
    let crashed =
        state.experiments.iter().filter(|e| e.outcome().is_some_and(|o| o.word() == "crashed")).count();
    assert_eq!(crashed, 0, "the death of the server is not an experiment's fault");
}

#[test]
fn a_killed_child_is_an_outcome_of_its_experiment_alone() {
    let records = survives_a_kill_of("a child runs", |all, _| {
        let servers: Vec<i32> = servers(all).map(|p| p.pid).collect();
        Some(all.iter().find(|p| servers.contains(&p.parent))?.pid)
    });
    let state = store::fold(&records);
    let killed: Vec<String> = state
        .experiments
        .iter()
        .filter_map(|experiment| experiment.outcome()?.reason())
        .filter(|reason| reason.contains("killed by signal 9"))
        .collect();
    assert_eq!(killed.len(), 1, "{killed:?}");
}
