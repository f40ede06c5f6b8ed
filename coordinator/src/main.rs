//! `ar-coordinator`: parses the command line, runs the command, and turns its end into an exit code.

use std::process::ExitCode;

use ar_coordinator::{cli::Cli, commands};
use clap::Parser;

fn main() -> ExitCode {
    commands::execute(Cli::parse()).into()
}
