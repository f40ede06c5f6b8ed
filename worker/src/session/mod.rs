//! The shell around the pure session: one loop takes events and does what the session says.

mod effects;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{CoordinatorFrame, LeaseRef, WorkerFrame};
use ar_common::{Epoch, Millis, WorkerId};
use ar_net::{BlobError, BlobStore, Cache, Dial, DialError, Pins, Token, service};
use ar_worker_core::{Identity, Input, Worker};
use nix::fcntl::Flock;
use tokio::sync::{mpsc, watch};

use crate::attempt::StopOrder;
use crate::cache;
use crate::capacity::Capacity;
use crate::connection::{self, Event, Line};
use crate::disk::Disk;
use crate::folder;
use crate::gpu::{self, Gpus, TooFewGpus};
use crate::spool::Spool;
use crate::studies::Studies;
use crate::traces::Traces;
use crate::{hardware, process};

/// Share of the machine's memory that attempts may take together.
const MEMORY_SHARE: f64 = 0.8;

/// Folders in its own: of the attempts, of results, of blobs, of studies.
const ATTEMPTS: &str = "attempts";
pub(crate) const SPOOL: &str = "spool";
pub(crate) const BLOBS: &str = "blobs";
pub(crate) const STUDIES: &str = "studies";

/// How long it takes to leave beyond the time that attempts are given.
const LEAVE: Duration = Duration::from_secs(15);

/// How long what cannot be written, because the disk is full, is tried again before the worker gives up.
pub(crate) const FULL_PATIENCE: Duration = Duration::from_secs(30);

/// How long a study is kept ready without an attempt, unless somebody wants it otherwise: to make it ready again takes seconds.
pub const KEEP_WARM: Duration = Duration::from_secs(600);

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
    /// Least bytes that must be free on each disk under the folder, or nothing more is taken; 0 for none, by the size of
    /// the disk if absent.
    pub min_free: Option<u64>,
    /// Folder where environments are kept; the user's cache folder if absent.
    pub cache: Option<PathBuf>,
    /// The user's own interpreter.
    pub python: Option<PathBuf>,
    /// The program, with its first arguments, that runs [`crate::supervise()`] on the arguments after a `--`.
    pub supervisor: Vec<OsString>,
    /// Folder to which those of failed runs of training scripts are moved; they are removed if absent.
    pub keep_failed: Option<PathBuf>,
    /// How long a study is kept ready without an attempt: its Python with the data in memory, its files.
    pub keep_warm: Duration,
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
    /// Another worker has it.
    #[error(
        "the worker's folder {folder} is in use by another worker; wait for it to end, or give this one a folder of its own with --folder"
    )]
    InUse {
        /// Which.
        folder: PathBuf,
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
    studies: Arc<Studies>,
    attempts: BTreeMap<LeaseRef, mpsc::UnboundedSender<StopOrder>>,
    line: Option<Line>,
    inputs: mpsc::UnboundedSender<Input>,
    /// Takes what this worker cannot go on after.
    faults: mpsc::UnboundedSender<WorkerError>,
    outbox: Vec<WorkerFrame>,
    traces: Traces,
    left: bool,
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
        let lock = folder::take(&config.folder)?;
        let attempts = config.folder.join(ATTEMPTS);
        // What an earlier start left there has no lease any more.
        process::kill_those_in(&attempts);
        match std::fs::remove_dir_all(&attempts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(folder_error(error)),
            _ => {}
        }
        folder::empty(&config.folder.join(STUDIES));
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
        let studies = Studies::new(config.keep_warm, cache.clone());
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
            studies,
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
}
