//! The shell around the pure session: one loop takes events and does what the session says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{CoordinatorFrame, Grant, LeaseRef, WorkerFrame};
use ar_common::{Epoch, Millis, Outcome, StudyId, WorkerId};
use ar_net::{BlobError, BlobStore, Cache, Dial, DialError, Pins, Token, durable, service, transfer};
use ar_proto::v1::WorkerMessage;
use ar_worker_core::{Effect, Identity, Input, Worker};
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::{mpsc, watch};

use crate::attempt::{self, StopOrder, Surroundings};
use crate::cache::{self, Source};
use crate::capacity::{Capacity, Need};
use crate::connection::{self, Event, Line};
use crate::disk::Disk;
use crate::gpu::{self, Gpus, TooFewGpus};
use crate::spool::Spool;
use crate::study::{Preparing, Runner, Study};
use crate::traces::Traces;
use crate::{environment, hardware, process, training};

/// Share of the machine's memory that attempts may take together.
const MEMORY_SHARE: f64 = 0.8;

/// Folders in its own: of the attempts, of results, of blobs, of studies.
const ATTEMPTS: &str = "attempts";
pub(crate) const SPOOL: &str = "spool";
pub(crate) const BLOBS: &str = "blobs";
pub(crate) const STUDIES: &str = "studies";

/// After how long a result is offered again whose files could not be handed over.
const OFFER_AGAIN: Duration = Duration::from_secs(5);

/// How long it takes to leave beyond the time that attempts are given.
const LEAVE: Duration = Duration::from_secs(15);

/// How long what cannot be written, because the disk is full, is tried again before the worker gives up.
pub(crate) const FULL_PATIENCE: Duration = Duration::from_secs(30);

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where the coordinator is.
    pub coordinator: Dial,
    /// What lets it in.
    pub token: Token,
    /// Its stable name.
    pub name: WorkerId,
    /// How many experiments it runs at once; if absent, one for each set of GPUs, or the cores where there are none.
    pub slots: Option<u32>,
    /// GPUs of one training run; one if absent and there is one. 0 pins none: runs see what this process sees.
    pub gpus_per_experiment: Option<u32>,
    /// Folder for its spool, blobs and studies.
    pub folder: PathBuf,
    /// Most bytes of files that can be had again, beside those that are needed; by the size of the disk if absent.
    pub cache_size: Option<u64>,
    /// Least bytes that must be free on each disk under the folder, or nothing more is taken; 0 for none, by the size of the disk if
    /// absent.
    pub min_free: Option<u64>,
    /// Folder where environments are kept; the user's cache folder if absent.
    pub cache: Option<PathBuf>,
    /// The user's own interpreter.
    pub python: Option<PathBuf>,
    /// The program, with its first arguments, that runs [`crate::supervise()`] on the arguments after a `--`.
    pub supervisor: Vec<OsString>,
    /// Folder to which those of failed runs of training scripts are moved; they are removed if absent.
    pub keep_failed: Option<PathBuf>,
    /// What is said of it to studies that ask for it, by name.
    pub labels: BTreeMap<String, String>,
    /// Turns true when the worker is to leave; running attempts get [`WorkerConfig::drain_grace`].
    pub leave: watch::Receiver<bool>,
    /// How long running attempts may go on after that.
    pub drain_grace: Duration,
}

/// Why a worker ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its folder.
    #[error("cannot use the worker's folder {folder}: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What it must write down cannot be written.
    #[error(
        "cannot write to the worker's folder {folder} ({why}); free some space and run the same command again: only what was \
         not handed over runs again"
    )]
    Full {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Its blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// It has too few GPUs.
    #[error(transparent)]
    Gpus(#[from] TooFewGpus),
    /// The coordinator will not have it.
    #[error("the coordinator refused this worker: {0}")]
    Refused(String),
    /// The coordinator cannot be reached as asked.
    #[error(transparent)]
    Dial(#[from] DialError),
}

/// Runs a worker until it has left.
///
/// # Errors
/// When its folder cannot be used or the coordinator refuses it for good.
pub async fn run(config: WorkerConfig) -> Result<(), WorkerError> {
    let (faults, mut fault) = mpsc::unbounded_channel();
    let (shell, inputs) = Shell::open(config, faults)?;
    tokio::select! {
        ended = shell.serve(inputs) => ended,
        // The shell holds a sender, so there is one.
        Some(error) = fault.recv() => Err(error),
    }
}

struct Shell {
    config: WorkerConfig,
    worker: Worker,
    /// Held for as long as this process uses the folder.
    _lock: Flock<File>,
    memory_per_slot: u64,
    capacity: Arc<Capacity>,
    gpus: Arc<Gpus>,
    began: Instant,
    spool: Spool,
    cache: Cache,
    /// Files of results that are not acknowledged.
    results: BTreeMap<LeaseRef, Pins>,
    /// Studies whose environment stands.
    ready: Arc<tokio::sync::Mutex<BTreeMap<StudyId, Arc<Study>>>>,
    attempts: BTreeMap<LeaseRef, mpsc::UnboundedSender<StopOrder>>,
    line: Option<Line>,
    inputs: mpsc::UnboundedSender<Input>,
    /// Takes what this worker cannot go on after.
    faults: mpsc::UnboundedSender<WorkerError>,
    outbox: Vec<WorkerFrame>,
    traces: Traces,
    left: bool,
}

/// Takes the folder for this process alone. A worker whose coordinator was killed leaves within moments;
/// its successor in the same folder waits for that.
fn lock(folder: &Path) -> io::Result<Flock<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("worker.lock"))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

/// Says in the log which leases came and which were answered, from which reign: what this worker did can be held against
/// what the journal says.
fn note(epoch: Epoch, frame: &CoordinatorFrame) {
    let (lease, what) = match frame {
        CoordinatorFrame::Grant(grant) => (&grant.lease, "granted"),
        CoordinatorFrame::Ack { lease } => (lease, "acknowledged"),
        CoordinatorFrame::Refused { lease, .. } => (lease, "refused"),
        _ => return,
    };
    tracing::debug!(experiment = lease.experiment.0, lease = lease.lease.seq.0, epoch = epoch.0, "{what}");
}

impl Shell {
    fn open(
        config: WorkerConfig,
        faults: mpsc::UnboundedSender<WorkerError>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Input>), WorkerError> {
        let folder_error = |source| WorkerError::Folder { folder: config.folder.clone(), source };
        durable::private_folder(&config.folder).map_err(folder_error)?;
        let lock = lock(&config.folder).map_err(folder_error)?;
        let attempts = config.folder.join(ATTEMPTS);
        // What an earlier start left there has no lease any more.
        process::kill_those_in(&attempts);
        match std::fs::remove_dir_all(&attempts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(folder_error(error)),
            _ => {}
        }
        let (spool, spooled) = Spool::open(&config.folder.join(SPOOL)).map_err(folder_error)?;
        let blobs = BlobStore::open(&config.folder.join(BLOBS))?;
        let limit = config.cache_size.unwrap_or_else(|| Cache::usual(&blobs));
        let cache = Cache::new(blobs, limit);
        let results = spooled.iter().map(|entry| (entry.lease, cache::pin_results(&cache, &entry.outcome)));
        let results = results.collect();
        let found = gpu::discover();
        let hardware = hardware::report_with(&found);
        let each = gpu::per_experiment(&hardware, config.gpus_per_experiment)?;
        let sets = u32::try_from(hardware.gpus.len()).unwrap_or(u32::MAX).checked_div(each);
        let slots = config.slots.or(sets).unwrap_or(hardware.cores).max(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a memory size"
        )]
        let memory_per_slot = (hardware.memory as f64 * MEMORY_SHARE / f64::from(slots)) as u64;
        let (inputs, receiver) = mpsc::unbounded_channel();
        // What runs unpinned on a machine with a GPU may have used it, or not.
        let class = (found.devices.is_empty() && !found.others).then(|| hardware.cpu.clone());
        let capacity = Capacity::new(slots, inputs.clone());
        Disk::watch(&config.folder, config.min_free, &cache, &capacity);
        let gpus = Gpus::new(gpu::Setup {
            devices: found.devices,
            each: each as usize,
            class,
            capacity: Arc::clone(&capacity),
            leave: config.leave.clone(),
        });
        let identity = Identity {
            worker: config.name.clone(),
            boot: rand::random(),
            slots,
            hardware,
            labels: config.labels.clone(),
        };
        let shell = Self {
            worker: Worker::new(identity, spooled),
            _lock: lock,
            memory_per_slot,
            capacity,
            gpus,
            began: Instant::now(),
            spool,
            cache,
            results,
            ready: Arc::default(),
            attempts: BTreeMap::new(),
            line: None,
            inputs,
            faults,
            outbox: Vec::new(),
            traces: Traces::start(),
            left: false,
            config,
        };
        Ok((shell, receiver))
    }

    async fn serve(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) -> Result<(), WorkerError> {
        // What is known before it comes is in its Hello.
        while let Ok(input) = inputs.try_recv() {
            self.step(input);
        }
        let mut events = connection::keep_open(&self.config.coordinator, self.config.token.clone())?;
        let mut leave = self.config.leave.clone();
        let mut leaving = false;
        let mut stands = tokio::time::interval(service::every());
        service::ready("started");
        while !self.left {
            let wake = self.worker.next_wake();
            tokio::select! {
                Some(input) = inputs.recv() => {
                    self.step(input);
                    // What has gathered meanwhile goes out in the same message.
                    while let Ok(input) = inputs.try_recv() {
                        self.step(input);
                    }
                }
                event = events.recv() => match event {
                    Some(Event::Refused(why)) => return Err(WorkerError::Refused(why)),
                    Some(event) => self.event(event),
                    None => return Err(WorkerError::Refused("the connection is closed for good".to_owned())),
                },
                changed = leave.changed(), if !leaving => {
                    leaving = changed.is_err() || *leave.borrow();
                    if leaving {
                        service::stopping("leaves", self.config.drain_grace + LEAVE);
                        let grace_ms = u64::try_from(self.config.drain_grace.as_millis()).unwrap_or(u64::MAX);
                        self.step(Input::Drain { grace_ms });
                    }
                }
                _ = stands.tick() => service::stands(&self.status()),
                () = self.sleep_until(wake) => self.step(Input::Tick),
            }
            self.flush().await;
        }
        // The last frames are on their way; closing the stream lets them out first.
        self.line = None;
        Ok(())
    }

    /// How it stands, for the service manager.
    fn status(&self) -> String {
        let line = if self.line.is_some() { "connected" } else { "waits for a coordinator" };
        let leaving = if *self.config.leave.borrow() { ", leaves" } else { "" };
        format!("{line}, attempts {}{leaving}", self.attempts.len())
    }

    async fn sleep_until(&self, wake: Option<Millis>) {
        match wake {
            Some(at) => {
                let wait = Duration::from_millis(at.since(self.now()));
                tokio::time::sleep(wait).await;
            }
            None => std::future::pending().await,
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Up(line) => {
                self.line = Some(line);
                self.step(Input::Connected);
            }
            Event::Frames(epoch, frames, contexts) => {
                for frame in frames {
                    note(epoch, &frame);
                    self.traces.came(&frame, &contexts);
                    self.step(Input::Frame { epoch, frame });
                }
            }
            Event::Down => {
                self.line = None;
                self.outbox.clear();
                self.step(Input::Disconnected);
            }
            Event::Refused(_) => {}
        }
    }

    fn step(&mut self, input: Input) {
        tracing::trace!(?input, "input");
        self.traces.happened(&input);
        for effect in self.worker.step(input, self.now()) {
            tracing::trace!(?effect, "effect");
            self.traces.asked(&effect);
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.send(frame),
            Effect::Prepare { study, tree } => self.prepare(study, tree),
            Effect::Run(grant) => self.start(grant),
            Effect::Stop { lease, grace_ms } => {
                if let Some(attempt) = self.attempts.get(&lease) {
                    // An attempt that has just ended needs no stop.
                    let _ = attempt.send(Duration::from_millis(grace_ms));
                }
            }
            Effect::Spool(entry) => {
                let (spool, inputs, faults) = (self.spool.clone(), self.inputs.clone(), self.faults.clone());
                let (folder, capacity) = (self.config.folder.clone(), Arc::clone(&self.capacity));
                self.attempts.remove(&entry.lease);
                self.results.insert(entry.lease, cache::pin_results(&self.cache, &entry.outcome));
                tokio::task::spawn_blocking(move || {
                    let began = Instant::now();
                    let mut wait = Duration::from_millis(100);
                    while let Err(error) = spool.keep(&entry) {
                        // A full disk may be freed; the result is offered only once it is durable.
                        tracing::error!(%error, experiment = %entry.lease.experiment, "cannot spool a result; trying again");
                        if began.elapsed() > FULL_PATIENCE && capacity.lacks(Need::Disk) {
                            // Nothing new comes, so it is kept in memory, and lost only where the worker's end would lose it anyway.
                            break;
                        }
                        if began.elapsed() > FULL_PATIENCE {
                            let _ = faults.send(WorkerError::Full { folder, why: error.to_string() });
                            return;
                        }
                        std::thread::sleep(wait);
                        wait = (wait * 2).min(Duration::from_secs(5));
                    }
                    let _ = inputs.send(Input::Spooled { lease: entry.lease });
                });
            }
            Effect::Unspool(lease) => {
                if self.results.remove(&lease).is_some() {
                    cache::tidy(&self.cache);
                }
                if let Err(error) = self.spool.forget(&lease) {
                    tracing::warn!(%error, "an answered result stays in the spool and will be offered again");
                }
            }
            Effect::Reconnect { why } => {
                tracing::warn!(why, "dropping the connection");
                self.line = None;
            }
            Effect::Exit => self.left = true,
        }
    }

    /// Queues a frame for the next message. A result's files go first, so that it never names a blob
    /// that the coordinator lacks.
    fn send(&mut self, frame: WorkerFrame) {
        let (lease, digests) = match &frame {
            WorkerFrame::Completed { lease, outcome: Outcome::Done(measures), .. }
                if !measures.artifacts.is_empty() =>
            {
                (*lease, measures.artifacts.iter().map(|artifact| artifact.digest).collect::<Vec<_>>())
            }
            _ => return self.outbox.push(frame),
        };
        let Some(Line { mut client, outbound }) = self.line.clone() else {
            return;
        };
        let (cache, header, inputs) = (self.cache.clone(), self.config.token.header(), self.inputs.clone());
        let mut message = ar_proto::worker_message([&frame]);
        self.traces.stamp(&mut message);
        tokio::spawn(async move {
            let authorize = |metadata: &mut tonic::metadata::MetadataMap| {
                if let Ok(value) = header.parse() {
                    metadata.insert(ar_proto::AUTHORIZATION, value);
                }
            };
            for digest in digests {
                if let Err(error) = transfer::send(&mut client, cache.store(), digest, authorize).await {
                    tracing::warn!(%error, "cannot hand over a result's file; the result is offered again later");
                    tokio::time::sleep(OFFER_AGAIN).await;
                    // The session offers what is in the spool; by then it may have been answered.
                    let _ = inputs.send(Input::Spooled { lease });
                    return;
                }
            }
            // A stream that is gone was replaced: the result is offered on the new one.
            let _ = outbound.send(message).await;
        });
    }

    async fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        let mut message: WorkerMessage = ar_proto::worker_message(&self.outbox);
        self.traces.stamp(&mut message);
        self.outbox.clear();
        if let Some(line) = &self.line {
            let _ = line.outbound.send(message).await;
        }
    }

    fn prepare(&self, study: StudyId, tree: ar_common::Digest) {
        let inputs = self.inputs.clone();
        let folder = self.config.folder.join(STUDIES).join(study.short());
        let cache = self.config.cache.clone().or_else(environment::default_cache);
        let (source, python) = (self.source(), self.config.python.clone());
        let ready = self.ready.clone();
        tokio::spawn(async move {
            let cache = cache.unwrap_or_else(|| folder.join("cache"));
            let preparing = Preparing { study: study.clone(), tree, folder, source: &source, cache, python };
            let progress = |text| {
                let _ = inputs.send(Input::Preparing { study: study.clone(), text });
            };
            let input = match Study::prepare(preparing, progress).await {
                Ok(prepared) => {
                    let (unavailable, facts) = (prepared.unavailable.clone(), prepared.facts.clone());
                    ready.lock().await.insert(study.clone(), Arc::new(prepared));
                    Input::Prepared { study, unavailable, facts }
                }
                Err(error) => Input::PrepareFailed { study, why: error.to_string() },
            };
            cache::tidy(&source.cache);
            let _ = inputs.send(input);
        });
    }

    fn source(&self) -> Source {
        let client = self.line.as_ref().map(|line| line.client.clone());
        Source { cache: self.cache.clone(), client, authorization: self.config.token.header() }
    }

    fn start(&mut self, grant: Grant) {
        let (sender, stops) = mpsc::unbounded_channel();
        self.attempts.insert(grant.lease, sender);
        let folder = self.config.folder.join(ATTEMPTS).join(grant.lease.lease.seq.to_string());
        let (blobs, inputs, memory) = (self.cache.store().clone(), self.inputs.clone(), self.memory_per_slot);
        let (ready, supervisor) = (self.ready.clone(), self.config.supervisor.clone());
        let (leave, faults) = (self.config.leave.clone(), self.faults.clone());
        let kept = self.config.keep_failed.clone().map(|folder| training::Kept { folder, leave });
        let (capacity, gpus) = (Arc::clone(&self.capacity), Arc::clone(&self.gpus));
        let source = self.source();
        tokio::spawn(async move {
            let study = ready.lock().await.get(&grant.study).cloned();
            let server = match study.as_ref().map(|study| &study.runner) {
                Some(Runner::Forks(forks)) => forks.server().await.map_err(|error| error.to_string()),
                Some(Runner::Commands(project)) => {
                    let project = Arc::clone(project);
                    let surroundings = training::Surroundings {
                        project,
                        folder,
                        blobs,
                        memory,
                        supervisor,
                        capacity,
                        gpus,
                        source,
                        kept,
                        inputs,
                        faults,
                    };
                    return training::run(grant, surroundings, stops).await;
                }
                None => Err("its study is not prepared".to_owned()),
            };
            match server {
                Ok(server) => {
                    let surroundings = Surroundings { server, folder, blobs, memory, inputs };
                    attempt::run(grant, surroundings, stops).await;
                }
                Err(why) => {
                    let _ = inputs.send(Input::Lost { lease: grant.lease, why });
                }
            }
        });
    }
}
