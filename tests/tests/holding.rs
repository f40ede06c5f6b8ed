//! Workers that are set aside, drained and readmitted, with real processes.

use std::fs;

use ar_tests::project::Project;
use ar_tests::run;
use ar_tests::service::{Head, SLOW, ended, experiments, submitted};
use serde_json::Value;

fn worker(head: &Head, name: &str) -> Value {
    let all = head.json(&["workers"]);
    all.as_array().unwrap().iter().find(|worker| worker["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_worker_that_fails_what_others_can_is_set_aside_with_the_evidence() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::start(home.path(), &[]);
    // What runs below the folder of one worker fails, as on a machine whose disk or driver is broken.
    let script = format!("case $PWD in */broken/*) echo 'the driver is broken' >&2; exit 3;; esac\n{SLOW}");
    let project = Project::new(&script);
    let study = submitted(&head, &project, &["--budget", "60", "--rounds", "1"]);
    let _good = head.worker("good", &["--slots", "2"]);
    // So that the base, on which all else rests, runs on the good one.
    head.until(&study, |line| line["ended"].as_u64() >= Some(3));
    let _broken = head.worker("broken", &["--slots", "1"]);
    head.until(&study, ended);
    let held = worker(&head, "broken")["held_back"].as_str().unwrap_or_default().to_owned();
    assert!(held.contains("of its runs of `project` failed"), "{held}");
    assert!(worker(&head, "good")["held_back"].is_null());
    let failed = experiments(&head, &study).iter().filter(|e| e["outcome"] == "crashed").count();
    assert!((5..15).contains(&failed), "{failed} of 60 were lost to it");
    let said = head.ask(&["workers"]);
    assert!(run::stdout(&said).contains("broken is held back: "), "{}", run::stdout(&said));
    let readmitted = head.ask(&["workers", "--readmit", "broken"]);
    assert!(readmitted.status.success(), "{}", run::stderr(&readmitted));
    assert!(worker(&head, "broken")["held_back"].is_null());
}

#[test]
fn a_worker_is_drained_and_readmitted_by_command_and_a_restart_of_the_coordinator_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &[]);
    let ran = home.path().join("ran");
    let project = Project::new(&format!("echo $PWD >> {}\n{SLOW}", ran.display()));
    let _workers = ["w1", "w2"].map(|name| head.worker(name, &["--slots", "1"]));
    let study = submitted(&head, &project, &["--budget", "40", "--rounds", "1"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(6));
    let unknown = head.ask(&["workers", "--drain", "w3"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", run::stderr(&unknown));
    let drained = head.ask(&["workers", "--drain", "w2"]);
    assert!(
        run::stdout(&drained).contains("w2 is held back: somebody drains it"),
        "{}",
        run::stdout(&drained)
    );
    ar_tests::processes::wait_until("what it runs has ended", || worker(&head, "w2")["held"] == 0);
    let of_w2 = || fs::read_to_string(&ran).unwrap().lines().filter(|line| line.contains("/w2/")).count();
    let before = of_w2();
    assert!(before > 0, "it ran something before");
    head.kill_9();
    head.restart();
    ar_tests::processes::wait_until("it is back", || worker(&head, "w2")["held_back"].is_string());
    let now = head.until(&study, |line| line["ended"].as_u64() >= Some(20));
    assert_eq!(now["state"], "running");
    assert_eq!(of_w2(), before, "it gets nothing");
    assert!(head.ask(&["workers", "--readmit", "w2"]).status.success());
    head.until(&study, ended);
    assert!(of_w2() > before, "it gets experiments again");
}
