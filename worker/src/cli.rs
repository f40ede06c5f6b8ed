//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use ar_net::{ConfigArgs, ObserveArgs};
use clap::Parser;

/// Runs the experiments that a coordinator gives it
#[derive(Debug, Parser)]
#[command(
    name = "ar-worker",
    version,
    after_help = "\
Each flag may also be a variable (AR_COORDINATOR, AR_TOKEN_FILE and so on), or in a file (--config).
Example:
  ar-worker --coordinator https://head:7600 --ca ca.pem --token-file worker.token --label zone=a
Exit codes: 0 it left as asked, 2 bad input or the coordinator refuses it, 3 its folder is full or cannot be used, 70 internal"
)]
pub struct Args {
    /// The file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the coordinator listens; of several, separated by commas, any may lead
    #[arg(
        long,
        env = "AR_COORDINATOR",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7600"
    )]
    pub coordinator: Vec<String>,
    /// File with a worker's token
    #[arg(
        long,
        env = "AR_TOKEN_FILE",
        value_name = "FILE",
        default_value = "autoresearch/store/tokens/worker/default"
    )]
    pub token_file: PathBuf,
    /// Who signed the coordinator's certificate, PEM [default: those whom the system trusts]
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
    /// Its stable name: another worker of the same name takes its place [default: the host's name]
    #[arg(long, env = "AR_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Experiments at once [default: one for each set of GPUs, else one for each core]
    #[arg(long, env = "AR_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub slots: Option<u32>,
    /// GPUs of one training run; 0 pins none [default: 1 where there is one]
    #[arg(long, env = "AR_GPUS_PER_EXPERIMENT", value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    pub gpus_per_experiment: Option<u32>,
    /// What studies may ask for, e.g. zone=a; may be repeated
    #[arg(long = "label", env = "AR_LABELS", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Folder for what it holds: results that are not handed over, files of studies
    #[arg(long, env = "AR_FOLDER", value_name = "DIR", default_value = "autoresearch/worker")]
    pub folder: PathBuf,
    /// Most bytes of files kept that the coordinator has, e.g. 50GiB; those of studies that run stay in any case [default:
    /// 20GiB, or a quarter of the disk if that is less]
    #[arg(long, env = "AR_CACHE_SIZE", value_name = "SIZE", value_parser = ar_net::size::parse)]
    pub cache_size: Option<u64>,
    /// Least space left on the disk under the folder: below it the worker takes nothing more, e.g. 5GiB; 0 for none [default:
    /// 1GiB, or a fiftieth of the disk if that is less]
    #[arg(long, env = "AR_MIN_FREE", value_name = "SIZE", value_parser = ar_net::size::parse_or_none)]
    pub min_free: Option<u64>,
    /// How long a study is kept ready when nothing of it runs: its Python with the data in memory, its files
    #[arg(long, env = "AR_KEEP_WARM", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub keep_warm: Duration,
    /// Your own Python, instead of one that is made
    #[arg(long, env = "AR_PYTHON", value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// How long what runs may go on once the worker is to leave; what does not end by then is given back
    #[arg(long, env = "AR_DRAIN", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// What is seen of it from outside.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
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
    }
}
