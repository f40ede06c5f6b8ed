//! What is seen of a program from outside: its logs, and the traces of its experiments.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};

use crate::logs::{self, LogFormat};
use crate::traces::{self, TraceError};

/// The flags of both.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Logs and traces")]
pub struct ObserveArgs {
    /// How lines of the log are written; AR_LOG says what is logged, e.g. AR_LOG=debug
    #[arg(long, env = "AR_LOG_FORMAT", value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,
    /// Where traces of experiments go, by OTLP over HTTP, e.g. http://127.0.0.1:4318 [default: as the variables of OpenTelemetry
    /// say, OTEL_EXPORTER_OTLP_ENDPOINT and others; else nowhere]
    #[arg(long, env = "AR_OTLP", value_name = "URL")]
    pub otlp: Option<String>,
}

/// Why nothing would be seen.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A variable has no meaning.
    #[error("{0}")]
    Environment(String),
    /// The log cannot be written.
    #[error("cannot write the log {path}: {source}", path = path.display())]
    Log {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TraceError),
}

impl ObserveArgs {
    /// As the environment says, for a command that has no such flags.
    ///
    /// # Errors
    /// When a variable has no meaning.
    pub fn from_environment() -> Result<Self, ObserveError> {
        #[derive(Parser)]
        struct Environment {
            #[command(flatten)]
            args: ObserveArgs,
        }
        let parsed = Environment::try_parse_from(["program"]);
        let line = |error: clap::Error| {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        Ok(parsed.map_err(|error| ObserveError::Environment(line(error)))?.args)
    }
}

/// Starts logs, to `file` or to standard error, and traces where they are asked for. Called once per process, on its runtime.
///
/// # Errors
/// When the file cannot be opened, or the address of traces makes no sense.
pub fn start(args: &ObserveArgs, file: Option<&Path>, program: &'static str) -> Result<(), ObserveError> {
    logs::start(args.log_format, file, "info").map_err(|source| {
        let path = file.unwrap_or(Path::new("on standard error")).to_owned();
        ObserveError::Log { path, source }
    })?;
    Ok(traces::start(args.otlp.as_deref(), program)?)
}
