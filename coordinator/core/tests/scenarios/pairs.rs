//! Runs of a training study that are compared: one after the other, on one machine.

use ar_common::{Block, Device, Measures, Outcome, StudyId};
use ar_core::PlannedExperiment;

use crate::support::{Worker, World, config, cv, done, planned, training};

fn fresh(changes: &[(&str, &str)], repeat: u32) -> PlannedExperiment {
    planned(config(changes), Block::Cv { repeat })
}

/// A training study whose base has ended, with two workers of one slot, and the first plan to be answered.
fn two_workers() -> (World, [Worker; 2], StudyId) {
    let mut world = World::new();
    let study = world.submit(&training(0));
    let mut workers = [Worker::new("w1", 1), Worker::new("w2", 1)];
    for worker in &mut workers {
        worker.join(&mut world, &study);
    }
    let ask = world.take_asks().remove(0);
    world.answer(&ask, ar_core::Planned::Experiments(vec![cv(&[])]));
    let base = workers[0].grant(&mut world).lease;
    workers[0].complete(&mut world, base, done(0.8));
    workers[0].receive(&mut world);
    (world, workers, study)
}

fn answer(world: &mut World, experiments: Vec<PlannedExperiment>) {
    let Some(ask) = world.take_asks().pop() else { panic!("no plan is asked for") };
    world.answer(&ask, ar_core::Planned::Experiments(experiments));
}

#[test]
fn the_second_of_a_pair_waits_for_the_first_and_runs_where_that_ran() {
    let (mut world, [mut first, mut second], _) = two_workers();
    answer(&mut world, vec![cv(&[("model", "boost")]), fresh(&[], 3), fresh(&[("model", "forest")], 3)]);
    let other = first.grant(&mut world).lease;
    let base = second.grant(&mut world).lease;
    assert_eq!((other.experiment.0, base.experiment.0), (2, 3));
    first.complete(&mut world, other, done(0.7));
    assert_eq!(
        first.receive(&mut world).len(),
        1,
        "free, and asked first, but not where the first half runs"
    );
    // It is not kept idle by it.
    assert_eq!(world.take_asks().pop().map(|ask| ask.want), Some(1));
    let device = Device { class: "a GPU".into(), ids: vec!["GPU-7".into()] };
    let Outcome::Done(measures) = done(0.8) else { panic!("it is done") };
    let on_a_gpu = Outcome::Done(Measures { device: Some(Box::new(device)), ..measures });
    second.complete(&mut world, base, on_a_gpu);
    second.receive(&mut world);
    let half = second.lease_of(4);
    assert_eq!(second.held[&half].grant.devices, ["GPU-7"], "and on the same device");
    assert_eq!(first.grants(&mut world), vec![]);
}

#[test]
fn the_halves_of_a_pair_do_not_run_at_the_same_time() {
    let mut world = World::new();
    let study = world.submit(&training(0));
    let mut worker = Worker::new("w1", 2);
    worker.join(&mut world, &study);
    answer(&mut world, vec![cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, done(0.8));
    worker.receive(&mut world);
    answer(&mut world, vec![fresh(&[], 3), fresh(&[("model", "forest")], 3)]);
    let half = worker.grant(&mut world).lease;
    assert_eq!(half.experiment.0, 2);
    // Who comes back to a coordinator that has forgotten where it ran is told the same.
    world.restart();
    worker.join(&mut world, &study);
    assert!(!worker.held.keys().any(|lease| lease.experiment.0 == 3), "{:?}", worker.held);
    worker.complete(&mut world, half, done(0.8));
    worker.receive(&mut world);
    assert_eq!(worker.lease_of(3).experiment.0, 3);
}

#[test]
fn where_that_worker_is_gone_another_takes_it() {
    let (mut world, [mut first, mut second], _) = two_workers();
    answer(&mut world, vec![fresh(&[], 3), fresh(&[("model", "forest")], 3)]);
    let base = first.grant(&mut world).lease;
    first.complete(&mut world, base, done(0.8));
    first.receive(&mut world);
    let lease = first.lease_of(3);
    first.release(&mut world, lease);
    first.receive(&mut world);
    assert_eq!(second.grants(&mut world), vec![], "it is offered to the first one again");
    first.die(&mut world);
    world.wait(46_000);
    assert_eq!(second.grant(&mut world).lease.experiment.0, 3);
}

#[test]
fn runs_of_a_table_and_first_runs_do_not_wait_for_each_other() {
    let (mut world, [mut first, mut second], _) = two_workers();
    answer(&mut world, vec![cv(&[("model", "forest")]), cv(&[("model", "boost")])]);
    assert_eq!((first.grants(&mut world).len(), second.grants(&mut world).len()), (1, 1));
}
