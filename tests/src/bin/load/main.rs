//! How much a coordinator takes: `cargo run --release -p ar-tests --bin load -- [--json]`.
//!
//! Experiments that run nothing, granted and completed over real gRPC by workers that are tasks of this process; every grant and
//! every result is durable before it is told. The plans cost nothing, so that what is measured is leasing, not searching.

mod crowd;
mod idle;
mod machine;
mod peers;
mod planner;
mod restart;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::StudyId;
use ar_coordinator::actor::{self, Handle};
use ar_coordinator::election::{Candidate, ElectionSettings, Leadership};
use ar_coordinator::journal::{EtcdJournal, Journal, RedbJournal, Snapshots};
use ar_coordinator::{listener, rpc};
use ar_core::{Input, Timing};
use ar_net::{Access, BlobStore, Dial, Role, Token};
use ar_tests::etcd::Nodes;
use ar_tests::figures::{Figures, quantile};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;

use machine::Probe;
use planner::Enumerate;
use worker::{Pace, Wait, Worker};

/// How much a coordinator takes
#[derive(Debug, Parser)]
struct Args {
    /// Print one JSON object per figure
    #[arg(long)]
    json: bool,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Workers that complete
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Slots of each
    #[arg(long, default_value_t = 16)]
    slots: u32,
    /// Experiments of the study of the memory and restart figures
    #[arg(long, default_value_t = 200_000)]
    experiments: u64,
    /// Only these: cycles, etcd, idle, waiting, restart, peers
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
    /// What this program starts itself for a figure of memory
    #[arg(long, hide = true)]
    replay: Option<PathBuf>,
    /// And for one of workers that wait: so many, at an address, with a token
    #[arg(long, hide = true, requires_all = ["url", "token_file"])]
    crowd: Option<usize>,
    #[arg(long, hide = true)]
    url: Option<String>,
    #[arg(long, hide = true)]
    token_file: Option<PathBuf>,
}

impl Args {
    fn measures(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// Cycles in a second that are asked for; latencies are measured at half of it.
const GOAL: f64 = 10_000.0;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    ar_net::descriptors::raise_limit();
    let figures = Figures::new(args.json);
    match measure(&args, &figures).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            figures.note(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn measure(args: &Args, figures: &Figures) -> Result<(), Failure> {
    if let Some(folder) = &args.replay {
        return restart::replay(folder);
    }
    if let (Some(count), Some(url), Some(token)) = (args.crowd, &args.url, &args.token_file) {
        return crowd::stay(count, url.clone(), token.clone()).await;
    }
    if args.measures("peers") {
        peers::measure(args.seconds, figures)?;
    }
    if args.measures("cycles") {
        embedded(args, figures).await?;
    }
    if args.measures("etcd") {
        figures.note("cycles over three nodes of etcd on this machine ...");
        let nodes = Nodes::start(3).await;
        let etcd = cycles(Cluster::over_etcd(&nodes).await?, args, Pace::Full).await?;
        figures.tell(
            "durable lease + complete cycles, three nodes of etcd",
            etcd.per_second,
            "1/s",
            ">= 1000",
            &[],
        );
    }
    if args.measures("idle") {
        figures.note("experiments of a second on 16 slots ...");
        idle::between_runs(args.seconds, figures).await?;
    }
    if args.measures("waiting") {
        for (count, goal) in [(1_000, "< 0.1"), (10_000, "")] {
            figures.note(&format!("{count} workers that wait ..."));
            idle::waiting(count, goal, args.seconds, figures).await?;
        }
    }
    if args.measures("restart") {
        figures.note(&format!("{} experiments in one study, and a restart ...", args.experiments));
        restart::measure(args.experiments, figures).await?;
    }
    Ok(())
}

async fn embedded(args: &Args, figures: &Figures) -> Result<(), Failure> {
    figures.note("cycles at full speed ...");
    let full = cycles(Cluster::start().await?, args, Pace::Full).await?;
    let peers = [("HyperQueue, not durable, published", 10_000.0), ("Ray, not durable, published", 500.0)];
    figures.tell(
        "durable lease + complete cycles, embedded store",
        full.per_second,
        "1/s",
        ">= 10000",
        &peers,
    );
    figures.note("latency at half of the goal ...");
    let rate = f64::min(full.per_second, GOAL) / 2.0;
    let probe = Probe::start();
    let half = cycles(Cluster::start().await?, args, Pace::PerSecond(rate)).await?;
    let speed = probe.end();
    figures.tell("rate of the latency figures", half.per_second, "1/s", "", &[]);
    let mut all: Vec<f64> = half.waits.iter().map(Wait::ms).collect();
    figures.tell("complete to acknowledgement, p50", quantile(&mut all, 0.5), "ms", "", &[]);
    figures.tell("complete to acknowledgement, p99", quantile(&mut all, 0.99), "ms", "< 10", &[]);
    figures.note(
        "a small calculation on a thread beside tells how the machine itself kept its speed meanwhile:",
    );
    figures.tell("the calculation, p50", speed.p50_ms, "ms", "", &[]);
    figures.tell("the calculation, p99", speed.p99_ms, "ms", "", &[]);
    let calm = half.waits.iter().filter(|wait| !speed.was_slow(wait.from, wait.to));
    let mut calm: Vec<f64> = calm.map(Wait::ms).collect();
    let share = 1.0 - calm.len() as f64 / all.len() as f64;
    figures.tell("results in whose time it took more than three times as long", share, "", "", &[]);
    figures.tell("p99 without those", quantile(&mut calm, 0.99), "ms", "", &[]);
    Ok(())
}

/// A coordinator in this process, on a real socket, over a real store.
struct Cluster {
    handle: Handle,
    dial: Dial,
    token: Token,
    token_file: PathBuf,
    study: StudyId,
    stop: watch::Sender<bool>,
    actor: tokio::task::JoinHandle<Result<(), actor::ActorError>>,
    _leadership: Option<Leadership>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Over a store in a folder.
    async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let journal = RedbJournal::open(&folder.path().join("store"), 1)?;
        Self::over(Box::new(journal), folder, None).await
    }

    /// Over etcd.
    async fn over_etcd(nodes: &Nodes) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let etcd = nodes.connect().await;
        let leadership = Candidate::new(&etcd, ElectionSettings::new("http://bench")).campaign().await?;
        let snapshots = Snapshots::of(&folder.path().join("store"));
        let journal = EtcdJournal::open(&etcd, &leadership, &snapshots, None).await?;
        Self::over(Box::new(journal), folder, Some(leadership)).await
    }

    async fn over(
        journal: Box<dyn Journal>,
        folder: tempfile::TempDir,
        leadership: Option<Leadership>,
    ) -> Result<Self, Failure> {
        let store = folder.path().join("store");
        let blobs = BlobStore::open(&store.join("blobs"))?;
        let access = Access::open(&store.join("tokens"))?;
        let token_file = access.file(Role::Worker);
        let token = Token::load(&token_file)?;
        let planner = Arc::new(Enumerate::default());
        let (handle, actor) = actor::start_with(journal, Timing::default(), planner).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let dial = Dial::local(format!("http://{}", listener.local_addr()?));
        let (stop, stopped) = watch::channel(false);
        let routes = rpc::services(handle.clone(), blobs.into(), access, folder.path().to_owned());
        tokio::spawn(listener::serve(listener, None, watch::channel(routes).1, stopped));
        let spec = planner::study();
        let study = spec.id();
        handle.input(Input::Submit { spec: Box::new(spec), tree: ar_common::Digest::of(b"none") }).await?;
        Ok(Self {
            handle,
            dial,
            token,
            token_file,
            study,
            stop,
            actor,
            _leadership: leadership,
            _folder: folder,
        })
    }

    async fn end(self) -> Result<(), Failure> {
        let _ = self.stop.send(true);
        self.handle.stop().await;
        Ok(self.actor.await??)
    }
}

/// What came of a measurement.
struct Cycles {
    per_second: f64,
    waits: Vec<Wait>,
}

async fn cycles(cluster: Cluster, args: &Args, pace: Pace) -> Result<Cycles, Failure> {
    let (stop, stopped) = watch::channel(false);
    let pace = pace.shared_by(args.workers);
    let workers = (0..args.workers).map(|n| {
        let worker = Worker::new(n, args.slots, pace, cluster.study.clone());
        tokio::spawn(worker.run(cluster.dial.clone(), cluster.token.clone(), stopped.clone()))
    });
    let workers: Vec<_> = workers.collect();
    // What is first is not what lasts: connections, the base that runs alone, empty queues.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = ended(&cluster.handle).await?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let after = ended(&cluster.handle).await?;
    let seconds = began.elapsed().as_secs_f64();
    let _ = stop.send(true);
    let mut waits = Vec::new();
    for worker in workers {
        waits.extend(worker.await??);
    }
    cluster.end().await?;
    if waits.is_empty() {
        return Err("nothing was completed".into());
    }
    Ok(Cycles { per_second: (after - before) as f64 / seconds, waits })
}

/// Experiments that are done and durable.
async fn ended(handle: &Handle) -> Result<usize, Failure> {
    Ok(handle.ask(|state, _| state.experiments.iter().filter(|e| !e.is_pending()).count()).await?)
}

/// Processor seconds of this process.
fn cpu(stat: &Path) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(stat)?;
    let (_, rest) = text.rsplit_once(')').ok_or("no such form of /proc/self/stat")?;
    // User and system time: fields 14 and 15, in ticks of a hundredth of a second.
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}
