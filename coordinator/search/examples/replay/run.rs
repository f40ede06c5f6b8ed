//! One run of one strategy on one table.

use std::collections::BTreeMap;

use ar_common::{Config, Sampler};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::optuna::Drivers;
use crate::strategies::{OneAtATime, Ours, Random, Strategy, normal};
use crate::table::{Scores, Table, mean};

/// What is compared.
pub const STRATEGIES: [&str; 5] = ["ours", "tpe", "random", "one-at-a-time", "optuna-tpe"];
/// Experiments after which regret is told.
pub const MARKS: [usize; 4] = [15, 30, 60, 120];
/// Regret that counts as "there".
const NEAR: f64 = 0.05;

/// What became of all strategies with one seed.
pub struct Runs {
    pub table: String,
    pub runs: Vec<Run>,
}

/// What became of one.
#[derive(Default)]
pub struct Run {
    /// Regret at each mark.
    pub regrets: BTreeMap<usize, f64>,
    /// Experiments until something within 5 % was tried.
    pub to_near: Option<usize>,
    /// Experiments until one of the best hundredth was tried.
    pub to_top: Option<usize>,
}

/// The marks of a run of `max` experiments.
pub fn marks(max: usize) -> Vec<usize> {
    let marks: Vec<usize> = MARKS.into_iter().filter(|mark| *mark <= max).collect();
    if marks.is_empty() { vec![max] } else { marks }
}

/// Runs `strategy` for `max` experiments.
pub fn run(
    table: &Table,
    strategy: &str,
    seed: u64,
    max: usize,
    drivers: Option<&Drivers>,
) -> Result<Run, String> {
    let mut strategy: Box<dyn Strategy + '_> = match (strategy, drivers) {
        ("ours", _) => Box::new(Ours::new(&table.space, Sampler::Gp, seed, max)),
        ("tpe", _) => Box::new(Ours::new(&table.space, Sampler::Tpe, seed, max)),
        ("random", _) => Box::new(Random::new(&table.space, seed)),
        ("one-at-a-time", _) => Box::new(OneAtATime::new(&table.space, seed)),
        (_, Some(drivers)) => Box::new(drivers.study(&table.space, seed, table.pending > 1)?),
        (other, None) => return Err(format!("no strategy is named {other}")),
    };
    let noisy = matches!(table.scores, Scores::Function { .. });
    let marks = marks(max);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let mut flying: Vec<Config> = Vec::new();
    let mut asked = 0;
    let mut done = 0;
    let mut best: Option<(f64, f64)> = None;
    let mut run = Run::default();
    while done < max {
        while flying.len() < table.pending && asked < max {
            let Some(config) = strategy.ask()? else {
                break;
            };
            asked += 1;
            flying.push(config);
        }
        if flying.is_empty() {
            break;
        }
        let config = flying.swap_remove(rng.random_range(0..flying.len()));
        let folds = evaluate(table, &config, &mut rng);
        strategy.tell(&config, folds.as_deref())?;
        done += 1;
        if let (Some(score), Some(truth)) = (folds.as_deref().map(mean), table.truth(&config)) {
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, truth));
            }
            if table.regret(Some(truth)) <= NEAR {
                run.to_near.get_or_insert(done);
            }
            if table.is_top(truth) {
                run.to_top.get_or_insert(done);
            }
        }
        if marks.contains(&done) {
            let named = if noisy { strategy.named().and_then(|config| table.truth(&config)) } else { None };
            run.regrets.insert(done, table.regret(named.or(best.map(|(_, truth)| truth))));
        }
    }
    // A space that was tried whole has nothing more to offer.
    for mark in marks {
        run.regrets.entry(mark).or_insert_with(|| table.regret(best.map(|(_, truth)| truth)));
    }
    Ok(run)
}

fn evaluate(table: &Table, config: &Config, rng: &mut ChaCha8Rng) -> Option<Vec<f64>> {
    match &table.scores {
        Scores::Folds(_) => table.folds(config).map(<[f64]>::to_vec),
        Scores::Function { truth, noise, folds } => {
            let truth = truth(config);
            let each = noise * (*folds as f64).sqrt();
            Some((0..*folds).map(|_| truth + normal(rng) * each).collect())
        }
    }
}
