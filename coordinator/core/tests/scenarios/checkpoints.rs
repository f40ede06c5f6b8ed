//! What a training run starts from, and when what it leaves is kept.

use ar_common::frames::CheckpointOrder;
use ar_common::{Artifact, Block, CHECKPOINT, Digest, ExperimentId, Outcome, WarmStart};
use ar_core::PlannedExperiment;

use crate::support::{Worker, World, config, cv, done, planned, training};

fn left(score: f64, model: &[u8]) -> Outcome {
    let Outcome::Done(mut measures) = done(score) else { panic!("it is done") };
    measures.artifacts = [Artifact { name: CHECKPOINT.into(), digest: Digest::of(model) }].into();
    Outcome::Done(measures)
}

fn warm(changes: &[(&str, &str)], from: u64) -> PlannedExperiment {
    planned(config(changes), Block::Warm { from: ExperimentId(from) })
}

/// A study that hands checkpoints on, whose base has scored 0.8 and left one.
fn with_a_checkpoint() -> (World, Worker) {
    let mut world = World::new();
    let mut spec = training(0);
    spec.search.warm_start = Some(WarmStart { shape: vec!["model".into()] });
    let study = world.submit(&spec);
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let grant = worker.grant(&mut world);
    assert_eq!(grant.checkpoint.as_deref(), Some(&CheckpointOrder { from: None, better_than: None }));
    worker.complete(&mut world, grant.lease, left(0.8, b"of the base"));
    worker.receive(&mut world);
    (world, worker)
}

#[test]
fn a_run_gets_what_it_goes_on_from_and_leaves_only_what_is_better() {
    let (mut world, mut worker) = with_a_checkpoint();
    world.plan([warm(&[("scale", "none")], 1), cv(&[("model", "forest")])]);
    let grant = worker.grant(&mut world);
    let order = CheckpointOrder { from: Some(Digest::of(b"of the base")), better_than: Some(0.8) };
    assert_eq!(grant.checkpoint.as_deref(), Some(&order));
    worker.complete(&mut world, grant.lease, left(0.9, b"longer"));
    worker.receive(&mut world);
    // Another shape has left nothing yet.
    let lease = worker.lease_of(3);
    let order = worker.held[&lease].grant.checkpoint.clone();
    assert_eq!(order.as_deref(), Some(&CheckpointOrder { from: None, better_than: None }));
    worker.complete(&mut world, lease, done(0.7));
    worker.receive(&mut world);
    world.plan([cv(&[("scale", "none")])]);
    let order = worker.grant(&mut world).checkpoint;
    assert_eq!(order.as_deref(), Some(&CheckpointOrder { from: None, better_than: Some(0.9) }));
}

#[test]
fn runs_that_are_compared_have_nothing_to_do_with_checkpoints() {
    let (mut world, mut worker) = with_a_checkpoint();
    world.plan([planned(config(&[("scale", "none")]), Block::Cv { repeat: 3 })]);
    assert_eq!(worker.grant(&mut world).checkpoint, None);
}

#[test]
fn nothing_goes_on_from_what_left_nothing() {
    let (mut world, mut worker) = with_a_checkpoint();
    world.plan([cv(&[("model", "forest")])]);
    let grant = worker.grant(&mut world);
    worker.complete(&mut world, grant.lease, done(0.9));
    worker.receive(&mut world);
    world.plan([warm(&[("model", "forest")], 2), warm(&[], 77), warm(&[], 1)]);
    let grant = worker.grant(&mut world);
    assert_eq!((grant.lease.experiment.0, grant.block), (3, Block::Warm { from: ExperimentId(1) }));
}
