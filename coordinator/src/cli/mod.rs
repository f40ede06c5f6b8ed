//! The command line.

mod client;
mod folder;
mod run;
mod serve;
mod values;
mod worker;

use ar_net::ConfigArgs;
use clap::{Parser, Subcommand};

use crate::exit;

pub use client::{RemoteArgs, StatusArgs, SteerArgs, SubmitArgs, WorkersArgs};
pub use folder::{ExplainArgs, ListArgs, PredictArgs, ResultsArgs};
pub use run::{PromoteArgs, RunArgs, TrainArgs};
pub use serve::{EtcdArgs, MigrateArgs, ServeArgs, StorePlace};
pub use worker::WorkerArgs;

/// Searches for better models, keeps what it learns, and says honestly what beats the base.
#[derive(Debug, Parser)]
#[command(name = "ar-coordinator", version, after_help = exit::HELP)]
pub struct Cli {
    /// The file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Search on one machine: a CSV in, a ranked and honest answer out
    Run(Box<RunArgs>),
    /// Serve many studies and many workers, on this machine or on a network
    Serve(Box<ServeArgs>),
    /// Move the store of a coordinator between its folder and etcd
    Migrate(MigrateArgs),
    /// Hand a study to a coordinator that serves; takes what `run` takes
    Submit(Box<SubmitArgs>),
    /// The studies of a coordinator that serves, or one of them
    Status(StatusArgs),
    /// Follow a study of a coordinator that serves until it has ended
    Watch(SteerArgs),
    /// Let a study wait: what runs is finished, nothing new starts
    Pause(SteerArgs),
    /// Let a study go on that waits
    Resume(SteerArgs),
    /// End a study at once, without a verdict; submitted again it goes on
    Cancel(SteerArgs),
    /// The workers of a coordinator that serves
    Workers(WorkersArgs),
    /// Print the results of a study
    Results(ResultsArgs),
    /// Say what a study teaches: which slots matter, what options do, alone and together
    Explain(ExplainArgs),
    /// Run what a training study kept again beside its base, with more time for each run
    Promote(PromoteArgs),
    /// List the studies of a folder
    List(ListArgs),
    /// Predict with the model that a study handed over
    Predict(PredictArgs),
    /// The local worker of `run`
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Holds a training command for the worker
    #[command(hide = true)]
    Supervise {
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
