//! A journal that is shortened, studies that leave it, a store that is copied, and one that is moved: with real processes.

use std::fs;
use std::path::{Path, PathBuf};

use ar_tests::etcd::Nodes;
use ar_tests::processes::wait_until;
use ar_tests::project::{GOOD, Project};
use ar_tests::service::{Head, SLOW, ended, experiments, http, submitted};
use ar_tests::{run, store};
use serde_json::Value;

const OFTEN: [&str; 4] = ["--snapshot-every", "20", "--lease-ttl", "3s"];

fn snapshots(head: &Head) -> Vec<PathBuf> {
    let folder = fs::read_dir(head.out().join("store/snapshots"));
    folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn metric(head: &Head, name: &str) -> f64 {
    let token = fs::read_to_string(head.token("submit")).unwrap();
    let page = http(head.address(), "/metrics", Some(token.trim()));
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or(-1.0)
}

/// Each run writes a line, outside of all that coordinators and workers know.
fn counted(home: &Path, script: &str) -> (Project, PathBuf) {
    let ran = home.join("ran");
    (Project::new(&format!("{script}echo \"$lr $SEED\" >> {}\n", ran.display())), ran)
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_coordinator_that_is_killed_between_snapshots_goes_on_with_everything() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &OFTEN);
    let _worker = head.worker("w1", &["--slots", "4"]);
    let (project, ran) = counted(home.path(), SLOW);
    let study = submitted(&head, &project, &["--budget", "40", "--rounds", "2"]);
    let mut seen = 0;
    for _ in 0..3 {
        let before = head.until(&study, |line| line["ended"].as_u64() >= Some(seen + 8));
        assert_eq!(before["state"], "running", "it is killed while it works");
        wait_until("a snapshot is there", || !snapshots(&head).is_empty());
        head.kill_9();
        head.restart();
        let after = head.until(&study, |line| line["ended"].is_u64());
        assert!(after["ended"].as_u64() >= before["ended"].as_u64(), "{before} {after}");
        seen = after["ended"].as_u64().unwrap();
    }
    head.until(&study, ended);
    let all = experiments(&head, &study);
    assert!(all.len() > 60, "{}", all.len());
    assert_eq!(lines(&ran), all.len(), "each ran once");
    wait_until("older snapshots are removed, but for the last one", || snapshots(&head).len() == 2);
    assert_eq!(head.end().0, Some(0));
    let (left, all) = (store::records(&head.out()).len() as u64, store::state(&head.out()).seq.0);
    assert!(left < all, "{left} of {all} records are left");
}

#[test]
fn a_study_that_ended_leaves_for_its_archive_and_comes_back_when_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let flags = [&OFTEN[..], &["--archive-after", "1s"]].concat();
    let mut head = Head::start(home.path(), &flags);
    let _worker = head.worker("w1", &["--slots", "2"]);
    let (project, ran) = counted(home.path(), GOOD);
    let study = submitted(&head, &project, &["--budget", "12", "--rounds", "1"]);
    let before = head.until(&study, ended);
    let report = head.json(&["results", &study]);
    wait_until("it is archived", || head.log().contains("are archived"));
    let after = head.until(&study, ended);
    assert_eq!(after, before, "it stands as it stood");
    assert_eq!(head.json(&["results", &study])["experiments"], report["experiments"]);
    let done = "ar_experiments_total{outcome=\"done\"}";
    let scored = report["experiments"].as_array().unwrap().iter().filter(|e| e["outcome"] == "done").count();
    assert_eq!(metric(&head, done), scored as f64, "a counter never falls");
    head.kill_9();
    head.restart();
    assert_eq!(head.until(&study, ended), before);
    let again = submitted(&head, &project, &["--budget", "12", "--rounds", "2"]);
    assert_eq!(again, study, "a larger budget goes on with the same study");
    head.until(&study, |line| ended(line) && line["ended"] == 24);
    let all = experiments(&head, &study);
    assert_eq!((all.len(), lines(&ran)), (24, 24), "nothing was run again");
    let of = |report: &Value| {
        report["experiments"].as_array().unwrap().iter().map(|e| e["id"].as_u64()).collect::<Vec<_>>()
    };
    assert!(of(&report).iter().all(|id| all.iter().any(|e| e["id"].as_u64() == *id)));
}

#[test]
fn a_restored_backup_takes_no_lease_of_its_lost_future_for_its_own() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &OFTEN);
    let project = Project::new(SLOW);
    let study = submitted(&head, &project, &["--budget", "30", "--rounds", "1"]);
    {
        let mut worker = head.worker("w1", &["--slots", "1"]);
        head.until(&study, |line| line["ended"].as_u64() >= Some(3));
        worker.leave();
    }
    assert_eq!(head.end().0, Some(0));
    let (out, backup) = (head.out(), home.path().join("backup"));
    copy(&out.join("store"), &backup);
    let incarnation = |out: &Path| store::state(out).incarnation;
    let before = incarnation(&out);
    head.restart();
    let mut worker = head.worker("w1", &["--slots", "1"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(8));
    // It goes on with what it runs, and keeps its result, while the coordinator is away.
    head.kill_9();
    fs::remove_dir_all(out.join("store")).unwrap();
    copy(&backup, &out.join("store"));
    head.restart();
    assert!(head.log().contains("the store is a copy"), "{}", head.log());
    head.until(&study, ended);
    worker.leave();
    assert_eq!(head.end().0, Some(0));
    assert!(incarnation(&out) > before);
    let all = store::state(&out).experiments.iter().filter(|e| e.outcome().is_some()).count();
    assert_eq!(all, 30);
    head.restart();
    assert_eq!(head.log().matches("the store is a copy").count(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_etcd_and_back_with_all_it_knows() {
    let (nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let (project, ran) = counted(home.path(), SLOW);
    let mut head = Head::start(home.path(), &OFTEN);
    let study = submitted(&head, &project, &["--budget", "16", "--rounds", "2"]);
    let mut worker = head.worker("w1", &["--slots", "2"]);
    let first = head.until(&study, |line| line["ended"].as_u64() >= Some(5));
    worker.leave();
    let out = head.out();
    let migrate = |to: &str| {
        run::finish(&["migrate", "--to", to, "--etcd", nodes.url(0), "--out", out.to_str().unwrap()])
    };
    let early = migrate("etcd");
    assert_eq!(early.status.code(), Some(3), "{}", run::stderr(&early));
    assert!(run::stderr(&early).contains("in use"), "{}", run::stderr(&early));
    let nothing = migrate("folder");
    assert_eq!(nothing.status.code(), Some(2), "{}", run::stderr(&nothing));
    assert_eq!(head.end().0, Some(0));
    let there = migrate("etcd");
    assert_eq!(there.status.code(), Some(0), "{}", run::stderr(&there));
    assert!(run::stdout(&there).contains("1 studies"), "{}", run::stdout(&there));
    // As if it had been cut off before the old store had its mark.
    fs::remove_file(out.join("store/moved-to")).unwrap();
    let again = migrate("etcd");
    assert_eq!(again.status.code(), Some(0), "{}", run::stderr(&again));
    let left = run::finish(&["serve", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()]);
    assert_eq!(left.status.code(), Some(2));
    assert!(run::stderr(&left).contains("was moved to etcd"), "{}", run::stderr(&left));
    drop(head);
    let flags = [&OFTEN[..], &["--etcd", nodes.url(0), "--leader-ttl", "2s"]].concat();
    let mut head = Head::start(home.path(), &flags);
    let mut worker = head.worker("w1", &["--slots", "2"]);
    let second = head.until(&study, |line| line["ended"].as_u64() >= Some(20));
    assert!(second["ended"].as_u64() > first["ended"].as_u64());
    wait_until("it is shortened there, too", || head.log().contains("begins with a snapshot"));
    worker.leave();
    assert_eq!(head.end().0, Some(0));
    let back = migrate("folder");
    assert_eq!(back.status.code(), Some(0), "{}", run::stderr(&back));
    forget_the_move(&nodes).await;
    let again = migrate("folder");
    assert_eq!(again.status.code(), Some(0), "{}", run::stderr(&again));
    let mut head = Head::start(home.path(), &OFTEN);
    let _worker = head.worker("w1", &["--slots", "2"]);
    head.until(&study, ended);
    let all = experiments(&head, &study);
    assert!(all.len() == 32 && all.iter().all(|e| e["outcome"] == "done"));
    assert_eq!(lines(&ran), 32, "nothing ran twice");
    assert_eq!(head.end().0, Some(0));
    forget_the_move(&nodes).await;
    let other = migrate("folder");
    assert_eq!(other.status.code(), Some(2), "it has gone on since: {}", run::stderr(&other));
}

/// Takes the mark away that says where a store in etcd was moved.
async fn forget_the_move(nodes: &Nodes) {
    let mut client = nodes.client(0).await;
    let prefix = etcd_client::GetOptions::new().with_prefix().with_keys_only();
    let keys = client.get("/autoresearch/", Some(prefix)).await.unwrap();
    let mark = keys.kvs().iter().find(|kv| kv.key().ends_with(b"/moved")).expect("a mark");
    client.delete(mark.key(), None).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
