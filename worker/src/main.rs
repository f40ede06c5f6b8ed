//! `ar-worker`: joins a coordinator and runs experiments until it is told to leave.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ar_common::WorkerId;
use ar_net::{Dial, Token};
use ar_worker::cli::Args;
use ar_worker::{WorkerConfig, WorkerError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // A process of its own, without the threads of the others: it ends others, and collects them.
    if let [_, first, dashes, command @ ..] = &arguments[..]
        && first == "supervise"
        && dashes == "--"
    {
        return ExitCode::from(ar_worker::supervise(command));
    }
    let args: Args = ar_net::config::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&format!("cannot start: {error}"), 70),
    };
    let ended = runtime.block_on(run(args));
    ar_net::traces::end();
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error.to_string(), code(error.as_ref())),
    }
}

/// One line on standard error, without what steers a terminal.
fn told(text: &str, code: u8) -> ExitCode {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), format!("error: {plain}\n").as_bytes());
    ExitCode::from(code)
}

fn code(error: &(dyn std::error::Error + 'static)) -> u8 {
    match error.downcast_ref() {
        Some(WorkerError::Folder { .. } | WorkerError::InUse { .. } | WorkerError::Full { .. }) => 3,
        Some(WorkerError::Blobs(_)) => 70,
        Some(_) => 2,
        None if error.is::<ar_net::TokenError>() => 2,
        None => 70,
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    ar_net::observe::start(&args.observe, None, "ar-worker")?;
    let (sender, leave) = watch::channel(false);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("leaving: what runs may go on for a while, and nothing new is taken");
        let _ = sender.send(true);
        // A second one: at once. What is spooled is offered when it starts again.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    let name = args.name.unwrap_or_else(|| host(&ar_worker::hardware::report().host));
    let config = WorkerConfig {
        coordinator: Dial {
            urls: args.coordinator,
            ca: args.ca,
            identity: args.client_cert.zip(args.client_key),
            insecure: args.insecure,
        },
        token: Token::load(&args.token_file)?,
        name: WorkerId(name),
        slots: args.slots,
        gpus_per_experiment: args.gpus_per_experiment,
        folder: std::path::absolute(&args.folder)?,
        cache_size: args.cache_size,
        min_free: args.min_free,
        keep_warm: args.keep_warm,
        cache: None,
        python: args.python,
        keep_failed: None,
        supervisor: vec![std::env::current_exe()?.into(), "supervise".into()],
        labels: args.labels.into_iter().collect::<BTreeMap<_, _>>(),
        leave,
        drain_grace: args.drain,
    };
    Ok(ar_worker::run(config).await?)
}

/// A host's name as the name of a worker.
fn host(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().take(128).map(plain).collect();
    if name.is_empty() { "worker".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_is_made_one_of_a_worker() {
        assert_eq!(host("my box.local"), "my-box.local");
    }
}
