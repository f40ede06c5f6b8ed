//! What of a plan still holds when it comes.

use ar_common::{Block, Budget, ExperimentId};
use ar_core::{Finish, Input, Phase, Planned, TimeLeft};

use super::{after_base, kinds, with_one_lease};
use crate::support::{Worker, World, config, cv, done, planned, spec, verdict};

#[test]
fn a_plan_is_asked_for_when_a_worker_could_run_more_and_not_before() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    assert_eq!(world.take_asks(), vec![], "nobody could run it");
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    let ask = world.take_ask();
    assert_eq!((ask.want, ask.as_of, ask.time), (2, world.state().seq, TimeLeft::All));
    world.wait(1);
    worker.heartbeat(&mut world);
    assert_eq!(world.take_asks(), vec![], "one plan at a time");
    world.nothing_left();
}

#[test]
fn the_budget_is_never_exceeded_whatever_a_plan_holds() {
    let mut world = World::new();
    let mut small = spec(0);
    small.budget = Budget { rounds: 1, per_round: 3 };
    let study = world.submit(&small);
    let mut worker = Worker::new("w1", 8);
    worker.join(&mut world, &study);
    let long = [cv(&[]), cv(&[("model", "forest")]), cv(&[("model", "boost")]), cv(&[("scale", "none")])];
    world.plan(long);
    assert_eq!((world.study(&study).spent, world.state().experiments.len()), (3, 3));
    worker.grants(&mut world);
    let more = world.take_ask();
    assert_eq!(
        kinds(&world.answer(&more, Planned::Experiments(vec![cv(&[("scale", "none")])]))),
        Vec::<&str>::new()
    );
    assert_eq!(world.study(&study).spent, 3);
    world.nothing_left();
}

#[test]
fn a_plan_that_is_older_than_a_result_is_checked_against_what_is_there_now() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    let stale = world.take_ask();
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    world.answer(&stale, Planned::Experiments(vec![cv(&[]), cv(&[("model", "forest")])]));
    assert_eq!(worker.grant(&mut world).config, config(&[("model", "forest")]), "what is new is taken");
    assert_eq!(world.study(&study).spent, 2, "and the base is not run again");
    world.take_ask();
    world.nothing_left();
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let (mut world, mut worker, study) = after_base();
    let ask = world.take_ask();
    let plan = Planned::Experiments(vec![cv(&[("model", "forest")])]);
    assert_eq!(kinds(&world.answer(&ask, plan.clone())), ["Planned", "Granted"]);
    assert_eq!(world.answer(&ask, plan), vec![]);
    worker.grant(&mut world);
    let again = Planned::Experiments(vec![cv(&[("model", "boost")])]);
    assert_eq!(world.answer(&ask, again), vec![], "nor does another answer to the same question");
    assert_eq!(world.study(&study).spent, 2);
    world.nothing_left();
}

#[test]
fn the_same_experiment_twice_in_one_plan_is_one() {
    let (mut world, mut worker, study) = after_base();
    // A forest does not care how columns are scaled: all three are the same configuration.
    let forest = |scale| cv(&[("model", "forest"), ("scale", scale)]);
    world.plan([forest("none"), forest("robust"), forest("base")]);
    let grant = worker.grant(&mut world);
    assert_eq!(grant.config, config(&[("model", "forest")]));
    assert_eq!(world.study(&study).spent, 2);
    world.nothing_left();
}

#[test]
fn what_is_not_in_the_space_and_what_is_not_the_searchs_to_plan_is_ignored() {
    let (mut world, mut worker, study) = after_base();
    let nameless: ar_common::Config = [("scale", "none")].into_iter().collect();
    world.plan([
        cv(&[("model", "unheard of")]),
        planned(nameless, Block::FIRST),
        planned(config(&[]), Block::Sealed),
        planned(config(&[]), Block::Refit),
        planned(config(&[("model", "boost")]), Block::Cv { repeat: 1 }),
    ]);
    let grant = worker.grant(&mut world);
    assert_eq!((grant.config, grant.block), (config(&[("model", "boost")]), Block::Cv { repeat: 1 }));
    assert_eq!(world.study(&study).spent, 2);
    assert_eq!(world.study(&study).sealed_openings, 0);
    world.nothing_left();
}

#[test]
fn an_option_that_was_taken_out_is_not_planned_and_does_not_end_the_study() {
    let (mut world, worker, study) = after_base();
    let ask = world.take_ask();
    worker.ready_without(&mut world, &study, &[("model", "forest")]);
    let records = world.answer(&ask, Planned::Experiments(vec![cv(&[("model", "forest")])]));
    assert_eq!(kinds(&records), Vec::<&str>::new());
    assert_eq!(world.study(&study).phase, Phase::Searching, "the plan had not seen that the option is gone");
    assert!(world.take_ask().as_of > ask.as_of, "so another is made");
    world.nothing_left();
}

#[test]
fn a_verdict_that_has_not_seen_the_newest_result_is_dropped() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    let stale = world.take_ask();
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    assert_eq!(world.answer(&stale, Planned::Conclude(verdict(&config(&[])))), vec![]);
    assert_eq!(world.study(&study).phase, Phase::Searching);

    let fresh = world.take_ask();
    assert!(fresh.as_of > stale.as_of);
    let records = world.answer(&fresh, Planned::Conclude(verdict(&config(&[]))));
    assert_eq!(kinds(&records)[0], "Concluded");
    worker.grant(&mut world);
    world.nothing_left();
}

#[test]
fn a_verdict_while_an_experiment_is_pending_is_dropped_and_asked_for_again_when_it_has_ended() {
    for plan in [Planned::Conclude(verdict(&config(&[]))), Planned::Failed] {
        let mut world = World::new();
        let study = world.submit(&spec(0));
        let mut worker = Worker::new("w1", 2);
        worker.join(&mut world, &study);
        world.plan([cv(&[])]);
        let base = worker.grant(&mut world).lease;
        let ask = world.take_ask();
        assert_eq!(world.answer(&ask, plan), vec![]);
        assert_eq!(world.study(&study).phase, Phase::Searching);
        world.wait(10);
        worker.heartbeat(&mut world);
        assert_eq!(world.take_asks(), vec![], "it would say the same, for ever and as fast as it can");
        worker.complete(&mut world, base, done(0.8));
        worker.receive(&mut world);
        assert!(world.take_ask().as_of > ask.as_of);
        world.nothing_left();
    }
}

#[test]
fn a_verdict_while_one_experiment_is_pending_and_another_has_ended_is_asked_for_again_at_once() {
    let (mut world, mut worker, study) = after_base();
    let mut other = Worker::new("w2", 3);
    world.plan([cv(&[("model", "forest")])]);
    let lease = worker.grant(&mut world).lease;
    other.join(&mut world, &study);
    world.plan([cv(&[("model", "boost")])]);
    other.grant(&mut world);
    let ask = world.take_ask();
    worker.complete(&mut world, lease, done(0.9));
    worker.receive(&mut world);
    assert_eq!(world.answer(&ask, Planned::Conclude(verdict(&config(&[])))), vec![]);
    assert!(world.take_ask().as_of > ask.as_of);
    world.nothing_left();
}

#[test]
fn a_search_that_waits_is_asked_again_when_an_experiment_has_ended() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    let ask = world.take_ask();
    world.answer(&ask, Planned::Wait);
    world.wait(10);
    worker.heartbeat(&mut world);
    assert_eq!(world.take_asks(), vec![], "nothing has ended");
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    assert_eq!(world.take_ask().want, 2);
    world.nothing_left();
}

#[test]
fn a_search_that_has_nothing_to_say_while_nothing_is_pending_ends_the_study() {
    let (mut world, _, study) = after_base();
    let ask = world.take_ask();
    assert_eq!(kinds(&world.answer(&ask, Planned::Wait)), ["Finished"]);
    assert_eq!(world.finish_of(&study), Some(Finish::Failed));
    world.nothing_left();
}

#[test]
fn a_plan_for_a_study_that_is_not_there_or_that_ended_changes_nothing() {
    let (mut world, _, study) = after_base();
    let ask = world.take_ask();
    world.answer(&ask, Planned::Failed);
    assert_eq!(world.finish_of(&study), Some(Finish::Failed));
    let plan = Planned::Experiments(vec![cv(&[("model", "forest")])]);
    assert_eq!(world.answer(&ask, plan.clone()), vec![]);
    let (study, as_of) = ("unheard of".into(), ask.as_of);
    assert_eq!(world.give(Input::Planned { study, as_of, plan }), vec![]);
    world.nothing_left();
}

#[test]
fn a_plan_under_way_is_forgotten_by_a_restart_and_asked_for_again() {
    let (mut world, mut worker, study) = after_base();
    let before = world.take_ask();
    world.restart();
    worker.join(&mut world, &study);
    let after = world.take_ask();
    assert!(after.as_of > before.as_of);
    world.answer(&after, Planned::Experiments(vec![cv(&[("model", "forest")])]));
    assert_eq!(worker.grant(&mut world).lease.experiment, ExperimentId(2));
    world.nothing_left();
}

#[test]
fn what_waited_before_a_restart_is_granted_after_it_in_order() {
    let (mut world, worker, study) = with_one_lease();
    drop(worker);
    let mut other = Worker::new("w2", 3);
    other.join(&mut world, &study);
    world.plan([cv(&[("model", "boost")])]);
    world.restart();
    let mut third = Worker::new("w3", 3);
    let granted: Vec<u64> =
        third.join(&mut world, &study).iter().map(|grant| grant.lease.experiment.0).collect();
    assert_eq!(granted, Vec::<u64>::new(), "experiments 2 and 3 are out under leases that still live");
    world.wait(45_000);
    let granted: Vec<u64> = third.grants(&mut world).iter().map(|grant| grant.lease.experiment.0).collect();
    assert_eq!(granted.len(), 2);
    world.take_asks();
    world.nothing_left();
}
