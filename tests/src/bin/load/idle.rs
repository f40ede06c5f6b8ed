//! What stands still: workers without work, and slots between two runs.

use std::path::Path;
use std::time::{Duration, Instant};

use ar_tests::figures::{Figures, quantile};
use tokio::sync::watch;

use crate::crowd::Crowd;
use crate::worker::{Pace, Wait, Worker};
use crate::{Cluster, Failure, cpu};

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
    let mut crowd = Crowd::start(count, &cluster.dial.urls[0], &cluster.token_file)?;
    let began = Instant::now();
    let connected = || async { cluster.handle.ask(|_, live| live.workers.len()).await };
    while connected().await? < count {
        if began.elapsed() > CONNECT {
            let (there, failed) = (connected().await?, crowd.failed().await?);
            return Err(format!("only {there} of {count} workers connect; {failed} tries failed").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed().as_secs_f64();
    figures.tell(&format!("time until {count} workers are connected"), took, "s", "", &[]);
    let failed = crowd.failed().await?;
    figures.note(&format!("{failed} tries failed until then, and were made again"));
    let used = || -> Result<(f64, f64), Failure> { Ok((cpu(Path::new("/proc/self/stat"))?, crowd.cpu()?)) };
    let (before, began) = (used()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds.max(20))).await;
    let (after, seconds) = (used()?, began.elapsed().as_secs_f64());
    let cores = |before: f64, after: f64| (after - before) / seconds;
    let figure = format!("processor of a coordinator with {count} idle workers");
    figures.tell(&figure, cores(before.0, after.0), "cores", goal, &[]);
    figures.note(&format!("the workers' own, all together: {:.3} cores", cores(before.1, after.1)));
    let stay = connected().await?;
    figures.tell(&format!("of {count} workers that stay connected"), stay as f64, "", "", &[]);
    let lost = crowd.failed().await? - failed;
    figures.tell(
        &format!("connections of {count} workers that were lost meanwhile"),
        lost as f64,
        "",
        "",
        &[],
    );
    crowd.end().await?;
    cluster.end().await
}

/// Runs of a second, as on a GPU: how long a slot waits from the end of one to the grant of the next.
pub(crate) async fn between_runs(seconds: u64, figures: &Figures) -> Result<(), Failure> {
    let cluster = Cluster::start().await?;
    let (stop, stopped) = watch::channel(false);
    let worker = Worker::new(0, SLOTS, Pace::Runs(RUN), cluster.study.clone());
    let worker = tokio::spawn(worker.run(cluster.dial.clone(), cluster.token.clone(), stopped));
    tokio::time::sleep(Duration::from_secs(seconds.max(10))).await;
    let _ = stop.send(true);
    let mut idle_ms: Vec<f64> = worker.await??.iter().map(Wait::ms).collect();
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
