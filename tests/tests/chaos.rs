//! Two coordinators on three nodes of etcd, and eight workers, while they are killed and stopped at random.
//!
//! `AR_CHAOS_FAULTS` says how many faults there are (12 if absent), `AR_CHAOS_SEED` which ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ar_tests::etcd::Nodes;
use ar_tests::processes;
use ar_tests::project::Project;
use ar_tests::service::{Head, Worker, experiments, http, submitted};
use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const WORKERS: usize = 8;
const NODES: usize = 3;
/// Longer than the lease's and the leader's ttl.
const PAST_THE_TTL: Duration = Duration::from_secs(4);

/// Trains for a moment, and says so in a file that only it writes.
const SCRIPT: &str = "lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
sleep 0.2
printf -- '---\\nval_bpb: %s\\n' $lr
";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillLeader,
    StopLeader,
    KillWorker,
    StopWorker,
    StopEtcd,
}

const FAULTS: [Fault; 5] =
    [Fault::KillLeader, Fault::StopLeader, Fault::KillWorker, Fault::StopWorker, Fault::StopEtcd];

struct Cluster {
    nodes: Nodes,
    heads: Vec<Head>,
    workers: Vec<Worker>,
    rng: ChaCha8Rng,
}

impl Cluster {
    async fn start(folder: &Path, seed: u64) -> Self {
        let nodes = Nodes::start(NODES).await;
        let urls: Vec<&str> = (0..NODES).map(|node| nodes.url(node)).collect();
        let flags = ["--etcd", &urls.join(","), "--leader-ttl", "2s", "--lease-ttl", "3s"];
        let mut heads: Vec<Head> = (0..2).map(|_| Head::start(folder, &flags)).collect();
        let both = heads.iter().map(|head| head.urls.clone()).collect::<Vec<_>>().join(",");
        heads.iter_mut().for_each(|head| head.urls.clone_from(&both));
        let mut cluster = Self { nodes, heads, workers: Vec::new(), rng: ChaCha8Rng::seed_from_u64(seed) };
        cluster.leader();
        cluster.workers = (0..WORKERS).map(|n| cluster.worker(n)).collect();
        cluster
    }

    fn worker(&self, n: usize) -> Worker {
        self.heads[0].worker(&format!("w{n}"), &["--slots", "1"])
    }

    /// The coordinator that leads, once there is one of those that are wanted.
    fn leader_of(&mut self, wanted: &[usize]) -> usize {
        let mut found = None;
        processes::wait_until("a coordinator leads", || {
            self.revive();
            found = wanted.iter().copied().find(|n| leads(&self.heads[*n]));
            found.is_some()
        });
        found.unwrap()
    }

    fn leader(&mut self) -> usize {
        self.leader_of(&[0, 1])
    }

    /// Starts again what ended because another leads, as whoever supervises it would: an etcd that was silent may have had that
    /// done.
    fn revive(&mut self) {
        for head in &mut self.heads {
            if let Some(code) = head.code() {
                let (_, said) = head.ended();
                assert_eq!(code, 69, "{said}");
                head.restart();
            }
        }
    }

    /// Makes a fault happen, and mends what it broke. It has happened on return.
    async fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::KillLeader => {
                let leader = self.leader();
                self.heads[leader].kill_9();
                self.leader_of(&[1 - leader]);
                self.heads[leader].restart();
            }
            Fault::StopLeader => {
                let leader = self.leader();
                self.heads[leader].signal(Signal::SIGSTOP);
                self.leader_of(&[1 - leader]);
                self.heads[leader].signal(Signal::SIGCONT);
                let (code, said) = self.heads[leader].ended();
                assert_eq!(code, Some(69), "{said}");
                self.heads[leader].restart();
            }
            Fault::KillWorker => {
                let n = self.rng.random_range(0..WORKERS);
                self.workers[n].kill_9();
                self.workers[n] = self.worker(n);
            }
            Fault::StopWorker => {
                let n = self.rng.random_range(0..WORKERS);
                self.workers[n].signal(Signal::SIGSTOP);
                tokio::time::sleep(PAST_THE_TTL).await;
                self.workers[n].signal(Signal::SIGCONT);
            }
            Fault::StopEtcd => {
                let node = self.nodes.leader().await;
                self.nodes.signal(node, Signal::SIGSTOP);
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.nodes.signal(node, Signal::SIGCONT);
            }
        }
    }
}

fn leads(head: &Head) -> bool {
    head.is_running() && http(head.address(), "/readyz", None).starts_with("HTTP/1.1 200")
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The leases that workers were told are durable, by experiment, from their own logs.
fn acknowledged(folder: &Path) -> BTreeMap<u64, BTreeSet<String>> {
    let mut all: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines().filter(|line| line.contains("acknowledged")) {
            let field = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}="))?;
                rest.split_whitespace().next().map(str::to_owned)
            };
            let experiment = field("experiment").and_then(|n| n.parse().ok()).expect("it names one");
            all.entry(experiment).or_default().insert(field("lease").expect("it names one"));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_every_experiment_ends_once_and_no_acknowledged_result_is_lost() {
    let (faults, seed) = (number("AR_CHAOS_FAULTS", 12), number("AR_CHAOS_SEED", 1));
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path(), seed).await;
    let project = Project::new(SCRIPT);
    let budget = (100 * faults).to_string();
    // Options enough for all: a constant has 65, and each runs once.
    project.write("train.py", "LR = 0.05\nA = 8\nB = 8\nSEED = 1\n");
    let before = project.tree();
    let study = submitted(&cluster.heads[0], &project, &["--budget", &budget, "--rounds", "1"]);
    cluster.heads[0].until(&study, |line| line["ended"].as_u64() >= Some(3));
    let mut happened: BTreeMap<Fault, u32> = BTreeMap::new();
    let began = Instant::now();
    for n in 0..faults {
        // Each kind in the first five, then as it falls.
        let drawn = cluster.rng.random_range(0..FAULTS.len());
        let fault = FAULTS.get(n as usize).copied().unwrap_or(FAULTS[drawn]);
        eprintln!("{:>6.1} s: {fault:?}", began.elapsed().as_secs_f64());
        cluster.fault(fault).await;
        *happened.entry(fault).or_default() += 1;
    }
    assert_eq!(happened.len(), FAULTS.len(), "{happened:?}");
    let line = cluster.heads[0].until(&study, |line| line["state"].is_string());
    assert_eq!(line["state"], "running", "all of it happened while it worked: {line}");
    // Enough was seen: what runs is called off, and everything comes to its end.
    let ended = cluster.heads[0].until(&study, |line| line["ended"].as_u64().is_some());
    let cancelled = cluster.heads[0].json(&["cancel", &study]);
    assert_eq!(cancelled["state"], "cancelled");
    let all = experiments(&cluster.heads[0], &study);
    assert!(all.iter().all(|e| e["outcome"] != "running" && e["outcome"] != "waiting"));
    let done: BTreeSet<u64> =
        all.iter().filter(|e| e["outcome"] == "done").filter_map(|e| e["id"].as_u64()).collect();
    assert!(done.len() as u64 >= 5 * faults, "{} runs in {:?}, {ended}", done.len(), began.elapsed());
    let strange: Vec<&Value> =
        all.iter().filter(|e| !["done", "cancelled"].contains(&e["outcome"].as_str().unwrap())).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let acknowledged = acknowledged(home.path());
    for (experiment, leases) in &acknowledged {
        assert!(done.contains(experiment), "experiment {experiment} was acknowledged and has no result");
        assert_eq!(leases.len(), 1, "experiment {experiment} was acknowledged under several leases");
    }
    assert!(acknowledged.len() * 10 >= done.len() * 9, "{} of {}", acknowledged.len(), done.len());
    assert_eq!(project.tree(), before, "the user's tree is as it was");
    drop(cluster);
    processes::wait_until("nothing is left", || processes::of(home.path()).is_empty());
}
