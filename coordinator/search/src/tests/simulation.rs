//! Is it better than drawing? On a space whose truth is known.

use std::collections::BTreeSet;

use ar_common::Config;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Lab, done, plain};
use crate::grid::Grid;

/// An additive truth: an effect per option, drawn.
struct Truth(Vec<Vec<f64>>);

impl Truth {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self((0..5).map(|_| (0..4).map(|_| rng.random_range(-0.03..0.03)).collect()).collect())
    }

    fn of(&self, config: &Config) -> f64 {
        let effect = |(effects, (_, option)): (&Vec<f64>, (&str, &str))| {
            effects[option.strip_prefix('o').map_or(0, |n| n.parse().unwrap())]
        };
        0.8 + self.0.iter().zip(config.iter()).map(effect).sum::<f64>()
    }

    /// Five folds with noise.
    fn measure(&self, config: &Config, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let truth = self.of(config);
        (0..5).map(|_| truth + rng.random_range(-0.04..0.04)).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn forty_eight_experiments_find_more_than_forty_eight_draws() {
    let (mut ours, mut candidates, mut drawn) = (Vec::new(), Vec::new(), Vec::new());
    let mut kept = 0;
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let truth = Truth::draw(&mut rng);
        let mut lab = Lab::new(plain(&[4; 5]), 4, 15);
        lab.seed = seed;
        let verdict = lab.verdict(4, |config, _| done(truth.measure(config, &mut rng)));
        // One run alone is no comparison, so one may be left.
        assert!((59..=60).contains(&lab.history.len()), "{}", lab.history.len());
        ours.push(truth.of(&verdict.best_seen.unwrap().0));
        candidates.push(truth.of(&verdict.candidate.unwrap()));
        kept += u32::from(truth.of(&verdict.winner) >= truth.of(&lab.space.base()) - 1e-9);

        let grid = Grid::new(&lab.space);
        let mut seen = BTreeSet::new();
        while seen.len() < 48 {
            seen.insert(grid.draw(&mut rng));
        }
        let configs = seen.iter().map(|point| grid.config(point));
        let scored = configs.map(|c| (mean(&truth.measure(&c, &mut rng)), truth.of(&c)));
        drawn.push(scored.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1);
    }
    println!(
        "best seen {:.4}, candidate {:.4}, drawn {:.4}, winner no worse than base in {kept}/30",
        mean(&ours),
        mean(&candidates),
        mean(&drawn)
    );
    // The spread of the truth is 0.04, so this is a quarter of it.
    assert!(mean(&ours) > mean(&drawn) + 0.01);
    assert!(mean(&candidates) > mean(&drawn) + 0.01);
    assert!(kept >= 28);
}
