//! What one suggestion costs: `cargo bench -p ar-search`.
//!
//! A study with so many scores is told one more and asked for the next experiment, again and again. The median is a
//! suggestion as such, the mean has its share of the refits of the kernel's numbers.
#![allow(missing_docs, clippy::expect_used, reason = "a bench")]

use ar_common::{
    Block, Budget, Config, Constraints, Dimension, Direction, ExperimentId, Measures, Metric, Mode,
    OptionSpec, Outcome, SearchSpec, Space,
};
use ar_search::{Observation, Plan, Problem, Search};
use divan::Bencher;

/// Dimensions and options in each: 390,625 combinations, of which the search keeps 5,000 in sight.
const SHAPE: (usize, usize) = (8, 5);
/// Folds of a score.
const FOLDS: usize = 5;

fn main() {
    divan::main();
}

#[divan::bench(args = [50, 200, 1_000], sample_count = 100, sample_size = 1)]
fn suggestion(bencher: Bencher<'_, '_>, scores: usize) {
    let mut study = Study::new(scores);
    study.step();
    bencher.bench_local(|| study.step());
}

struct Study {
    space: Space,
    metric: Metric,
    budget: Budget,
    search: Search,
    history: Vec<Observation>,
    draws: u64,
}

impl Study {
    /// With so many scores of configurations drawn at random.
    fn new(scores: usize) -> Self {
        let (dimensions, options) = SHAPE;
        let option = |o: usize| {
            let name = if o == 0 { "base".to_owned() } else { format!("o{o}") };
            OptionSpec { family: name.clone(), name, ..OptionSpec::default() }
        };
        let dimension = |d: usize| Dimension {
            name: format!("d{d}"),
            options: (0..options).map(option).collect(),
            ..Dimension::default()
        };
        let space = Space { dimensions: (0..dimensions).map(dimension).collect(), ..Space::default() };
        let metric =
            Metric { name: "score".to_owned(), direction: Direction::Maximize, low: None, high: None };
        let budget = Budget { rounds: 1_000, per_round: 15 };
        let mut study =
            Self { space, metric, budget, search: Search::default(), history: Vec::new(), draws: 0 };
        let mut config = study.space.base();
        for _ in 0..scores {
            study.tell(config.clone());
            while study.history.iter().any(|o| o.config == config) {
                config = study.drawn();
            }
        }
        study
    }

    /// A number from 0 to 1 (splitmix64).
    fn draw(&mut self) -> f64 {
        self.draws += 1;
        let mut z = self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn drawn(&mut self) -> Config {
        let (dimensions, options) = SHAPE;
        let pick = |draw: f64| (draw * options as f64) as usize;
        let picks: Vec<usize> = (0..dimensions).map(|_| pick(self.draw())).collect();
        let names = self.space.dimensions.iter().zip(picks).map(|(d, o)| (&d.name, &d.options[o].name));
        names.map(|(d, o)| (d.clone(), o.clone())).collect()
    }

    /// Gives a configuration its score: main effects, a pair, and noise.
    fn tell(&mut self, config: Config) {
        let o = |d: &str| config.get(d).and_then(|o| o.strip_prefix('o')?.parse().ok()).unwrap_or(0.0_f64);
        let main =
            0.3 * (o("d0") * 1.7).sin() + 0.2 * (o("d1") * 2.9).sin() + 0.1 * (o("d2") + o("d3")).cos();
        let pair = 0.1 * (o("d4") * o("d5") * 1.3).sin();
        let folds: Vec<f64> = (0..FOLDS).map(|_| main + pair + 0.2 * (self.draw() - 0.5)).collect();
        let score = Some(folds.iter().sum::<f64>() / FOLDS as f64);
        let outcome =
            Some(Outcome::Done(Measures { score, folds: folds.into(), seconds: 1.0, ..Measures::default() }));
        let experiment = ExperimentId(self.history.len() as u64 + 1);
        let (block, mode, members) = (Block::FIRST, Mode::Explore, Vec::new());
        let seen = Observation { experiment, config, block, mode, outcome, members };
        self.history.push(seen);
    }

    /// One suggestion and its score.
    fn step(&mut self) {
        let problem = Problem {
            space: &self.space,
            metric: &self.metric,
            budget: self.budget,
            spent_time: false,
            seconds: None,
            test_share: 0.25,
            repeats: 1,
            constraints: Constraints::default(),
            seed: 0,
            search: &SearchSpec::default(),
        };
        let plan = self.search.plan(&problem, &self.history, 1);
        let Plan::Suggest(mut suggestions) = plan else { return };
        self.tell(suggestions.pop().expect("a plan of one experiment").config);
    }
}
