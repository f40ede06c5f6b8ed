//! Flags of what reads a folder of results.

use std::path::PathBuf;

use clap::Args;

use super::RemoteArgs;

/// Flags of `results`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ar-coordinator results heart-statlog")]
pub struct ResultsArgs {
    /// A study: its name, its folder, or the first digits of its id
    pub study: String,
    /// Bring the study's whole folder, its best model included, from a coordinator that serves into OUT
    #[arg(long)]
    pub fetch: bool,
    /// A coordinator that serves, instead of a folder
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Folder with the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Print results.json
    #[arg(long)]
    pub json: bool,
}

/// Flags of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ar-coordinator explain heart-statlog
  ar-coordinator explain heart-statlog --json | jq .interactions")]
pub struct ExplainArgs {
    /// A study, running or not: its name, its folder, or the first digits of its id
    pub study: String,
    /// Folder with the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ar-coordinator list --json")]
pub struct ListArgs {
    /// Folder with the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `predict`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ar-coordinator predict heart-statlog new-patients.csv > predictions.csv")]
pub struct PredictArgs {
    /// A study: its name, its folder, or the first digits of its id
    pub study: String,
    /// The rows to predict; the target column may be absent
    pub data: PathBuf,
    /// Where to write the predictions [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder with the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Your own Python, as for `run`
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
}
