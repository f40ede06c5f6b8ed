//! What is named on three folds, judged on the others: how much of a gain is luck.

use std::collections::BTreeSet;

use ar_common::{Config, Mode, Sampler};
use ar_search::{Observation, Plan, conclude};

use crate::strategies::{Ours, Random, Strategy, observation, outcome};
use crate::table::{Table, mean};

/// Experiments before the verdict.
const EXPERIMENTS: usize = 60;
/// Folds that the search sees.
const SEEN: usize = 3;

/// Who chose the configurations.
pub const SAMPLERS: [&str; 2] = ["ours", "random"];
/// How one of them is named.
pub const RULES: [&str; 3] = ["best seen", "posterior mean", "ours"];

/// Gain over the base on the unseen folds, in hundredths of the score, by sampler and rule.
pub type Gains = Vec<[f64; RULES.len()]>;

/// One seed: which folds are seen, and what is named.
pub fn gains(table: &Table, seed: u64) -> Result<Gains, String> {
    let base = table.space.base();
    let folds = table.folds(&base).ok_or_else(|| format!("{}: the base has no score", table.name))?.len();
    if folds <= SEEN {
        return Err(format!("{}: {folds} folds; to hide some, there must be more than {SEEN}", table.name));
    }
    let seen = triple(folds, seed);
    let part = |config: &Config, of_seen: bool| -> Option<Vec<f64>> {
        let scores = table.folds(config)?.iter().enumerate();
        Some(scores.filter(|(i, _)| seen.contains(i) == of_seen).map(|(_, score)| *score).collect())
    };
    let unseen = |config: &Config| part(config, false).map_or(f64::NAN, |folds| mean(&folds));
    let mut gains = Gains::new();
    for sampler in SAMPLERS {
        let ours = searched(table, sampler, seed, |config| part(config, true))?;
        let best = ours.history.iter().filter_map(|o| Some((o.outcome.as_ref()?.score()?, &o.config)));
        let best = best.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(&base, |(_, config)| config);
        let Plan::Conclude(verdict) = conclude(&ours.problem(), &ours.history) else {
            return Err(format!("{}: nothing had a score", table.name));
        };
        let named = [best, verdict.candidate.as_ref().unwrap_or(&base), &verdict.winner];
        gains.push(named.map(|config| 100.0 * (unseen(config) - unseen(&base))));
    }
    Ok(gains)
}

/// A study of [`EXPERIMENTS`] configurations chosen by `sampler`.
fn searched(
    table: &Table,
    sampler: &str,
    seed: u64,
    seen: impl Fn(&Config) -> Option<Vec<f64>>,
) -> Result<Ours, String> {
    let mut ours = Ours::new(&table.space, Sampler::Gp, seed, EXPERIMENTS);
    if sampler == "ours" {
        while ours.history.len() < EXPERIMENTS {
            let Some(config) = ours.ask()? else {
                break;
            };
            let folds = seen(&config);
            ours.tell(&config, folds.as_deref())?;
        }
        return Ok(ours);
    }
    let mut random = Random::new(&table.space, seed);
    let mut configs = vec![table.space.base()];
    while configs.len() < EXPERIMENTS {
        let Some(config) = random.ask()? else {
            break;
        };
        if config != configs[0] {
            configs.push(config);
        }
    }
    let observed = |(n, config): (usize, Config)| -> Observation {
        let folds = seen(&config);
        observation(n, config, Mode::Explore, Some(outcome(folds.as_deref())))
    };
    ours.history = configs.into_iter().enumerate().map(observed).collect();
    Ok(ours)
}

/// The first three folds for seed 0, other triples for others.
fn triple(folds: usize, seed: u64) -> BTreeSet<usize> {
    let mut all = Vec::new();
    for a in 0..folds {
        for b in a + 1..folds {
            all.extend((b + 1..folds).map(|c| BTreeSet::from([a, b, c])));
        }
    }
    all.swap_remove(seed as usize % all.len())
}
