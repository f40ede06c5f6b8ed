//! `predict`: the model that a study handed over, applied to new rows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ar_net::durable;
use tokio::process::Command;

use super::output::complain;
use crate::cli::PredictArgs;
use crate::exit::Exit;
use crate::local::{self, EnvironmentError};
use crate::results::{self, FindError};

#[derive(Debug, thiserror::Error)]
enum PredictError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("{} has no model yet; let the study end (run the same command again), then predict", folder.display())]
    NoModel { folder: PathBuf },
    #[error("there is no file {}; name a CSV file with the rows to predict", .0.display())]
    NoData(PathBuf),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("cannot start {}: {source}; name another Python with --python PATH", python.display())]
    Start { python: PathBuf, source: io::Error },
    #[error("{0}")]
    Python(String),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

pub(super) async fn predict(args: PredictArgs) -> Exit {
    match execute(&args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error.to_string());
            Exit::BadInput
        }
    }
}

async fn execute(args: &PredictArgs) -> Result<(), PredictError> {
    let folder = results::find(&args.out, &args.study)?;
    let model = folder.join("best").join("model.joblib");
    if !model.is_file() {
        return Err(PredictError::NoModel { folder });
    }
    if !args.data.is_file() {
        return Err(PredictError::NoData(args.data.clone()));
    }
    // Standard output carries the predictions.
    let progress = |text: String| {
        let _ = writeln!(io::stderr().lock(), "{text}");
    };
    if let Some(verdict) = results::read(&folder)?.verdict.filter(|verdict| !verdict.members.is_empty()) {
        progress(crate::text::plain(&format!("model     {}", verdict.winner_label)));
    }
    let python = local::environment(args.python.as_deref(), progress).await?;
    let scratch =
        tempfile::tempdir().map_err(|source| PredictError::Write { path: std::env::temp_dir(), source })?;
    lay_out(scratch.path())?;
    let predictions = scratch.path().join("predictions.csv");
    let output = Command::new(&python)
        .args(["-m", "ar_runner", "predict"])
        .args([&model, &args.data, &predictions])
        .env("PYTHONPATH", scratch.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| PredictError::Start { python, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(PredictError::Python(last.trim().to_owned()));
    }
    hand_over(&predictions, args.output.as_deref())
}

/// Writes the Python package beside the predictions, so that the model finds its classes.
fn lay_out(folder: &Path) -> Result<(), PredictError> {
    for (path, content) in ar_runner::files() {
        let path = folder.join(path);
        let failed = |source| PredictError::Write { path: path.clone(), source };
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        std::fs::write(&path, content).map_err(failed)?;
    }
    Ok(())
}

fn hand_over(predictions: &Path, output: Option<&Path>) -> Result<(), PredictError> {
    let failed = |path: &Path, source| PredictError::Write { path: path.to_owned(), source };
    let bytes = std::fs::read(predictions).map_err(|source| failed(predictions, source))?;
    match output {
        Some(path) => durable::write(path, &bytes).map_err(|source| failed(path, source)),
        None => match io::stdout().lock().write_all(&bytes) {
            // `| head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|source| failed(Path::new("standard output"), source)),
        },
    }
}
