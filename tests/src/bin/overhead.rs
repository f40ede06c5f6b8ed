//! What the system costs beside the experiments themselves:
//! `cargo run --release -p ar-tests --bin overhead -- [--json]`.
//!
//! The first figures are of pipelines that do nothing, so that all time is ours: fork, frames, gRPC,
//! durable records, planning. The others are of the program as a user runs it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ar_coordinator::actor::{Event, unseen};
use ar_core::Record;
use ar_tests::cluster::{Cluster, Model};
use ar_tests::figures::{Figures, quantile};
use ar_tests::processes;
use ar_tests::run::{self, Running, is_experiment};

const SLOTS: u32 = 2;
const NO_OPS: usize = 240;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let figures = Figures::from_args();
    figures.note("no-op pipelines ...");
    no_op(&figures).await;
    figures.note("60 experiments on heart-statlog ...");
    tokio::task::block_in_place(|| heart(&figures));
}

/// A model whose evaluation does nothing: in its child, fitting and predicting are replaced.
fn no_ops() -> Vec<Model> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    (0..NO_OPS)
        .map(|n| {
            let mut code = String::from("from ar_runner import evaluate\nfrom sklearn.dummy import DummyClassifier\n\n");
            // Each has a matrix hash of its own, or the worker would call them duplicates.
            let _ = write!(
                code,
                "\ndef nothing(pipeline, X, y, X_test, *_, on_matrix=None, on_fitted=None):\n    import numpy as np\n    if on_matrix:\n        on_matrix(np.array([[{n}.0]]), np.array([[{n}.0]]))\n    if on_fitted:\n        on_fitted()\n    return np.zeros(len(X_test), dtype=int), None\n\n\ndef make(context):\n    evaluate.fit_and_predict = nothing\n    return DummyClassifier()\n"
            );
            Model { name: leak(format!("noop{n}")), code: leak(code) }
        })
        .collect()
}

async fn no_op(figures: &Figures) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let rounds = (NO_OPS / 15 * 2).to_string();
    let study = cluster
        .submit(&[&heart.to_string_lossy(), "--rounds", &rounds, "--holdout", "none"], &no_ops())
        .await;
    let Ok((mut state, mut events)) = cluster.handle.watch().await else {
        return;
    };
    let _worker = cluster.worker("one", SLOTS);
    let (mut ends, mut spent, mut before) = (Vec::new(), Vec::new(), Cpu::default());
    while ends.len() < NO_OPS {
        let Ok(event) = events.recv().await else { break };
        let Event::Records(first, records) = event else {
            continue;
        };
        let new = unseen(&state, first, &records).to_vec();
        for record in &new {
            state.apply(record);
            let Record::Done { outcome, .. } = record else {
                continue;
            };
            ends.push(Instant::now());
            if ends.len() == 1 {
                before = Cpu::of(folder.path());
            }
            spent.extend(outcome.measures().map(|measures| measures.seconds * 1e3));
        }
        if state.studies.get(&study).is_some_and(|study| study.is_finished()) {
            break;
        }
    }
    let after = Cpu::of(folder.path());
    // How long a slot takes from one end to its next; the first few fill the pipeline.
    let slots = SLOTS as usize;
    let mut turns: Vec<f64> = ends
        .iter()
        .zip(ends.iter().skip(slots))
        .skip(20)
        .map(|(earlier, later)| later.duration_since(*earlier).as_secs_f64() * 1e3)
        .collect();
    let inside = quantile(&mut spent, 0.5);
    let done = spent.len() as f64 / ends.len().max(1) as f64;
    figures.tell("no-op experiments that ended with a score", done * 100.0, "%", "= 100", &[]);
    figures.tell(
        "overhead per experiment, 2 slots, p50",
        quantile(&mut turns, 0.5) - inside,
        "ms",
        "< 15",
        &[("fresh process", 1280.0)],
    );
    figures.tell("overhead per experiment, 2 slots, p95", quantile(&mut turns, 0.95) - inside, "ms", "", &[]);
    let all = ends
        .first()
        .zip(ends.last())
        .map_or(f64::NAN, |(first, last)| last.duration_since(*first).as_secs_f64());
    figures.tell("no-op experiments per second, 2 slots", ends.len() as f64 / all, "1/s", "", &[]);
    let per_experiment = |seconds: f64| seconds * 1e3 / (ends.len() as f64 - 1.0);
    for (name, after, before) in [
        ("coordinator and bench", after.own, before.own),
        ("worker", after.worker, before.worker),
        ("fork server", after.server, before.server),
        ("child", after.children, before.children),
    ] {
        figures.tell(
            &format!("processor time per no-op experiment: {name}"),
            per_experiment(after - before),
            "ms",
            "",
            &[],
        );
    }
}

/// Processor seconds used so far.
#[derive(Default)]
struct Cpu {
    own: f64,
    worker: f64,
    server: f64,
    children: f64,
}

impl Cpu {
    fn of(folder: &Path) -> Self {
        let mut cpu = Self::default();
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        cpu.own = processes::cpu_seconds(pid).map_or(0.0, |(own, _)| own);
        let all = processes::of(folder);
        let workers: Vec<i32> =
            all.iter().filter(|p| p.command.contains(" worker --coordinator")).map(|p| p.pid).collect();
        for process in &all {
            let Some((own, children)) = processes::cpu_seconds(process.pid) else { continue };
            if workers.contains(&process.pid) {
                cpu.worker += own;
            } else if workers.contains(&process.parent) {
                cpu.server += own;
                cpu.children += children;
            }
        }
        cpu
    }
}

/// The program on heart-statlog with the environment there: three runs, medians.
fn heart(figures: &Figures) {
    let (mut whole, mut first, mut peaks) = (Vec::new(), Vec::new(), BTreeMap::<&str, Vec<f64>>::new());
    for seed in ["0", "1", "2"] {
        let Ok(folder) = tempfile::tempdir() else { return };
        let out = folder.path().join("out");
        let heart = run::example("heart-statlog.csv");
        let began = Instant::now();
        let arguments = [
            "run",
            &heart.to_string_lossy(),
            "--out",
            &out.to_string_lossy(),
            "--slots",
            "2",
            "--seed",
            seed,
        ];
        let mut running = Running::start(&arguments);
        let watch = MemoryWatch::start(&out);
        running.until(is_experiment);
        first.push(began.elapsed().as_secs_f64());
        let (code, said) = running.end();
        if code != Some(0) {
            figures.note(&format!("a run failed: {said}"));
            return;
        }
        whole.push(began.elapsed().as_secs_f64());
        for (name, bytes) in watch.end() {
            peaks.entry(name).or_default().push(bytes as f64 / f64::from(1 << 20));
        }
    }
    figures.tell(
        "60 experiments on heart-statlog, median of 3 seeds",
        quantile(&mut whole, 0.5),
        "s",
        "< 20",
        &[],
    );
    figures.tell("time to the first result", quantile(&mut first, 0.5), "s", "", &[]);
    for (name, mut peaks) in peaks {
        figures.tell(&format!("peak memory of the {name}"), quantile(&mut peaks, 1.0), "MiB", "", &[]);
    }
}

/// Looks at the memory of a run's processes while it lasts.
struct MemoryWatch {
    over: Arc<AtomicBool>,
    watch: std::thread::JoinHandle<BTreeMap<&'static str, u64>>,
}

impl MemoryWatch {
    fn start(out: &Path) -> Self {
        let (over, out) = (Arc::new(AtomicBool::new(false)), out.to_owned());
        let stop = Arc::clone(&over);
        let watch = std::thread::spawn(move || {
            let mut peaks = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let all = processes::of(&out);
                for process in &all {
                    let by_server =
                        all.iter().any(|p| p.pid == process.parent && p.command.contains("ar_runner serve"));
                    let name = match process.command.as_str() {
                        command if command.contains("ar_runner serve") && by_server => "largest child",
                        command if command.contains("ar_runner serve") => "fork server",
                        command if command.contains(" worker --coordinator") => "worker",
                        command if command.contains(" run ") => "coordinator",
                        _ => continue,
                    };
                    let peak = peaks.entry(name).or_insert(0);
                    *peak = processes::peak_memory(process.pid).unwrap_or(0).max(*peak);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            peaks
        });
        Self { over, watch }
    }

    fn end(self) -> BTreeMap<&'static str, u64> {
        self.over.store(true, Ordering::Relaxed);
        self.watch.join().unwrap_or_default()
    }
}
