//! Studies that have ended leave, and come back as they were.

use ar_common::frames::CoordinatorFrame;
use ar_common::{Digest, StudyId};
use ar_core::{Archive, Finish, Input, Phase, Planned, State};

use super::{kinds, with_one_lease};
use crate::support::{Worker, World, cv, done, spec};

/// A study that was called off after two results, and its worker.
fn ended() -> (World, Worker, StudyId) {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.9));
    worker.receive(&mut world);
    world.give(Input::Cancel { study: study.clone() });
    assert_eq!(world.study(&study).phase, Phase::Finished(Finish::Cancelled));
    (world, worker, study)
}

fn archive(world: &mut World, study: &StudyId) -> Archive {
    let Some(archive) = world.state().to_archive(study) else { panic!("it has not ended") };
    assert_eq!(Archive::from_bytes(&archive.to_bytes()).as_ref(), Ok(&archive));
    let (study, as_of) = (study.clone(), world.state().seq);
    let records = world.give(Input::Archive { study, archive: Digest::of(&archive.to_bytes()), as_of });
    assert_eq!(kinds(&records), ["Archived"]);
    archive
}

#[test]
fn a_study_leaves_with_all_its_experiments_and_comes_back_the_same() {
    let (mut world, _, study) = ended();
    let before = world.state().clone();
    let archive = archive(&mut world, &study);
    assert!(world.state().experiments.is_empty());
    let left = world.study(&study);
    let kept = left.archived.as_deref().expect("it says where");
    assert_eq!((kept.experiments, kept.outcomes.get("done")), (2, Some(&2)));
    assert_eq!(kept.best.as_ref().map(|(id, _, score)| (id.0, *score)), Some((2, 0.9)));
    assert_eq!((left.spent, left.experiments.len()), (before.studies[&study].spent, 0));
    // A copy of the state is whole again, without a record.
    let mut whole = world.state().clone();
    whole.put_back(&archive);
    assert_eq!((&whole.studies, &whole.experiments), (&before.studies, &before.experiments));
    world.restart();
    assert_eq!(kinds(&world.give(Input::Recall(archive.clone()))), ["Recalled"]);
    assert_eq!((&world.state().studies, &world.state().experiments), (&before.studies, &before.experiments));
    assert_eq!(world.give(Input::Recall(archive)), [], "once");
    world.restart();
}

#[test]
fn what_comes_back_goes_on_where_it_was_and_repeats_nothing() {
    let (mut world, mut worker, study) = ended();
    let archive = archive(&mut world, &study);
    world.submit(&spec(0));
    assert!(world.study(&study).is_finished(), "not before its experiments are here");
    world.give(Input::Recall(archive));
    world.submit(&spec(0));
    assert_eq!(world.study(&study).phase, Phase::Searching);
    let asks = world.take_asks();
    let plan = [cv(&[("model", "forest")]), cv(&[("model", "boost")])];
    world.answer(asks.last().unwrap(), Planned::Experiments(plan.into()));
    assert_eq!(
        worker.grant(&mut world).lease.experiment.0,
        3,
        "the number after the last that was ever given"
    );
    assert_eq!(world.experiment(3).config.get("model"), Some("boost"), "forest has run");
}

#[test]
fn only_what_has_ended_and_is_as_it_was_archived_leaves() {
    let (mut world, worker, study) = with_one_lease();
    assert_eq!(world.state().to_archive(&study), None);
    let early = Input::Archive { study: study.clone(), archive: Digest::of(b"x"), as_of: world.state().seq };
    assert_eq!(world.give(early), [], "it searches");
    let as_of = world.state().seq;
    drop(worker);
    world.give(Input::Cancel { study: study.clone() });
    let stale = Input::Archive { study, archive: Digest::of(b"x"), as_of };
    assert_eq!(world.give(stale), [], "an experiment ended after that state");
}

#[test]
fn a_late_result_of_a_study_that_left_is_refused_by_its_reason() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    world.give(Input::Cancel { study: study.clone() });
    worker.receive(&mut world);
    archive(&mut world, &study);
    worker.claim(&mut world, lease, done(0.7));
    let said = worker.receive(&mut world);
    let [CoordinatorFrame::Refused { why, .. }] = &said[..] else { panic!("{said:?}") };
    assert!(why.contains("archived"), "{why}");
}

#[test]
fn a_snapshot_is_the_state() {
    let (mut world, _, study) = ended();
    let same = |state: &State| {
        let read = State::from_snapshot(&state.to_snapshot()).expect("it is read");
        assert_eq!(&read, state);
        assert_eq!(read.hash(), state.hash());
    };
    same(world.state());
    same(&State::default());
    archive(&mut world, &study);
    same(world.state());
    let mut bytes = world.state().to_snapshot();
    bytes[7] += 1;
    let newer = State::from_snapshot(&bytes).unwrap_err().to_string();
    assert!(newer.contains("format 2"), "{newer}");
    assert!(State::from_snapshot(b"{}").is_err() && State::from_snapshot(&bytes[..4]).is_err());
}
