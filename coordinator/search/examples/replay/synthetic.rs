//! Spaces made by formula: main effects have 70 % of the variance, pairs 30 %.

use ar_common::Config;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::strategies::normal;
use crate::table::{Scores, Table, space};

/// Share of the variance that pairs of options have.
const PAIRWISE: f64 = 0.3;
/// Folds of a score.
const FOLDS: usize = 5;
/// Experiments at once.
const PENDING: usize = 8;

/// Dimensions, options in each, noise of a score in standard deviations of all true scores.
pub const SPACES: [(usize, usize, f64); 8] = [
    (4, 10, 0.3),
    (4, 10, 0.8),
    (8, 5, 0.3),
    (8, 5, 0.8),
    (4, 30, 0.3),
    (4, 30, 0.8),
    (2, 30, 0.3),
    (2, 30, 0.8),
];

/// The effects of one space, drawn once.
struct Effects {
    main: Vec<Vec<f64>>,
    /// Of dimensions `a < b`, by option of `a` times options plus option of `b`.
    pairs: Vec<(usize, usize, Vec<f64>)>,
    options: usize,
}

impl Effects {
    fn draw(dimensions: usize, options: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut effects = |n: usize, variance: f64| -> Vec<f64> {
            (0..n).map(|_| normal(&mut rng) * variance.sqrt()).collect()
        };
        let main = (0..dimensions).map(|_| effects(options, (1.0 - PAIRWISE) / dimensions as f64)).collect();
        let couples = (0..dimensions).flat_map(|a| (a + 1..dimensions).map(move |b| (a, b)));
        let each = PAIRWISE / (dimensions * (dimensions - 1) / 2) as f64;
        let pairs = couples.map(|(a, b)| (a, b, effects(options * options, each))).collect();
        Self { main, pairs, options }
    }

    fn score(&self, point: &[usize]) -> f64 {
        let main: f64 = point.iter().zip(&self.main).map(|(o, effects)| effects[*o]).sum();
        let pair = |(a, b, effects): &(usize, usize, Vec<f64>)| effects[point[*a] * self.options + point[*b]];
        main + self.pairs.iter().map(pair).sum::<f64>()
    }
}

/// The space drawn with `seed`.
pub fn draw((dimensions, options, noise): (usize, usize, f64), seed: u64) -> Result<Table, String> {
    let effects = Effects::draw(dimensions, options, seed);
    let slots: Vec<(String, Vec<String>)> =
        (0..dimensions).map(|d| (format!("d{d}"), (0..options).map(|o| format!("o{o}")).collect())).collect();
    let mut all = Vec::new();
    let mut point = vec![0; dimensions];
    loop {
        all.push(effects.score(&point));
        let Some(next) = point.iter().rposition(|o| *o + 1 < options) else {
            break;
        };
        point[next] += 1;
        point[next + 1..].fill(0);
    }
    let truth = move |config: &Config| {
        let option = |name: &str| name.strip_prefix('o').and_then(|o| o.parse().ok()).unwrap_or(0);
        effects.score(&config.options().map(option).collect::<Vec<usize>>())
    };
    let name = format!("synthetic {dimensions}x{options} noise {noise}");
    let scores = Scores::Function { truth: Box::new(truth), noise, folds: FOLDS };
    Table::new(name, space(&slots)?, scores, PENDING, all)
}
