//! One attempt: a forked child, watched until nothing of it is left.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{Grant, LeaseRef};
use ar_common::{Artifact, Block, Measures, Outcome, SealedScore};
use ar_net::BlobStore;
use ar_worker_core::Input;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::output::Bounded;
use crate::process;
use crate::runner_frames::{BlockFrame, ErrorKind, Frames, FromChild, ResultFrame, ToServer};
use crate::server::{ChildEvent, ForkServer};

/// How often a child's memory is looked at.
const MEMORY_SAMPLE: Duration = Duration::from_millis(100);
/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;
/// How long a child may linger after its result before it is ended; its result counts.
const LINGER: Duration = Duration::from_secs(2);

/// What an attempt needs beside its grant.
pub(crate) struct Surroundings {
    pub(crate) server: Arc<ForkServer>,
    /// A folder of its own, for the files it makes.
    pub(crate) folder: PathBuf,
    pub(crate) blobs: BlobStore,
    /// Bytes it may take when the study names no limit.
    pub(crate) memory: u64,
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
}

/// An order to end: the time between asking and killing.
pub(crate) type StopOrder = Duration;

/// Runs an attempt to its end and reports it.
pub(crate) async fn run(grant: Grant, surroundings: Surroundings, stops: mpsc::UnboundedReceiver<StopOrder>) {
    let lease = grant.lease;
    let inputs = surroundings.inputs.clone();
    let folder = surroundings.folder.clone();
    let end = match Attempt::start(&grant, surroundings) {
        Ok(attempt) => attempt.watch(stops).await,
        Err(error) => End::Lost(format!("its server could not start it ({error})")),
    };
    if let Err(error) = std::fs::remove_dir_all(&folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove an attempt's folder");
    }
    // The session outlives its attempts, unless the process is ending.
    let _ = inputs.send(match end {
        End::Outcome(outcome) => Input::Ended { lease, outcome },
        End::Lost(why) => Input::Lost { lease, why },
    });
}

enum End {
    Outcome(Outcome),
    Lost(String),
}

struct Attempt {
    lease: LeaseRef,
    block: Block,
    /// Bytes it may take beyond what it inherits of the server.
    memory: u64,
    folder: PathBuf,
    blobs: BlobStore,
    inputs: mpsc::UnboundedSender<Input>,
    /// Held so that the server lives as long as its children are wanted.
    server: Arc<ForkServer>,
    events: mpsc::UnboundedReceiver<ChildEvent>,
    results: UnixStream,
    output: pipe::Receiver,
    seen: Seen,
}

/// What is known of the child so far.
#[derive(Default)]
struct Seen {
    pid: Option<i32>,
    frames: Frames,
    last: Option<FromChild>,
    /// The result stream broke its own rules.
    broken: Option<String>,
    output: Bounded,
    peak_memory: u64,
    over_memory: bool,
    kill_at: Option<Instant>,
}

impl Attempt {
    fn start(grant: &Grant, surroundings: Surroundings) -> io::Result<Self> {
        let Surroundings { server, folder, blobs, memory, inputs } = surroundings;
        let memory = grant.memory.unwrap_or(memory);
        let out = match grant.block {
            Block::Refit => {
                std::fs::create_dir_all(&folder)?;
                Some(folder.to_string_lossy().into_owned())
            }
            _ => None,
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let (read, write) = io::pipe()?;
        let frame = ToServer::Run {
            id: grant.lease.lease.seq.0,
            config: &grant.config,
            block: BlockFrame::new(grant.block, &grant.reference),
            memory_bytes: Some(memory),
            out,
            members: &grant.members,
        };
        let events = server.fork(grant.lease.lease.seq.0, &frame, &theirs.into(), &write.into())?;
        ours.set_nonblocking(true)?;
        let read = OwnedFd::from(read);
        Ok(Self {
            lease: grant.lease,
            block: grant.block,
            memory,
            folder,
            blobs,
            inputs,
            server,
            events,
            results: UnixStream::from_std(ours)?,
            output: pipe::Receiver::from_owned_fd(read)?,
            seen: Seen::default(),
        })
    }

    async fn watch(mut self, mut stops: mpsc::UnboundedReceiver<StopOrder>) -> End {
        let mut sample = tokio::time::interval(MEMORY_SAMPLE);
        let (mut results_open, mut output_open) = (true, true);
        let (mut result_bytes, mut output_bytes) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(ChildEvent::Started { pid }) => {
                        self.seen.pid = Some(pid);
                        // It may have been told to end before anybody knew its number.
                        if self.seen.kill_at.is_some() {
                            process::terminate(pid);
                        }
                        let _ = self.inputs.send(Input::Started { lease: self.lease });
                    }
                    Some(ChildEvent::Exited { code, signal, peak_rss }) => {
                        self.seen.peak_memory = self.seen.peak_memory.max(peak_rss);
                        self.drain().await;
                        return self.conclude(code, signal);
                    }
                    None => return self.server_gone(),
                },
                read = self.results.read(&mut result_bytes), if results_open => match read {
                    Ok(read) if read > 0 => self.take(result_bytes.get(..read).unwrap_or_default()),
                    _ => results_open = false,
                },
                read = self.output.read(&mut output_bytes), if output_open => match read {
                    Ok(read) if read > 0 => self.seen.output.push(output_bytes.get(..read).unwrap_or_default()),
                    _ => output_open = false,
                },
                Some(grace) = stops.recv() => self.stop(grace),
                _ = sample.tick() => self.sample(),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let frames = match self.seen.frames.push(bytes) {
            Ok(frames) => frames,
            Err(error) => {
                self.seen.broken = Some(error.to_string());
                return self.stop(Duration::ZERO);
            }
        };
        for frame in frames {
            match frame {
                FromChild::Matrix { hash } => {
                    let _ = self.inputs.send(Input::Matrix { lease: self.lease, hash });
                }
                // After its last word nothing more decides what it was.
                FromChild::Fold { fold, score, seconds } if self.seen.last.is_none() => {
                    let (lease, score, seconds) = (self.lease, score.0, seconds.0);
                    let _ = self.inputs.send(Input::Fold { lease, fold, score, seconds });
                }
                FromChild::Result(_) | FromChild::Error { .. } if self.seen.last.is_none() => {
                    self.seen.last = Some(frame);
                    self.seen.kill_at = Some(Instant::now() + LINGER);
                }
                _ => {}
            }
        }
    }

    fn stop(&mut self, grace: Duration) {
        if let Some(pid) = self.seen.pid.filter(|_| !grace.is_zero()) {
            process::terminate(pid);
        }
        let at = Instant::now() + grace;
        self.seen.kill_at = Some(self.seen.kill_at.map_or(at, |earlier| earlier.min(at)));
        self.sample();
    }

    /// Looks at memory, and kills what is due.
    fn sample(&mut self) {
        let Some(pid) = self.seen.pid else { return };
        if let Some(resident) = process::resident(pid) {
            self.seen.peak_memory = self.seen.peak_memory.max(resident);
            if resident > self.memory.saturating_add(self.server.resident) {
                self.seen.over_memory = true;
                self.seen.kill_at = Some(Instant::now());
            }
        }
        if self.seen.kill_at.is_some_and(|at| at <= Instant::now()) {
            process::kill_tree(pid);
        }
    }

    /// Reads what the child left in its sockets. A descendant that holds the pipe open does not hold
    /// this up: only what is there already is read.
    async fn drain(&mut self) {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(Ok(read)) =
            tokio::time::timeout(Duration::from_millis(50), self.results.read(&mut bytes)).await
        {
            if read == 0 {
                break;
            }
            self.take(bytes.get(..read).unwrap_or_default());
        }
        while let Ok(read) = self.output.try_read(&mut bytes) {
            if read == 0 {
                break;
            }
            self.seen.output.push(bytes.get(..read).unwrap_or_default());
        }
    }

    /// The server is gone; its children die with it (parent-death signal). What is left is ended here.
    fn server_gone(&mut self) -> End {
        if let Some(pid) = self.seen.pid {
            process::kill_tree(pid);
        }
        match self.seen.last.take() {
            Some(last) => End::Outcome(self.outcome(last)),
            None => End::Lost("the server that held it died".to_owned()),
        }
    }

    fn conclude(&mut self, code: Option<i32>, signal: Option<i32>) -> End {
        // Its server, to which orphans are handed, has ended whatever else it had started.
        if let Some(last) = self.seen.last.take() {
            return End::Outcome(self.outcome(last));
        }
        if self.seen.over_memory {
            let held = self.seen.peak_memory / MIB;
            return End::Outcome(self.out_of_memory(&format!("it held {held} MiB")));
        }
        if let Some(broken) = self.seen.broken.take() {
            return End::Outcome(Outcome::Crashed {
                reason: format!("it wrote rubbish to its result stream: {broken}"),
            });
        }
        let how = match (code, signal) {
            (_, Some(signal)) => {
                let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |s| s.as_str());
                format!("killed by signal {signal} ({name})")
            }
            (Some(code), None) => format!("ended with exit code {code} before it gave a result"),
            (None, None) => "ended before it gave a result".to_owned(),
        };
        let said = self.seen.output.last_line();
        let reason = if said.is_empty() { how } else { format!("{how}; it last said: {said}") };
        End::Outcome(Outcome::Crashed { reason })
    }

    fn out_of_memory(&self, how: &str) -> Outcome {
        let limit = self.memory / MIB;
        let reason = format!(
            "{how}; one experiment may take {limit} MiB here beside the loaded data (--experiment-memory says otherwise)"
        );
        Outcome::OutOfMemory { reason }
    }

    fn outcome(&self, last: FromChild) -> Outcome {
        match last {
            FromChild::Result(result) => self.measures(&result),
            FromChild::Error { kind: ErrorKind::NoMetric, message } => Outcome::NoMetric { reason: message },
            FromChild::Error { kind: ErrorKind::OutOfMemory, message } => self.out_of_memory(&message),
            FromChild::Error { kind: ErrorKind::Crashed, message } => Outcome::Crashed { reason: message },
            _ => Outcome::NoMetric { reason: "it ended without a result".to_owned() },
        }
    }

    fn measures(&self, result: &ResultFrame) -> Outcome {
        let finite = |value: &f64| value.is_finite();
        let score = result.score.map(|score| score.0);
        let folds: Vec<f64> = result.folds.iter().map(|fold| fold.0).collect();
        if !score.iter().chain(&folds).chain([&result.seconds]).all(finite) {
            return Outcome::NoMetric { reason: "the score is not a finite number".to_owned() };
        }
        let sealed = (|| {
            Some(SealedScore {
                score: score.filter(|_| self.block == Block::Sealed)?,
                base_score: result.reference_score.filter(finite)?,
                difference: result.difference.filter(finite)?,
                low: result.low.filter(finite)?,
                high: result.high.filter(finite)?,
                level: result.level.filter(finite)?,
                rows: result.rows?,
            })
        })();
        if self.block == Block::Sealed && sealed.is_none() {
            return Outcome::NoMetric { reason: "the sealed rows gave no score".to_owned() };
        }
        let mut artifacts = Vec::new();
        for name in &result.files {
            match self.keep_file(name) {
                Ok(artifact) => artifacts.push(artifact),
                Err(reason) => return Outcome::Crashed { reason },
            }
        }
        Outcome::Done(Measures {
            score,
            folds: folds.into(),
            seconds: result.seconds,
            predict_seconds: result.predict_seconds.filter(finite),
            peak_memory: Some(self.seen.peak_memory).filter(|peak| *peak > 0),
            sealed: sealed.map(Box::new),
            artifacts: artifacts.into(),
            members: result.weights.as_slice().into(),
            ..Measures::default()
        })
    }

    fn keep_file(&self, name: &str) -> Result<Artifact, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(format!("it named a file `{}` that is no plain file name", name.escape_default()));
        }
        let path = self.folder.join(name);
        // A link would let a child hand over a file of somebody else's.
        let is_file = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        if !is_file {
            return Err(format!("it named a file `{name}` and did not make it"));
        }
        let (digest, _) = self.blobs.put_file(&path).map_err(|error| error.to_string())?;
        Ok(Artifact { name: name.to_owned(), digest })
    }
}
