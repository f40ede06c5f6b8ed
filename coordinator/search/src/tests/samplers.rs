//! The samplers beside the default one, and the rule that ends a search early.

use std::collections::BTreeSet;

use ar_common::{Block, Config, Outcome, Sampler, SearchSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Lab, done, families, numbers, plain};

fn lab(sizes: &[usize], sampler: Sampler, budget: u32) -> Lab {
    let mut lab = Lab::new(plain(sizes), 1, budget);
    lab.search_spec.sampler = sampler;
    lab
}

/// The number of an option: 0 for `base`, 1 for `o1`, ...
fn number(config: &Config, dimension: &str) -> f64 {
    config.get(dimension).unwrap().trim_start_matches('o').parse().unwrap_or(0.0)
}

/// Every option has its own share in the score; the last ones are best.
fn additive(config: &Config, _: Block) -> Outcome {
    let score = config.dimensions().map(|d| number(config, d)).sum::<f64>() / 100.0;
    done(vec![score, score + 0.001, score - 0.001])
}

/// The configurations of the search, in the order in which they were suggested.
fn searched(lab: &Lab) -> Vec<Config> {
    lab.suggested.iter().filter(|s| s.block == Block::FIRST).map(|s| s.config.clone()).collect()
}

#[test]
fn the_grid_tries_each_combination_once() {
    let mut lab = lab(&[3, 2, 4], Sampler::Grid, 60);
    lab.verdict(5, additive);
    let tried = searched(&lab);
    assert_eq!(tried.len(), 24);
    assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 24);
}

#[test]
fn the_grid_of_a_large_space_is_gone_through_in_a_drawn_order_that_the_seed_decides() {
    let order = |seed| {
        let mut lab = lab(&[6, 5, 4, 3], Sampler::Grid, 20);
        lab.seed = seed;
        lab.verdict(4, additive);
        searched(&lab)
    };
    let first = order(1);
    assert_eq!(first, order(1));
    assert_ne!(first, order(2));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
}

#[test]
fn a_space_of_twenty_combinations_is_a_grid_and_a_larger_one_is_modelled() {
    let explained = |sizes: &[usize]| {
        let mut lab = lab(sizes, Sampler::Auto, 12);
        lab.verdict(1, additive);
        lab.suggested.iter().any(|s| s.reason.starts_with("the grid: "))
    };
    assert!(explained(&[5, 4]));
    assert!(!explained(&[7, 3]));
}

#[test]
fn what_is_drawn_at_random_has_no_preference() {
    let mut counts = [0_u32; 5];
    for seed in 0..40 {
        let mut lab = lab(&[5, 5, 5], Sampler::Random, 25);
        lab.seed = seed;
        lab.verdict(5, additive);
        searched(&lab).iter().skip(1).for_each(|config| counts[number(config, "d0") as usize] += 1);
    }
    let total: u32 = counts.iter().sum();
    // Five standard deviations of a binomial share of one fifth.
    let slack = 5.0 * (f64::from(total) * 0.16).sqrt();
    for count in counts {
        assert!((f64::from(count) - f64::from(total) / 5.0).abs() < slack, "{counts:?}");
    }
}

/// The mean number of the option of `d0` among the last ten of the search, over 20 seeds.
fn late_choices(sampler: Sampler) -> f64 {
    let mut sum = 0.0;
    for seed in 0..20 {
        let mut lab = lab(&[6, 6, 6, 6], sampler, 50);
        lab.seed = seed;
        let mut noise = ChaCha8Rng::seed_from_u64(seed);
        lab.verdict(2, |config, _| {
            let score = (number(config, "d0") + noise.random::<f64>()) / 10.0;
            done(vec![score, score + 0.01, score - 0.01])
        });
        let tried = searched(&lab);
        sum += tried.iter().rev().take(10).map(|c| number(c, "d0")).sum::<f64>() / 10.0;
    }
    sum / 20.0
}

#[test]
fn tpe_learns_which_options_are_good() {
    let (drawn, estimated) = (late_choices(Sampler::Random), late_choices(Sampler::Tpe));
    assert!((2.0..3.0).contains(&drawn), "{drawn}");
    assert!(estimated > 4.0, "{estimated}");
}

/// How far the last ten of the search are from the best value of a knob, over 20 seeds.
fn late_distance(sampler: Sampler) -> f64 {
    let space = numbers();
    let away = |config: &Config| {
        let depth =
            space.dimension("depth").unwrap().option(config.get("depth").unwrap()).unwrap().value.unwrap();
        (depth - 7.0).abs()
    };
    let mut sum = 0.0;
    for seed in 0..20 {
        let mut lab = Lab::new(numbers(), 1, 60);
        (lab.search_spec.sampler, lab.seed) = (sampler, seed);
        lab.verdict(1, |config, _| done(vec![-away(config), -away(config) - 0.1, -away(config) + 0.1]));
        let tried = searched(&lab);
        sum += tried.iter().rev().take(10).map(away).sum::<f64>() / 10.0;
    }
    sum / 20.0
}

#[test]
fn tpe_learns_where_a_knob_is_good() {
    let (drawn, estimated) = (late_distance(Sampler::Random), late_distance(Sampler::Tpe));
    assert!(estimated < 0.75 * drawn, "{drawn} {estimated}");
}

#[test]
fn every_sampler_ends_in_a_verdict_when_the_space_is_exhausted() {
    for sampler in [Sampler::Auto, Sampler::Gp, Sampler::Tpe, Sampler::Grid, Sampler::Random] {
        let mut lab = lab(&[2, 3, 2], sampler, 100);
        lab.verdict(3, additive);
        assert_eq!(searched(&lab).iter().collect::<BTreeSet<_>>().len(), 12, "{sampler:?}");
    }
}

/// Experiments of a search in which nothing differs, and one that may end.
fn searched_until(stop_below: Option<f64>, judge: fn(&Config, Block) -> Outcome) -> usize {
    let mut lab = Lab::new(families(), 1, 60);
    lab.search_spec = SearchSpec { stop_below, ..lab.search_spec };
    lab.verdict(2, judge);
    searched(&lab).len()
}

#[test]
fn a_search_ends_early_only_when_asked_and_when_little_is_left_to_gain() {
    let flat = |_: &Config, _: Block| done(vec![0.5, 0.5001, 0.4999]);
    let whole = searched_until(None, flat);
    let early = searched_until(Some(0.01), flat);
    assert!(early >= 9, "coverage comes first: {early}");
    assert!(early + 10 < whole, "{early} of {whole}");
    // As long as more is to be gained than that, it goes on.
    assert_eq!(searched_until(Some(1e-12), flat), whole);
}
