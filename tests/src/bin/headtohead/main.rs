//! The search against the sequential loop on the constants of a real training script:
//! `cargo run --release -p ar-tests --bin headtohead -- [--json] [--seeds N] [--runs N] [--steps N]`.
//!
//! Both start from `examples/train-cpu` as it is and may change the same constants; each run trains with a deterministic budget
//! of compute (`STEP_BUDGET`), so that a configuration and a seed have one score, whatever else the machine does. A search is
//! judged by the best score that it has seen: with a deterministic budget there is no luck in it but the seed's, which both have.

mod rival;
mod script;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use ar_common::{Block, Budget, Config, Constraints, ExperimentId, Measures, Outcome, SearchSpec, Space};
use ar_search::{Observation, Plan, Problem, Search};
use ar_tests::figures::{Figures, quantile};
use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use rival::Rival;
use script::Script;

/// The search against the sequential loop on a real training script
#[derive(Debug, Parser)]
struct Args {
    /// Print one JSON object per figure
    #[arg(long)]
    json: bool,
    /// Paired seeds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    seeds: u64,
    /// Runs of each search
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    runs: u32,
    /// Compute of each run, in optimizer steps of the unchanged script
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// The first of the paired seeds
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Seeds at a time; as many as there are cores if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: Option<u64>,
    /// Tell every run: whose, seed, score, and what it changed
    #[arg(long)]
    trace: bool,
}

/// Between the seeds of a study's runs, so that no two studies share one.
const OTHER_SEEDS: u64 = 1_000;

/// Best scores seen after each run.
type Curve = Vec<f64>;

/// One seed: the curve of ours and of the rival.
struct Pair {
    ours: Curve,
    rival: Curve,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match compare(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            Figures::new(args.json).note(&format!("error: {why}"));
            ExitCode::from(2)
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    let figures = Figures::new(args.json);
    let script = Script::load(args.steps)?;
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.jobs.map_or(cores, |jobs| jobs as usize);
    let work = || {
        let mut done = Vec::new();
        loop {
            let seed = args.from + next.fetch_add(1, Ordering::Relaxed) as u64;
            if seed >= args.from + args.seeds {
                return Ok(done);
            }
            let tell = |who: &str, config: &Config, score: Option<f64>| {
                if args.trace {
                    figures.note(&trace(&script.space, who, seed, config, score));
                }
            };
            let pair = Pair {
                ours: ours(&script, seed, args.runs, |config, score| tell("ours", config, score))?,
                rival: sequential(&script, seed, args.runs, |config, score| {
                    tell("sequential", config, score);
                })?,
            };
            figures.note(&format!("seed {seed}: {}", told(&pair)));
            done.push(pair);
        }
    };
    let pairs: Vec<Result<Vec<Pair>, String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err("a run ended in a panic".into())))
            .collect()
    });
    let pairs: Vec<Pair> = pairs.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    report(&figures, &pairs, args);
    Ok(())
}

/// One run in a line.
fn trace(space: &Space, who: &str, seed: u64, config: &Config, score: Option<f64>) -> String {
    let base = space.base();
    let changed = config.iter().filter(|(name, option)| base.get(name) != Some(*option));
    let changed: Vec<String> = changed.map(|(name, option)| format!("{name}={option}")).collect();
    format!("run of {who}, seed {seed}: {} with {}", score.unwrap_or(f64::NAN), changed.join(" "))
}

fn told(pair: &Pair) -> String {
    let end = |curve: &Curve| curve.last().copied().unwrap_or(f64::NAN);
    format!(
        "base {:.4}; sequential {:.4}; ours {:.4}, at the other's end after {} runs",
        pair.ours.first().copied().unwrap_or(f64::NAN),
        end(&pair.rival),
        end(&pair.ours),
        reached(pair)
    )
}

/// Runs after which ours was where the rival ended; one more than it had if it was not.
fn reached(pair: &Pair) -> usize {
    let goal = pair.rival.last().copied().unwrap_or(f64::NEG_INFINITY);
    pair.ours.iter().position(|best| *best <= goal).unwrap_or(pair.ours.len()) + 1
}

/// The search, with a budget that leaves it `runs` before the confirmation.
fn ours(script: &Script, seed: u64, runs: u32, tell: impl Fn(&Config, Option<f64>)) -> Result<Curve, String> {
    let budget = (runs..).map(|total| Budget { rounds: 1, per_round: total });
    let budget = budget.into_iter().find(|b| b.total() - b.decisions() >= runs).ok_or("no such budget")?;
    let spec = SearchSpec { no_ensemble: true, no_race: true, ..SearchSpec::default() };
    let problem = Problem {
        space: &script.space,
        metric: &script.metric,
        budget,
        spent_time: false,
        seconds: None,
        test_share: 0.0,
        repeats: 1,
        constraints: Constraints::default(),
        seed,
        search: &spec,
    };
    let mut search = Search::default();
    let mut history: Vec<Observation> = Vec::new();
    let mut curve = Curve::new();
    for n in 1..=runs {
        let Plan::Suggest(suggestions) = search.plan(&problem, &history, 1) else {
            return Err(format!("the search ends after {n} runs"));
        };
        let suggestion = suggestions.into_iter().next().ok_or("the search suggests nothing")?;
        // The base on fresh seeds tells the noise: runs that count, with scores that are of another seed.
        let Block::Cv { repeat } = suggestion.block else {
            return Err("the search suggests what is no training run".to_owned());
        };
        let score = script.run(&suggestion.config, seed + u64::from(repeat) * OTHER_SEEDS)?;
        tell(&suggestion.config, score);
        let outcome = match score {
            Some(score) => Outcome::Done(Measures {
                score: Some(score),
                folds: [score].into(),
                seconds: 1.0,
                ..Measures::default()
            }),
            None => Outcome::Crashed { reason: "no score".to_owned() },
        };
        history.push(Observation {
            experiment: ExperimentId(n.into()),
            config: suggestion.config,
            block: suggestion.block,
            mode: suggestion.mode,
            outcome: Some(outcome),
            members: Vec::new(),
        });
        push(&mut curve, score.filter(|_| repeat == 0));
    }
    Ok(curve)
}

/// The sequential loop.
fn sequential(
    script: &Script,
    seed: u64,
    runs: u32,
    tell: impl Fn(&Config, Option<f64>),
) -> Result<Curve, String> {
    let mut rival = Rival::new(&script.space, seed);
    let mut curve = Curve::new();
    for _ in 0..runs {
        let config: Config = rival.propose();
        let score = script.run(&config, seed)?;
        tell(&config, score);
        rival.judge(config, score);
        push(&mut curve, score);
    }
    Ok(curve)
}

fn push(curve: &mut Curve, score: Option<f64>) {
    let best = curve.last().copied().unwrap_or(f64::INFINITY);
    curve.push(best.min(score.unwrap_or(f64::INFINITY)));
}

fn report(figures: &Figures, pairs: &[Pair], args: &Args) {
    let runs = f64::from(args.runs);
    let needed: Vec<f64> = pairs.iter().map(|pair| reached(pair) as f64 / runs).collect();
    let (median, low, high) = interval(&needed, |values| quantile(&mut values.to_vec(), 0.5));
    let name = format!("ours to the sequential loop's end, share of its {} runs, median", args.runs);
    figures.tell(&name, median, "", "<= 0.5", &[("low", low), ("high", high)]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let reduction = |curve: &Curve, n: usize| 1.0 - curve[n] / curve[0];
    let mut at: BTreeMap<usize, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for share in [4, 2, 1] {
        let n = (args.runs as usize / share).max(1) - 1;
        let of = |curve: fn(&Pair) -> &Curve| pairs.iter().map(|pair| reduction(curve(pair), n)).collect();
        at.insert(n, (of(|pair| &pair.ours), of(|pair| &pair.rival)));
    }
    for (n, (ours, rival)) in at {
        let both: Vec<f64> = (0..ours.len()).map(|i| i as f64).collect();
        let ratio = |chosen: &[f64]| {
            let of = |values: &[f64]| mean(&chosen.iter().map(|i| values[*i as usize]).collect::<Vec<_>>());
            of(&ours) / of(&rival)
        };
        let (value, low, high) = interval(&both, ratio);
        let name = format!("reduction of val_bpb after {} runs, ours over the sequential loop's", n + 1);
        let peers = [("low", low), ("high", high), ("ours", mean(&ours)), ("sequential", mean(&rival))];
        figures.tell(&name, value, "", "> 1", &peers);
    }
}

/// A figure of paired seeds with its 95 % bootstrap interval (Efron 1979), 2,000 draws.
fn interval(values: &[f64], figure: impl Fn(&[f64]) -> f64) -> (f64, f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut drawn: Vec<f64> = (0..2_000)
        .map(|_| {
            let again: Vec<f64> = values.iter().map(|_| values[rng.random_range(0..values.len())]).collect();
            figure(&again)
        })
        .collect();
    (figure(values), quantile(&mut drawn, 0.025), quantile(&mut drawn, 0.975))
}
