//! `ar-coordinator`: parses the command line, runs the command, and turns its end into an exit code.

use std::process::ExitCode;

use ar_coordinator::cli::{Cli, Command};
use ar_coordinator::{commands, local};

fn main() -> ExitCode {
    match ar_net::config::parse::<Cli>().command {
        // A process of its own, without the threads of the others: it ends others, and collects them.
        Command::Supervise { command } => ExitCode::from(local::supervise(&command)),
        command => commands::execute(command).into(),
    }
}
