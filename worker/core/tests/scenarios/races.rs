//! Stopping what is behind the incumbent on every fold seen.

use ar_common::frames::{CoordinatorFrame, Grant};
use ar_common::{ExperimentId, Outcome, Race, Rule};
use ar_worker_core::{Effect, Input};

use crate::support::*;

const INCUMBENT: [f64; 5] = [0.8, 0.9, 0.7, 0.8, 0.8];

fn raced(experiment: u64) -> Grant {
    Grant { race: race(&INCUMBENT), ..grant(experiment) }
}

/// A worker on which an experiment races.
fn racing() -> Bench {
    let mut bench = Bench::ready(1);
    assert_eq!(bench.hear(CoordinatorFrame::Grant(raced(1))), vec![Effect::Run(raced(1))]);
    bench
}

fn fold(experiment: u64, fold: u32, score: f64) -> Input {
    Input::Fold { lease: lease(experiment), fold, score, seconds: 0.25 }
}

fn early(folds: &[f64]) -> Outcome {
    Outcome::StoppedEarly {
        folds: folds.to_vec(),
        seconds: 0.25 * folds.len() as f64,
        rule: ar_common::Rule::EveryFold,
    }
}

#[test]
fn what_is_behind_on_every_fold_is_killed_at_once_and_ends_with_the_folds_it_lost_by() {
    let mut bench = racing();
    assert_eq!(bench.give(fold(1, 0, 0.7)), vec![], "one fold says little");
    assert_eq!(bench.give(fold(1, 1, 0.8)), vec![stop(1, 0)]);
    assert_eq!(bench.give(fold(1, 2, 0.99)), vec![], "what comes while it is being killed changes nothing");
    let outcome = early(&[0.7, 0.8]);
    assert_eq!(bench.finish(1, crashed()), vec![spool(1, outcome.clone()), completed(1, outcome)]);
}

#[test]
fn what_was_ahead_or_level_on_one_fold_runs_to_its_end() {
    for first in [0.8, 0.85] {
        let mut bench = racing();
        let scores = [first, 0.1, 0.1, 0.1, 0.1];
        for (n, score) in (0..).zip(scores) {
            assert_eq!(bench.give(fold(1, n, score)), vec![], "fold {n} after {first}");
        }
    }
}

#[test]
fn a_training_run_is_stopped_at_the_first_point_past_half_where_it_is_behind() {
    let race = Race::against_curve(&[2.0; 32]).map(Box::new);
    let grant = Grant { race, ..grant(1) };
    let mut bench = Bench::ready(1);
    bench.hear(CoordinatorFrame::Grant(grant));
    for n in 0..17 {
        let loss = if n < 15 { 3.0 } else { 1.9 };
        assert_eq!(bench.give(fold(1, n, loss)), vec![], "point {n}");
    }
    assert_eq!(bench.give(fold(1, 17, 2.1)), vec![stop(1, 0)]);
    let folds = [vec![3.0; 15], vec![1.9, 1.9, 2.1]].concat();
    let outcome = Outcome::StoppedEarly { folds, seconds: 0.25 * 18.0, rule: Rule::Latest };
    assert_eq!(bench.finish(1, crashed())[0], spool(1, outcome));
}

#[test]
fn a_result_that_came_before_the_stop_took_hold_counts() {
    let mut bench = racing();
    bench.give(fold(1, 0, 0.7));
    assert_eq!(bench.give(fold(1, 1, 0.8)), vec![stop(1, 0)]);
    assert_eq!(bench.finish(1, done(0.7))[0], spool(1, done(0.7)));
}

#[test]
fn what_has_no_race_is_not_stopped() {
    let mut bench = Bench::running(&[1]);
    for n in 0..5 {
        assert_eq!(bench.give(fold(1, n, 0.01)), vec![], "fold {n}");
    }
}

#[test]
fn folds_that_are_missing_come_twice_or_are_no_numbers_lose_no_race() {
    for (second, score) in [(2, 0.1), (0, 0.1), (1, f64::NAN), (1, -3.0)] {
        let mut bench = racing();
        bench.give(fold(1, 0, 0.7));
        assert_eq!(bench.give(fold(1, second, score)), vec![], "fold {second}: {score}");
    }
}

#[test]
fn an_attempt_that_starts_again_starts_its_race_again() {
    let mut bench = racing();
    bench.give(fold(1, 0, 0.85));
    bench.give(Input::Lost { lease: lease(1), why: "the server that held it died".into() });
    assert_eq!(bench.give(fold(1, 0, 0.7)), vec![], "what the lost process scored is gone with it");
    assert_eq!(bench.give(fold(1, 1, 0.8)), vec![stop(1, 0)]);
    let lost = Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    assert_eq!(bench.give(lost), vec![spool(1, early(&[0.7, 0.8]))], "and it does not start a third time");
}

#[test]
fn seconds_that_are_no_numbers_are_not_counted() {
    let mut bench = racing();
    bench.give(Input::Fold { lease: lease(1), fold: 0, score: 0.7, seconds: f64::NAN });
    bench.give(Input::Fold { lease: lease(1), fold: 1, score: 0.8, seconds: -4.0 });
    let outcome =
        Outcome::StoppedEarly { folds: vec![0.7, 0.8], seconds: 0.0, rule: ar_common::Rule::EveryFold };
    assert_eq!(bench.finish(1, crashed())[0], spool(1, outcome));
}

fn matrix(experiment: u64) -> Input {
    Input::Matrix { lease: lease(experiment), hash: "m".into() }
}

/// A worker on which experiment 1 lost its race.
fn raced_out() -> Bench {
    let mut bench = racing();
    bench.give(matrix(1));
    bench.give(fold(1, 0, 0.7));
    bench.give(fold(1, 1, 0.8));
    bench.finish(1, crashed());
    bench
}

#[test]
fn a_twin_is_a_duplicate_whether_or_not_it_would_lose() {
    let mut bench = raced_out();
    bench.hear(CoordinatorFrame::Grant(raced(2)));
    assert_eq!(bench.give(matrix(2)), vec![stop(2, 0)]);
    bench.give(fold(2, 0, 0.7));
    bench.give(fold(2, 1, 0.8));
    assert_eq!(bench.finish(2, crashed())[0], spool(2, Outcome::DuplicateOf { experiment: ExperimentId(1) }));
}

#[test]
fn what_is_never_raced_is_no_twin_of_what_lost_its_race_and_stands_for_it_from_then_on() {
    let mut bench = raced_out();
    bench.grant(2);
    assert_eq!(bench.give(matrix(2)), vec![], "nobody else has its score");
    bench.finish(2, done(0.8));
    bench.grant(3);
    assert_eq!(bench.give(matrix(3)), vec![stop(3, 0)]);
    assert_eq!(bench.finish(3, crashed())[0], spool(3, Outcome::DuplicateOf { experiment: ExperimentId(2) }));
}
