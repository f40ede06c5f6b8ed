//! A way that carries nothing any more while both ends take the connection for open, as where a NAT has forgotten it or a machine
//! is gone without a word.

use std::fs;
use std::time::{Duration, Instant};

use ar_core::{Loss, Record};
use ar_tests::cuts::Cuts;
use ar_tests::processes::wait_until;
use ar_tests::project::Project;
use ar_tests::service::{Head, SLOW, ended, submitted};
use ar_tests::store;

/// Within which a worker, and a coordinator, notices: how often each asks, and how long it waits for an answer, together.
const WORKER: Duration = Duration::from_secs(3 + 3);
const COORDINATOR: Duration = Duration::from_secs(10 + 20);
/// What a busy machine may take beyond that to say so.
const SLACK: Duration = Duration::from_secs(5);
/// Until here no lease lapses in this test.
const LEASE_TTL: &str = "10m";

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_silent_connection_notice_by_themselves_and_no_experiment_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &["--lease-ttl", LEASE_TTL]);
    let cuts = Cuts::before(head.address()).await;
    let straight = std::mem::replace(&mut head.urls, cuts.url());
    let _far = head.worker("far", &["--slots", "1"]);
    head.urls = straight;
    let _near = head.worker("near", &["--slots", "1"]);
    let project = Project::new(SLOW);
    // So that there is enough to try until all has been seen.
    project.write("train.py", "LR = 0.05\nWIDTH = 0.5\n");
    let study = submitted(&head, &project, &["--budget", "160", "--rounds", "1"]);
    let log = || fs::read_to_string(home.path().join("far.log")).unwrap();
    let done = |log: &str| log.matches("acknowledged").count();
    wait_until("it runs", || done(&log()) > 2);

    let before = log().len();
    let said = |what: &str| log()[before..].contains(what);
    let connections = cuts.connections();
    cuts.swallow(true);
    let silent = Instant::now();
    wait_until("the worker notices", || said("the session ended"));
    let noticed = silent.elapsed();
    assert!(noticed < WORKER + SLACK, "the worker noticed after {noticed:?}");
    wait_until("it tries again", || cuts.connections() > connections);
    let is_here = |name: &str| {
        let workers = head.json(&["workers"]);
        workers.as_array().unwrap().iter().any(|worker| worker["name"] == name)
    };
    wait_until("the coordinator notices", || !is_here("far"));
    let noticed = silent.elapsed();
    assert!(noticed < COORDINATOR + SLACK, "the coordinator noticed after {noticed:?}");
    assert!(is_here("near"));
    let line = head.until(&study, |_| true);
    head.until(&study, |now| now["ended"].as_u64() > line["ended"].as_u64());
    let acknowledged = done(&log());

    cuts.swallow(false);
    wait_until("it is back", || is_here("far"));
    wait_until("it goes on", || done(&log()) > acknowledged + 1);
    head.until(&study, ended);
    let (code, why) = head.end();
    assert_eq!(code, Some(0), "{why}");
    let records = store::records(&head.out());
    // It panics where one ended twice.
    let ends = store::ends(&records);
    assert_eq!(ends.len(), store::state(&head.out()).experiments.len());
    let lapsed = |record: &Record| matches!(record, Record::Requeued { cause: Loss::Lapsed, .. });
    assert_eq!(store::count(&records, lapsed), 0, "nobody waited for a lease to lapse");
}
