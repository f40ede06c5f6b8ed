//! Flags of `run` and `promote`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{amount, direction, duration, size};

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
