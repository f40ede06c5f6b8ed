//! What holds for every study, whatever happens to its experiments.

use std::collections::BTreeSet;

use ar_common::{Block, Budget, ExperimentId, Mode, Outcome, Sampler};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Lab, any_space, crash, done, plain, weighed};
use crate::{Plan, plan};

const FOLDS: usize = 3;

/// Any outcome at all; `trouble` is how many in ten end badly.
fn any_outcome(rng: &mut ChaCha8Rng, trouble: u32) -> Outcome {
    let reason = "so".to_owned();
    if rng.random_range(0..10) >= trouble {
        return done((0..FOLDS).map(|_| rng.random_range(-1.0..1.0)).collect());
    }
    match rng.random_range(0..7) {
        0 => Outcome::TimedOut { seconds: 1.0 },
        1 => Outcome::OutOfMemory { reason },
        2 => Outcome::NoMetric { reason },
        3 => Outcome::Cancelled { reason },
        4 => Outcome::DuplicateOf { experiment: ExperimentId(1) },
        5 => Outcome::StoppedEarly { folds: vec![0.1, 0.2], seconds: 1.0, rule: ar_common::Rule::EveryFold },
        _ => crash(),
    }
}

/// What counts towards the budget, counted anew.
fn spent(lab: &Lab) -> f64 {
    let done = lab.history.iter().any(|o| o.outcome.as_ref().and_then(Outcome::score).is_some());
    let cost = |outcome: &Option<Outcome>| match outcome {
        Some(Outcome::DuplicateOf { .. } | Outcome::Cancelled { .. }) => 0.0,
        Some(Outcome::StoppedEarly { folds, .. }) if done => folds.len() as f64 / FOLDS as f64,
        _ => 1.0,
    };
    lab.history.iter().map(|o| o.members.len().max(1) as f64 * cost(&o.outcome)).sum()
}

fn check_plan(lab: &Lab, suggestions: &[crate::Suggestion], want: usize) -> Result<(), TestCaseError> {
    prop_assert!(!suggestions.is_empty() && suggestions.len() <= want);
    let price = suggestions.iter().map(|s| s.members.len().max(1)).sum::<usize>() as f64;
    prop_assert!(spent(lab) + price <= f64::from(lab.budget.total()) + 1e-6);
    let mut keys: BTreeSet<_> =
        lab.history.iter().map(|o| (o.config.clone(), o.block, o.members.clone())).collect();
    let floors = lab.space.floors();
    for s in suggestions {
        prop_assert_eq!(lab.space.canonical(&s.config), Some(s.config.clone()));
        prop_assert!(keys.insert((s.config.clone(), s.block, s.members.clone())), "a duplicate: {:?}", s);
        check_members(lab, s)?;
        prop_assert!((1..=lab.budget.rounds).contains(&s.round), "round {}", s.round);
        prop_assert!(!s.reason.is_empty() && !s.reason.contains('\n'));
        let floor = |(name, option): (&str, &str)| {
            lab.space.dimension(name).and_then(|d| d.option(option)).is_some_and(|o| o.floor)
        };
        prop_assert!(
            !s.config.iter().any(floor) || floors.contains(&s.config),
            "a floor is searched: {:?}",
            s
        );
    }
    Ok(())
}

/// An ensemble is of a few that have a score of their own, no two the same.
fn check_members(lab: &Lab, s: &crate::Suggestion) -> Result<(), TestCaseError> {
    if s.members.is_empty() {
        return Ok(());
    }
    prop_assert!((2..=4).contains(&s.members.len()) && s.config == lab.space.base());
    let distinct: BTreeSet<_> = s.members.iter().map(|m| &m.config).collect();
    prop_assert_eq!(distinct.len(), s.members.len());
    for member in &s.members {
        let own = |o: &&crate::Observation| o.config == member.config && o.members.is_empty();
        let scored =
            lab.history.iter().filter(own).any(|o| o.outcome.as_ref().and_then(Outcome::score).is_some());
        prop_assert!(scored, "{:?} votes without a score", member);
        prop_assert_eq!(member.weight > 0, s.block != Block::FIRST);
    }
    let first = |o: &&crate::Observation| o.block == Block::FIRST;
    let last = lab.history.iter().rfind(first);
    prop_assert!(s.block != Block::FIRST || last.is_some_and(|o| o.members.is_empty()), "weighed twice");
    Ok(())
}

fn any_sampler() -> impl Strategy<Value = Sampler> {
    use Sampler::{Auto, Gp, Grid, Random, Tpe};
    prop_oneof![3 => Just(Gp), 1 => prop::sample::select(vec![Auto, Tpe, Grid, Random])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_duplicate_no_overrun_no_dead_end(
        space in any_space(),
        rounds in 1..7_u32,
        per_round in 1..12_u32,
        trouble in 0..=10_u32,
        (sampler, no_ensemble, repeats) in (any_sampler(), any::<bool>(), 1..5_u32),
        seed in any::<u64>(),
    ) {
        let mut lab = Lab::new(space, rounds, per_round);
        lab.seed = seed;
        lab.search_spec.sampler = sampler;
        lab.search_spec.no_ensemble = no_ensemble;
        lab.repeats = repeats;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ended = false;
        for _ in 0..2_000 {
            let want = rng.random_range(0..6);
            let planned = lab.plan(want);
            let mut shuffled = lab.history.clone();
            shuffled.shuffle(&mut rng);
            prop_assert_eq!(&plan(&lab.problem(), &shuffled, want), &planned, "arrival order matters");
            let mut pending: Vec<usize> =
                (0..lab.history.len()).filter(|i| lab.history[*i].outcome.is_none()).collect();
            match planned {
                Plan::Suggest(suggestions) => {
                    check_plan(&lab, &suggestions, want)?;
                    lab.start(suggestions);
                }
                Plan::Wait => prop_assert!(!pending.is_empty() || want == 0, "waits for nothing"),
                Plan::Conclude(verdict) => {
                    prop_assert!(pending.is_empty());
                    let values = [verdict.difference, verdict.low, verdict.p_value];
                    prop_assert!(values.iter().all(|v| v.is_finite()) && verdict.low <= verdict.difference);
                    prop_assert_eq!(lab.space.canonical(&verdict.winner), Some(verdict.winner));
                    ended = true;
                    break;
                }
                Plan::Fail { .. } => {
                    prop_assert!(pending.is_empty());
                    prop_assert!(lab.history.iter().all(|o| o.outcome.as_ref().and_then(Outcome::score).is_none()));
                    ended = true;
                    break;
                }
            }
            pending.shuffle(&mut rng);
            for i in pending.into_iter().take(rng.random_range(0..4)) {
                let outcome = any_outcome(&mut rng, trouble);
                let weights: Vec<u32> =
                    lab.history[i].members.iter().map(|_| rng.random_range(0..3)).collect();
                lab.history[i].outcome = Some(weighed(outcome, weights));
            }
        }
        prop_assert!(ended, "the study does not end");
    }

    #[test]
    fn a_small_space_is_tried_whole(space in any_space(), want in 1..9_usize) {
        let grid = crate::grid::Grid::new(&space);
        let all: BTreeSet<_> = grid.all(u64::MAX).unwrap().iter().map(|p| grid.config(p)).collect();
        let total = all.len() + space.floors().len();
        // Six more than it takes with a fifth kept back.
        let mut lab = Lab::new(space, 1, (total as u32 + 1) * 5 / 4 + 6);
        let mut n = 0.0;
        lab.run(want, |_, _| { n += 1.0; done(vec![n, n + 1.0]) });
        let tried: BTreeSet<_> =
            lab.suggested.iter().filter(|s| s.block == Block::FIRST).map(|s| s.config.clone()).collect();
        prop_assert!(all.is_subset(&tried));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn every_mode_has_its_turn_in_every_round_after_coverage(per_round in 4..16_u32, want in 1..7_usize, seed in any::<u64>()) {
        let mut lab = Lab::new(plain(&[4, 4, 4, 4, 4]), 8, per_round);
        lab.seed = seed;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        lab.run(want, |_, _| done((0..FOLDS).map(|_| rng.random()).collect()));
        let unused = lab.budget.total() - lab.history.len() as u32;
        prop_assert!(unused <= 1, "the budget is used, but for half a pair: {}", unused);
        let Budget { rounds, .. } = lab.budget;
        let search = lab.budget.total() - lab.budget.confirmation();
        let covered = lab.budget.total() * 2 / 5;
        for round in (1..=rounds).filter(|r| (r - 1) * per_round >= covered && r * per_round <= search) {
            let modes: BTreeSet<Mode> =
                lab.suggested.iter().filter(|s| s.round == round).map(|s| s.mode).collect();
            prop_assert_eq!(modes.len(), 4, "round {} has {:?}", round, modes);
        }
    }
}
