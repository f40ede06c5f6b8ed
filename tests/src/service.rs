//! A coordinator that serves and its workers, as processes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::network::Host;
use crate::processes;
use crate::project::Project;
use crate::run::{self, Running};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Trains for a moment, so that something can happen meanwhile.
pub const SLOW: &str = "sleep 0.3
lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
printf -- '---\\nval_bpb: %s\\n' $lr
";

/// The arguments that submit a project.
///
/// # Panics
/// When its folder has no plain name.
pub fn submission(project: &Project, more: &[&str]) -> Vec<String> {
    let root = project.root();
    let fixed =
        ["submit", root.to_str().unwrap(), "--train", "sh train.sh", "--budget-variable", "TIME_BUDGET"];
    let all = fixed.into_iter().chain(["--sampler", "random"]).chain(more.iter().copied());
    all.map(str::to_owned).collect()
}

/// Submits a project; its study's id.
///
/// # Panics
/// When it is refused.
pub fn submitted(head: &Head, project: &Project, more: &[&str]) -> String {
    let arguments = submission(project, &[more, &["--json"]].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = head.ask(&arguments);
    assert!(output.status.success(), "{}", run::stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["study"].as_str().unwrap().to_owned()
}

/// Whether a study has ended.
pub fn ended(line: &Value) -> bool {
    line["state"] == "finished"
}

/// The experiments of a study, as in results.json.
///
/// # Panics
/// When there is no such study.
pub fn experiments(head: &Head, study: &str) -> Vec<Value> {
    head.json(&["results", study])["experiments"].as_array().unwrap().clone()
}

/// One answer of HTTP/1.1; nothing if nobody answers.
pub fn http(address: &str, path: &str, token: Option<&str>) -> String {
    let connect = |address: SocketAddr| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    let Some(mut stream) = address.parse().ok().and_then(connect) else {
        return String::new();
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let shown = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let asked = write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{shown}\r\n");
    let mut answer = String::new();
    // One that is stopped takes a connection, and says nothing.
    let read = asked.and_then(|()| stream.read_to_string(&mut answer));
    if read.is_ok() { answer } else { String::new() }
}

/// A coordinator, with its folder.
#[derive(Debug)]
pub struct Head {
    folder: PathBuf,
    /// The machine that it is on, if not this one.
    host: Option<Host>,
    address: String,
    /// Where clients and workers look for it; of several coordinators all, separated by commas.
    pub urls: String,
    more: Vec<String>,
    client: Vec<String>,
    process: Option<Running>,
}

impl Head {
    /// Starts one with these flags beside its address and folder, and waits until it serves, or stands by.
    ///
    /// # Panics
    /// When it does neither.
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_at(folder, None, more)
    }

    /// Starts one on this machine of a network.
    ///
    /// # Panics
    /// When it neither serves nor stands by.
    pub fn start_on(host: &Host, folder: &Path, more: &[&str]) -> Self {
        Self::start_at(folder, Some(host.clone()), &[more, &["--insecure"]].concat())
            .for_clients(&["--insecure"])
    }

    fn start_at(folder: &Path, host: Option<Host>, more: &[&str]) -> Self {
        let owned = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
        let address = match &host {
            Some(host) => format!("{}:7600", host.address()),
            None => format!("127.0.0.1:{}", free_port()),
        };
        let scheme = if more.contains(&"--tls-cert") { "https" } else { "http" };
        let mut head = Self {
            folder: folder.to_owned(),
            host,
            urls: format!("{scheme}://{address}"),
            address,
            more: owned(more),
            client: Vec::new(),
            process: None,
        };
        head.restart();
        head
    }

    /// With these flags for every client and worker.
    #[must_use]
    pub fn for_clients(mut self, flags: &[&str]) -> Self {
        self.client = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self
    }

    /// Starts it again, where it was.
    ///
    /// # Panics
    /// When it does not serve.
    pub fn restart(&mut self) {
        let out = self.out();
        let fixed = ["serve", "--listen", &self.address, "--out", out.to_str().expect("a plain path")];
        let arguments: Vec<&str> = fixed.into_iter().chain(self.more.iter().map(String::as_str)).collect();
        let command = run::command(&arguments);
        let mut process = Running::spawn(match &self.host {
            Some(host) => host.on(&command),
            None => command,
        });
        if process.until(|line| line.starts_with("serving") || line.starts_with("standing")).is_none() {
            let (code, why) = process.end();
            panic!("it does not serve: {code:?}, {why}");
        }
        self.process = Some(process);
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for its end by itself.
    ///
    /// # Panics
    /// When it was not running.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        self.process.take().expect("it runs").end()
    }

    /// Its exit code if it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.process.as_mut().and_then(Running::code)
    }

    /// Whether its process was started and not ended from here.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
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
        command
            .args(["--coordinator", &self.urls])
            .arg("--token-file")
            .arg(token)
            .args(&self.client)
            .args(more);
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
            // Between two leaders there is no answer.
            let answer = self.ask(&["status", study, "--json"]);
            let lines: Option<Value> = serde_json::from_slice(&answer.stdout).ok();
            let line = lines.and_then(|lines| lines.get(0).cloned()).unwrap_or_default();
            if wanted(&line) {
                return line;
            }
            assert!(began.elapsed() < PATIENCE, "it stays like this: {line} {}", run::stderr(&answer));
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

    /// Starts a worker on this machine of a network.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker_on(&self, host: &Host, name: &str, more: &[&str]) -> Worker {
        self.start_worker(Some(host), name, &self.token("worker"), more)
    }

    /// Starts a worker with another token; what it says is in `NAME.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker_with(&self, name: &str, token: &Path, more: &[&str]) -> Worker {
        self.start_worker(None, name, token, more)
    }

    fn start_worker(&self, host: Option<&Host>, name: &str, token: &Path, more: &[&str]) -> Worker {
        let mut command = Command::new(worker_binary());
        command.args(["--coordinator", &self.urls, "--name", name]).args(&self.client);
        command.arg("--token-file").arg(token).arg("--folder").arg(self.folder.join(name));
        command.args(more).env(ar_worker::NVML_LIBRARY, "none").env("AR_LOG", "info,ar_worker=debug");
        if let Some(host) = host {
            command = host.on(&command);
        }
        // A worker of this name that was there before wrote into it, too.
        let log = self.folder.join(format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("the worker starts");
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
