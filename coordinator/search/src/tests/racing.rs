//! Who is raced, and against whom.

use std::cell::RefCell;

use ar_common::{Block, Config, Outcome, Sampler};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Lab, done, families, plain};
use crate::{Plan, Suggestion};

const FOLDS: usize = 5;

/// Scores between 0 and 1 that depend on the options, with some noise of each fold.
fn folds(config: &Config, block: Block, seed: u64) -> Vec<f64> {
    let number = |(i, option): (usize, &str)| match option.strip_prefix('o') {
        Some(n) => n.parse::<f64>().unwrap() * [0.05, -0.03, 0.02, 0.01][i % 4],
        None => 0.0,
    };
    let level: f64 = 0.5 + config.options().enumerate().map(number).sum::<f64>();
    let bytes = format!("{seed} {config:?} {block}");
    let drawn = bytes.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut noise = ChaCha8Rng::seed_from_u64(drawn);
    (0..FOLDS).map(|_| level + 0.02 * noise.random::<f64>()).collect()
}

/// How a suggestion ends whose folds would score like this: by the rule of its race, if it has one.
fn ending(suggestion: &Suggestion, folds: Vec<f64>) -> Outcome {
    let lost = |n: &usize| suggestion.race.as_ref().is_some_and(|race| race.is_lost(&folds[..*n]));
    match (1..FOLDS).find(lost) {
        Some(n) => Outcome::StoppedEarly {
            folds: folds[..n].to_vec(),
            seconds: 1.0,
            rule: ar_common::Rule::EveryFold,
        },
        None => done(folds),
    }
}

/// A whole study in which races are run. What was suggested, in order, with how it ended.
fn study(mut lab: Lab) -> (Lab, Vec<(Suggestion, Outcome)>) {
    let ended = RefCell::new(Vec::new());
    for _ in 0..1_000 {
        let Plan::Suggest(suggestions) = lab.plan(2) else { break };
        lab.start(suggestions.clone());
        let first = lab.history.len() - suggestions.len();
        for (i, suggestion) in suggestions.into_iter().enumerate() {
            let outcome = ending(&suggestion, folds(&suggestion.config, suggestion.block, lab.seed));
            lab.history[first + i].outcome = Some(outcome.clone());
            ended.borrow_mut().push((suggestion, outcome));
        }
    }
    assert!(matches!(lab.plan(2), Plan::Conclude(_)), "the study ends with a verdict");
    (lab, ended.into_inner())
}

fn lab(sampler: Sampler) -> Lab {
    let mut lab = Lab::new(plain(&[6, 5, 4, 4]), 4, 10);
    lab.search_spec.sampler = sampler;
    lab
}

fn changed(config: &Config) -> usize {
    config.options().filter(|option| *option != "base").count()
}

#[test]
fn only_what_is_picked_for_its_gain_with_several_changes_is_raced_and_on_the_first_split() {
    for sampler in [Sampler::Gp, Sampler::Tpe, Sampler::Random] {
        let (_, ended) = study(lab(sampler));
        assert_eq!(ended[0].0.race, None, "the base");
        for (suggestion, _) in ended.iter().filter(|(s, _)| s.race.is_some()) {
            assert_eq!(suggestion.block, Block::FIRST);
            assert!(changed(&suggestion.config) > 1, "a solo is raced: {suggestion:?}");
            for word in ["coverage", "confirmation", "audit", "floor"] {
                assert!(!suggestion.reason.starts_with(word), "{suggestion:?}");
            }
        }
        assert!(ended.iter().any(|(s, _)| s.race.is_some()), "{sampler:?}");
        assert!(ended.iter().any(|(s, _)| s.race.is_none() && s.block != Block::FIRST), "{sampler:?}");
    }
}

#[test]
fn the_incumbent_of_drawn_configurations_is_the_best_complete_score_so_far() {
    let mut lab = lab(Sampler::Random);
    for _ in 0..8 {
        let Plan::Suggest(suggestions) = lab.plan(1) else { panic!("there is budget") };
        let complete = lab.history.iter().filter_map(|o| o.outcome.as_ref()?.measures());
        let best = complete.max_by(|a, b| a.score.unwrap().total_cmp(&b.score.unwrap()));
        if let Some(race) = &suggestions[0].race {
            assert_eq!(Some(&*race.incumbent), best.map(|m| &*m.folds));
        }
        lab.start(suggestions.clone());
        let folds = folds(&suggestions[0].config, Block::FIRST, 7);
        lab.history.last_mut().unwrap().outcome = Some(ending(&suggestions[0], folds));
    }
    assert!(lab.suggested.iter().any(|s| s.race.is_some()));
}

#[test]
fn nobody_is_raced_who_asked_for_all_folds_or_where_the_space_is_tried_whole() {
    let mut whole = lab(Sampler::Gp);
    whole.search_spec.no_race = true;
    let mut small = Lab::new(plain(&[2, 3, 2]), 4, 10);
    small.search_spec.sampler = Sampler::Grid;
    for lab in [whole, small] {
        let (_, ended) = study(lab);
        assert!(ended.iter().all(|(s, outcome)| s.race.is_none() && outcome.score().is_some()));
    }
}

#[test]
fn what_may_not_be_handed_over_is_no_incumbent() {
    let mut lab = Lab::new(families(), 2, 20);
    lab.constraints.memory = Some(100);
    for _ in 0..30 {
        let Plan::Suggest(suggestions) = lab.plan(1) else { break };
        assert_eq!(suggestions[0].race, None, "everything so far takes too much");
        lab.start(suggestions.clone());
        let Outcome::Done(measures) = done(folds(&suggestions[0].config, suggestions[0].block, 7)) else {
            unreachable!()
        };
        let outcome = Outcome::Done(ar_common::Measures { peak_memory: Some(101), ..measures });
        lab.history.last_mut().unwrap().outcome = Some(outcome);
    }
    assert!(lab.suggested.len() > 20, "modes had their turn");
}

#[test]
fn what_races_save_is_spent_on_more_experiments_and_never_more_than_the_budget() {
    let (mut more, mut raced) = (0, 0);
    for seed in 0..6 {
        let (mut with, mut without) = (lab(Sampler::Gp), lab(Sampler::Gp));
        (with.seed, without.seed, without.search_spec.no_race) = (seed, seed, true);
        let ((lab, with), (_, without)) = (study(with), study(without));
        let cost = |(_, outcome): &(Suggestion, Outcome)| match outcome {
            Outcome::StoppedEarly { folds, .. } => folds.len(),
            _ => FOLDS,
        };
        let folds: usize = with.iter().map(cost).sum();
        assert!(folds <= FOLDS * lab.budget.total() as usize, "{folds} folds");
        more += with.len() - without.len();
        raced += with.iter().filter(|ended| cost(ended) < FOLDS).count();
    }
    assert!(raced > 12, "{raced} lost their race");
    assert!(more > 6, "{more} experiments more");
}
