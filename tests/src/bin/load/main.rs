//! How much a coordinator takes: `cargo run --release -p ar-tests --bin load -- [--json]`.
//!
//! Experiments that run nothing, granted and completed over real gRPC by workers that are tasks of this process; every grant and
//! every result is durable before it is told. The plans cost nothing, so that what is measured is leasing, not searching.

mod planner;
mod restart;
mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::StudyId;
use ar_coordinator::actor::{self, Handle};
use ar_coordinator::journal::RedbJournal;
use ar_coordinator::{listener, rpc};
use ar_core::{Input, Timing};
use ar_net::{Access, BlobStore, Dial, Role, Token};
use ar_tests::figures::{Figures, quantile};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;

use planner::Enumerate;
use worker::{Pace, Worker};

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
}

/// Workers that are connected and have nothing to do.
const IDLE: usize = 1_000;

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
    figures.note("cycles at full speed ...");
    let full = cycles(args, Pace::Full).await?;
    let peers =
        [("Optuna journal", 62.0), ("HyperQueue, not durable", 10_000.0), ("Ray, not durable", 500.0)];
    figures.tell(
        "durable lease + complete cycles, embedded store",
        full.per_second,
        "1/s",
        ">= 10000",
        &peers,
    );
    figures.note("latency at half of that ...");
    let half = cycles(args, Pace::PerSecond(full.per_second / 2.0)).await?;
    figures.tell("rate of the latency figures", half.per_second, "1/s", "", &[]);
    let mut latencies = half.latencies_ms;
    figures.tell("complete to acknowledgement, p50", quantile(&mut latencies, 0.5), "ms", "", &[]);
    figures.tell("complete to acknowledgement, p99", quantile(&mut latencies, 0.99), "ms", "< 10", &[]);
    figures.note(&format!("{IDLE} workers that wait ..."));
    idle(args, figures).await?;
    figures.note(&format!("{} experiments in one study, and a restart ...", args.experiments));
    restart::measure(args.experiments, figures).await
}

/// A coordinator in this process, on a real socket, over the embedded store.
struct Cluster {
    handle: Handle,
    dial: Dial,
    token: Token,
    study: StudyId,
    stop: watch::Sender<bool>,
    actor: tokio::task::JoinHandle<Result<(), actor::ActorError>>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let store = folder.path().join("store");
        let journal = RedbJournal::open(&store, 1)?;
        let blobs = BlobStore::open(&store.join("blobs"))?;
        let access = Access::open(&store.join("tokens"))?;
        let token = Token::load(&access.file(Role::Worker))?;
        let planner = Arc::new(Enumerate::default());
        let (handle, actor) = actor::start_with(Box::new(journal), Timing::default(), planner).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let dial = Dial::local(format!("http://{}", listener.local_addr()?));
        let (stop, stopped) = watch::channel(false);
        let routes = rpc::services(handle.clone(), blobs.into(), access, folder.path().to_owned());
        tokio::spawn(listener::serve(listener, None, watch::channel(routes).1, stopped));
        let spec = planner::study();
        let study = spec.id();
        handle.input(Input::Submit { spec: Box::new(spec), tree: ar_common::Digest::of(b"none") }).await?;
        Ok(Self { handle, dial, token, study, stop, actor, _folder: folder })
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
    latencies_ms: Vec<f64>,
}

async fn cycles(args: &Args, pace: Pace) -> Result<Cycles, Failure> {
    let cluster = Cluster::start().await?;
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
    let mut latencies_ms = Vec::new();
    for worker in workers {
        latencies_ms.extend(worker.await??);
    }
    cluster.end().await?;
    if latencies_ms.is_empty() {
        return Err("nothing was completed".into());
    }
    Ok(Cycles { per_second: (after - before) as f64 / seconds, latencies_ms })
}

/// Experiments that are done and durable.
async fn ended(handle: &Handle) -> Result<usize, Failure> {
    Ok(handle.ask(|state, _| state.experiments.iter().filter(|e| !e.is_pending()).count()).await?)
}

/// Workers that hold a connection and send their heartbeats.
async fn idle(args: &Args, figures: &Figures) -> Result<(), Failure> {
    let cluster = Cluster::start().await?;
    let (stop, stopped) = watch::channel(false);
    let workers = (0..IDLE).map(|n| {
        let worker = Worker::new(n, 0, Pace::Full, cluster.study.clone());
        tokio::spawn(worker.run(cluster.dial.clone(), cluster.token.clone(), stopped.clone()))
    });
    let workers: Vec<_> = workers.collect();
    let began = Instant::now();
    while cluster.handle.ask(|_, live| live.workers.len()).await? < IDLE {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("not all of the workers connect".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connected = began.elapsed().as_secs_f64();
    let before = cpu(Path::new("/proc/self/stat"))?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(args.seconds.max(20))).await;
    let used = (cpu(Path::new("/proc/self/stat"))? - before) / began.elapsed().as_secs_f64();
    figures.tell(&format!("time until {IDLE} workers are connected"), connected, "s", "", &[]);
    // Both ends are in this process, so this is above what the coordinator takes.
    figures.tell(
        &format!("processor for {IDLE} idle workers, with the workers' own"),
        used,
        "cores",
        "< 0.1",
        &[],
    );
    let _ = stop.send(true);
    for worker in workers {
        worker.await??;
    }
    cluster.end().await
}

/// Processor seconds of this process.
fn cpu(stat: &Path) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(stat)?;
    let (_, rest) = text.rsplit_once(')').ok_or("no such form of /proc/self/stat")?;
    // User and system time: fields 14 and 15, in ticks of a hundredth of a second.
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}
