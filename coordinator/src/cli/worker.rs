//! Flags of the local worker of `run`.

use std::path::PathBuf;

use clap::Args;

/// Flags of the hidden worker command.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Where the coordinator listens
    #[arg(long)]
    pub coordinator: String,
    /// File with the token
    #[arg(long)]
    pub token_file: PathBuf,
    /// Its folder
    #[arg(long)]
    pub folder: PathBuf,
    /// Its name
    #[arg(long)]
    pub name: String,
    /// Experiments at once
    #[arg(long)]
    pub slots: Option<u32>,
    /// GPUs of one training run
    #[arg(long)]
    pub gpus_per_experiment: Option<u32>,
    /// The user's own interpreter
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// Where the folders of failed training runs go; they are removed if absent
    #[arg(long)]
    pub keep_failed: Option<PathBuf>,
}
