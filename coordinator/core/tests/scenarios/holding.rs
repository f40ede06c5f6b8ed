//! Workers that get nothing more.

use ar_common::Outcome;
use ar_common::frames::CoordinatorFrame;
use ar_core::{Input, PlannedExperiment};

use super::{kinds, with_one_lease};
use crate::support::{Worker, World, cv, done, planned, spec};

fn crashed() -> Outcome {
    Outcome::Crashed { reason: "no space left on device".into() }
}

/// Configurations that are all different.
fn plan(world: &mut World, round: u32) {
    let repeats = (1..).map(|n| 100 * round + n);
    let fresh = |repeat| planned(cv(&[]).config, ar_common::Block::Cv { repeat });
    let plans: Vec<PlannedExperiment> = repeats.map(fresh).take(2).collect();
    let asks = world.take_asks();
    // There is none while one that was planned waits.
    if let Some(ask) = asks.last() {
        world.answer(ask, ar_core::Planned::Experiments(plans));
    }
}

/// Two workers run one experiment each, again and again, with these outcomes; which kinds of records that made.
fn rounds(count: u32, bad: &Outcome, good: &Outcome) -> (World, Vec<&'static str>, Worker, Worker) {
    let mut world = World::new();
    let mut large = spec(0);
    large.budget.per_round = 200;
    let study = world.submit(&large);
    let (mut first, mut second) = (Worker::new("w1", 1), Worker::new("w2", 1));
    first.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = first.grant(&mut world).lease;
    first.complete(&mut world, base, done(0.8));
    first.receive(&mut world);
    first.disconnect(&mut world);
    let mut first = Worker::new("w3", 1);
    first.join(&mut world, &study);
    second.join(&mut world, &study);
    let mut seen = Vec::new();
    for round in 1..=count {
        plan(&mut world, round);
        for (worker, outcome) in [(&mut second, good), (&mut first, bad)] {
            for grant in worker.grants(&mut world) {
                seen.extend(kinds(&worker.complete(&mut world, grant.lease, outcome.clone())));
                worker.receive(&mut world);
            }
        }
    }
    (world, seen, first, second)
}

#[test]
fn a_worker_whose_runs_all_fail_where_the_others_do_not_is_set_aside_until_it_starts_again() {
    let (mut world, seen, mut bad, _) = rounds(12, &crashed(), &done(0.7));
    assert_eq!(seen.iter().filter(|kind| **kind == "Held").count(), 1, "{seen:?}");
    let hold = &world.state().holds[&"w3".into()];
    assert!(hold.boot.is_some() && hold.why.contains("no space left on device"), "{}", hold.why);
    let failed = world.state().experiments.iter().filter(|e| e.outcome() == Some(&crashed())).count();
    assert!((5..=12).contains(&failed), "{failed} failed before it was noticed");
    world.restart();
    bad.connect(&mut world);
    let held = |world: &World| world.core.live.workers.values().any(|worker| worker.held_back);
    assert!(held(&world), "the same start of it, after a restart of the coordinator");
    bad.die(&mut world);
    assert_eq!(kinds(&bad.connect(&mut world)), ["Readmitted"]);
    assert!(!held(&world));
}

#[test]
fn where_everything_fails_nobody_is_to_blame() {
    let (world, seen, ..) = rounds(20, &crashed(), &crashed());
    assert!(!seen.contains(&"Held") && world.state().holds.is_empty());
}

#[test]
fn a_worker_that_is_drained_finishes_what_it_runs_and_gets_more_once_it_is_readmitted() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.start(&mut world, lease);
    let hold = || Input::Hold { worker: "w1".into(), why: "somebody drains it".into() };
    assert_eq!(kinds(&world.give(hold())), ["Held"]);
    assert_eq!(world.give(hold()), [], "once");
    worker.complete(&mut world, lease, done(0.7));
    worker.receive(&mut world);
    assert!(world.take_asks().is_empty(), "there is nobody to plan for");
    world.restart();
    worker.connect(&mut world);
    assert!(world.core.live.workers.values().all(|worker| worker.held_back), "whoever coordinates");
    assert_eq!(kinds(&world.give(Input::Readmit { worker: "w1".into() })), ["Readmitted"]);
    assert_eq!(world.give(Input::Readmit { worker: "w1".into() }), []);
    assert!(world.core.live.workers.values().all(|worker| worker.takes_more()));
}

#[test]
fn what_a_drained_worker_has_not_begun_comes_back() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    world.give(Input::Hold { worker: "w1".into(), why: "somebody drains it".into() });
    assert_eq!(worker.receive(&mut world), [CoordinatorFrame::Revoke { lease }]);
    worker.release(&mut world, lease);
    assert!(worker.receive(&mut world).is_empty(), "and is not granted to it again");
}
