//! The sequential loop: change one constant, train, keep it if the score is lower.
//!
//! Its moves, frozen on 2026-11-28, before the search was measured against it: a constant is drawn, of those that have an
//! untried move; a number moves by 1/16, 1/8 or 1/4 of its range, up or down, on its scale; a choice becomes another one. What
//! was tried is not tried again; where every move of the incumbent was, a configuration is drawn.

use std::collections::BTreeSet;

use ar_common::{Config, Dimension, Space};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Moves of a number, as shares of its range.
const MOVES: [f64; 6] = [-0.25, -0.125, -0.0625, 0.0625, 0.125, 0.25];

pub(crate) struct Rival {
    space: Space,
    incumbent: Option<(Config, f64)>,
    tried: BTreeSet<Config>,
    rng: ChaCha8Rng,
}

impl Rival {
    pub(crate) fn new(space: &Space, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { space: space.clone(), incumbent: None, tried: BTreeSet::new(), rng }
    }

    /// The base first, then one change of the incumbent.
    pub(crate) fn propose(&mut self) -> Config {
        let base = self.space.base();
        let next = match &self.incumbent {
            _ if !self.tried.contains(&base) => base,
            incumbent => {
                let from = incumbent.as_ref().map_or(base, |(config, _)| config.clone());
                self.change(&from).unwrap_or_else(|| self.draw())
            }
        };
        self.tried.insert(next.clone());
        next
    }

    /// Keeps it if it is lower.
    pub(crate) fn judge(&mut self, config: Config, score: Option<f64>) {
        let lower = |score: &f64| self.incumbent.as_ref().is_none_or(|(_, best)| score < best);
        if let Some(score) = score.filter(lower) {
            self.incumbent = Some((config, score));
        }
    }

    fn change(&mut self, from: &Config) -> Option<Config> {
        let open = |dimension: &Dimension| -> Vec<Config> {
            let now = from.get(&dimension.name).unwrap_or_default();
            let all = moves(dimension, now).into_iter().map(|option| from.with(&dimension.name, &option));
            all.filter(|config| !self.tried.contains(config)).collect()
        };
        let mut open: Vec<Vec<Config>> = self.space.dimensions.iter().map(open).collect();
        open.retain(|moves| !moves.is_empty());
        if open.is_empty() {
            return None;
        }
        let mut moves = open.swap_remove(self.rng.random_range(0..open.len()));
        Some(moves.swap_remove(self.rng.random_range(0..moves.len())))
    }

    fn draw(&mut self) -> Config {
        let rng = &mut self.rng;
        let option =
            |d: &Dimension| (d.name.clone(), d.options[rng.random_range(0..d.options.len())].name.clone());
        self.space.dimensions.iter().map(option).collect()
    }
}

/// Where a dimension may go from `now`.
fn moves(dimension: &Dimension, now: &str) -> BTreeSet<String> {
    let others = || dimension.options.iter().map(|o| o.name.clone()).filter(|name| name != now).collect();
    let Some(scale) = dimension.scale else {
        return others();
    };
    let options = dimension.options.iter();
    let places: Vec<(f64, &str)> =
        options.filter_map(|option| Some((scale.place(option.value?), option.name.as_str()))).collect();
    let low = places.iter().map(|(place, _)| *place).fold(f64::INFINITY, f64::min);
    let high = places.iter().map(|(place, _)| *place).fold(f64::NEG_INFINITY, f64::max);
    let Some((at, _)) = places.iter().find(|(_, name)| *name == now) else {
        return others();
    };
    let nearest = |to: f64| {
        let distance = |(place, _): &&(f64, &str)| (place - to).abs();
        places.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|(_, name)| (*name).to_owned())
    };
    let inside = |to: &f64| *to >= low - 1e-9 && *to <= high + 1e-9;
    let all = MOVES.iter().map(|step| at + step * (high - low)).filter(inside).filter_map(nearest);
    all.filter(|name| name != now).collect()
}
