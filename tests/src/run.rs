//! Running `ar-coordinator` as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

/// The program under test: `$AR_BINARY`, or the one that cargo builds now.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("AR_BINARY") {
        Some(path) => PathBuf::from(path),
        None => {
            let release = !cfg!(debug_assertions);
            let mut build = Command::new(env!("CARGO"));
            build
                .args(["build", "--quiet", "-p", "ar-coordinator", "-p", "ar-worker", "--bins"])
                .current_dir(root());
            build.args(release.then_some("--release"));
            assert!(build.status().is_ok_and(|status| status.success()), "ar-coordinator does not build");
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
            target.join(if release { "release" } else { "debug" }).join("ar-coordinator")
        }
    })
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// One of the examples' tables.
pub fn example(name: &str) -> PathBuf {
    root().join("examples/data").join(name)
}

/// The program with these arguments, not yet started. It sees nothing of the terminal.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).env_remove("COLUMNS");
    // What a test says does not depend on the GPUs of the machine that it runs on.
    command.env(ar_worker::NVML_LIBRARY, "none");
    command
}

/// Runs the program to its end.
///
/// # Panics
/// When it cannot be started.
pub fn finish(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program under way, its lines read as they come.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// What was read.
    pub seen: Vec<String>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    /// Starts a [`command`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self { child, lines, seen: Vec::new() }
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// The next line, or none when it has ended.
    pub fn line(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let read = self.lines.read_until(b'\n', &mut bytes).unwrap_or(0);
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        (read > 0).then(|| {
            self.seen.push(line.clone());
            line
        })
    }

    /// Reads until a line that `wanted` accepts. `None` if it ended before.
    pub fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            let line = self.line()?;
            if wanted(&line) {
                return Some(line);
            }
        }
    }

    /// Kills it at once.
    pub fn kill_9(&mut self) {
        super::processes::kill_9(self.pid());
        let _ = self.child.wait();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
    }

    /// Its exit code if it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Waits for its end. Returns the exit code, if it was not killed, and its standard error.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn end(mut self) -> (Option<i32>, String) {
        while self.line().is_some() {}
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        (self.child.wait().expect("it can be waited for").code(), said)
    }
}

/// Whether a line of progress tells of an ended experiment.
pub fn is_experiment(line: &str) -> bool {
    line.starts_with('[') && line.contains('/') && line.contains(']')
}
