//! One promise per test.

mod archives;
mod checkpoints;
mod closing;
mod ensembles;
mod holding;
mod leases;
mod pairs;
mod planning;
mod races;
mod results;
mod sessions;
mod sharing;
mod steering;
mod time_limits;

use ar_common::frames::CoordinatorFrame;
use ar_common::{LeaseSeq, StudyId};
use ar_core::{Record, Status};

use crate::support::{Worker, World, cv, done, spec};

/// A study whose base has scored 0.8, and a worker with one slot that waits for the next plan.
fn after_base() -> (World, Worker, StudyId) {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 1);
    assert_eq!(worker.join(&mut world, &study), vec![]);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, done(0.8));
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease: base }]);
    (world, worker, study)
}

/// As [`after_base`], and the worker holds experiment 2.
fn with_one_lease() -> (World, Worker, StudyId) {
    let (mut world, mut worker, study) = after_base();
    world.plan([cv(&[("model", "forest")])]);
    assert_eq!(worker.grant(&mut world).lease.experiment.0, 2);
    (world, worker, study)
}

/// The lease that an experiment is out under.
#[track_caller]
fn lease_in(world: &World, experiment: u64) -> LeaseSeq {
    match &world.experiment(experiment).status {
        Status::Leased { lease, .. } => *lease,
        other => panic!("experiment {experiment} is not leased: {other:?}"),
    }
}

/// The kinds of some records, in order.
fn kinds(records: &[Record]) -> Vec<&'static str> {
    let kind = |record: &Record| match record {
        Record::StoreMade { .. } => "StoreMade",
        Record::Elected { .. } => "Elected",
        Record::Submitted { .. } => "Submitted",
        Record::Extended { .. } => "Extended",
        Record::OptionRemoved { .. } => "OptionRemoved",
        Record::Planned { .. } => "Planned",
        Record::Granted { .. } => "Granted",
        Record::Requeued { .. } => "Requeued",
        Record::Done { .. } => "Done",
        Record::Refused { .. } => "Refused",
        Record::Concluded { .. } => "Concluded",
        Record::SealedOpened { .. } => "SealedOpened",
        Record::Paused { .. } => "Paused",
        Record::Finished { .. } => "Finished",
        Record::Archived { .. } => "Archived",
        Record::Recalled { .. } => "Recalled",
        Record::Held { .. } => "Held",
        Record::Readmitted { .. } => "Readmitted",
    };
    records.iter().map(kind).collect()
}
