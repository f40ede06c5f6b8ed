//! Spaces of knobs made by formula, such as a training script has: a few matter much, the optimum is not far from what
//! somebody chose, and at one end of the learning rates training falls apart.

use ar_common::{Config, Dimension, Knob, Scale, Space};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::strategies::normal;
use crate::table::{Scores, Table};

/// Knobs, and the noise of a score in standard deviations of the scores near the base.
pub const SPACES: [(usize, f64); 4] = [(6, 0.1), (6, 0.4), (13, 0.1), (13, 0.4)];
/// Draws that say what the best and the median of a space are.
const DRAWS: usize = 20_000;
/// Experiments at once.
const PENDING: usize = 1;

struct Bowl {
    /// Where each knob is best, 0 to 1 of its range.
    best: Vec<f64>,
    /// How much each matters.
    weight: Vec<f64>,
    /// Pairs whose best places depend on each other.
    pairs: Vec<(usize, usize, f64)>,
    /// The knobs beyond whose upper part training falls apart.
    cliffs: Vec<usize>,
}

impl Bowl {
    fn draw(knobs: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6b6e_6f62);
        let best = (0..knobs).map(|_| (0.5 + 0.2 * normal(&mut rng)).clamp(0.05, 0.95)).collect();
        // Of a few much, of most little.
        let weight: Vec<f64> = (0..knobs).map(|_| (1.2 * normal(&mut rng)).exp()).collect();
        let mut pairs = Vec::new();
        for _ in 0..knobs / 2 {
            let (a, b) = (rng.random_range(0..knobs), rng.random_range(0..knobs));
            if a != b {
                let size: f64 = weight[a] * weight[b];
                pairs.push((a, b, 0.7 * normal(&mut rng) * size.sqrt()));
            }
        }
        let cliffs = (0..knobs).filter(|_| rng.random_bool(0.25)).collect();
        Self { best, weight, pairs, cliffs }
    }

    /// Higher is better; 0 is the best there is.
    fn score(&self, at: &[f64]) -> f64 {
        let off = |d: usize| at[d] - self.best[d];
        let squares: f64 = (0..at.len()).map(|d| self.weight[d] * off(d).powi(2)).sum();
        let pairs: f64 = self.pairs.iter().map(|(a, b, size)| size * off(*a) * off(*b)).sum();
        let fallen = self.cliffs.iter().filter(|d| at[**d] > 0.9).count();
        // A loss grows ever more slowly, and never below its best.
        let loss = (squares + pairs).max(0.0);
        -(loss / (1.0 + 0.2 * loss)) - 3.0 * fallen as f64
    }
}

fn space(knobs: usize) -> Result<Space, String> {
    let knob = Knob { low: 0.01, high: 1.0, default: 0.1, scale: Scale::Log, integer: false };
    let dimension = |d| Dimension::knob(&format!("k{d:02}"), knob).map_err(|error| error.to_string());
    let dimensions = (0..knobs).map(dimension).collect::<Result<Vec<_>, String>>()?;
    Ok(Space { dimensions, ..Space::default() })
}

/// The space drawn with `seed`.
pub fn draw((knobs, noise): (usize, f64), seed: u64) -> Result<Table, String> {
    let bowl = Bowl::draw(knobs, seed);
    let space = space(knobs)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all: Vec<f64> =
        (0..DRAWS).map(|_| bowl.score(&(0..knobs).map(|_| rng.random()).collect::<Vec<f64>>())).collect();
    // Single changes of the base scatter like this.
    let near: Vec<f64> = (0..1_000)
        .map(|i| {
            let mut at = vec![0.5; knobs];
            at[i % knobs] = rng.random();
            bowl.score(&at)
        })
        .collect();
    let mean = crate::table::mean(&near);
    let spread = (near.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / near.len() as f64).sqrt();
    all.push(0.0);
    let values: Vec<(String, Vec<(String, f64)>)> = space
        .dimensions
        .iter()
        .map(|d| {
            let place =
                |o: &ar_common::OptionSpec| (o.value.unwrap_or(0.1).ln() - 0.01_f64.ln()) / 100_f64.ln();
            (d.name.clone(), d.options.iter().map(|o| (o.name.clone(), place(o))).collect())
        })
        .collect();
    let truth = move |config: &Config| {
        let at = |(name, options): &(String, Vec<(String, f64)>)| {
            let option = config.get(name);
            options.iter().find(|(name, _)| Some(name.as_str()) == option).map_or(0.5, |(_, place)| *place)
        };
        bowl.score(&values.iter().map(at).collect::<Vec<f64>>())
    };
    let name = format!("knobs {knobs} noise {noise}");
    let scores = Scores::Function { truth: Box::new(truth), noise: noise * spread, folds: 1 };
    Table::new(name, space, scores, PENDING, all)
}
