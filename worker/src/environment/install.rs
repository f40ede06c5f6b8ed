//! Making an environment: by uv where it is, else by venv and pip.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::{EnvironmentError, Request, interpreter};
use crate::output::{Bounded, one_line};

/// What makes the environment.
#[derive(Debug)]
pub(super) enum Installer {
    /// uv, which finds or fetches a Python by itself.
    Uv(PathBuf),
    /// `venv` and pip of an interpreter.
    Pip { python: PathBuf, version: interpreter::Version },
}

impl Installer {
    /// The best there is on this machine.
    pub(super) async fn find() -> Result<Self, EnvironmentError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(uv) = std::env::split_paths(&path).map(|folder| folder.join("uv")).find(|p| p.is_file()) {
            return Ok(Self::Uv(uv));
        }
        let mut unsuitable = None;
        for python in interpreter::candidates() {
            match interpreter::version(&python).await {
                Ok(version) if version.suits() => return Ok(Self::Pip { python, version }),
                Ok(version) => unsuitable = Some(format!("{} is Python {}", python.display(), version.text)),
                // What is there by name only (a shim, a link to nothing) is passed over.
                Err(why) => tracing::info!(python = %python.display(), why, "passed over"),
            }
        }
        Err(unsuitable.map_or(EnvironmentError::NoPython, |found| EnvironmentError::Unsuitable { found }))
    }

    /// What of the installer decides the environment; part of its key.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Uv(_) => format!("uv {} {}", std::env::consts::OS, std::env::consts::ARCH),
            Self::Pip { version, .. } => format!("{} {}", version.executable, version.text),
        }
    }

    /// Makes the environment in `folder`, which does not exist, and compiles it to byte code: without
    /// that each start of a fork server would compile for seconds.
    pub(super) async fn make(
        &self,
        folder: &Path,
        request: &Request<'_>,
        progress: &(impl Fn(String) + Send + Sync),
    ) -> Result<(), EnvironmentError> {
        let log_path = folder.with_extension("log");
        let failed = |source| EnvironmentError::Cache { path: log_path.clone(), source };
        let mut log = std::fs::File::create(&log_path).map_err(failed)?;
        progress(format!("making the Python environment in {} (once, 1 to 3 minutes)", folder.display()));
        let install_error = |why| EnvironmentError::Install { why, log: log_path.clone() };
        match self {
            Self::Uv(uv) => {
                let mut venv = Command::new(uv);
                venv.args(["venv", "--no-project", "--python", ">=3.10,<3.14"]).arg(folder);
                run(&mut venv, &mut log, progress).await.map_err(install_error)?;
            }
            Self::Pip { python, version } => {
                let mut venv = Command::new(python);
                venv.args(["-m", "venv"]).arg(folder);
                run(&mut venv, &mut log, progress).await.map_err(|why| EnvironmentError::NoVenv {
                    python: python.clone(),
                    version: format!("{}.{}", version.major, version.minor),
                    why,
                })?;
            }
        }
        let requirements = folder.join("requirements.lock");
        std::fs::write(&requirements, request.lock).map_err(failed)?;
        let python = folder.join("bin").join("python");
        let mut install = self.install(&python, request.complete);
        install.arg("-r").arg(&requirements);
        run(&mut install, &mut log, progress).await.map_err(install_error)?;
        progress("compiling the Python packages".to_owned());
        let mut compile = Command::new(&python);
        compile.args(["-m", "compileall", "-q", "-j", "0", "-x", "[\\\\/](tests?|testing)[\\\\/]"]);
        compile.arg(folder.join("lib"));
        // A package may carry a file for another Python that does not compile here; imports tell.
        if let Err(why) = run(&mut compile, &mut log, progress).await {
            tracing::info!(why, "some of the packages were not compiled");
        }
        Ok(())
    }

    /// The command that installs, but for what it installs. Of a complete list every package has a wheel.
    fn install(&self, python: &Path, complete: bool) -> Command {
        let mut command = match self {
            Self::Uv(uv) => {
                let mut command = Command::new(uv);
                command.args(["pip", "install", "--python"]).arg(python);
                command
            }
            Self::Pip { .. } => {
                let mut command = Command::new(python);
                command.args(["-m", "pip", "install", "--no-compile"]);
                command.args(["--progress-bar", "off", "--no-input", "--disable-pip-version-check"]);
                command
            }
        };
        if complete {
            command.args(["--no-deps", "--only-binary", ":all:"]);
        }
        command
    }
}

/// Runs a command, logs all it says, passes on what a person wants to see; the error is its last line.
async fn run(
    command: &mut Command,
    log: &mut std::fs::File,
    progress: &(impl Fn(String) + Send + Sync),
) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // It would keep pip from writing byte code; ours is wanted.
    command.env_remove("PYTHONDONTWRITEBYTECODE").env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    let _ = writeln!(log, "$ {:?}", command.as_std());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (sender, mut lines) = tokio::sync::mpsc::channel::<(bool, String)>(64);
    tokio::spawn(forward(out, false, sender.clone()));
    tokio::spawn(forward(err, true, sender));
    let (mut said, mut error) = (Bounded::default(), None);
    while let Some((is_error, line)) = lines.recv().await {
        let _ = writeln!(log, "{line}");
        said.push(line.as_bytes());
        said.push(b"\n");
        let line = one_line(&line);
        if is_error && line.to_ascii_lowercase().contains("error") {
            error = Some(line.clone());
        }
        if let Some(step) = shown(&line) {
            progress(step);
        }
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let why = error.unwrap_or_else(|| said.last_line());
    Err(if why.is_empty() { status.to_string() } else { why })
}

async fn forward(
    stream: Option<impl AsyncRead + Unpin>,
    is_error: bool,
    lines: tokio::sync::mpsc::Sender<(bool, String)>,
) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if lines.send((is_error, text)).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// What of an installer's lines a person wants to see.
fn shown(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(what) = line.strip_prefix("Collecting ") {
        return Some(format!("fetching {}", what.split([' ', '=', ';']).next().unwrap_or(what)));
    }
    let steps = ["Downloading ", "Installing ", "Prepared ", "Resolved ", "Building "];
    steps.iter().any(|step| line.starts_with(step)).then(|| line.chars().take(90).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_installers_lines_the_steps_are_shown() {
        assert_eq!(shown("Collecting numpy==2.2.6 (from -r x)").as_deref(), Some("fetching numpy"));
        assert_eq!(shown("Looking in indexes: somewhere"), None);
    }
}
