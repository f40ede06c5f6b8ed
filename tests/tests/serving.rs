//! A coordinator that serves many studies and workers, with real processes and real gRPC.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ar_net::BlobStore;
use ar_tests::project::{GOOD, Project};
use ar_tests::service::{Head, SLOW, ended, experiments, http, submission, submitted};
use ar_tests::{processes, run};

fn nothing_left(home: &Path) {
    processes::wait_until("nothing is left", || processes::of(home).is_empty());
}

#[test]
fn a_study_goes_from_submit_to_results_on_two_workers() {
    let home = tempfile::tempdir().unwrap();
    let project = Project::new(SLOW);
    let before = project.tree();
    let mut head = Head::start(home.path(), &[]);
    let mut workers = [head.worker("w1", &["--slots", "1"]), head.worker("w2", &["--slots", "1"])];
    let arguments = submission(&project, &["--budget", "12", "--rounds", "1", "--wait"]);
    let output = head.ask(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", run::stderr(&output));
    assert!(run::stdout(&output).contains("finished: 12 of 12"), "{}", run::stdout(&output));
    let listed = head.json(&["workers"]);
    let names: BTreeSet<&str> =
        listed.as_array().unwrap().iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["w1", "w2"]));
    let all = experiments(&head, "project");
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|e| e["outcome"] == "done" && e["attempts"] == 1));
    for name in names {
        let log = fs::read_to_string(home.path().join(format!("{name}.log"))).unwrap();
        assert!(!log.contains("ERROR"), "{log}");
    }
    // The folder of results is written beside the store, as `run` does.
    processes::wait_until("the end is written", || {
        let folders = fs::read_dir(head.out()).unwrap().flatten().map(|entry| entry.path());
        let written = folders.filter(|path| path.join("best/train.py").is_file());
        let text =
            |path: std::path::PathBuf| fs::read_to_string(path.join("results.json")).unwrap_or_default();
        written.map(text).any(|text| text.contains("\"state\": \"finished\""))
    });
    // And is brought to whoever asks for it.
    let there = home.path().join("there");
    let fetched = head.ask(&["results", "project", "--fetch", "--out", there.to_str().unwrap()]);
    assert!(fetched.status.success(), "{}", run::stderr(&fetched));
    let folder = fs::read_dir(&there).unwrap().flatten().next().unwrap().path();
    for file in ["best/train.py", "results.tsv", "report.html", "progress.png", "repository.git/HEAD"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let name = folder.file_name().unwrap();
    let of = |out: &Path| fs::read(out.join(name).join("results.json")).unwrap();
    assert_eq!(of(&there), of(&head.out()));
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    for worker in &mut workers {
        assert_eq!(worker.leave(), Some(0));
    }
    assert_eq!(head.end().0, Some(0));
    nothing_left(home.path());
}

#[test]
fn each_token_opens_its_own_door_and_every_refusal_is_logged() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::start(home.path(), &[]);
    let (worker, submitter) = (head.token("worker"), head.token("submit"));
    let status = |token: &Path| head.client(&["status"], token, &[]).output().unwrap();
    assert!(status(&submitter).status.success());
    let other = status(&worker);
    assert_eq!(other.status.code(), Some(2));
    assert!(run::stderr(&other).contains("a worker's token, where a submitter's is needed"));
    let wrong = home.path().join("wrong");
    fs::copy(&submitter, &wrong).unwrap();
    fs::write(&wrong, "0".repeat(64)).unwrap();
    let refused = status(&wrong);
    assert_eq!(refused.status.code(), Some(2));
    assert!(run::stderr(&refused).contains("a wrong token"), "{}", run::stderr(&refused));
    assert_eq!(head.worker_with("w1", &submitter, &[]).end(), Some(2));
    let said = fs::read_to_string(home.path().join("w1.log")).unwrap();
    assert!(said.contains("a submitter's token, where a worker's is needed"), "{said}");
    let address = head.address();
    let token = fs::read_to_string(&submitter).unwrap();
    assert!(http(address, "/healthz", None).starts_with("HTTP/1.1 200"));
    assert!(http(address, "/readyz", None).contains("ready"));
    assert!(http(address, "/metrics", None).starts_with("HTTP/1.1 401"));
    assert!(http(address, "/metrics", Some(token.trim())).contains("# HELP ar_workers "));
    assert!(http(address, "/api/v1/studies", Some(token.trim())).ends_with("[]"));
    assert!(http(address, "/api/v1/studies/none", Some(token.trim())).starts_with("HTTP/1.1 404"));
    let log = head.log();
    assert!(log.matches("refused").count() >= 3, "{log}");
    assert!(!log.contains(token.trim()), "no token is ever logged");
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_tls() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let output = run::finish(&["serve", "--listen", "0.0.0.0:0", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(run::stderr(&output).contains("--tls-cert"), "{}", run::stderr(&output));
    assert!(!out.exists(), "nothing is written");
    let token = home.path().join("token");
    fs::write(&token, "0".repeat(64)).unwrap();
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    fs::set_permissions(&token, mode).unwrap();
    let remote = ["status", "--coordinator", "http://head:7600", "--token-file", token.to_str().unwrap()];
    let clear = run::finish(&remote);
    assert_eq!(clear.status.code(), Some(2));
    assert!(run::stderr(&clear).contains("in the clear"), "{}", run::stderr(&clear));
}

#[test]
fn a_study_waits_goes_on_and_is_called_off() {
    let home = tempfile::tempdir().unwrap();
    let project = Project::new(SLOW);
    let head = Head::start(home.path(), &[]);
    let _worker = head.worker("w1", &["--slots", "1"]);
    let study = submitted(&head, &project, &["--budget", "40", "--rounds", "5"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(2));
    let paused = head.json(&["pause", &study]);
    assert_eq!(paused["state"], "paused");
    let quiet = head.until(&study, |line| line["running"] == 0);
    let resumed = head.json(&["resume", &study]);
    assert_eq!(resumed["state"], "running");
    head.until(&study, |line| line["ended"].as_u64() > quiet["ended"].as_u64());
    let cancelled = head.json(&["cancel", &study]);
    assert_eq!(cancelled["state"], "cancelled");
    let watched = head.ask(&["watch", &study]);
    assert_eq!(watched.status.code(), Some(0), "it has ended: {}", run::stderr(&watched));
    assert_eq!(head.json(&["status", &study])[0]["running"], 0);
    let unknown = head.ask(&["cancel", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(run::stderr(&unknown).contains("there is no study `nothing`"));
}

#[test]
fn a_coordinator_that_is_killed_comes_back_with_everything_and_its_workers_with_it() {
    let home = tempfile::tempdir().unwrap();
    // Each run writes down that it began, outside of everything that coordinators and workers know.
    let ran = home.path().join("ran");
    let project = Project::new(&format!("{SLOW}echo \"$lr $SEED\" >> {}\n", ran.display()));
    let mut head = Head::start(home.path(), &[]);
    let _workers = [head.worker("w1", &["--slots", "2"]), head.worker("w2", &["--slots", "2"])];
    let study = submitted(&head, &project, &["--budget", "16", "--rounds", "2"]);
    for ended in [3, 9] {
        let before = head.until(&study, |line| line["ended"].as_u64() >= Some(ended));
        assert_eq!(before["state"], "running", "it was killed while it worked");
        head.kill_9();
        head.restart();
        let after = head.json(&["status", &study])[0].clone();
        assert!(after["ended"].as_u64() >= before["ended"].as_u64(), "{before} {after}");
    }
    head.until(&study, ended);
    let all = experiments(&head, &study);
    assert_eq!(all.iter().filter(|e| e["outcome"] == "done").count(), all.len());
    // What ran on the workers went on: a killed coordinator costs no run, even where a grant was never told.
    let ran = fs::read_to_string(&ran).unwrap();
    let runs: BTreeSet<&str> = ran.lines().collect();
    assert_eq!((ran.lines().count(), runs.len()), (all.len(), all.len()), "{ran}");
    let address = head.address();
    let token = fs::read_to_string(head.token("submit")).unwrap();
    assert!(http(address, "/metrics", Some(token.trim())).contains("ar_coordinator_epoch 3"));
}

#[test]
fn what_a_killed_worker_held_is_run_by_another() {
    let home = tempfile::tempdir().unwrap();
    let project = Project::new(SLOW);
    let head = Head::start(home.path(), &["--lease-ttl", "2s"]);
    let mut first = head.worker("w1", &["--slots", "2"]);
    let study = submitted(&head, &project, &["--budget", "12", "--rounds", "1"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(2) && line["running"].as_u64() >= Some(1));
    first.kill_9();
    let mut second = head.worker("w2", &["--slots", "2"]);
    head.until(&study, ended);
    let all = experiments(&head, &study);
    assert!(all.iter().all(|e| e["outcome"] == "done"));
    assert!(all.iter().any(|e| e["attempts"] == 2), "the fault happened");
    assert_eq!(second.leave(), Some(0));
    drop(head);
    nothing_left(home.path());
}

#[test]
fn studies_run_side_by_side_and_what_needs_another_worker_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (Project::new(SLOW), Project::new(&format!("{GOOD}# another\n")));
    let head = Head::start(home.path(), &[]);
    let _worker = head.worker("w1", &["--slots", "2", "--label", "zone=a"]);
    let slow = submitted(&head, &a, &["--budget", "40", "--rounds", "5"]);
    head.until(&slow, |line| line["running"].as_u64() >= Some(2));
    let quick = submitted(&head, &b, &["--budget", "12", "--rounds", "1"]);
    head.until(&quick, ended);
    assert_eq!(head.json(&["status", &slow])[0]["state"], "running", "neither waits for the other's end");
    let c = Project::new(&format!("{GOOD}# a third\n"));
    let needy = submitted(&head, &c, &["--need-label", "zone=b", "--budget", "12", "--rounds", "1"]);
    let line = head.until(&needy, |line| line["why_not"].is_string());
    let why = line["why_not"].as_str().unwrap();
    assert_eq!(why, "no worker has what it needs; nearest comes w1: zone=a instead of b");
    let _other = head.worker("w2", &["--slots", "1", "--label", "zone=b"]);
    head.until(&needy, ended);
}

#[test]
fn a_study_is_let_go_where_nothing_of_it_runs_and_made_ready_again_for_more() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &[]);
    let mut worker = head.worker("w1", &["--slots", "1", "--keep-warm", "1s"]);
    let table = run::example("heart-statlog.csv");
    let submit = |rounds: &str| {
        let flags = ["--budget", "5", "--rounds", rounds, "--wait"];
        let output = head.ask(&[&["submit", table.to_str().unwrap()], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", run::stderr(&output));
        experiments(&head, "heart-statlog").iter().filter(|e| e["outcome"] == "done").count()
    };
    let serving = || {
        let all = processes::of(home.path());
        all.into_iter().filter(|process| process.command.contains("ar_runner serve")).count()
    };
    let let_go = || {
        let log = fs::read_to_string(home.path().join("w1.log")).unwrap();
        log.matches("has had nothing to do").count()
    };
    let laid_out = || fs::read_dir(home.path().join("w1/studies")).unwrap().count();
    let first = submit("1");
    processes::wait_until("it is let go", || let_go() == 1 && serving() == 0 && laid_out() == 0);
    let second = submit("3");
    assert!(second > first + 5, "{first} {second}");
    processes::wait_until("it was there, and is let go again", || let_go() >= 2 && serving() == 0);

    // And one of a training script, whose files are not here any more either.
    let project = Project::new(GOOD);
    let train = |rounds: &str| {
        let study = submitted(&head, &project, &["--budget", "4", "--rounds", rounds]);
        head.until(&study, ended);
        experiments(&head, &study).iter().filter(|e| e["outcome"] == "done").count()
    };
    let before = let_go();
    let first = train("1");
    processes::wait_until("it is let go", || let_go() > before);
    let blobs = home.path().join("w1/blobs");
    let files = BlobStore::open(&blobs).unwrap().list().unwrap();
    assert!(!files.is_empty());
    for file in files {
        BlobStore::open(&blobs).unwrap().discard(&file.digest).unwrap();
    }
    let second = train("2");
    assert!(second > first, "{first} {second}");
    assert_eq!(worker.leave(), Some(0));
    assert_eq!(head.end().0, Some(0));
    nothing_left(home.path());
}
