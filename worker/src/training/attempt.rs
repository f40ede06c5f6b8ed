//! One training run: a copy of the project, its command under a supervisor, its output read as it passes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{Grant, LeaseRef};
use ar_common::{Measures, Outcome};
use ar_net::BlobStore;
use ar_worker_core::Input;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::curve::{Curve, course};
use super::folder::{self, Unmade, checked, laid_out};
use super::kept::{self, Kept};
use super::live::Live;
use super::summary::Reader;
use super::variables::environment;
use super::{Project, checkpoints};
use crate::attempt::StopOrder;
use crate::cache::Source;
use crate::capacity::Capacity;
use crate::gpu::{self, Gpus, InUse};
use crate::output::Bounded;
use crate::process::Seen;
use crate::session::WorkerError;
use crate::{process, supervise};

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long a script may linger after its summary before it is ended; its result counts.
const LINGER: Duration = Duration::from_secs(30);
/// The figure that holds what the script said itself, where another process measured it again.
const SELF_REPORTED: &str = "self_reported";
/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;

/// What an attempt needs beside its grant.
pub(crate) struct Surroundings {
    pub(crate) project: Arc<Project>,
    /// A folder of its own, removed afterwards.
    pub(crate) folder: PathBuf,
    pub(crate) blobs: BlobStore,
    /// Bytes it may take when the study names no limit.
    pub(crate) memory: u64,
    /// What starts a supervisor, before the command that it is to run.
    pub(crate) supervisor: Vec<OsString>,
    /// Where its folder goes if it fails.
    pub(crate) kept: Option<Kept>,
    /// Whether there is enough of what it needs.
    pub(crate) capacity: Arc<Capacity>,
    /// What it may be pinned to.
    pub(crate) gpus: Arc<Gpus>,
    /// From where a checkpoint comes.
    pub(crate) source: Source,
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
    /// Takes what the worker cannot go on after.
    pub(crate) faults: mpsc::UnboundedSender<WorkerError>,
}

/// The orders to end an attempt, and what was ordered.
pub(super) struct Stops {
    orders: mpsc::UnboundedReceiver<StopOrder>,
    last: Option<StopOrder>,
}

impl Stops {
    async fn recv(&mut self) -> Option<StopOrder> {
        let order = self.orders.recv().await;
        self.last = order.or(self.last);
        order
    }

    /// The last order, if there was one.
    pub(super) fn last(&self) -> Option<StopOrder> {
        self.last
    }
}

/// Runs an attempt to its end and reports it.
pub(crate) async fn run(
    grant: Grant,
    surroundings: Surroundings,
    orders: mpsc::UnboundedReceiver<StopOrder>,
) {
    let mut stops = Stops { orders, last: None };
    let (lease, inputs, folder) = (grant.lease, surroundings.inputs.clone(), surroundings.folder.clone());
    let made = match laid_out(&grant, &surroundings).await {
        Ok(()) => checkpoints::bring(&grant, &surroundings).await,
        unmade => unmade,
    };
    let outcome = match made {
        Ok(()) => on_its_gpus(&grant, &surroundings, &mut stops).await,
        Err(Unmade::Full(fault)) => {
            // Not a result of this experiment: it runs again elsewhere, or here when there is space.
            let _ = surroundings.faults.send(fault);
            return;
        }
        Err(Unmade::NoSpace) => {
            // Nor is this, and where the worker takes nothing more it need not end.
            folder::left(grant, folder, None).await;
            let _ = inputs.send(Input::NoSpace { lease });
            return;
        }
        Err(Unmade::Unready(why)) => {
            // Nor is this: what it would read is not what the study is about.
            let _ = inputs.send(Input::Unready { lease, why });
            return;
        }
        Err(Unmade::Never(reason)) => Outcome::Crashed { reason },
        Err(Unmade::Elsewhere(why)) => {
            let _ = inputs.send(Input::Lost { lease, why });
            return;
        }
    };
    let outcome = checkpoints::keep(&grant, &surroundings, outcome).await;
    let kept = surroundings.kept.filter(|kept| kept.wants(&outcome, &stops));
    folder::left(grant, folder, kept).await;
    // The session outlives its attempts, unless the process is ending.
    let _ = inputs.send(Input::Ended { lease, outcome });
}

/// Holds GPUs for as long as the run may use them.
async fn on_its_gpus(grant: &Grant, surroundings: &Surroundings, stops: &mut Stops) -> Outcome {
    let in_use = tokio::select! {
        in_use = surroundings.gpus.begin(&grant.devices) => in_use,
        Some(_) = stops.recv() => {
            return Outcome::Crashed { reason: "it was ended while it waited for a GPU".to_owned() };
        }
    };
    let _ = surroundings.inputs.send(Input::Started { lease: grant.lease });
    let outcome = trained(grant, surroundings, &in_use, stops).await;
    in_use.end(outcome).await
}

/// Trains, and evaluates what was trained where the study has a command for that.
async fn trained(grant: &Grant, surroundings: &Surroundings, in_use: &InUse, stops: &mut Stops) -> Outcome {
    let training = &surroundings.project.job.training;
    let curve = Curve::new(training.budget_seconds);
    let outcome = ended(grant, surroundings, in_use, (&training.command, Some(curve)), stops).await;
    let outcome = checked(grant, surroundings, outcome).await;
    let (Outcome::Done(trained), Some(command)) = (&outcome, &training.evaluate) else {
        return outcome;
    };
    if stops.last().is_some() {
        // Its time is over, and no second order will come: what is started now nobody would end.
        return Outcome::Crashed { reason: "it was ended before it was evaluated".to_owned() };
    }
    let evaluated = ended(grant, surroundings, in_use, (command, None), stops).await;
    match checked(grant, surroundings, evaluated).await {
        Outcome::Done(evaluated) => Outcome::Done(verified(trained.clone(), evaluated)),
        Outcome::Crashed { reason } => Outcome::Crashed { reason: format!("--evaluate {reason}") },
        Outcome::NoMetric { reason } => Outcome::NoMetric { reason: format!("--evaluate: {reason}") },
        other => other,
    }
}

/// What was trained, with the score of who evaluated it.
fn verified(trained: Measures, evaluated: Measures) -> Measures {
    let mut figures = trained.figures.unwrap_or_default();
    figures.extend(evaluated.figures.map(|figures| *figures).unwrap_or_default());
    figures.extend(trained.score.map(|score| (SELF_REPORTED.to_owned(), score)));
    Measures {
        score: evaluated.score,
        folds: evaluated.folds,
        seconds: trained.seconds + evaluated.seconds,
        peak_memory: trained.peak_memory.max(evaluated.peak_memory),
        course: trained.course,
        figures: Some(figures),
        ..Measures::default()
    }
}

/// Runs one command to its end.
async fn ended(
    grant: &Grant,
    surroundings: &Surroundings,
    in_use: &InUse,
    command: (&str, Option<Curve>),
    stops: &mut Stops,
) -> Outcome {
    match Attempt::start(grant, surroundings, in_use, command) {
        Ok(attempt) => attempt.watch(in_use, stops).await,
        Err(error) => Outcome::Crashed { reason: format!("the command could not be started: {error}") },
    }
}

struct Attempt {
    began: Instant,
    /// Bytes that all its processes together may hold.
    memory: u64,
    supervisor: Child,
    /// Open for as long as the run is wanted.
    hand: Option<ChildStdin>,
    pid: Option<i32>,
    folder: PathBuf,
    /// Whether what it says is to be written to its folder.
    keeps: bool,
    /// What was below the supervisor when that was last looked at.
    seen: BTreeSet<Seen>,
    output: pipe::Receiver,
    lease: LeaseRef,
    inputs: mpsc::UnboundedSender<Input>,
    /// The loss while it trains, and how many of its points were told.
    curve: Option<Curve>,
    told: u32,
    /// What was told for whoever watches.
    live: Live,
    reader: Reader,
    said: Bounded,
    peak_memory: u64,
    over_memory: bool,
    kill_at: Option<Instant>,
}

impl Attempt {
    fn start(
        grant: &Grant,
        surroundings: &Surroundings,
        in_use: &InUse,
        (shell, curve): (&str, Option<Curve>),
    ) -> io::Result<Self> {
        let Surroundings { project, folder, memory, supervisor, .. } = surroundings;
        let (program, arguments) = supervisor.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (read, write) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments).arg("--").args(["sh", "-c", shell]);
        command.env_clear().envs(environment(project, grant, folder)).current_dir(folder);
        // By UUID, and never what this process was told, which are all of them.
        command.envs(in_use.visible().map(|devices| (gpu::VISIBLE, devices)));
        command.stdin(Stdio::piped()).stdout(write.try_clone()?).stderr(write);
        let mut supervisor = command.spawn()?;
        // The write ends that this process still has would keep the stream from ending.
        drop(command);
        let hand = supervisor.stdin.take();
        let pid = supervisor.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            began: Instant::now(),
            memory: grant.memory.unwrap_or(*memory),
            supervisor,
            hand,
            pid,
            folder: folder.clone(),
            keeps: surroundings.kept.is_some(),
            seen: BTreeSet::new(),
            output: pipe::Receiver::from_owned_fd(OwnedFd::from(read))?,
            lease: grant.lease,
            inputs: surroundings.inputs.clone(),
            curve,
            told: 0,
            live: Live::default(),
            reader: Reader::new(&project.job.metric.name, project.regex.clone()),
            said: Bounded::default(),
            peak_memory: 0,
            over_memory: false,
            kill_at: None,
        })
    }

    async fn watch(mut self, in_use: &InUse, stops: &mut Stops) -> Outcome {
        let lost = in_use.lost();
        tokio::pin!(lost);
        let mut is_lost = false;
        let mut sample = tokio::time::interval(SAMPLE);
        let mut bytes = vec![0; 64 * 1024];
        let mut open = true;
        loop {
            let kill_at = self.kill_at;
            tokio::select! {
                ended = self.supervisor.wait() => {
                    let seconds = self.began.elapsed().as_secs_f64();
                    self.end_orphans(&ended).await;
                    self.drain(&mut bytes);
                    return self.conclude(ended, seconds);
                }
                read = self.output.read(&mut bytes), if open => match read {
                    Ok(read) if read > 0 => self.take(bytes.get(..read).unwrap_or_default()),
                    _ => open = false,
                },
                Some(grace) = stops.recv() => self.stop(grace).await,
                () = until(kill_at) => self.kill(),
                _ = &mut lost, if !is_lost => {
                    is_lost = true;
                    self.kill();
                }
                _ = sample.tick() => self.sample(),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.said.push(bytes);
        if let Some(curve) = &mut self.curve {
            curve.push(bytes, Instant::now());
        }
        self.reader.push(bytes);
        if self.reader.has_score() {
            self.end_by(Instant::now() + LINGER);
        }
    }

    fn end_by(&mut self, at: Instant) {
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
    }

    async fn stop(&mut self, grace: Duration) {
        if let Some(hand) = self.hand.as_mut().filter(|_| !grace.is_zero()) {
            // A supervisor that is gone needs no word.
            let _ = hand.write_all(&[supervise::TERMINATE]).await;
        }
        self.end_by(Instant::now() + grace);
    }

    /// Lets go: the supervisor ends everything.
    fn kill(&mut self) {
        self.hand = None;
        self.kill_at = None;
    }

    /// Tells the points of the curve that have passed, by which a race is judged, and how far it is.
    fn follow(&mut self) {
        let (now, lease) = (Instant::now(), self.lease);
        let Some(curve) = &mut self.curve else { return };
        curve.advance(now);
        if let Some(figures) = self.live.next(curve, now) {
            let _ = self.inputs.send(Input::Progress { lease, figures });
        }
        let new = curve.points().iter().skip(self.told as usize);
        for score in new {
            let (fold, score, seconds) = (self.told, *score, curve.seconds());
            // The session outlives its attempts, unless the process is ending.
            let _ = self.inputs.send(Input::Fold { lease, fold, score, seconds });
            self.told += 1;
        }
    }

    fn sample(&mut self) {
        self.follow();
        let Some(pid) = self.pid else { return };
        let members = process::members(pid);
        self.seen.retain(Seen::lives);
        self.seen.extend(members.iter().filter_map(|pid| Seen::of(*pid)));
        let held = members.into_iter().filter_map(process::resident).sum();
        self.peak_memory = self.peak_memory.max(held);
        if held > self.memory {
            self.over_memory = true;
            self.kill();
        }
    }

    /// Where the supervisor itself was killed, ends what it held.
    async fn end_orphans(&mut self, ended: &io::Result<ExitStatus>) {
        let Some(pid) = self.pid.filter(|_| ended.as_ref().ok().and_then(ExitStatus::code).is_none()) else {
            return;
        };
        let (folder, seen) = (self.folder.clone(), std::mem::take(&mut self.seen));
        let swept = tokio::task::spawn_blocking(move || {
            process::kill_tree(pid);
            process::kill_left(&folder, &seen);
        });
        // The runtime is ending, or it panicked: the next start of the worker sweeps again.
        let _ = swept.await;
    }

    /// Reads what is left in the pipe. Nobody writes any more.
    fn drain(&mut self, bytes: &mut [u8]) {
        while let Ok(read) = self.output.try_read(bytes) {
            match bytes.get(..read).filter(|read| !read.is_empty()) {
                Some(read) => self.take(read),
                None => return,
            }
        }
    }

    fn conclude(self, ended: io::Result<ExitStatus>, seconds: f64) -> Outcome {
        let status = ended.ok();
        if self.keeps
            && let Err(error) = kept::write_output(&self.folder, &self.said)
        {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot keep what a run said");
        }
        if self.over_memory {
            let (held, limit) = (self.peak_memory / MIB, self.memory / MIB);
            let reason = format!(
                "its processes held {held} MiB together; one experiment may take {limit} MiB here (--experiment-memory says otherwise)"
            );
            return Outcome::OutOfMemory { reason };
        }
        let lingered = self.hand.is_none() && self.reader.has_score();
        let code = status.and_then(|status| status.code());
        let said = self.said.last_line();
        let crashed = |how: String| {
            let reason = if said.is_empty() { how } else { format!("{how}; it last said: {said}") };
            Outcome::Crashed { reason }
        };
        match code {
            _ if lingered => {}
            Some(0) => {}
            Some(code @ 129..=192) => return crashed(format!("ended by signal {}", code - 128)),
            Some(code) => return crashed(format!("ended with exit code {code}")),
            None => return crashed("its supervisor was killed".to_owned()),
        }
        match self.reader.finish() {
            Ok(mut summary) => {
                // What is measured here is nobody else's to say.
                summary.figures.retain(|name, _| !gpu::FIGURES.contains(&name.as_str()));
                Outcome::Done(Measures {
                    score: Some(summary.score),
                    folds: [summary.score].into(),
                    seconds,
                    peak_memory: Some(self.peak_memory).filter(|peak| *peak > 0),
                    course: course(self.began, self.curve, (seconds, &summary.figures)),
                    figures: (!summary.figures.is_empty()).then(|| Box::new(summary.figures)),
                    ..Measures::default()
                })
            }
            Err(reason) => Outcome::NoMetric { reason },
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
