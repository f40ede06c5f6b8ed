//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::exit;

/// Searches for better models, keeps what it learns, and says honestly what beats the base.
#[derive(Debug, Parser)]
#[command(name = "ar-coordinator", version, after_help = exit::HELP)]
pub struct Cli {
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
    Serve(ServeArgs),
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

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  ar-coordinator run heart.csv
  ar-coordinator run houses.csv --target price --metric mae --budget 20 --rounds 6
  ar-coordinator run visits.csv --group patient --drop name --holdout 0.3
  ar-coordinator run sales.csv --time month --time-limit 30m
  ar-coordinator run clicks.csv --max-predict-ms 5 --max-memory 500MiB
  ar-coordinator run ./my-project --train "python train.py" --edit train.py --time-budget 5m
  ar-coordinator run heart.csv --dry-run > study.toml && ar-coordinator run study.toml"#)]
pub struct RunArgs {
    /// A CSV file, a folder with a training script, or a study.toml printed by --dry-run
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// Column to predict [default: one named target, label, class or y, else the last]
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// accuracy, balanced_accuracy, f1, roc_auc, log_loss, rmse, mae or r2 [default: by the target]; of a training script the
    /// name that it prints [default: val_bpb]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// What makes the models
    #[arg(long, value_name = "NAME", default_value = "sklearn", value_parser = ["sklearn"])]
    pub framework: String,
    /// Experiments in each round [default: 15]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub budget: Option<u32>,
    /// Rounds [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// How configurations are chosen: auto, gp, tpe, grid or random [default: auto, which is grid for a space of at
    /// most 20 combinations and gp for a larger one]
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<ar_common::Sampler>,
    /// End the search early when nothing left is expected to improve on the best by this much, in units of the
    /// metric [default: the budget is used]
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub stop_below: Option<f64>,
    /// A configuration to try right after the base, e.g. "build_model=xgb scale=robust" or DEPTH=12,MATRIX_LR=0.02; may be
    /// given again, also when a study goes on
    #[arg(long, value_name = "SLOT=OPTION,..")]
    pub enqueue: Vec<String>,
    /// An option that is never tried, or two that are not tried together, e.g. build_model=gp,features=poly; may be given
    /// again
    #[arg(long, value_name = "SLOT=OPTION[,SLOT=OPTION]")]
    pub forbid: Vec<String>,
    /// Leave out the ensemble: where the budget has room (40 experiments or more), the best few configurations are
    /// averaged at the end of the search, and the mean enters the verdict beside the best one
    #[arg(long)]
    pub no_ensemble: bool,
    /// Run all folds of every experiment [default: what is behind the best on each of its first folds, two at least, is
    /// stopped, and the folds it did not run go back to the budget]
    #[arg(long)]
    pub no_race: bool,
    /// Most wall-clock time, e.g. 90s, 30m, 2h; a fifth of it is kept for the verdict
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub time_limit: Option<Duration>,
    /// Most time for one experiment [default: 60s or 20 times the base, whichever is more]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub experiment_limit: Option<Duration>,
    /// Most memory for one experiment beyond the loaded data, e.g. 2GiB [default: a share of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub experiment_memory: Option<u64>,
    /// Most milliseconds that a model may take to predict 1,000 rows, told by the test rows of the folds, the steps
    /// before the model not counted; what takes longer teaches the search and is never the answer
    #[arg(long, value_name = "MS", value_parser = amount)]
    pub max_predict_ms: Option<f64>,
    /// Most memory that an experiment's process may hold, libraries and data included, e.g. 500MiB; what takes more
    /// teaches the search and is never the answer (--experiment-memory ends it)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
    /// Experiments at once [default: the cores; for a training script one for each GPU, or 1 without]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// Seed of splits, models and search [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Share of the rows that is sealed until the end, or none [default: 0.2 where that is at least 200 rows]
    #[arg(long, value_name = "FRACTION|none")]
    pub holdout: Option<String>,
    /// Column whose equal values stay in one fold
    #[arg(long, value_name = "COL")]
    pub group: Option<String>,
    /// Column that orders the rows; folds then predict forward in time
    #[arg(long, value_name = "COL")]
    pub time: Option<String>,
    /// Columns to leave out
    #[arg(long, value_name = "COL", num_args = 1..)]
    pub drop: Vec<String>,
    /// Your own Python with scikit-learn, pandas and msgpack; nothing is installed into it
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Folder for the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Print the study as TOML and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print results.json at the end, and nothing else, to standard output
    #[arg(long)]
    pub json: bool,
    /// For training scripts.
    #[command(flatten)]
    pub training: TrainArgs,
}

/// Flags of `run` for training scripts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training scripts")]
pub struct TrainArgs {
    /// What trains, for a shell, in a copy of the folder [default: python train.py]
    #[arg(long, value_name = "COMMAND")]
    pub train: Option<String>,
    /// File whose constants are searched; may be given again [default: train.py]
    #[arg(long, value_name = "FILE")]
    pub edit: Vec<String>,
    /// Time that one run may train, e.g. 10s, 5m [default: 5m]; the script finds the seconds in TIME_BUDGET, a variable of
    /// its environment or a constant of its own, which is rewritten
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub time_budget: Option<Duration>,
    /// Time that a run may take beyond that, to start, compile and evaluate [default: 60s or the budget again, whichever is
    /// more]; what takes longer is ended
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub startup: Option<Duration>,
    /// The variable in which the script finds its budget, if that is not TIME_BUDGET
    #[arg(long, value_name = "NAME")]
    pub budget_variable: Option<String>,
    /// A constant with its range or its choices, e.g. MATRIX_LR=0.01..0.1:log, DEPTH=2..8 or ACTIVATION=relu2|gelu; may be
    /// given again [default: every number and flag at the top level, ranged around its value]
    #[arg(long, value_name = "NAME=RANGE")]
    pub knob: Vec<String>,
    /// A constant that has this value in every run, that of the base included, and is not searched, e.g. DEPTH=12; may be
    /// given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub pin: Vec<String>,
    /// A constant that is not searched; may be given again
    #[arg(long, value_name = "NAME")]
    pub no_knob: Vec<String>,
    /// Run every experiment for all its time [default: from half of its time on, one whose loss is above the median of finished
    /// runs at the same training time is stopped; not the first runs, nor those that change a schedule, a batch size or a
    /// tokenizer]
    #[arg(long)]
    pub no_early_stop: bool,
    /// GPUs of one run, which it finds in CUDA_VISIBLE_DEVICES and has for itself; as many runs go on at once as there are such
    /// sets [default: 1 if there is one]; 0 pins none, for runs that share them or use none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    pub gpus_per_experiment: Option<u32>,
    /// What scores a trained checkpoint, for a shell, in a process of its own after each run; it finds the checkpoint where
    /// the variable CHECKPOINT_OUT says, in which the script has to leave it [default: the script's own word counts]
    #[arg(long, value_name = "COMMAND")]
    pub evaluate: Option<String>,
    /// A file that no run may change; may be given again [default: prepare.py and evaluate.py where they are]
    #[arg(long, value_name = "FILE")]
    pub protect: Vec<String>,
    /// Data that runs read where they lie, e.g. /data/corpus or data/tokens.bin=/data/tokens.bin: a file or a folder at a path
    /// that every worker has, and its name inside the project [default: the place in the project, or the last part of the path];
    /// each run finds a link, nothing is copied, and a run that changes it is void; may be given again
    #[arg(long, value_name = "[NAME=]PATH")]
    pub data: Vec<String>,
    /// Regular expression whose first group is the metric, where the script prints no summary
    #[arg(long, value_name = "REGEX")]
    pub metric_regex: Option<String>,
    /// minimize or maximize [default: by the metric's name]
    #[arg(long, value_name = "WAY", value_parser = direction)]
    pub direction: Option<ar_common::Direction>,
    /// `best`: beside the search, one run in four goes on from the best checkpoint that fits it. A script leaves one in the file
    /// $CHECKPOINT_OUT and begins from the file $CHECKPOINT_IN where that is set. These runs are ranked apart
    #[arg(long, value_name = "WHICH", value_parser = ["best"])]
    pub warm_start: Option<String>,
    /// Keep the folders of failed runs, with what they said, in OUT/failed [default: every run's folder is removed]
    #[arg(long)]
    pub keep_failed: bool,
    /// At the end, fetch the branch of what was kept into the git repository that the project is in; its work tree, index
    /// and current branch stay as they are
    #[arg(long)]
    pub branch: bool,
}

impl TrainArgs {
    /// A flag that makes the study and was given, if one was.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--train", self.train.is_some()),
            ("--edit", !self.edit.is_empty()),
            ("--time-budget", self.time_budget.is_some()),
            ("--startup", self.startup.is_some()),
            ("--budget-variable", self.budget_variable.is_some()),
            ("--knob", !self.knob.is_empty()),
            ("--no-knob", !self.no_knob.is_empty()),
            ("--pin", !self.pin.is_empty()),
            ("--no-early-stop", self.no_early_stop),
            ("--evaluate", self.evaluate.is_some()),
            ("--protect", !self.protect.is_empty()),
            ("--data", !self.data.is_empty()),
            ("--metric-regex", self.metric_regex.is_some()),
            ("--direction", self.direction.is_some()),
            ("--warm-start", self.warm_start.is_some()),
        ];
        given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }

    /// A flag that was given and is no part of the study, so that it goes with a study file, too.
    pub fn beside(&self) -> Option<&'static str> {
        let given = [
            ("--keep-failed", self.keep_failed),
            ("--branch", self.branch),
            ("--gpus-per-experiment", self.gpus_per_experiment.is_some()),
        ];
        given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

fn direction(text: &str) -> Result<ar_common::Direction, String> {
    match text {
        "minimize" => Ok(ar_common::Direction::Minimize),
        "maximize" => Ok(ar_common::Direction::Maximize),
        _ => Err(format!("`{text}` is neither minimize nor maximize")),
    }
}

/// Flags of `promote`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ar-coordinator promote my-project --times 4")]
pub struct PromoteArgs {
    /// A study: its name, its folder, or the first digits of its id
    pub study: String,
    /// How many times the study's time a run may train
    #[arg(long, value_name = "N", default_value_t = 4.0, value_parser = amount)]
    pub times: f64,
    /// Runs in all; more of them go on where fewer ended
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(12..=1_000))]
    pub budget: u32,
    /// Runs at once [default: one for each set of GPUs, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// GPUs of one run, as for `run`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    pub gpus_per_experiment: Option<u32>,
    /// Your own Python, as for `run`
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Folder with the store and the results
    #[arg(long, value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// Print results.json at the end, and nothing else, to standard output
    #[arg(long)]
    pub json: bool,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each flag may also be a variable: AR_LISTEN, AR_TLS_CERT and so on.
Examples:
  ar-coordinator serve
  ar-coordinator serve --listen 0.0.0.0:7600 --tls-cert head.pem --tls-key head.key")]
pub struct ServeArgs {
    /// Where gRPC, the API, metrics and probes are
    #[arg(long, env = "AR_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7600")]
    pub listen: std::net::SocketAddr,
    /// Where probes and metrics are beside that, without a token
    #[arg(long, env = "AR_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<std::net::SocketAddr>,
    /// The certificate with those between it and the root, PEM; read again when it changes
    #[arg(long, env = "AR_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Who signs the certificates that clients must show, PEM
    #[arg(long, env = "AR_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve other machines without TLS: tokens go over the network in the clear
    #[arg(long, env = "AR_INSECURE")]
    pub insecure: bool,
    /// Nodes of etcd, for a store that several coordinators share, of which one leads; they share the folder of --out, too
    /// [default: a store in that folder]
    #[arg(long, env = "AR_ETCD", value_name = "URL", value_delimiter = ',')]
    pub etcd: Vec<String>,
    /// The name of the cluster in etcd
    #[arg(long, env = "AR_CLUSTER", value_name = "NAME", default_value = "default")]
    pub cluster: String,
    /// Who signed etcd's certificate, PEM
    #[arg(long, env = "AR_ETCD_CA", value_name = "FILE")]
    pub etcd_ca: Option<PathBuf>,
    /// The certificate to show to etcd, PEM
    #[arg(long, env = "AR_ETCD_CERT", value_name = "FILE", requires = "etcd_ca", requires = "etcd_key")]
    pub etcd_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_ETCD_KEY", value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
    /// Where others reach this coordinator once it leads [default: the address of --listen]
    #[arg(long, env = "AR_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// How long after a leader's death another is elected, in whole seconds
    #[arg(long, env = "AR_LEADER_TTL", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub leader_ttl: Duration,
    /// How long a worker may be silent before what it runs is given to another
    #[arg(long, env = "AR_LEASE_TTL", value_name = "TIME", value_parser = duration)]
    pub lease_ttl: Option<Duration>,
    /// How long after its end the experiments of a study leave the journal for an archive, from which they come back when the study
    /// goes on
    #[arg(long, env = "AR_ARCHIVE_AFTER", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub archive_after: Duration,
    /// Records of the journal after which it is shortened to a snapshot, at least [default: 50000]
    #[arg(long, env = "AR_SNAPSHOT_EVERY", value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_every: Option<u64>,
    /// Folder with the store and the results
    #[arg(long, env = "AR_OUT", value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
}

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

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
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

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 90s, 30m or 2h"))?;
    if duration.is_zero() {
        return Err("it must be more than nothing".to_owned());
    }
    Ok(duration)
}

fn amount(text: &str) -> Result<f64, String> {
    let amount: Option<f64> = text.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| format!("`{text}` is no positive number; write it like 0.001"))
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write it like 512MiB or 2GiB");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("512m"), Ok(512 << 20));
        assert!(size("much").is_err());
        assert!(size("0").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("0s").is_err());
        assert_eq!(amount("2.5"), Ok(2.5));
        assert!(["0", "-1", "inf", "NaN", "fast"].iter().all(|text| amount(text).is_err()));
    }
}
