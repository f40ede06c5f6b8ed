//! Flags of what asks a coordinator that serves.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;
use super::values::{amount, pair, size};

/// How to reach a coordinator that serves.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Where it listens; of several, separated by commas, any may lead [default: http://127.0.0.1:7600]
    #[arg(long, env = "AR_COORDINATOR", value_name = "URL", value_delimiter = ',')]
    pub coordinator: Option<Vec<String>>,
    /// File with a submitter's token [default: that of a coordinator in ./autoresearch]
    #[arg(long, env = "AR_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Who signed its certificate, PEM [default: those whom the system trusts]
    #[arg(long, env = "AR_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate to show, PEM
    #[arg(long, env = "AR_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Send the token over the network in the clear
    #[arg(long, env = "AR_INSECURE")]
    pub insecure: bool,
}

/// Flags of `submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ar-coordinator submit heart.csv
  ar-coordinator submit ./my-project --train \"python train.py\" --time-budget 5m --coordinator https://head:7600 --ca ca.pem")]
pub struct SubmitArgs {
    /// What `run` takes
    #[command(flatten)]
    pub run: RunArgs,
    /// Which coordinator
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Its part of the workers, where several studies want them
    #[arg(long, value_name = "N", value_parser = amount)]
    pub weight: Option<f64>,
    /// A study of a higher one is served first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Experiments of it at once, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: Option<u32>,
    /// GPUs that a worker must have
    #[arg(long, value_name = "N")]
    pub need_gpus: Option<u32>,
    /// Part of the name of a worker's GPUs, e.g. 4090
    #[arg(long, value_name = "NAME")]
    pub need_gpu: Option<String>,
    /// Memory that a worker must have, e.g. 64GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub need_memory: Option<u64>,
    /// A label that a worker must have; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub need_label: Vec<(String, String)>,
    /// Wait until it has ended, and show how it goes
    #[arg(long)]
    pub wait: bool,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One study: its name, or the first characters of its id [default: all]
    pub study: Option<String>,
    /// Which coordinator
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `workers`.
#[derive(Debug, Args)]
pub struct WorkersArgs {
    /// Let this worker finish what it runs and get nothing more, until it is readmitted
    #[arg(long, value_name = "NAME")]
    pub drain: Option<String>,
    /// Give this worker experiments again: one that was drained, or that was set aside because its runs fail
    #[arg(long, value_name = "NAME")]
    pub readmit: Option<String>,
    /// Which coordinator
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `watch`, `pause`, `resume` and `cancel`.
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// A study: its name, or the first characters of its id
    pub study: String,
    /// Which coordinator
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
