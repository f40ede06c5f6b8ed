//! What people want of studies: that they wait, go on, or end.

use ar_common::frames::CoordinatorFrame;
use ar_common::{Millis, Outcome};
use ar_core::{Finish, Input, Phase, Record};

use super::{after_base, kinds, with_one_lease};
use crate::support::{cv, done, spec};

#[test]
fn a_study_that_waits_gets_nothing_and_what_runs_of_it_counts() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = *worker.held.keys().next().unwrap();
    worker.start(&mut world, lease);
    assert_eq!(kinds(&world.give(Input::Pause { study: study.clone(), paused: true })), ["Paused"]);
    assert_eq!(world.give(Input::Pause { study: study.clone(), paused: true }), []);
    worker.complete(&mut world, lease, done(0.7));
    assert!(matches!(world.experiment(2).outcome(), Some(Outcome::Done(_))));
    worker.receive(&mut world);
    assert!(world.take_asks().is_empty(), "nothing is planned");
    assert_eq!(kinds(&world.give(Input::Pause { study, paused: false })), ["Paused"]);
    world.plan([cv(&[("model", "boost")])]);
    assert_eq!(worker.grant(&mut world).lease.experiment.0, 3);
}

#[test]
fn what_has_not_started_comes_back_from_a_study_that_waits() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = *worker.held.keys().next().unwrap();
    world.give(Input::Pause { study: study.clone(), paused: true });
    assert_eq!(worker.receive(&mut world), [CoordinatorFrame::Revoke { lease }]);
    worker.release(&mut world, lease);
    assert!(worker.receive(&mut world).is_empty(), "it is not granted again");
    world.give(Input::Pause { study, paused: false });
    assert_eq!(worker.grant(&mut world).lease.experiment.0, 2);
}

#[test]
fn a_study_that_is_called_off_ends_at_once_and_goes_on_when_it_is_submitted_again() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = *worker.held.keys().next().unwrap();
    let records = world.give(Input::Cancel { study: study.clone() });
    assert_eq!(kinds(&records), ["Done", "Finished"]);
    assert_eq!(world.study(&study).phase, Phase::Finished(Finish::Cancelled));
    let said = worker.receive(&mut world);
    assert!(
        matches!(&said[..], [CoordinatorFrame::Cancel { lease: ended, .. }] if *ended == lease),
        "{said:?}"
    );
    assert_eq!(world.give(Input::Cancel { study: study.clone() }), []);
    world.submit(&spec(0));
    assert_eq!(world.study(&study).phase, Phase::Searching);
    world.plan([cv(&[("model", "boost")])]);
    assert_eq!(worker.grant(&mut world).lease.experiment.0, 3, "and what was known is known");
}

#[test]
fn a_study_that_waits_still_loses_leases_and_takes_results() {
    let (mut world, _, study) = with_one_lease();
    world.give(Input::Pause { study, paused: true });
    world.now = Millis(world.now.0 + 60_000);
    assert!(matches!(world.give(Input::Tick)[..], [Record::Requeued { .. }]));
}

#[test]
fn nothing_is_steered_that_is_not_there_or_has_ended() {
    let (mut world, _, study) = after_base();
    let other = ar_common::StudyId("other".into());
    assert_eq!(world.give(Input::Cancel { study: other.clone() }), []);
    assert_eq!(world.give(Input::Pause { study: other, paused: true }), []);
    world.give(Input::Cancel { study: study.clone() });
    assert_eq!(world.give(Input::Pause { study, paused: true }), []);
}
