//! How a study ends, and how it goes on.

use ar_common::{Block, Measures, Outcome, StudySpec};
use ar_core::{Finish, Phase, Planned, Record};

use super::{after_base, kinds, with_one_lease};
use crate::support::{Worker, World, config, cv, done, search, spec, verdict};

/// A refit has no score.
fn fitted() -> Outcome {
    Outcome::Done(Measures { seconds: 3.0, ..Measures::default() })
}

/// `spec`, with a larger budget.
fn raised(spec: &StudySpec) -> StudySpec {
    let mut raised = spec.clone();
    raised.budget.rounds += 1;
    raised
}

/// Answers the plan that was asked for with a verdict for `model`, then runs sealed rows and refit.
#[track_caller]
fn conclude(world: &mut World, worker: &mut Worker, model: &str) {
    let ask = world.take_ask();
    world.answer(&ask, Planned::Conclude(verdict(&config(&[("model", model)]))));
    worker.receive(world);
    for _ in 0..2 {
        let Some(lease) = worker.held.keys().next().copied() else {
            return;
        };
        worker.complete(world, lease, fitted());
        worker.receive(world);
    }
}

#[test]
fn the_sealed_rows_are_opened_once_then_the_winner_is_fitted_then_the_study_ends() {
    let (mut world, mut worker, study) = after_base();
    let winner = config(&[("model", "forest")]);
    let ask = world.take_ask();
    let records = world.answer(&ask, Planned::Conclude(verdict(&winner)));
    assert_eq!(kinds(&records), ["Concluded", "SealedOpened", "Planned", "Granted"]);
    let sealed = worker.grant(&mut world);
    assert_eq!((sealed.block, &sealed.config, &sealed.reference), (Block::Sealed, &winner, &config(&[])));
    assert_eq!(sealed.deadline_ms, 120_000, "it fits two configurations");

    let records = worker.complete(&mut world, sealed.lease, fitted());
    assert_eq!(kinds(&records), ["Done", "Planned", "Granted"]);
    worker.receive(&mut world);
    let refit = worker.lease_of(3);
    assert_eq!((worker.held[&refit].grant.block, &worker.held[&refit].grant.config), (Block::Refit, &winner));

    assert_eq!(kinds(&worker.complete(&mut world, refit, fitted())), ["Done", "Finished"]);
    worker.receive(&mut world);
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
    assert_eq!((world.study(&study).sealed_openings, world.study(&study).spent), (1, 1));
    world.nothing_left();
}

#[test]
fn without_sealed_rows_the_winner_is_fitted_at_once() {
    let mut world = World::new();
    let mut open = spec(0);
    open.tabular_mut().unwrap().splits.holdout = None;
    let study = world.submit(&open);
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    let ask = world.take_ask();
    let records = world.answer(&ask, Planned::Conclude(verdict(&config(&[]))));
    assert_eq!(kinds(&records), ["Concluded", "Planned", "Granted"]);
    let refit = worker.grant(&mut world);
    assert_eq!(refit.block, Block::Refit);
    assert_eq!(kinds(&worker.complete(&mut world, refit.lease, fitted())), ["Done", "Finished"]);
    worker.receive(&mut world);
    assert_eq!(world.study(&study).sealed_openings, 0);
    world.nothing_left();
}

#[test]
fn a_closing_step_that_fails_does_not_hold_the_study() {
    let (mut world, mut worker, study) = after_base();
    let ask = world.take_ask();
    world.answer(&ask, Planned::Conclude(verdict(&config(&[]))));
    for _ in 0..2 {
        worker.receive(&mut world);
        let Some(lease) = worker.held.keys().next().copied() else { panic!("nothing to run") };
        worker.complete(&mut world, lease, Outcome::Crashed { reason: "disk full".into() });
    }
    worker.receive(&mut world);
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
    world.nothing_left();
}

#[test]
fn a_restart_in_the_closing_phase_opens_nothing_twice() {
    let (mut world, mut worker, study) = after_base();
    let ask = world.take_ask();
    world.answer(&ask, Planned::Conclude(verdict(&config(&[]))));
    worker.grant(&mut world);
    world.restart();
    worker.connect(&mut world);
    worker.receive(&mut world);
    worker.ready(&mut world, &study);
    let sealed = worker.lease_of(2);
    worker.complete(&mut world, sealed, fitted());
    worker.receive(&mut world);
    world.restart();
    worker.connect(&mut world);
    worker.receive(&mut world);
    let refit = worker.lease_of(3);
    worker.complete(&mut world, refit, fitted());
    worker.receive(&mut world);
    assert_eq!((world.study(&study).sealed_openings, world.state().experiments.len()), (1, 3));
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
    world.nothing_left();
}

#[test]
fn submitting_the_same_study_again_changes_nothing() {
    let mut world = World::new();
    world.submit(&spec(0));
    let before = world.state().seq;
    let mut renamed = spec(0);
    renamed.name = "another name".into();
    world.submit(&renamed);
    assert_eq!(world.state().seq, before);
    world.nothing_left();
}

#[test]
fn a_smaller_budget_binds_a_study_that_runs_and_takes_nothing_back() {
    let (mut world, mut worker, study) = with_one_lease();
    let mut smaller = spec(0);
    smaller.budget.rounds = 0;
    world.submit(&smaller);
    assert_eq!(world.study(&study).budget().total(), 2, "what was spent is spent");
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.8));
    worker.receive(&mut world);
    let ask = world.take_ask();
    world.answer(&ask, Planned::Experiments(vec![cv(&[("model", "boost")])]));
    assert_eq!(worker.grants(&mut world), vec![], "nothing more is run");
    let before = world.state().seq;
    world.submit(&smaller);
    assert_eq!(world.state().seq, before, "said twice is said once");
}

#[test]
fn a_smaller_budget_does_not_touch_a_study_that_has_ended() {
    let (mut world, mut worker, study) = after_base();
    conclude(&mut world, &mut worker, "forest");
    let mut smaller = spec(0);
    smaller.budget.rounds = 1;
    world.submit(&smaller);
    assert!(world.study(&study).is_finished());
    assert_eq!(world.study(&study).budget(), spec(0).budget);
    world.nothing_left();
}

#[test]
fn other_limits_hold_from_the_next_grant() {
    let (mut world, mut worker, study) = with_one_lease();
    let mut limited = spec(0);
    limited.limits.experiment_seconds = Some(9.0);
    world.submit(&limited);
    assert_eq!(world.study(&study).spec.limits.experiment_seconds, Some(9.0));
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.8));
    worker.receive(&mut world);
    world.plan([cv(&[("model", "boost")])]);
    assert_eq!(worker.grant(&mut world).deadline_ms, 9_000);
    world.nothing_left();
}

#[test]
fn other_constraints_open_a_finished_study_again_because_its_verdict_may_not_hold() {
    let (mut world, mut worker, study) = after_base();
    conclude(&mut world, &mut worker, "forest");
    let mut constrained = spec(0);
    constrained.limits.constraints.rows = Some(216);
    world.submit(&constrained);
    assert!(world.study(&study).is_finished(), "how many rows there are is no bound");
    constrained.limits.constraints.memory = Some(1 << 30);
    world.submit(&constrained);
    assert_eq!((world.study(&study).phase, &world.study(&study).verdict), (Phase::Searching, &None));
}

#[test]
fn an_extension_opens_a_finished_study_again_and_keeps_its_results() {
    let (mut world, mut worker, study) = after_base();
    conclude(&mut world, &mut worker, "forest");
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
    let best = world.state().best(world.study(&study)).map(|(experiment, score)| (experiment.id, score));

    world.submit(&raised(&spec(0)));
    assert_eq!((world.study(&study).phase, &world.study(&study).verdict), (Phase::Searching, &None));
    assert_eq!(world.state().best(world.study(&study)).map(|(e, score)| (e.id, score)), best);
    assert_eq!(world.study(&study).spent, 1);

    conclude(&mut world, &mut worker, "boost");
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
    assert_eq!(world.study(&study).sealed_openings, 2, "another candidate saw the sealed rows");
    world.nothing_left();
}

#[test]
fn the_same_winner_again_opens_nothing_and_is_not_fitted_again() {
    let (mut world, mut worker, study) = after_base();
    conclude(&mut world, &mut worker, "forest");
    let experiments = world.state().experiments.len();
    world.submit(&raised(&spec(0)));
    let ask = world.take_ask();
    let records = world.answer(&ask, Planned::Conclude(verdict(&config(&[("model", "forest")]))));
    assert_eq!(kinds(&records), ["Concluded", "Finished"]);
    assert_eq!((world.study(&study).sealed_openings, world.state().experiments.len()), (1, experiments));
    world.nothing_left();
}

#[test]
fn a_verdict_from_before_an_extension_does_not_end_the_extended_study() {
    let (mut world, mut worker, study) = after_base();
    let before = world.take_ask();
    world.submit(&raised(&spec(0)));
    assert_eq!(world.answer(&before, Planned::Conclude(verdict(&config(&[])))), vec![]);
    assert_eq!(world.study(&study).phase, Phase::Searching);
    let after = world.take_ask();
    world.answer(&after, Planned::Experiments(vec![cv(&[("model", "forest")])]));
    worker.grant(&mut world);
    world.nothing_left();
}

#[test]
fn a_study_whose_search_found_nothing_ends_as_failed_and_may_be_extended() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, Outcome::Crashed { reason: "no such column".into() });
    worker.receive(&mut world);
    let ask = world.take_ask();
    let failed = Record::Finished { study: study.clone(), how: Finish::Failed };
    assert_eq!(world.answer(&ask, Planned::Failed), vec![failed]);
    world.submit(&raised(&spec(0)));
    assert_eq!(world.study(&study).phase, Phase::Searching);
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_whole_study_runs_to_its_end() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    for turn in 0.. {
        if world.study(&study).is_finished() {
            break;
        }
        assert!(turn < 100, "it does not end: {:?}", world.state());
        for ask in world.take_asks() {
            let plan = search(world.state(), &study, ask.want, ask.time);
            world.answer(&ask, plan);
        }
        worker.receive(&mut world);
        let held: Vec<_> = worker.held.keys().copied().collect();
        for lease in held {
            let counts = worker.held[&lease].grant.block.counts();
            worker.complete(&mut world, lease, if counts { done(0.8) } else { fitted() });
        }
    }
    worker.receive(&mut world);
    let entry = world.study(&study);
    assert_eq!((entry.spent, entry.budget().total(), entry.sealed_openings), (8, 8, 1));
    assert!(world.state().experiments.iter().all(|experiment| !experiment.is_pending()));
    world.nothing_left();
}
