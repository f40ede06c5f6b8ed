//! The commands: each returns how it ended; what goes wrong is told in one line on standard error.

pub mod explain;
pub mod list;
mod migrate;
pub(crate) mod output;
mod place;
mod predict;
mod remote;
pub mod results;
mod run;
mod serve;
mod show;
mod suggest;

use ar_proto::v1::Verb;

use crate::cli::Command;
use crate::exit::Exit;
use crate::{commands, local};

use output::{Console, complain};

/// Runs the command that was asked for.
pub fn execute(command: Command) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(*args).await,
            Command::Promote(args) => run::promote(args).await,
            Command::Serve(args) => serve::serve(*args).await,
            Command::Migrate(args) => migrate::migrate(args).await,
            Command::Submit(args) => remote::submit(*args).await,
            Command::Status(args) => remote::status(args).await,
            Command::Watch(args) => remote::watch(args).await,
            Command::Pause(args) => remote::steer(args, Verb::Pause).await,
            Command::Resume(args) => remote::steer(args, Verb::Resume).await,
            Command::Cancel(args) => remote::steer(args, Verb::Cancel).await,
            Command::Workers(args) => remote::workers(args).await,
            Command::Results(args) if args.fetch || args.remote.coordinator.is_some() => {
                remote::results(args).await
            }
            Command::Results(args) => print(commands::results::results(
                &args.out,
                &args.study,
                args.json,
                Console::new(args.json).width(),
            )),
            Command::Explain(args) => print(commands::explain::explain(&args.out, &args.study, args.json)),
            Command::List(args) => print(commands::list::list(&args.out, args.json)),
            Command::Predict(args) => predict::predict(args).await,
            // `main` runs it, before there is any thread.
            Command::Supervise { .. } => Exit::Internal,
            Command::Worker(args) => match local::worker(args).await {
                Ok(()) => Exit::Done,
                Err(error) => {
                    complain(&error.to_string());
                    local::exit_of(error.as_ref())
                }
            },
        }
    });
    ar_net::traces::end();
    // A task that waits on something slow must not hold the exit.
    runtime.shutdown_background();
    exit
}

fn print<E: std::fmt::Display>(text: Result<String, E>) -> Exit {
    match text {
        Ok(text) => {
            output::say(&text);
            Exit::Done
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::BadInput
        }
    }
}
