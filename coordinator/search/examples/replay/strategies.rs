//! What is compared. Each is asked for configurations and told what they scored.

use std::collections::BTreeSet;

use ar_common::{
    Block, Budget, Config, Constraints, Direction, ExperimentId, Measures, Metric, Mode, Outcome, Sampler,
    SearchSpec, Space,
};
use ar_search::{Observation, Plan, Problem, Search, conclude};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::table::mean;

/// Something that chooses configurations.
pub trait Strategy {
    /// The next configuration; `None` if it has none before something ends.
    fn ask(&mut self) -> Result<Option<Config>, String>;
    /// What a configuration scored on each fold; `None` if it failed.
    fn tell(&mut self, config: &Config, folds: Option<&[f64]>) -> Result<(), String>;
    /// What it would name now, if that is not the best seen.
    fn named(&mut self) -> Option<Config> {
        None
    }
}

/// The metric of every table.
pub fn metric() -> Metric {
    Metric { name: "score".to_owned(), direction: Direction::Maximize, low: None, high: None }
}

/// A draw of the normal distribution (Box and Muller 1958).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// Every table and every made-up score is of five folds, all seen or not.
const TEST_SHARE: f64 = 0.25;

/// Our search, with one of its samplers.
pub struct Ours {
    space: Space,
    metric: Metric,
    budget: Budget,
    seed: u64,
    spec: SearchSpec,
    /// Seconds that the study has, if it is told.
    pub seconds: Option<f64>,
    pub search: Search,
    pub history: Vec<Observation>,
}

impl Ours {
    /// A study in which `max` experiments are left when the share of the confirmation is kept.
    pub fn new(space: &Space, sampler: Sampler, seed: u64, max: usize) -> Self {
        let per_round = 15;
        let enough = |rounds: &u32| {
            let budget = Budget { rounds: *rounds, per_round };
            (budget.total() - budget.confirmation()) as usize >= max
        };
        let rounds = (1..).find(enough).unwrap_or(u32::MAX);
        Self {
            space: space.clone(),
            metric: metric(),
            budget: Budget { rounds, per_round },
            seed,
            // A table has no predictions to average.
            spec: SearchSpec { sampler, no_ensemble: true, ..SearchSpec::default() },
            seconds: None,
            search: Search::default(),
            history: Vec::new(),
        }
    }

    pub fn problem(&self) -> Problem<'_> {
        Problem {
            space: &self.space,
            metric: &self.metric,
            budget: self.budget,
            seconds: self.seconds,
            spent_time: false,
            test_share: TEST_SHARE,
            repeats: 1,
            constraints: Constraints::default(),
            seed: self.seed,
            search: &self.spec,
        }
    }
}

impl Strategy for Ours {
    fn ask(&mut self) -> Result<Option<Config>, String> {
        let mut search = std::mem::take(&mut self.search);
        let plan = search.plan(&self.problem(), &self.history, 1);
        self.search = search;
        let Plan::Suggest(suggestions) = plan else {
            return Ok(None);
        };
        let Some(next) = suggestions.into_iter().next().filter(|s| s.block == Block::FIRST) else {
            return Ok(None);
        };
        self.history.push(observation(self.history.len(), next.config.clone(), next.mode, None));
        Ok(Some(next.config))
    }

    fn tell(&mut self, config: &Config, folds: Option<&[f64]>) -> Result<(), String> {
        let pending = self.history.iter_mut().find(|o| o.outcome.is_none() && o.config == *config);
        let pending = pending.ok_or("a result that was not asked for")?;
        pending.outcome = Some(outcome(folds));
        Ok(())
    }

    fn named(&mut self) -> Option<Config> {
        match conclude(&self.problem(), &self.history) {
            Plan::Conclude(verdict) => Some(verdict.candidate.unwrap_or(verdict.winner)),
            _ => None,
        }
    }
}

/// An entry of a history.
pub fn observation(n: usize, config: Config, mode: Mode, outcome: Option<Outcome>) -> Observation {
    let (experiment, members) = (ExperimentId(n as u64 + 1), Vec::new());
    Observation { experiment, config, block: Block::FIRST, mode, outcome, members }
}

/// What folds are as an outcome.
pub fn outcome(folds: Option<&[f64]>) -> Outcome {
    match folds {
        Some(folds) => Outcome::Done(Measures {
            score: Some(mean(folds)),
            folds: folds.into(),
            seconds: 1.0,
            ..Measures::default()
        }),
        None => Outcome::Crashed { reason: "the table has no score".to_owned() },
    }
}

/// Configurations drawn uniformly, none twice.
pub struct Random {
    space: Space,
    seen: BTreeSet<Config>,
    rng: ChaCha8Rng,
}

impl Random {
    pub fn new(space: &Space, seed: u64) -> Self {
        Self { space: space.clone(), seen: BTreeSet::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Strategy for Random {
    fn ask(&mut self) -> Result<Option<Config>, String> {
        for _ in 0..100_000 {
            let rng = &mut self.rng;
            let draw = |d: &ar_common::Dimension| {
                (d.name.clone(), d.options[rng.random_range(0..d.options.len())].name.clone())
            };
            let config: Config = self.space.dimensions.iter().map(draw).collect();
            if self.seen.insert(config.clone()) {
                return Ok(Some(config));
            }
        }
        Ok(None)
    }

    fn tell(&mut self, _: &Config, _: Option<&[f64]>) -> Result<(), String> {
        Ok(())
    }
}

/// The steps of a knob that the sequential loop takes, as shares of its range, up or down.
const STEPS: [f64; 6] = [-0.25, -0.125, -0.0625, 0.0625, 0.125, 0.25];

/// The numbers of a knob that are a step away from `now`; `None` for a slot.
fn steps(dimension: &ar_common::Dimension, now: &str) -> Option<Vec<String>> {
    let scale = dimension.scale?;
    let place = |o: &ar_common::OptionSpec| Some(scale.place(o.value?));
    let places: Vec<(f64, &str)> =
        dimension.options.iter().filter_map(|o| Some((place(o)?, o.name.as_str()))).collect();
    let low = places.iter().map(|(place, _)| *place).fold(f64::INFINITY, f64::min);
    let high = places.iter().map(|(place, _)| *place).fold(f64::NEG_INFINITY, f64::max);
    let (at, _) = places.iter().find(|(_, name)| *name == now)?;
    let nearest = |to: f64| {
        let distance = |(place, _): &&(f64, &str)| (place - to).abs();
        places.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|(_, name)| (*name).to_owned())
    };
    let inside = |to: &f64| *to >= low - 1e-9 && *to <= high + 1e-9;
    Some(STEPS.iter().map(|step| at + step * (high - low)).filter(inside).filter_map(nearest).collect())
}

/// The sequential loop: one change of the incumbent at a time, kept if it scores better. When every neighbour was
/// tried, it goes on around a configuration drawn at random. A knob is changed by one of [`STEPS`].
pub struct OneAtATime {
    space: Space,
    incumbent: Option<(Config, f64)>,
    asked: BTreeSet<Config>,
    rng: ChaCha8Rng,
}

impl OneAtATime {
    pub fn new(space: &Space, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { space: space.clone(), incumbent: None, asked: BTreeSet::new(), rng }
    }
}

impl Strategy for OneAtATime {
    fn ask(&mut self) -> Result<Option<Config>, String> {
        let base = self.space.base();
        if self.asked.insert(base.clone()) {
            return Ok(Some(base));
        }
        let from = self.incumbent.as_ref().map_or(&base, |(config, _)| config);
        let change = |d: &ar_common::Dimension| -> Vec<Config> {
            match steps(d, from.get(&d.name).unwrap_or_default()) {
                Some(steps) => steps.iter().map(|option| from.with(&d.name, option)).collect(),
                None => d.options.iter().map(|o| from.with(&d.name, &o.name)).collect(),
            }
        };
        let mut neighbours: Vec<Config> = self.space.dimensions.iter().flat_map(change).collect();
        neighbours.retain(|config| !self.asked.contains(config));
        neighbours.shuffle(&mut self.rng);
        let next = match neighbours.pop() {
            Some(config) => Some(config),
            None => {
                let mut random = Random {
                    space: self.space.clone(),
                    seen: self.asked.clone(),
                    rng: ChaCha8Rng::seed_from_u64(self.rng.random()),
                };
                self.incumbent = None;
                random.ask()?
            }
        };
        self.asked.extend(next.clone());
        Ok(next)
    }

    fn tell(&mut self, config: &Config, folds: Option<&[f64]>) -> Result<(), String> {
        if let Some(score) = folds.map(mean)
            && self.incumbent.as_ref().is_none_or(|(_, best)| score > *best)
        {
            self.incumbent = Some((config.clone(), score));
        }
        Ok(())
    }
}
