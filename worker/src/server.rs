//! The fork server of one study: a warm Python process that forks a child per attempt.

use std::collections::HashMap;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::output::Bounded;
use crate::process;
use crate::runner_frames::{self, FromServer, Ready, ToServer};

/// Variables of this process that a fork server may see. API keys and the like are not among them.
const ALLOWED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
];
/// One thread per experiment; spinning threads would ruin each other's timings.
const SET: [(&str, &str); 6] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("OMP_WAIT_POLICY", "PASSIVE"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONNOUSERSITE", "1"),
];

/// What the server says about one child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChildEvent {
    Started { pid: i32 },
    Exited { code: Option<i32>, signal: Option<i32>, peak_rss: u64 },
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot start {python}: {source}; name another interpreter with --python PATH")]
    Start { python: String, source: io::Error },
    #[error("the Python side could not load the study: {0}")]
    Failed(String),
    #[error("the Python side ended before it was ready: {0}")]
    Died(String),
}

type Children = Arc<Mutex<Option<HashMap<u64, mpsc::UnboundedSender<ChildEvent>>>>>;

/// A running fork server. Dropping it closes its control socket, on which it ends all it holds.
#[derive(Debug)]
pub(crate) struct ForkServer {
    control: Mutex<UnixStream>,
    /// Channels of the children it holds; `None` once it is gone.
    children: Children,
    pub(crate) ready: Ready,
    /// What it holds before its first fork, bytes; its children share that.
    pub(crate) resident: u64,
    _process: Child,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is whole between any two statements, so a panic elsewhere left it sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ForkServer {
    /// Starts the server on a study's folder and waits until it has imported and loaded.
    pub(crate) async fn start(python: &Path, study: &Path) -> Result<Self, ServerError> {
        let start_error = |source| ServerError::Start { python: python.display().to_string(), source };
        let (ours, theirs) = UnixStream::pair().map_err(start_error)?;
        let mut child = spawn(python, study, theirs.into()).map_err(start_error)?;
        let output = child.stdout.take().zip(child.stderr.take());
        let said = tokio::spawn(async move {
            let mut said = Bounded::default();
            if let Some((mut out, mut err)) = output {
                let (mut a, mut b) = (vec![0; 8192], vec![0; 8192]);
                loop {
                    let (buffer, read) = tokio::select! {
                        read = out.read(&mut a) => (&a, read),
                        read = err.read(&mut b) => (&b, read),
                    };
                    match read {
                        Ok(read) if read > 0 => said.push(buffer.get(..read).unwrap_or_default()),
                        _ => break,
                    }
                }
            }
            said
        });
        let children: Children = Arc::new(Mutex::new(Some(HashMap::new())));
        let first = listen(ours.try_clone().map_err(start_error)?, Arc::clone(&children));
        match first.await {
            Ok(FromServer::Ready(ready)) => {
                let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                let resident = pid.and_then(process::resident).unwrap_or(0);
                Ok(Self { control: Mutex::new(ours), children, ready, resident, _process: child })
            }
            Ok(FromServer::Failed { message }) => Err(ServerError::Failed(message)),
            _ => {
                let _ = child.kill().await;
                let said = said.await.map(|said| said.last_line()).unwrap_or_default();
                Err(ServerError::Died(said))
            }
        }
    }

    /// Whether it can still fork.
    pub(crate) fn is_alive(&self) -> bool {
        lock(&self.children).is_some()
    }

    /// Forks a child for `frame`. Its events arrive on the channel; the channel closes when the
    /// server is gone.
    pub(crate) fn fork(
        &self,
        id: u64,
        frame: &ToServer<'_>,
        result: &OwnedFd,
        output: &OwnedFd,
    ) -> io::Result<mpsc::UnboundedReceiver<ChildEvent>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.children).as_mut().ok_or(io::ErrorKind::BrokenPipe)?.insert(id, sender);
        let bytes = runner_frames::encode(frame)?;
        let mut control = lock(&self.control);
        let descriptors = [result.as_raw_fd(), output.as_raw_fd()];
        let sent = sendmsg::<()>(
            control.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        control.write_all(bytes.get(sent..).unwrap_or_default())?;
        Ok(receiver)
    }
}

fn spawn(python: &Path, study: &Path, control: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(python);
    command.args(["-m", "ar_runner", "serve"]).arg(study);
    command.env_clear();
    let allowed = |name: &str| std::env::var_os(name).map(|value| (name.to_owned(), value));
    command.envs(ALLOWED.iter().filter_map(|name| allowed(name)));
    command.envs(SET).env("PYTHONPATH", study);
    command.current_dir(study).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A Ctrl-C at the terminal is the worker's to act on, not the server's.
    command.process_group(0).kill_on_drop(true);
    command
        .as_std_mut()
        .fd_mappings(vec![FdMapping { parent_fd: control, child_fd: 3 }])
        .map_err(io::Error::other)?;
    command.spawn()
}

/// Reads the server's frames on a thread of their own: the first goes to the caller, the others to
/// the children's channels.
fn listen(mut stream: UnixStream, children: Children) -> oneshot::Receiver<FromServer> {
    let (first, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut first = Some(first);
        while let Ok(Some(frame)) = runner_frames::read::<FromServer>(&mut stream) {
            match frame {
                FromServer::Started { id, pid } => tell(&children, id, ChildEvent::Started { pid }),
                FromServer::Exited { id, code, signal, peak_rss_bytes } => {
                    tell(&children, id, ChildEvent::Exited { code, signal, peak_rss: peak_rss_bytes });
                    if let Some(children) = lock(&children).as_mut() {
                        children.remove(&id);
                    }
                }
                ready_or_failed => {
                    if let Some(first) = first.take() {
                        let _ = first.send(ready_or_failed);
                    }
                }
            }
        }
        *lock(&children) = None;
    });
    receiver
}

fn tell(children: &Children, id: u64, event: ChildEvent) {
    if let Some(sender) = lock(children).as_ref().and_then(|children| children.get(&id)) {
        let _ = sender.send(event);
    }
}
