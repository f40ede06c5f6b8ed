//! Logs: to standard error or a file, filtered by `AR_LOG` (e.g. `AR_LOG=ar_worker=debug`).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// Sends logs to `file`, appended, or to standard error. Called once per process.
///
/// # Errors
/// When the file cannot be opened.
pub fn start(file: Option<&Path>, default: &str) -> io::Result<()> {
    let filter = EnvFilter::try_from_env("AR_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(true).with_ansi(false);
    // A second call, as in tests that share a process, changes nothing.
    let _ = match file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path)?;
            // On a full disk the log has gaps; what is told to people stays one line.
            lines.log_internal_errors(false).with_writer(Arc::new(file)).try_init()
        }
        None => lines.with_writer(io::stderr).try_init(),
    };
    Ok(())
}
