//! What is there to be broken, and how it breaks.

use std::path::Path;
use std::time::{Duration, Instant};

use ar_tests::etcd::Nodes;
use ar_tests::network::{Host, Network};
use ar_tests::processes;
use ar_tests::service::{Head, Worker, http};
use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::logs::Moment;

const WORKERS: usize = 8;
const NODES: usize = 3;
/// Longer than the lease's and the leader's ttl.
const PAST_THE_TTL: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillLeader,
    StopLeader,
    KillStandby,
    KillWorker,
    StopWorker,
    /// The node of etcd that leads.
    KillEtcd,
    StopEtcd,
    /// Another one.
    KillEtcdFollower,
    CutLeader,
    /// From etcd alone: workers and clients hear it.
    CutLeaderFromEtcd,
    CutWorker,
    CutEtcd,
}

const EVERYWHERE: [Fault; 8] = [
    Fault::KillLeader,
    Fault::StopLeader,
    Fault::KillStandby,
    Fault::KillWorker,
    Fault::StopWorker,
    Fault::KillEtcd,
    Fault::StopEtcd,
    Fault::KillEtcdFollower,
];
const WITH_A_NETWORK: [Fault; 4] =
    [Fault::CutLeader, Fault::CutLeaderFromEtcd, Fault::CutWorker, Fault::CutEtcd];

/// The machines, where there is a network.
struct Machines {
    etcd: Vec<Host>,
    heads: Vec<Host>,
    workers: Vec<Host>,
}

pub(crate) struct Cluster {
    pub(crate) nodes: Nodes,
    pub(crate) heads: Vec<Head>,
    workers: Vec<Worker>,
    machines: Option<Machines>,
    /// What they work on.
    pub(crate) study: String,
    rng: ChaCha8Rng,
    /// When leaders were taken away.
    pub(crate) lost_leaders: Vec<Moment>,
    /// How long it took each time until another one was ready, seconds.
    pub(crate) failovers: Vec<f64>,
}

impl Cluster {
    pub(crate) async fn start(folder: &Path, seed: u64) -> Self {
        let machines = match Network::make() {
            Ok(network) => {
                let hosts = |count| (0..count).map(|_| network.host()).collect();
                Some(Machines { etcd: hosts(NODES), heads: hosts(2), workers: hosts(WORKERS) })
            }
            Err(why) => {
                println!("SKIPPED: network partitions. Namespaces cannot be made here: {why}");
                None
            }
        };
        let nodes = match &machines {
            Some(machines) => Nodes::start_on(machines.etcd.clone()).await,
            None => Nodes::start(NODES).await,
        };
        let urls: Vec<&str> = (0..NODES).map(|node| nodes.url(node)).collect();
        let flags = ["--etcd", &urls.join(","), "--leader-ttl", "2s", "--lease-ttl", "3s"];
        let start = |n: usize| match &machines {
            Some(machines) => Head::start_on(&machines.heads[n], folder, &flags),
            None => Head::start(folder, &flags),
        };
        let mut heads: Vec<Head> = (0..2).map(start).collect();
        let both = heads.iter().map(|head| head.urls.clone()).collect::<Vec<_>>().join(",");
        heads.iter_mut().for_each(|head| head.urls.clone_from(&both));
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let (lost_leaders, failovers) = (Vec::new(), Vec::new());
        let (workers, study) = (Vec::new(), String::new());
        let mut cluster = Self { nodes, heads, workers, machines, study, rng, lost_leaders, failovers };
        cluster.leader();
        cluster.workers = (0..WORKERS).map(|n| cluster.worker(n)).collect();
        cluster
    }

    /// The faults that can happen here.
    pub(crate) fn kinds(&self) -> Vec<Fault> {
        let more: &[Fault] = if self.machines.is_some() { &WITH_A_NETWORK } else { &[] };
        EVERYWHERE.iter().chain(more).copied().collect()
    }

    pub(crate) fn draw(&mut self) -> Fault {
        let kinds = self.kinds();
        kinds[self.rng.random_range(0..kinds.len())]
    }

    fn worker(&self, n: usize) -> Worker {
        let (name, flags) = (format!("w{n}"), ["--slots", "1"]);
        match &self.machines {
            Some(machines) => self.heads[0].worker_on(&machines.workers[n], &name, &flags),
            None => self.heads[0].worker(&name, &flags),
        }
    }

    /// The coordinator that leads, once there is one of those that are wanted.
    fn leader_of(&mut self, wanted: &[usize]) -> usize {
        let mut found = None;
        processes::wait_until("a coordinator leads", || {
            self.revive(wanted);
            found = wanted.iter().copied().find(|n| leads(&self.heads[*n]));
            found.is_some()
        });
        found.unwrap()
    }

    pub(crate) fn leader(&mut self) -> usize {
        self.leader_of(&[0, 1])
    }

    /// Starts those of these again that ended because another leads, as whoever supervises them would: an etcd that was silent may
    /// have had that done. One that is cut off just now is not among them: it would find no etcd, and end once more.
    fn revive(&mut self, wanted: &[usize]) {
        for n in wanted {
            let head = &mut self.heads[*n];
            if let Some(code) = head.code() {
                let (_, said) = head.ended();
                assert_eq!(code, 69, "{said}");
                head.restart();
            }
        }
    }

    /// Waits until an experiment more has ended than had when this was asked.
    pub(crate) fn goes_on(&mut self) {
        let leader = self.leader();
        self.works(leader);
    }

    /// Waits until the study goes on under this coordinator.
    fn works(&mut self, head: usize) {
        let study = self.study.clone();
        let ended = |line: &Value| line["ended"].as_u64();
        let now = self.heads[head].until(&study, |line| ended(line).is_some());
        self.heads[head].until(&study, |line| ended(line) > ended(&now));
    }

    /// Takes the leader away, and waits until the other one leads. The one that led.
    fn take_leader(&mut self, how: impl FnOnce(&mut Self, usize)) -> usize {
        let leader = self.leader();
        let (at, began) = (Moment::now(), Instant::now());
        how(self, leader);
        self.leader_of(&[1 - leader]);
        self.lost_leaders.push(at);
        self.failovers.push(began.elapsed().as_secs_f64());
        leader
    }

    /// One that led and wakes, or hears again, when another leads: it ends, and is started again.
    fn ends_deposed(&mut self, head: usize) {
        let (code, said) = self.heads[head].ended();
        assert_eq!(code, Some(69), "{said}");
        self.heads[head].restart();
    }

    fn machines(&self) -> &Machines {
        self.machines.as_ref().expect("faults that need machines are drawn where there are some")
    }

    /// Makes a fault happen, and mends what it broke. It has happened on return.
    pub(crate) async fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::KillLeader => {
                let leader = self.take_leader(|cluster, leader| cluster.heads[leader].kill_9());
                self.heads[leader].restart();
            }
            Fault::StopLeader => {
                let leader =
                    self.take_leader(|cluster, leader| cluster.heads[leader].signal(Signal::SIGSTOP));
                self.heads[leader].signal(Signal::SIGCONT);
                self.ends_deposed(leader);
            }
            Fault::KillStandby => {
                let standby = 1 - self.leader();
                self.heads[standby].kill_9();
                self.heads[standby].restart();
            }
            Fault::KillWorker => {
                let n = self.rng.random_range(0..WORKERS);
                assert!(processes::is_alive(self.workers[n].pid()));
                self.workers[n].kill_9();
                self.workers[n] = self.worker(n);
            }
            Fault::StopWorker => {
                let n = self.rng.random_range(0..WORKERS);
                self.workers[n].signal(Signal::SIGSTOP);
                tokio::time::sleep(PAST_THE_TTL).await;
                self.workers[n].signal(Signal::SIGCONT);
            }
            Fault::KillEtcd | Fault::StopEtcd | Fault::KillEtcdFollower => self.breaks_etcd(fault).await,
            _ => self.cuts(fault).await,
        }
    }

    async fn breaks_etcd(&mut self, fault: Fault) {
        let leader = self.nodes.leader().await;
        let node = if fault == Fault::KillEtcdFollower { (leader + 1) % NODES } else { leader };
        if fault == Fault::StopEtcd {
            self.nodes.signal(node, Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(!self.nodes.answers(node).await, "it is stopped");
            return self.nodes.signal(node, Signal::SIGCONT);
        }
        self.nodes.kill_9(node);
        assert!(!self.nodes.answers(node).await, "it is dead");
        // The others go on.
        self.nodes.leader().await;
        self.nodes.restart(node);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.nodes.answers(node).await {
            assert!(Instant::now() < deadline, "etcd does not come back");
        }
    }

    async fn cuts(&mut self, fault: Fault) {
        match fault {
            Fault::CutLeader => {
                let leader = self.take_leader(|cluster, leader| {
                    cluster.machines().heads[leader].cut();
                    assert!(!leads(&cluster.heads[leader]), "nobody hears it");
                });
                // Its workers are not told: they must find out by themselves, and go on with the other one.
                self.works(1 - leader);
                self.machines().heads[leader].mend();
                self.ends_deposed(leader);
            }
            Fault::CutLeaderFromEtcd => {
                let leader = self.take_leader(|cluster, leader| {
                    let machines = cluster.machines();
                    machines.heads[leader].cut_from(&machines.etcd);
                });
                let machines = self.machines();
                machines.heads[leader].mend_to(&machines.etcd);
                self.ends_deposed(leader);
            }
            Fault::CutWorker => {
                let n = self.rng.random_range(0..WORKERS);
                self.machines().workers[n].cut();
                tokio::time::sleep(PAST_THE_TTL).await;
                self.machines().workers[n].mend();
            }
            _ => {
                let node = self.nodes.leader().await;
                self.machines().etcd[node].cut();
                tokio::time::sleep(PAST_THE_TTL).await;
                assert!(!self.nodes.answers(node).await, "nobody hears it");
                self.machines().etcd[node].mend();
            }
        }
    }
}

fn leads(head: &Head) -> bool {
    head.is_running() && http(head.address(), "/readyz", None).starts_with("HTTP/1.1 200")
}
