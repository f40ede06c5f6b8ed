//! An ensemble of the best enters the verdict, and is nothing else than one more candidate.

use std::collections::BTreeMap;

use ar_common::{Block, Config, Constraints, Measures, Outcome, Verdict};

use super::fixtures::{Lab, done, plain, weighed};
use crate::{Observation, Plan};

/// `o1` of `d0` is worth most, and everything else a little less than the base.
fn level(config: &Config) -> f64 {
    let worth = if config.get("d0") == Some("o1") { 0.05 } else { 0.0 };
    0.7 + worth - config.options().filter(|o| *o != "base").count() as f64 * 0.001
}

/// Five folds around a level, a little different in every experiment.
fn around(level: f64, which: usize) -> Vec<f64> {
    (0..5).map(|i| level + 0.002 * ((which * 7 + i * 3) % 5) as f64 + 0.01 * i as f64).collect()
}

fn with_ensemble(rounds: u32, per_round: u32) -> Lab {
    let mut lab = Lab::new(plain(&[6, 4, 4, 4]), rounds, per_round);
    lab.search_spec.no_ensemble = false;
    lab
}

/// A study whose ensembles score `gain` above what the base does, and `luck` more where they were weighed.
fn run(lab: &mut Lab, weights: [u32; 4], gain: f64, luck: f64) -> Verdict {
    let end = lab.run_all(3, |o: &Observation| {
        let which = o.experiment.0 as usize;
        if o.members.is_empty() {
            return done(around(level(&o.config), which));
        }
        let weighs = if o.block == Block::FIRST { luck } else { 0.0 };
        let said: Vec<u32> = match o.block {
            Block::FIRST => weights[..o.members.len()].to_vec(),
            _ => o.members.iter().map(|m| m.weight).collect(),
        };
        weighed(done(around(0.7 + gain + weighs, which)), said)
    });
    match end {
        Plan::Conclude(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

fn of_ensembles(lab: &Lab) -> Vec<&Observation> {
    lab.history.iter().filter(|o| !o.members.is_empty()).collect()
}

fn spent(lab: &Lab) -> usize {
    lab.history.iter().map(|o| o.members.len().max(1)).sum()
}

/// Fresh splits of a configuration.
fn fresh(lab: &Lab, config: &Config) -> usize {
    let single = lab.history.iter().filter(|o| o.members.is_empty() && o.block != Block::FIRST);
    single.filter(|o| o.config == *config).count()
}

#[test]
fn it_is_weighed_once_from_the_best_when_the_search_is_over_and_then_measured_on_fresh_splits() {
    let mut lab = with_ensemble(4, 15);
    run(&mut lab, [3, 0, 1, 0], 0.02, 0.0);
    let ensembles = of_ensembles(&lab);
    let first = ensembles[0];
    assert_eq!((first.block, first.members.len(), &first.config), (Block::FIRST, 4, &lab.space.base()));
    assert!(first.members.iter().all(|m| m.weight == 0));
    let mut families: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for member in &first.members {
        *families.entry(lab.space.family_in(&member.config, "d0")).or_default() += 1;
    }
    assert!(families.values().all(|n| *n <= 2), "{families:?}");
    let searched = lab.history.iter().filter(|o| o.block == Block::FIRST && o.members.is_empty()).count();
    assert_eq!(searched, 44, "the search ends as many experiments sooner as it takes");
    let voting: Vec<u32> = ensembles[1].members.iter().map(|m| m.weight).collect();
    assert_eq!(voting, [3, 1], "who weighs nothing is gone");
    let splits: Vec<Block> = ensembles[1..].iter().map(|o| o.block).collect();
    assert_eq!(splits, [Block::Cv { repeat: 1 }], "squares have the rest");
    assert!(ensembles[1..].iter().all(|o| o.members == ensembles[1].members));
    assert!((59..=60).contains(&spent(&lab)), "one run alone is no comparison");
    let single = lab.space.base().with("d0", "o1");
    assert!(fresh(&lab, &single) >= 3 && fresh(&lab, &lab.space.base()) >= fresh(&lab, &single));
}

#[test]
fn without_squares_it_is_measured_on_as_many_fresh_splits_as_the_certain_pairs() {
    let mut lab = with_ensemble(4, 15);
    lab.run_all(3, |o| {
        let level = if o.config.get("d0") == Some("o1") { 0.75 } else { 0.7 };
        let weights =
            o.members.iter().zip([2, 1, 0, 0]).map(|(m, w)| if m.weight > 0 { m.weight } else { w });
        weighed(done(around(level, o.experiment.0 as usize)), weights.collect())
    });
    let splits: Vec<Block> = of_ensembles(&lab)[1..].iter().map(|o| o.block).collect();
    assert_eq!(splits, [1, 2, 3].map(|repeat| Block::Cv { repeat }));
    assert_eq!((spent(&lab), fresh(&lab, &lab.space.base())), (60, 3));
}

#[test]
fn one_that_is_shown_to_be_best_wins_by_its_fresh_splits() {
    let mut lab = with_ensemble(4, 15);
    let verdict = run(&mut lab, [2, 1, 0, 0], 0.08, 0.0);
    assert!(verdict.beats_base, "{verdict:?}");
    assert_eq!(verdict.members, of_ensembles(&lab)[1].members);
    assert_eq!((&verdict.winner, verdict.candidate.as_ref()), (&lab.space.base(), Some(&lab.space.base())));
    assert_eq!((verdict.pairs, verdict.compared.len()), (5, 2));
    assert!(verdict.text.starts_with("ensemble of 2: 2x d0=o1, 1x "), "{}", verdict.text);
    assert!(verdict.text.contains("; d0=o1 beats the base by"), "{}", verdict.text);
    assert!(verdict.difference > 0.07 && verdict.difference < 0.09);
    let best = verdict.best_seen.map(|(config, _)| config);
    assert_eq!(best, Some(lab.space.base().with("d0", "o1")), "the best seen is no ensemble");
}

#[test]
fn one_that_does_no_better_leaves_the_single_configuration_which_pays_for_two_tests() {
    for gain in [0.03, -0.05] {
        let mut lab = with_ensemble(4, 15);
        let verdict = run(&mut lab, [2, 1, 0, 0], gain, 0.0);
        let single = lab.space.base().with("d0", "o1");
        assert_eq!((&verdict.winner, &verdict.members), (&single, &vec![]), "{}", verdict.text);
        assert!(verdict.beats_base && verdict.compared[1].members.len() == 2);
        assert_eq!(verdict.compared[0].p_value, verdict.p_value);
        assert_eq!(verdict.compared[1].beats_base, gain > 0.0);
    }
}

#[test]
fn one_that_scores_the_same_as_the_single_configuration_does_not_replace_it() {
    let mut lab = with_ensemble(4, 15);
    let end = lab.run_all(2, |o| {
        let which = if let Block::Cv { repeat } = o.block { repeat as usize } else { 0 };
        let level = if o.members.is_empty() { level(&o.config) } else { 0.749 };
        weighed(done(around(level, which)), o.members.iter().map(|_| 1).collect())
    });
    let Plan::Conclude(verdict) = end else { panic!("{end:?}") };
    assert_eq!(verdict.winner, lab.space.base().with("d0", "o1"));
    assert!(verdict.members.is_empty() && verdict.compared.iter().all(|c| c.beats_base), "{verdict:?}");
    let [a, b] = &verdict.compared[..] else { panic!("two") };
    assert!((a.difference - b.difference).abs() < 1e-9 && b.p_value >= a.p_value);
}

#[test]
fn luck_on_the_rows_it_was_weighed_on_counts_for_nothing() {
    let mut lab = with_ensemble(4, 15);
    let verdict = run(&mut lab, [2, 1, 0, 0], -0.02, 0.2);
    assert_eq!(verdict.winner, lab.space.base().with("d0", "o1"));
    assert!(verdict.best_seen.is_some_and(|(_, score)| score < 0.8), "the best seen is no ensemble");
    assert!(!verdict.compared[1].beats_base && verdict.compared[1].difference < 0.0);
}

#[test]
fn where_only_one_weighs_anything_or_the_weights_are_missing_there_is_none() {
    for weights in [[5, 0, 0, 0], [0; 4]] {
        let mut lab = with_ensemble(4, 15);
        let verdict = run(&mut lab, weights, 0.2, 0.0);
        assert_eq!(of_ensembles(&lab).len(), 1);
        assert!(verdict.compared.is_empty() && verdict.members.is_empty());
        assert!(fresh(&lab, &lab.space.base().with("d0", "o1")) >= 3, "the others have all that is kept");
    }
}

#[test]
fn one_that_breaks_the_constraints_is_no_candidate() {
    let mut lab = with_ensemble(4, 15);
    lab.constraints = Constraints { memory: Some(100 << 20), ..Constraints::default() };
    let took = |outcome, mib: u64| match outcome {
        Outcome::Done(measures) => Outcome::Done(Measures { peak_memory: Some(mib << 20), ..measures }),
        other => other,
    };
    let end = lab.run_all(3, |o| {
        let which = o.experiment.0 as usize;
        if o.members.is_empty() {
            return took(done(around(level(&o.config), which)), 50);
        }
        took(weighed(done(around(0.9, which)), o.members.iter().map(|_| 1).collect()), 200)
    });
    let Plan::Conclude(verdict) = end else { panic!("{end:?}") };
    assert_eq!(of_ensembles(&lab).len(), 1, "it is not measured again");
    assert!(verdict.members.is_empty() && verdict.compared.is_empty(), "{verdict:?}");
}

#[test]
fn a_budget_without_room_for_both_is_searched_whole_and_has_none() {
    let mut lab = with_ensemble(1, 36);
    run(&mut lab, [1, 1, 1, 1], 0.2, 0.0);
    assert!(of_ensembles(&lab).is_empty());
    assert_eq!(lab.history.iter().filter(|o| o.block == Block::FIRST).count(), 30);
    // With a little more there is room for one, if for fewer members.
    let mut lab = with_ensemble(1, 40);
    let verdict = run(&mut lab, [1, 1, 1, 1], 0.2, 0.0);
    assert_eq!(of_ensembles(&lab)[0].members.len(), 3);
    assert!(!verdict.members.is_empty() && spent(&lab) <= 40);
    assert!(fresh(&lab, &lab.space.base()) >= 3);
}

#[test]
fn one_that_crashes_or_runs_out_of_time_takes_nothing_from_the_verdict() {
    let mut lab = with_ensemble(4, 15);
    let end = lab.run_all(3, |o| match o.members.is_empty() {
        true => done(around(level(&o.config), o.experiment.0 as usize)),
        false => Outcome::TimedOut { seconds: 9.0 },
    });
    let Plan::Conclude(verdict) = end else { panic!("{end:?}") };
    assert_eq!((verdict.winner, of_ensembles(&lab).len()), (lab.space.base().with("d0", "o1"), 1));
}

#[test]
fn a_raised_budget_weighs_another_one_after_more_was_searched() {
    let mut lab = with_ensemble(4, 15);
    run(&mut lab, [2, 1, 0, 0], 0.02, 0.0);
    lab.budget.rounds = 8;
    run(&mut lab, [1, 1, 0, 0], 0.02, 0.0);
    let weighings: Vec<usize> =
        (0..lab.history.len()).filter(|i| lab.history[*i].members.iter().any(|m| m.weight == 0)).collect();
    let searched = |between: &[Observation]| {
        between.iter().filter(|o| o.block == Block::FIRST && o.members.is_empty()).count()
    };
    assert!(weighings.len() <= 2 && spent(&lab) <= 120);
    if let [first, second] = weighings[..] {
        assert!(searched(&lab.history[first..second]) > 0 && searched(&lab.history[second..]) == 0);
    }
}

#[test]
fn without_ensembles_a_study_plans_as_if_there_were_none() {
    let mut lab = with_ensemble(4, 15);
    lab.search_spec.no_ensemble = true;
    run(&mut lab, [1; 4], 0.2, 0.0);
    assert!(of_ensembles(&lab).is_empty());
    assert_eq!(lab.history.iter().filter(|o| o.block == Block::FIRST).count(), 48);
}
