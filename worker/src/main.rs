//! `ar-worker`: joins a coordinator and runs experiments until it is told to leave.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ar_common::WorkerId;
use ar_net::{Dial, Token};
use ar_worker::{WorkerConfig, WorkerError};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Runs the experiments that a coordinator gives it
#[derive(Debug, Parser)]
#[command(
    name = "ar-worker",
    version,
    after_help = "\
Each flag may also be a variable: AR_COORDINATOR, AR_TOKEN_FILE and so on.
Example:
  ar-worker --coordinator https://head:7600 --ca ca.pem --token-file worker.token --label zone=a
Exit codes: 0 it left as asked, 2 bad input or the coordinator refuses it, 3 its folder is full or cannot be used, 70 internal"
)]
struct Args {
    /// Where the coordinator listens; of several, separated by commas, any may lead
    #[arg(
        long,
        env = "AR_COORDINATOR",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7600"
    )]
    coordinator: Vec<String>,
    /// File with a worker's token
    #[arg(
        long,
        env = "AR_TOKEN_FILE",
        value_name = "FILE",
        default_value = "autoresearch/store/tokens/worker/default"
    )]
    token_file: PathBuf,
    /// Who signed the coordinator's certificate, PEM [default: those whom the system trusts]
    #[arg(long, env = "AR_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show, PEM
    #[arg(long, env = "AR_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Send the token over the network in the clear
    #[arg(long, env = "AR_INSECURE")]
    insecure: bool,
    /// Its stable name: another worker of the same name takes its place [default: the host's name]
    #[arg(long, env = "AR_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Experiments at once [default: one for each set of GPUs, else one for each core]
    #[arg(long, env = "AR_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,
    /// GPUs of one training run; 0 pins none [default: 1 where there is one]
    #[arg(long, env = "AR_GPUS_PER_EXPERIMENT", value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    gpus_per_experiment: Option<u32>,
    /// What studies may ask for, e.g. zone=a; may be repeated
    #[arg(long = "label", env = "AR_LABELS", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    labels: Vec<(String, String)>,
    /// Folder for what it holds: results that are not handed over, files of studies
    #[arg(long, env = "AR_FOLDER", value_name = "DIR", default_value = "autoresearch/worker")]
    folder: PathBuf,
    /// Your own Python, instead of one that is made
    #[arg(long, env = "AR_PYTHON", value_name = "PATH")]
    python: Option<PathBuf>,
    /// How long what runs may go on once the worker is to leave; what does not end by then is given back
    #[arg(long, env = "AR_DRAIN", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    drain: Duration,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // A process of its own, without the threads of the others: it ends others, and collects them.
    if let [_, first, dashes, command @ ..] = &arguments[..]
        && first == "supervise"
        && dashes == "--"
    {
        return ExitCode::from(ar_worker::supervise(command));
    }
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&format!("cannot start: {error}"), 70),
    };
    let ended = runtime.block_on(run(args));
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
        Some(WorkerError::Folder { .. } | WorkerError::Full { .. }) => 3,
        Some(WorkerError::Blobs(_)) => 70,
        Some(_) => 2,
        None if error.is::<ar_net::TokenError>() => 2,
        None => 70,
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    ar_net::logs::start(None, "info")?;
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
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert_eq!(label("zone=a=b"), Ok(("zone".into(), "a=b".into())));
        assert!(label("zone").is_err() && label("=a").is_err());
        assert_eq!(host("my box.local"), "my-box.local");
    }
}
