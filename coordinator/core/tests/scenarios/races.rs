//! What was stopped early: what it costs, and that it is never the best.

use ar_common::{Budget, ExperimentId, Outcome, Race, Rule};
use ar_core::{PlannedExperiment, State};

use super::{after_base, kinds};
use crate::support::{Worker, World, cv, done, spec, training};

/// An experiment that races against the base's folds of [`after_base`].
fn raced(changes: &[(&str, &str)]) -> PlannedExperiment {
    PlannedExperiment { race: Race::against(&spec(0).metric, &[0.8; 5]).map(Box::new), ..cv(changes) }
}

fn early(folds: &[f64]) -> Outcome {
    Outcome::StoppedEarly { folds: folds.to_vec(), seconds: 1.0, rule: ar_common::Rule::EveryFold }
}

/// As [`after_base`], and the worker races experiment 2.
fn racing() -> (World, Worker) {
    let (mut world, mut worker, _) = after_base();
    world.plan([raced(&[("model", "forest")])]);
    let grant = worker.grant(&mut world);
    assert_eq!(grant.race, raced(&[]).race, "the rule travels with the lease");
    (world, worker)
}

#[test]
fn the_folds_that_were_not_run_are_given_back_and_let_more_be_planned() {
    let mut world = World::new();
    let mut small = spec(0);
    small.budget = Budget { rounds: 1, per_round: 3 };
    let study = world.submit(&small);
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    let left = |world: &World| world.study(&study).left(&small.budget);
    // 3 evaluations of 5 folds: after the base 10 are left, then 8, then 6, then 4: less than an evaluation.
    for (model, folds) in [("forest", 8), ("boost", 6)] {
        world.plan([raced(&[("model", model)])]);
        let lease = worker.grant(&mut world).lease;
        worker.complete(&mut world, lease, early(&[0.7, 0.6]));
        worker.receive(&mut world);
        assert_eq!(world.study(&study).folds_spent(), 15 - folds);
        assert_eq!(left(&world), 1);
    }
    world.plan([raced(&[("scale", "none")])]);
    let lease = worker.grant(&mut world).lease;
    assert_eq!(left(&world), 0, "what is under way counts whole");
    worker.complete(&mut world, lease, early(&[0.7, 0.6]));
    worker.receive(&mut world);
    assert_eq!((left(&world), world.study(&study).evaluations()), (0, 2.2));
    let records = world.plan([raced(&[("scale", "robust")])]);
    assert!(!kinds(&records).contains(&"Planned"), "four folds are no evaluation: {records:?}");
    let replayed = world.ledger.journal.iter().fold(State::default(), |mut state, record| {
        state.apply(record);
        state
    });
    assert_eq!(replayed.hash(), world.state().hash(), "I6");
}

#[test]
fn a_training_run_that_was_stopped_costs_the_part_of_its_time_that_it_ran() {
    let mut world = World::new();
    let study = world.submit(&training(0));
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    let race = Race::against_curve(&[2.0; 32]).map(Box::new);
    let raced = |model| PlannedExperiment { race: race.clone(), ..cv(&[("model", model)]) };
    world.plan([raced("forest")]);
    let lease = worker.grant(&mut world).lease;
    let stopped = |rule| Outcome::StoppedEarly { folds: vec![2.5; 24], seconds: 1.0, rule };
    worker.complete(&mut world, lease, stopped(Rule::Latest));
    worker.receive(&mut world);
    assert_eq!(world.study(&study).evaluations(), 1.75, "a quarter of it is given back");
    world.plan([raced("boost")]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, stopped(Rule::EveryFold));
    worker.receive(&mut world);
    assert!(matches!(world.experiment(3).outcome(), Some(Outcome::NoMetric { .. })), "not by its own rule");
}

#[test]
fn an_experiment_that_was_stopped_early_is_never_the_best() {
    let (mut world, mut worker) = racing();
    let lease = worker.lease_of(2);
    assert_eq!(kinds(&worker.complete(&mut world, lease, early(&[0.79, 0.79]))), ["Done"]);
    worker.receive(&mut world);
    let study = world.state().studies.values().next().unwrap();
    assert_eq!(world.state().best(study).map(|(best, _)| best.id), Some(ExperimentId(1)));
    assert_eq!(world.experiment(2).outcome().and_then(Outcome::score), None);
}

#[test]
fn what_lost_no_race_cannot_have_been_stopped_early_and_is_paid_for() {
    for folds in [&[0.7][..], &[0.7, 0.9], &[0.8, 0.8], &[0.7; 5], &[]] {
        let (mut world, mut worker) = racing();
        let lease = worker.lease_of(2);
        worker.complete(&mut world, lease, early(folds));
        let outcome = world.experiment(2).outcome().unwrap();
        assert_eq!(outcome.word(), "no metric", "{folds:?}");
        assert_eq!(world.state().studies.values().next().unwrap().evaluations(), 2.0);
    }
    let (mut world, mut worker, study) = after_base();
    world.plan([cv(&[("model", "forest")])]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, early(&[0.1, 0.1]));
    assert_eq!(world.experiment(2).outcome().unwrap().word(), "no metric", "it ran against nobody");
    assert_eq!(world.study(&study).evaluations(), 2.0);
}

#[test]
fn a_score_that_comes_after_it_was_stopped_early_is_refused() {
    let (mut world, mut worker) = racing();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, early(&[0.7, 0.6]));
    assert_eq!(kinds(&worker.claim(&mut world, lease, done(0.9))), ["Refused"]);
    assert_eq!(world.experiment(2).outcome(), Some(&early(&[0.7, 0.6])));
    assert_eq!(worker.claim(&mut world, lease, early(&[0.7, 0.6])), vec![], "and a repeat is acknowledged");
}

#[test]
fn a_score_that_came_before_the_stop_took_hold_counts_and_is_paid_for() {
    let (mut world, mut worker) = racing();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.7));
    assert_eq!(world.experiment(2).outcome(), Some(&done(0.7)));
    assert_eq!(world.state().studies.values().next().unwrap().evaluations(), 2.0);
}

#[test]
fn the_next_attempt_races_too_and_under_a_restarted_coordinator() {
    let (mut world, mut worker) = racing();
    let study = world.experiment(2).study.clone();
    worker.die(&mut world);
    world.restart();
    worker.join(&mut world, &study);
    world.wait(45_000);
    let grant = worker.grants(&mut world).pop().unwrap();
    assert_eq!((grant.lease.experiment, grant.race), (ExperimentId(2), raced(&[]).race));
}

#[test]
fn a_budget_made_smaller_keeps_what_was_spent_with_a_part_of_an_evaluation_counted_whole() {
    let (mut world, mut worker) = racing();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, early(&[0.7, 0.6]));
    worker.receive(&mut world);
    world.plan([raced(&[("model", "boost")])]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, early(&[0.7, 0.6]));
    // The base and two times two folds of five: 1.8 evaluations by three experiments.
    for (asked, total) in [(1, 2), (2, 2)] {
        let mut less = spec(0);
        less.budget = Budget { rounds: 1, per_round: asked };
        let study = world.submit(&less);
        assert_eq!(world.study(&study).budget().total(), total, "{asked} were asked for");
    }
}
