//! The one place where the coordinator's binary meets the worker library: `run` starts a local worker
//! as a process of its own, and `predict` uses the environment that the worker made.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ar_common::WorkerId;
use ar_common::frames::Hardware;
use ar_net::{Dial, ObserveArgs, Token};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

pub use ar_worker::environment::EnvironmentError;
pub use ar_worker::{JOB, Job, TooFewGpus, WorkerError, supervise, training_slots};

use crate::cli::WorkerArgs;
use crate::exit::Exit;

/// How long an asked worker may take to leave before it is killed.
const LEAVE: Duration = Duration::from_secs(5);

/// Bytes of its standard error that are read; it logs to a file.
const STDERR_LIMIT: u64 = 64 << 10;

/// How a local worker is started.
#[derive(Debug, Clone)]
pub struct LocalWorker {
    /// Where the coordinator listens.
    pub coordinator: String,
    /// File with the token.
    pub token_file: PathBuf,
    /// The worker's folder.
    pub folder: PathBuf,
    /// Experiments at once.
    pub slots: Option<u32>,
    /// GPUs of one training run.
    pub gpus_per_experiment: Option<u32>,
    /// The user's own interpreter.
    pub python: Option<PathBuf>,
    /// Where the folders of failed training runs go, if they are to be kept.
    pub keep_failed: Option<PathBuf>,
}

/// This machine.
pub fn hardware() -> Hardware {
    ar_worker::hardware::report()
}

impl LocalWorker {
    /// Starts this binary again as a worker. It leaves when its standard input closes, so it never
    /// outlives this process.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&self) -> io::Result<RunningWorker> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").args(["--coordinator", &self.coordinator, "--name", "local"]);
        command.arg("--token-file").arg(&self.token_file).arg("--folder").arg(&self.folder);
        if let Some(slots) = self.slots {
            command.args(["--slots", &slots.to_string()]);
        }
        if let Some(gpus) = self.gpus_per_experiment {
            command.args(["--gpus-per-experiment", &gpus.to_string()]);
        }
        if let Some(python) = &self.python {
            command.arg("--python").arg(python);
        }
        if let Some(folder) = &self.keep_failed {
            command.arg("--keep-failed").arg(folder);
        }
        // The service manager hears of this process alone.
        command.env_remove("NOTIFY_SOCKET");
        // Its own group: a Ctrl-C at the terminal reaches the coordinator alone, which then asks it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.kill_on_drop(true).spawn()?;
        let held = child.stdin.take();
        Ok(RunningWorker { child, held })
    }
}

/// How a local worker ended.
#[derive(Debug)]
pub struct WorkerEnd {
    /// Whether it cannot use its folder, so that another one in its place could not either.
    pub is_folder: bool,
    /// The last line that it said on its standard error.
    pub last: Option<String>,
}

/// A local worker that runs; dropping it kills it.
#[derive(Debug)]
pub struct RunningWorker {
    child: Child,
    /// Open for as long as the worker is wanted. Kept out of `child`, whose `wait` closes it.
    held: Option<ChildStdin>,
}

impl RunningWorker {
    /// Waits until it has ended.
    pub async fn ended(&mut self) -> WorkerEnd {
        let mut said = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            // Reading to the end is also how a full pipe never stops the worker.
            let _ = stderr.take(STDERR_LIMIT).read_to_end(&mut said).await;
        }
        let code = self.child.wait().await.ok().and_then(|status| status.code());
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let last = last.map(|line| line.strip_prefix("error: ").unwrap_or(line).to_owned());
        WorkerEnd { is_folder: code == Some(Exit::Store as i32), last }
    }

    /// Asks it to leave and waits until it is gone.
    pub async fn leave(mut self) {
        drop(self.held.take());
        if tokio::time::timeout(LEAVE, self.child.wait()).await.is_err() {
            tracing::warn!("the local worker did not leave; killing it");
            let _ = self.child.kill().await;
        }
    }
}

/// The exit code by which the hidden `worker` command says what kind of error ended it.
pub fn exit_of(error: &(dyn std::error::Error + 'static)) -> Exit {
    match error.downcast_ref() {
        Some(WorkerError::Folder { .. } | WorkerError::InUse { .. } | WorkerError::Full { .. }) => {
            Exit::Store
        }
        _ => Exit::Internal,
    }
}

/// The hidden `worker` command.
///
/// # Errors
/// When the token cannot be read or the worker cannot work.
pub async fn worker(args: WorkerArgs) -> Result<(), Box<dyn std::error::Error>> {
    ar_net::durable::private_folder(&args.folder)?;
    ar_net::observe::start(
        &ObserveArgs::from_environment()?,
        Some(&args.folder.join("worker.log")),
        "ar-worker",
    )?;
    let (sender, leave) = watch::channel(false);
    // The parent holds the other end and never writes: the end of input is the end of the parent.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(true);
        std::mem::forget(sender);
    });
    let config = ar_worker::WorkerConfig {
        coordinator: Dial::local(args.coordinator),
        token: Token::load(&args.token_file)?,
        name: WorkerId(args.name),
        slots: args.slots,
        gpus_per_experiment: args.gpus_per_experiment,
        folder: args.folder,
        cache_size: None,
        // Its user is there and hears of a full disk by the end of the run, which goes on with the same command.
        min_free: Some(0),
        keep_warm: ar_worker::KEEP_WARM,
        cache: None,
        python: args.python,
        keep_failed: args.keep_failed,
        supervisor: vec![std::env::current_exe()?.into(), "supervise".into()],
        labels: Default::default(),
        leave,
        drain_grace: Duration::ZERO,
    };
    ar_worker::run(config).await?;
    Ok(())
}

/// The Python environment of this version, made if it is not there.
///
/// # Errors
/// When it cannot be made; the error says how to mend that.
pub async fn environment(
    python: Option<&Path>,
    progress: impl Fn(String) + Send + Sync,
) -> Result<PathBuf, EnvironmentError> {
    let cache = ar_worker::environment::default_cache().unwrap_or_else(std::env::temp_dir);
    let request = ar_worker::environment::Request {
        lock: ar_runner::REQUIREMENTS,
        complete: true,
        cache: &cache,
        python,
    };
    Ok(ar_worker::environment::ensure(&request, progress).await?.python)
}
