//! What stands still: workers without work, and slots between two runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ar_tests::figures::{Figures, quantile};
use tokio::sync::watch;

use crate::worker::{Pace, Worker};
use crate::{Cluster, Failure, Way, cpu};

/// How long workers may take to connect.
const CONNECT: Duration = Duration::from_secs(120);
/// Slots, and seconds of a run, of the figure of idle slots.
const SLOTS: u32 = 16;
const RUN: Duration = Duration::from_secs(1);

/// Workers that hold a connection and send their heartbeats.
pub(crate) async fn waiting(
    count: usize,
    goal: &str,
    seconds: u64,
    figures: &Figures,
) -> Result<(), Failure> {
    let cluster = Cluster::start().await?;
    let (stop, stopped) = watch::channel(false);
    let again = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> =
        (0..count).map(|n| tokio::spawn(stays(n, cluster.way(), stopped.clone(), again.clone()))).collect();
    let began = Instant::now();
    let connected = || async { cluster.handle.ask(|_, live| live.workers.len()).await };
    while connected().await? < count {
        if began.elapsed() > CONNECT {
            return Err(format!("only {} of {count} workers connect", connected().await?).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figures.tell(
        &format!("time until {count} workers are connected"),
        began.elapsed().as_secs_f64(),
        "s",
        "",
        &[],
    );
    let came_again = again.load(Ordering::Relaxed);
    figures.note(&format!("tries that failed until then, and were made again: {came_again}"));
    let before = cpu(Path::new("/proc/self/stat"))?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds.max(20))).await;
    let used = (cpu(Path::new("/proc/self/stat"))? - before) / began.elapsed().as_secs_f64();
    // Both ends are in this process, so this is above what the coordinator takes.
    let figure = format!("processor for {count} idle workers, with the workers' own");
    figures.tell(&figure, used, "cores", goal, &[]);
    let stay = connected().await?;
    figures.tell(&format!("of {count} workers that stay connected"), stay as f64, "", "", &[]);
    let lost = again.load(Ordering::Relaxed) - came_again;
    figures.tell(
        &format!("connections of {count} workers that were lost meanwhile"),
        lost as f64,
        "",
        "",
        &[],
    );
    let _ = stop.send(true);
    for worker in workers {
        worker.await?;
    }
    cluster.end().await
}

/// A worker that comes again whenever its connection fails, as real ones do.
async fn stays(n: usize, way: Way, stop: watch::Receiver<bool>, again: Arc<AtomicUsize>) {
    let Way { dial, token, study } = way;
    while !*stop.borrow() {
        let worker = Worker::new(n, 0, Pace::Full, study.clone());
        if worker.run(dial.clone(), token.clone(), stop.clone()).await.is_err() && !*stop.borrow() {
            again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(rand::random_range(50..1_000))).await;
        }
    }
}

/// Runs of a second, as on a GPU: how long a slot waits from the end of one to the grant of the next.
pub(crate) async fn between_runs(seconds: u64, figures: &Figures) -> Result<(), Failure> {
    let cluster = Cluster::start().await?;
    let (stop, stopped) = watch::channel(false);
    let worker = Worker::new(0, SLOTS, Pace::Runs(RUN), cluster.study.clone());
    let worker = tokio::spawn(worker.run(cluster.dial.clone(), cluster.token.clone(), stopped));
    tokio::time::sleep(Duration::from_secs(seconds.max(10))).await;
    let _ = stop.send(true);
    let mut idle_ms = worker.await??;
    cluster.end().await?;
    let count = idle_ms.len();
    if count < 2 * SLOTS as usize {
        return Err(format!("only {count} runs followed another").into());
    }
    figures.tell("idle between runs of 1 s on 16 slots, p50", quantile(&mut idle_ms, 0.5), "ms", "", &[]);
    figures.tell(
        "idle between runs of 1 s on 16 slots, p95",
        quantile(&mut idle_ms, 0.95),
        "ms",
        "< 250",
        &[],
    );
    Ok(())
}
