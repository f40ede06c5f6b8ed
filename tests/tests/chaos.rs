//! Two coordinators on three nodes of etcd, and eight workers, each on a machine of its own, while they are killed, stopped and
//! cut off at random.
//!
//! `AR_CHAOS_FAULTS` says how many faults there are (40 if absent), `AR_CHAOS_SEED` which ones. The machines are network
//! namespaces; where those cannot be made, all of it runs on loopback, and nothing is cut off.

mod chaos {
    pub(crate) mod cluster;
    pub(crate) mod logs;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use ar_tests::processes;
use ar_tests::project::Project;
use ar_tests::service::{experiments, submitted};
use serde_json::Value;

use chaos::cluster::{Cluster, Fault};
use chaos::logs::{self, Grants};

/// Longest that 19 of 20 failovers may take until the next grant, seconds.
const FAILOVER: f64 = 8.0;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_every_experiment_ends_once_and_no_acknowledged_result_is_lost() {
    let (faults, seed) = (number("AR_CHAOS_FAULTS", 40), number("AR_CHAOS_SEED", 1));
    let home = tempfile::tempdir().unwrap();
    let ran = home.path().join("ran");
    // Trains for a moment, and writes down in a file that it did, outside of everything that coordinators and workers know.
    let project = Project::new(&format!(
        "lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
sleep 0.2
echo \"$SEED\" $(cat train.py) >> {}
printf -- '---\\nval_bpb: %s\\n' $lr
",
        ran.display()
    ));
    // Options enough for all, as each configuration runs once.
    project.write("train.py", "LR = 0.05\nA = 8\nB = 8\nC = 8\nD = 8\nSEED = 1\n");
    let before = project.tree();
    let mut cluster = Cluster::start(home.path(), seed).await;
    let budget = (200 * faults).to_string();
    let study = submitted(&cluster.heads[0], &project, &["--budget", &budget, "--rounds", "1"]);
    cluster.heads[0].until(&study, |line| line["ended"].as_u64() >= Some(3));
    cluster.study.clone_from(&study);
    let kinds = cluster.kinds();
    let mut happened: BTreeMap<Fault, u32> = BTreeMap::new();
    let began = Instant::now();
    for n in 0..faults {
        // Each kind once, then as it falls.
        let fault = kinds.get(n as usize).copied().unwrap_or_else(|| cluster.draw());
        eprintln!("{:>6.1} s: {fault:?}", began.elapsed().as_secs_f64());
        cluster.fault(fault).await;
        *happened.entry(fault).or_default() += 1;
        // Between two faults it works.
        cluster.goes_on();
    }
    println!("{faults} faults in {:.0} s: {happened:?}", began.elapsed().as_secs_f64());
    assert!(faults < kinds.len() as u64 || happened.len() == kinds.len(), "{happened:?}");
    let leader = cluster.leader();
    let line = cluster.heads[leader].until(&study, |line| line["state"].is_string());
    assert_eq!(line["state"], "running", "all of it happened while it worked: {line}");
    // Enough was seen: what runs is called off, and everything comes to its end.
    let cancelled = cluster.heads[leader].json(&["cancel", &study]);
    assert_eq!(cancelled["state"], "cancelled");
    let all = experiments(&cluster.heads[leader], &study);
    assert!(all.iter().all(|e| e["outcome"] != "running" && e["outcome"] != "waiting"));
    let done: BTreeSet<u64> =
        all.iter().filter(|e| e["outcome"] == "done").filter_map(|e| e["id"].as_u64()).collect();
    assert!(done.len() as u64 >= 5 * faults, "{} runs in {:?}", done.len(), began.elapsed());
    let strange: Vec<&Value> =
        all.iter().filter(|e| !["done", "cancelled"].contains(&e["outcome"].as_str().unwrap())).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let failovers = std::mem::take(&mut cluster.failovers);
    let losses = std::mem::take(&mut cluster.lost_leaders);
    drop(cluster);
    processes::wait_until("nothing is left", || processes::of(home.path()).is_empty());
    // What each lease came to, as the workers wrote it down.
    let grants = Grants::of(home.path());
    no_lease_overlaps(&grants, &done);
    let runs = fs::read_to_string(&ran).unwrap();
    let distinct: BTreeSet<&str> = runs.lines().collect();
    assert!(
        distinct.len() >= done.len(),
        "{} results of {} configurations that ran",
        done.len(),
        distinct.len()
    );
    let redone = runs.lines().count() - distinct.len();
    println!("{} results, {redone} runs of what had run before", done.len());
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    failover_is_fast(&grants, &losses, &failovers, faults);
}

/// Each experiment was acknowledged under one lease, the newest that any worker was told of; and has its result.
fn no_lease_overlaps(grants: &Grants, done: &BTreeSet<u64>) {
    for (experiment, leases) in &grants.acknowledged {
        assert!(done.contains(experiment), "experiment {experiment} was acknowledged and has no result");
        assert_eq!(leases.len(), 1, "experiment {experiment} was acknowledged under several leases");
        let newest = grants.granted.get(experiment).and_then(|granted| granted.iter().map(|g| g.lease).max());
        assert_eq!(leases.first().copied(), newest, "experiment {experiment}: an older lease was taken");
    }
    // A lease is one worker's, and told by one reign alone.
    for (experiment, granted) in &grants.granted {
        let leases: BTreeSet<u64> = granted.iter().map(|grant| grant.lease).collect();
        let holders: BTreeSet<(u64, &str)> =
            granted.iter().map(|grant| (grant.lease, grant.worker.as_str())).collect();
        assert_eq!(
            leases.len(),
            holders.len(),
            "experiment {experiment}: two workers had one lease: {granted:?}"
        );
    }
    let acknowledged = grants.acknowledged.len();
    assert!(acknowledged * 10 >= done.len() * 9, "{acknowledged} of {}", done.len());
}

/// From each fault that took a leader away to the first grant of the next one.
fn failover_is_fast(grants: &Grants, losses: &[logs::Moment], elected: &[f64], faults: u64) {
    let mut seconds: Vec<f64> = losses.iter().filter_map(|loss| grants.next_reign_after(*loss)).collect();
    assert_eq!(seconds.len(), losses.len(), "after each there was a grant");
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds[((seconds.len() - 1) as f64 * share).ceil() as usize];
    println!(
        "failover to the next grant, {} times: p50 {:.2} s, p95 {:.2} s, longest {:.2} s; until the next is ready: {elected:.2?}",
        seconds.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
    assert!(faults < 40 || seconds.len() >= 5, "{seconds:?}");
    assert!(at(0.95) < FAILOVER, "{seconds:.1?}");
}
