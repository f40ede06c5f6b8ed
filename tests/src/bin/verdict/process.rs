//! Running the program and its Python; what fails is told by the last line it said.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use ar_tests::run;

use crate::error::BenchError;

/// Runs `ar-coordinator` to its end and returns its standard output.
pub(crate) fn program(arguments: &[&str]) -> Result<Vec<u8>, BenchError> {
    ended(run::command(arguments), &format!("ar-coordinator {}", arguments.first().unwrap_or(&"")))
}

/// Runs a script; `package` is where it imports from.
pub(crate) fn python(
    python: &Path,
    script: &Path,
    arguments: &[&Path],
    package: Option<&Path>,
) -> Result<(), BenchError> {
    let mut command = Command::new(python);
    command.arg(script).args(arguments).stdin(Stdio::null());
    // One thread, as the worker's children have: sums then come out alike.
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(name, "1");
    }
    command.env_remove("PYTHONPATH").envs(package.map(|package| ("PYTHONPATH", package)));
    ended(command, &script.display().to_string()).map(|_| ())
}

fn ended(mut command: Command, what: &str) -> Result<Vec<u8>, BenchError> {
    let failed = |said: String| BenchError::Failed { what: what.to_owned(), said };
    let Output { status, stdout, stderr } = command.output().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(stdout);
    }
    let said = String::from_utf8_lossy(&stderr);
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Err(failed(last.map_or_else(|| status.to_string(), str::to_owned)))
}
