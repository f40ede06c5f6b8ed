//! What others do on this machine, where they install: trials of Optuna and tasks of dask.distributed that run nothing.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use ar_tests::figures::Figures;

use crate::Failure;

const SCRIPT: &str = include_str!("peers.py");
const PACKAGES: [&str; 3] = ["optuna==4.5.0", "grpcio==1.74.0", "distributed==2025.7.0"];

/// Makes an environment of their own, runs them, and tells their figures.
pub(crate) fn measure(seconds: u64, figures: &Figures) -> Result<(), Failure> {
    figures.note("peers: an environment with Optuna and dask.distributed ...");
    let folder = tempfile::tempdir()?;
    let python = folder.path().join("bin/python");
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder.path()).status()?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "protobuf"];
    let installed = made.success() && Command::new(&python).args(pip).args(PACKAGES).status()?.success();
    if !installed {
        figures.note("peers: they do not install here, and are not measured");
        return Ok(());
    }
    let script = folder.path().join("peers.py");
    std::fs::write(&script, SCRIPT)?;
    let output =
        Command::new(&python).arg(&script).arg(seconds.to_string()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found: BTreeMap<String, f64> = serde_json::from_str(text.lines().last().unwrap_or("{}"))?;
    for (name, value) in &found {
        figures.tell(&format!("{name}: no-op trials or tasks, two processes"), *value, "1/s", "", &[]);
    }
    Ok(())
}
