//! Looking at an interpreter without trusting it: it may hang, be something else, or be too old.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{OLDEST, TOO_NEW};
use crate::output::{Bounded, one_line};

/// How long an interpreter may take to answer; imports on a cold disk are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// The version of an interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
    /// As it writes it, `3.11.9`.
    pub(super) text: String,
    /// Its real path, whatever shim or link led to it.
    pub(super) executable: String,
}

impl Version {
    pub(super) fn suits(&self) -> bool {
        (OLDEST..TOO_NEW).contains(&(self.major, self.minor))
    }
}

/// Asks an interpreter for its version.
pub(super) async fn version(python: &Path) -> Result<Version, String> {
    let script = "import os, sys; print(*sys.version_info[:2], '.'.join(map(str, sys.version_info[:3])), os.path.realpath(sys.executable))";
    let said = ask(python, script).await?;
    // The path is last, as it may hold blanks.
    let mut words = said.trim().splitn(4, ' ');
    let mut number = || words.next()?.parse().ok();
    match (number(), number(), words.next()) {
        (Some(major), Some(minor), Some(text)) => {
            let executable = words.next().unwrap_or_default().to_owned();
            Ok(Version { major, minor, text: text.to_owned(), executable })
        }
        _ => Err(format!("asked for its version it said `{}`", one_line(&said))),
    }
}

/// Which of these modules an interpreter cannot import, with the reasons.
pub(super) async fn missing(python: &Path, modules: &[&str]) -> Result<Vec<(String, String)>, String> {
    let script = format!(
        "import importlib\nfor name in '{}'.split():\n    try:\n        importlib.import_module(name)\n    except Exception as error:\n        print(name, str(error).splitlines()[0] if str(error) else type(error).__name__, sep=': ')",
        modules.join(" ")
    );
    let said = ask(python, &script).await?;
    let missing = said.lines().filter_map(|line| line.split_once(": "));
    Ok(missing.map(|(module, why)| (module.to_owned(), one_line(why))).collect())
}

/// Every interpreter on the path by its usual names, the newest names first.
pub(super) fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["python3.13", "python3.12", "python3.11", "python3", "python3.14", "python3.10", "python"];
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .filter(|p| p.is_file())
        .collect()
}

async fn ask(python: &Path, script: &str) -> Result<String, String> {
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => return Err(format!("it gave no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = Bounded::default();
    said.push(&output.stderr);
    Err(format!("{}: {}", output.status, said.last_line()))
}
