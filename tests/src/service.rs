//! A coordinator that serves and its workers, as processes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::processes;
use crate::run::{self, Running};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A coordinator in a folder of its own.
#[derive(Debug)]
pub struct Head {
    folder: PathBuf,
    /// Where it listens.
    pub url: String,
    more: Vec<String>,
    process: Option<Running>,
}

impl Head {
    /// Starts one with these flags beside its address and folder, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let more = more.iter().map(|flag| (*flag).to_owned()).collect();
        let mut head = Self { folder: folder.to_owned(), url: String::new(), more, process: None };
        head.again(&format!("127.0.0.1:{}", free_port()));
        head
    }

    /// Starts it again, where it was.
    ///
    /// # Panics
    /// When it does not serve.
    pub fn restart(&mut self) {
        let (_, address) = self.url.split_once("://").expect("it had an address");
        let address = address.to_owned();
        self.again(&address);
    }

    fn again(&mut self, address: &str) {
        let out = self.out();
        let fixed = ["serve", "--listen", address, "--out", out.to_str().expect("a plain path")];
        let arguments: Vec<&str> = fixed.into_iter().chain(self.more.iter().map(String::as_str)).collect();
        let mut process = Running::start(&arguments);
        let said = process.until(|line| line.starts_with("serving"));
        let Some(said) = said else {
            let (code, why) = process.end();
            panic!("it does not serve: {code:?}, {why}");
        };
        self.url = said.trim_start_matches("serving").trim().to_owned();
        self.process = Some(process);
    }

    /// The folder with its store and results.
    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// The file of a token.
    pub fn token(&self, role: &str) -> PathBuf {
        self.out().join("store/tokens").join(role).join("default")
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.out().join("store/coordinator.log")).unwrap_or_default()
    }

    /// Its process number.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// Kills it at once.
    pub fn kill_9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_9();
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it was not running.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::SIGTERM);
        process.end()
    }

    /// A command of a client, with this coordinator's address and a submitter's token.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.client(arguments, &self.token("submit"), &[]).output().expect("the program starts")
    }

    /// The same with another token, and more flags.
    pub fn client(&self, arguments: &[&str], token: &Path, more: &[&str]) -> Command {
        let mut command = run::command(arguments);
        command.args(["--coordinator", &self.url]).arg("--token-file").arg(token).args(more);
        command
    }

    /// What a command answered, as JSON.
    ///
    /// # Panics
    /// When it failed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ask(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", run::stderr(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Waits until a study stands like this, and returns how it stands.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn until(&self, study: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let line = self.json(&["status", study])[0].clone();
            if wanted(&line) {
                return line;
            }
            assert!(began.elapsed() < PATIENCE, "it stays like this: {line}");
            std::thread::yield_now();
        }
    }

    /// Starts a worker.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker(&self, name: &str, more: &[&str]) -> Worker {
        self.worker_with(name, &self.token("worker"), more)
    }

    /// Starts a worker with another token; what it says is in `NAME.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker_with(&self, name: &str, token: &Path, more: &[&str]) -> Worker {
        let mut command = Command::new(worker_binary());
        command.args(["--coordinator", &self.url, "--name", name]);
        command.arg("--token-file").arg(token).arg("--folder").arg(self.folder.join(name));
        command.args(more).env(ar_worker::NVML_LIBRARY, "none").stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::create(self.folder.join(format!("{name}.log"))).expect("a log");
        let child = command.stderr(log).spawn().expect("the worker starts");
        Worker { child }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.kill_9();
    }
}

/// A worker process; dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
}

impl Worker {
    /// Its process number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Kills it at once.
    pub fn kill_9(&mut self) {
        processes::kill_9(self.pid());
        let _ = self.child.wait();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Asks it to leave, and waits until it has.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn leave(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn end(&mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill_9();
    }
}

/// The worker's program, beside the coordinator's.
fn worker_binary() -> PathBuf {
    run::binary().with_file_name("ar-worker")
}

/// A port that was free a moment ago.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    listener.local_addr().expect("it has an address").port()
}
