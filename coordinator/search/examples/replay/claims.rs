//! What a study claims beside its winner, on problems whose answer is known: interactions that are not there or are,
//! and families that are given up though the best has them.

use ar_common::{Config, Sampler, Space};
use ar_search::{Observation, Plan, Status, explain};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::strategies::{Ours, Strategy, normal, observation, outcome};
use crate::table::{Table, space};

/// Dimensions of the spaces with known interactions, and options in each.
pub const SHAPES: [(usize, usize); 3] = [(4, 3), (5, 4), (8, 3)];
/// Experiments of the search; the confirmation has a quarter as many beside them.
const EXPERIMENTS: usize = 60;
/// Folds of a score.
const FOLDS: usize = 5;
/// What is left of a score's variance when its main effects, of variance 1 together, are taken away: noise alone.
const RESIDUAL: f64 = 0.5;
/// A planted interaction, in residual standard deviations.
const EFFECT: f64 = 2.0;
/// How often a study of a table is asked what it gave up.
const LOOKS: usize = 5;

/// What a study of a synthetic space said.
pub struct Claims {
    /// Pairs that it calls confirmed.
    pub confirmed: usize,
    /// Whether the planted pair is among them, if one was planted.
    pub confirms_it: bool,
    /// Whether the planted pair is the first of all pairs.
    pub ranks_it_first: bool,
}

/// A space with main effects and, if asked for, one pair of options that do more together.
struct Truth {
    main: Vec<Vec<f64>>,
    planted: Option<([(usize, usize); 2], f64)>,
}

impl Truth {
    fn draw(rng: &mut ChaCha8Rng, (dimensions, options): (usize, usize), planted: bool) -> Self {
        let each = (1.0 / dimensions as f64).sqrt();
        let mut main: Vec<Vec<f64>> =
            (0..dimensions).map(|_| (0..options).map(|_| normal(rng) * each).collect()).collect();
        main.iter_mut().for_each(|effects| effects[0] = 0.0);
        let planted = planted.then(|| {
            let a = rng.random_range(0..dimensions - 1);
            let b = rng.random_range(a + 1..dimensions);
            let slots = [a, b].map(|d| (d, rng.random_range(1..options)));
            (slots, EFFECT * RESIDUAL)
        });
        Self { main, planted }
    }

    fn of(&self, config: &Config) -> f64 {
        let options: Vec<usize> = config.options().map(index).collect();
        let main: f64 = options.iter().zip(&self.main).map(|(o, effects)| effects[*o]).sum();
        let pair = |(slots, effect): &([(usize, usize); 2], f64)| {
            if slots.iter().all(|(d, o)| options[*d] == *o) { *effect } else { 0.0 }
        };
        main + self.planted.as_ref().map_or(0.0, pair)
    }

    fn names(&self, pair: &[ar_common::Choice; 2]) -> bool {
        self.planted.as_ref().is_some_and(|(slots, _)| {
            slots.iter().zip(pair).all(|((d, o), c)| c.dimension == format!("d{d}") && index(&c.option) == *o)
        })
    }
}

fn index(option: &str) -> usize {
    option.strip_prefix('o').and_then(|o| o.parse().ok()).unwrap_or(0)
}

fn synthetic((dimensions, options): (usize, usize)) -> Result<Space, String> {
    let slot = |d| (format!("d{d}"), (0..options).map(|o| format!("o{o}")).collect());
    space(&(0..dimensions).map(slot).collect::<Vec<_>>())
}

/// A whole study, confirmation too, on a space with or without an interaction.
pub fn interactions(shape: (usize, usize), planted: bool, seed: u64) -> Result<Claims, String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let truth = Truth::draw(&mut rng, shape, planted);
    let mut ours = Ours::new(&synthetic(shape)?, Sampler::Gp, seed, EXPERIMENTS);
    whole(&mut ours, |config| {
        let truth = truth.of(config);
        let each = RESIDUAL * (FOLDS as f64).sqrt();
        (0..FOLDS).map(|_| truth + normal(&mut rng) * each).collect()
    })?;
    let told = explain(&ours.problem(), &ours.history).interactions;
    let confirmed: Vec<_> = told.iter().filter(|i| i.status == Status::Confirmed).collect();
    Ok(Claims {
        confirmed: confirmed.len(),
        confirms_it: confirmed.iter().any(|i| truth.names(&i.pair)),
        ranks_it_first: told.first().is_some_and(|i| truth.names(&i.pair)),
    })
}

/// Runs a study to its verdict.
fn whole(ours: &mut Ours, mut measure: impl FnMut(&Config) -> Vec<f64>) -> Result<(), String> {
    loop {
        let mut search = std::mem::take(&mut ours.search);
        let plan = search.plan(&ours.problem(), &ours.history, 1);
        ours.search = search;
        let suggestions = match plan {
            Plan::Suggest(suggestions) => suggestions,
            Plan::Conclude(_) => return Ok(()),
            Plan::Wait | Plan::Fail { .. } => return Err("a study without an end".to_owned()),
        };
        for next in suggestions {
            let outcome = outcome(Some(&measure(&next.config)));
            let seen = observation(ours.history.len(), next.config, next.mode, Some(outcome));
            ours.history.push(Observation { block: next.block, ..seen });
        }
    }
}

/// In how many of a study's looks the family of the best configuration was given up, slot by slot.
pub struct GivenUp {
    pub looks: usize,
    pub wrong: usize,
    /// Whether it was so at the end.
    pub at_the_end: bool,
    /// Families and options given up at the end, right or wrong.
    pub pruned: usize,
}

/// A study of `max` experiments of a table, asked now and then what it gave up.
pub fn pruning(table: &Table, seed: u64, max: usize) -> Result<GivenUp, String> {
    let best = table.best_config().ok_or_else(|| format!("{}: no configuration has a score", table.name))?;
    let mut ours = Ours::new(&table.space, Sampler::Gp, seed, max);
    let mut given_up = GivenUp { looks: 0, wrong: 0, at_the_end: false, pruned: 0 };
    for n in 1..=max {
        let Some(config) = ours.ask()? else {
            break;
        };
        ours.tell(&config, table.folds(&config))?;
        if n % LOOKS != 0 && n != max {
            continue;
        }
        let pruned = explain(&ours.problem(), &ours.history).pruned;
        let of_best = |pruned: &ar_search::Pruned| {
            let dimension = table.space.dimensions.iter().find(|d| d.name == pruned.dimension);
            let option = best.get(&pruned.dimension);
            let family = dimension.and_then(|d| d.options.iter().find(|o| Some(o.name.as_str()) == option));
            family.is_some_and(|o| pruned.what == format!("family {}", o.family))
        };
        given_up.at_the_end = pruned.iter().any(of_best);
        given_up.pruned = pruned.len();
        given_up.looks += 1;
        given_up.wrong += usize::from(given_up.at_the_end);
    }
    Ok(given_up)
}
