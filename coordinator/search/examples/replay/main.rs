//! The search against its rivals on problems whose answer is known. See `--help`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench that prints"
)]

mod claims;
mod knobs;
mod optuna;
mod report;
mod run;
mod split;
mod strategies;
mod synthetic;
mod table;
mod timed;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;

use optuna::Drivers;
use run::{Runs, STRATEGIES};

/// Compares searches on complete tables, or on synthetic spaces if no folder is given
///
/// A table is a JSON list of {"config": {slot: option}, "folds": [..], "seconds": s, "error": null} with every combination
/// of the slots' options; higher is better; the first option of each slot is its base; options whose names are the same
/// up to the first underscore are of one family.
///
/// Regret is (best - found) / (best - median). On tables, found is the best seen. On synthetic spaces scores are noisy and
/// found is the true score of what the strategy names: the best seen, or for ours the highest posterior mean.
#[derive(Debug, Parser)]
pub struct Args {
    /// Folder with complete tables; synthetic spaces if absent
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Runs of each strategy
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    seeds: u64,
    /// Experiments of a run
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(5..=1_500))]
    max: u32,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
    /// What the verdict names after 60 experiments on three folds, judged on the others
    #[arg(long, requires = "folder")]
    split: bool,
    /// Which pairs are called confirmed in spaces without an interaction, and in spaces with one
    #[arg(long, conflicts_with_all = ["folder", "split"])]
    interactions: bool,
    /// Whether a family that the best configuration has is ever given up
    #[arg(long, requires = "folder", conflicts_with = "split")]
    pruning: bool,
    /// Synthetic spaces of knobs, as training scripts have, in place of those of options
    #[arg(long, conflicts_with_all = ["folder", "split", "interactions"])]
    knobs: bool,
    /// Regret when the study's time is up, told of the limit or not
    #[arg(long, requires = "folder", conflicts_with_all = ["split", "pruning"])]
    timed: bool,
    /// Only these strategies
    #[arg(long, value_delimiter = ',', value_parser = STRATEGIES)]
    strategies: Vec<String>,
    /// A Python with Optuna [default: one is made under the build folder]
    #[arg(long, env = "AR_OPTUNA_PYTHON", value_name = "PATH")]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    match compare(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    let tables = args.folder.as_deref().map(table::load).transpose()?;
    if args.split {
        let tables = tables.unwrap_or_default();
        let jobs: Vec<(usize, u64)> = pairs(tables.len(), args.seeds);
        let gains = in_parallel(&jobs, |(t, seed)| split::gains(&tables[*t], *seed))?;
        report::splits(&tables, &jobs, &gains, args.json);
        return Ok(());
    }
    if args.interactions {
        let spaces = claims::SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]);
        let jobs: Vec<_> = spaces.flat_map(|space| (0..args.seeds).map(move |seed| (space, seed))).collect();
        let claims =
            in_parallel(&jobs, |((shape, planted), seed)| claims::interactions(*shape, *planted, *seed))?;
        report::interactions(&jobs, &claims, args.json);
        return Ok(());
    }
    if args.pruning {
        let tables = tables.unwrap_or_default();
        let jobs = pairs(tables.len(), args.seeds);
        let max = args.max as usize;
        let given_up = in_parallel(&jobs, |(t, seed)| claims::pruning(&tables[*t], *seed, max))?;
        report::pruning(&tables, &jobs, &given_up, args.json);
        return Ok(());
    }
    if args.timed {
        let tables = tables.unwrap_or_default();
        let jobs = pairs(tables.len(), args.seeds);
        let ends = in_parallel(&jobs, |(t, seed)| timed::ends(&tables[*t], *seed))?;
        report::timed(&tables, &jobs, &ends, args.json);
        return Ok(());
    }
    let strategies: Vec<&str> = match args.strategies.is_empty() {
        // Optuna would take the levels of a knob for choices.
        true if args.knobs => STRATEGIES.into_iter().filter(|s| *s != "optuna-tpe").collect(),
        true => STRATEGIES.to_vec(),
        false => STRATEGIES.into_iter().filter(|s| args.strategies.iter().any(|asked| asked == s)).collect(),
    };
    let drivers = match strategies.contains(&"optuna-tpe") {
        true => Some(Drivers::new(args.python.clone())?),
        false => None,
    };
    let made = if args.knobs { knobs::SPACES.len() } else { synthetic::SPACES.len() };
    let problems = tables.as_ref().map_or(made, Vec::len);
    let jobs = pairs(problems, args.seeds);
    let max = args.max as usize;
    let one = |(problem, seed): &(usize, u64)| {
        let drawn;
        let table = match &tables {
            Some(tables) => &tables[*problem],
            None => {
                drawn = match args.knobs {
                    true => knobs::draw(knobs::SPACES[*problem], *seed)?,
                    false => synthetic::draw(synthetic::SPACES[*problem], *seed)?,
                };
                &drawn
            }
        };
        let run = |strategy: &&str| run::run(table, strategy, *seed, max, drivers.as_ref());
        let runs = strategies.iter().map(run).collect::<Result<_, String>>()?;
        Ok(Runs { table: table.name.clone(), runs })
    };
    let runs = in_parallel(&jobs, one)?;
    report::regrets(&strategies, &runs, max, args.json);
    Ok(())
}

/// Every problem with every seed.
fn pairs(problems: usize, seeds: u64) -> Vec<(usize, u64)> {
    (0..problems).flat_map(|problem| (0..seeds).map(move |seed| (problem, seed))).collect()
}

/// Does the jobs on all processors; the answers are in the order of the jobs.
fn in_parallel<J: Sync, A: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<A, String> + Sync,
) -> Result<Vec<A>, String> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let shown = std::io::stderr().is_terminal();
    let take = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(i) else {
                return done;
            };
            done.push((i, work(job)));
            if shown {
                eprint!("\r{} of {} runs", i + 1, jobs.len());
            }
        }
    };
    let mut answers: Vec<(usize, Result<A, String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    if shown {
        eprintln!();
    }
    answers.sort_by_key(|(i, _)| *i);
    if answers.len() < jobs.len() {
        return Err("a run ended in a panic".to_owned());
    }
    answers.into_iter().map(|(_, answer)| answer).collect()
}
