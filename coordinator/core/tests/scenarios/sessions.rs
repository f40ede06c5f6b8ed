//! Workers that come, go, come back, and a coordinator that comes back.

use ar_common::frames::CoordinatorFrame;
use ar_common::{Outcome, StudyId};
use ar_core::{Input, Loss, Record, SessionId};

use super::{after_base, kinds, lease_in, with_one_lease};
use crate::support::{Worker, World, cv, done, spec};

const TTL: u64 = 45_000;

#[test]
fn ranges_of_versions_that_do_not_meet_close_the_session_with_both_in_the_text() {
    let mut world = World::new();
    world.submit(&spec(0));
    let mut worker = Worker::new("w1", 1);
    worker.protocol = (7, 9);
    worker.connect(&mut world);
    let why = world.take_close(worker.session());
    assert!(why.contains("1 to 1") && why.contains("7 to 9") && why.contains("w1"), "{why}");
    assert!(world.core.live.workers.is_empty());
    world.nothing_left();
}

#[test]
fn a_second_session_of_the_same_worker_closes_the_first_and_keeps_its_leases() {
    let (mut world, mut worker, _) = with_one_lease();
    let first = worker.session();
    assert_eq!(worker.connect(&mut world), vec![]);
    let why = world.take_close(first);
    assert!(why.contains("another session"), "{why}");
    let frames = worker.receive(&mut world);
    assert!(
        matches!(frames[..], [CoordinatorFrame::Welcome { .. }, CoordinatorFrame::Prepare { .. }]),
        "{frames:?}"
    );
    assert_eq!(worker.lease_of(2).lease, lease_in(&world, 2));
    world.give(Input::Disconnected { session: first });
    assert_eq!(world.core.live.workers.len(), 1, "the end of the first does not end the second");
    world.nothing_left();
}

#[test]
fn a_worker_that_comes_back_in_time_goes_on_with_what_it_runs() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.start(&mut world, lease);
    assert_eq!(worker.disconnect(&mut world), vec![]);
    assert_eq!(world.wait(TTL - 1), vec![]);
    assert_eq!(worker.connect(&mut world), vec![]);
    assert_eq!(world.wait(TTL - 1), vec![], "its Hello renewed the lease");
    worker.receive(&mut world);
    assert_eq!(kinds(&worker.complete(&mut world, lease, done(0.82))), ["Done"]);
    worker.receive(&mut world);
    world.nothing_left();
}

#[test]
fn a_grant_that_never_arrived_is_lost_at_the_next_hello() {
    let (mut world, mut worker, study) = after_base();
    world.plan([cv(&[("model", "forest")])]);
    worker.disconnect(&mut world);
    let records = worker.connect(&mut world);
    assert!(
        matches!(records[..], [Record::Requeued { cause: Loss::Forgotten, running: false, .. }]),
        "{records:?}"
    );
    worker.ready(&mut world, &study);
    worker.receive(&mut world);
    assert_eq!(worker.lease_of(2).lease, lease_in(&world, 2));
    world.nothing_left();
}

#[test]
fn a_reboot_requeues_what_the_worker_neither_holds_nor_spooled() {
    let (mut world, mut worker, study) = {
        let mut world = World::new();
        let study = world.submit(&spec(0));
        let mut worker = Worker::new("w1", 2);
        worker.join(&mut world, &study);
        world.plan([cv(&[])]);
        let base = worker.grant(&mut world).lease;
        worker.complete(&mut world, base, done(0.8));
        worker.receive(&mut world);
        world.plan([cv(&[("model", "forest")]), cv(&[("model", "boost")])]);
        worker.grants(&mut world);
        (world, worker, study)
    };
    let (spooled, running) = (worker.lease_of(2), worker.lease_of(3));
    worker.start(&mut world, running);
    worker.keep(spooled, done(0.82));
    worker.die(&mut world);
    let records = worker.connect(&mut world);
    let lost = Record::Requeued {
        experiment: running.experiment,
        lease: running.lease,
        cause: Loss::Forgotten,
        running: true,
    };
    assert_eq!(records, vec![lost]);
    assert_eq!(lease_in(&world, 2), spooled.lease, "its result is on its way");
    assert_eq!(kinds(&worker.offer(&mut world, spooled)), ["Done"]);
    worker.ready(&mut world, &study);
    worker.receive(&mut world);
    assert_eq!(worker.held.len(), 1);
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_spooled_result_that_never_comes_does_not_hold_its_experiment_for_ever() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.keep(lease, done(0.82));
    worker.disconnect(&mut world);
    assert_eq!(worker.connect(&mut world), vec![]);
    worker.heartbeat(&mut world);
    assert_eq!(kinds(&world.wait(TTL)), ["Requeued"]);
    worker.receive(&mut world);
    world.nothing_left();
}

#[test]
fn after_a_restart_what_runs_goes_on_and_what_was_spooled_is_accepted() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.keep(lease, done(0.82));
    world.restart();
    assert_eq!(world.wait(TTL - 1), vec![], "a lease gets a fresh ttl");
    worker.connect(&mut world);
    let frames = worker.receive(&mut world);
    let epoch = world.state().epoch;
    assert!(
        matches!(frames[0], CoordinatorFrame::Welcome { epoch: e, .. } if e == epoch && e.0 == 2),
        "{frames:?}"
    );
    assert_eq!(kinds(&worker.offer(&mut world, lease)), ["Done"]);
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);

    world.restart();
    worker.connect(&mut world);
    assert_eq!(
        worker.claim(&mut world, lease, done(0.82)),
        vec![],
        "what was acknowledged is known after a restart"
    );
    worker.ready(&mut world, &study);
    assert!(worker.receive(&mut world).contains(&CoordinatorFrame::Ack { lease }));
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn after_a_restart_a_lease_whose_worker_never_comes_back_lapses_and_does_not_count_as_running() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.start(&mut world, lease);
    world.restart();
    let records = world.wait(TTL);
    assert!(
        matches!(records[..], [Record::Requeued { cause: Loss::Lapsed, running: false, .. }]),
        "{records:?}"
    );
    world.nothing_left();
}

#[test]
fn after_a_restart_an_unknown_running_lease_is_cancelled() {
    let (mut world, mut worker, _) = with_one_lease();
    let known = worker.lease_of(2);
    let mut held = worker.held[&known].clone();
    let mut unknown = known;
    unknown.lease.seq.0 += 40;
    held.grant.lease = unknown;
    worker.held.insert(unknown, held);
    worker.start(&mut world, unknown);
    worker.receive(&mut world);
    world.restart();
    let held = worker.held[&known].clone();
    worker.held.insert(unknown, held);
    worker.connect(&mut world);
    let frames = worker.receive(&mut world);
    let cancelled: Vec<_> = frames
        .iter()
        .filter(|f| matches!(f, CoordinatorFrame::Cancel { lease, .. } if *lease == unknown))
        .collect();
    assert_eq!(cancelled.len(), 1, "{frames:?}");
    assert_eq!(worker.held.keys().collect::<Vec<_>>(), vec![&known], "the known one goes on");
    world.nothing_left();
}

#[test]
fn a_draining_worker_gets_nothing() {
    let (mut world, mut worker, study) = after_base();
    worker.draining = true;
    worker.heartbeat(&mut world);
    assert_eq!(world.plan([cv(&[("model", "forest")])]).len(), 1, "planned and not granted");
    assert_eq!(worker.grants(&mut world), vec![]);

    let mut other = Worker::new("w2", 1);
    assert_eq!(other.join(&mut world, &study).len(), 1);
    assert_eq!(kinds(&other.die(&mut world)), Vec::<&str>::new());
    world.wait(TTL);
    assert_eq!(worker.grants(&mut world), vec![]);
    worker.draining = false;
    worker.heartbeat(&mut world);
    assert_eq!(worker.grants(&mut world).len(), 1, "until it drains no more");
    world.nothing_left();
}

#[test]
fn a_draining_worker_is_not_asked_to_prepare() {
    let mut world = World::new();
    let mut worker = Worker::new("w1", 1);
    worker.connect(&mut world);
    worker.draining = true;
    worker.heartbeat(&mut world);
    world.submit(&spec(0));
    let frames = worker.receive(&mut world);
    assert!(matches!(frames[..], [CoordinatorFrame::Welcome { .. }]), "{frames:?}");
    world.nothing_left();
}

#[test]
fn a_worker_that_is_not_ready_gets_no_grant() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    let ask = world.take_ask();
    let session = worker.session();
    let why = "no Python here".to_owned();
    world.give(Input::NotReady { session, study: study.clone(), why });
    world.answer(&ask, ar_core::Planned::Experiments(vec![cv(&[])]));
    assert_eq!(worker.grants(&mut world), vec![]);

    let mut silent = Worker::new("w2", 1);
    silent.connect(&mut world);
    assert_eq!(silent.receive(&mut world).len(), 2, "Welcome and Prepare, nothing before it says Ready");
    worker.ready(&mut world, &study);
    assert_eq!(worker.grants(&mut world).len(), 1, "it may become ready later");
    world.nothing_left();
}

#[test]
fn a_worker_is_asked_once_for_each_study_and_never_for_one_that_finished() {
    let (mut world, mut worker, study) = after_base();
    let finished = world.take_ask();
    worker.disconnect(&mut world);
    world.answer(&finished, ar_core::Planned::Failed);
    assert!(world.finish_of(&study).is_some());

    let other = world.submit(&spec(1));
    worker.connect(&mut world);
    world.wait(10);
    let prepared: Vec<_> = worker
        .receive(&mut world)
        .into_iter()
        .filter_map(|frame| match frame {
            CoordinatorFrame::Prepare { study, .. } => Some(study),
            _ => None,
        })
        .collect();
    assert_eq!(prepared, vec![other]);
    world.nothing_left();
}

#[test]
fn an_option_that_does_not_work_on_a_worker_leaves_the_space_once_and_base_never_does() {
    let (mut world, worker, study) = after_base();
    let bad = [("model", "forest"), ("model", "base"), ("model", "unheard of"), ("unheard", "of")];
    let records = worker.ready_without(&mut world, &study, &bad);
    let removed = Record::OptionRemoved {
        study: study.clone(),
        dimension: "model".into(),
        option: "forest".into(),
        reason: "cannot be imported".into(),
    };
    assert_eq!(records, vec![removed]);
    assert_eq!(worker.ready_without(&mut world, &study, &bad), vec![], "a second time changes nothing");
    let entry = world.study(&study);
    let names: Vec<&str> =
        entry.space.dimension("model").unwrap().options.iter().map(|option| option.name.as_str()).collect();
    assert_eq!(names, ["base", "boost"]);
    assert_eq!(entry.removed.len(), 1);
    assert_eq!(entry.spec.id(), study, "the study is still the one that was submitted");
    world.take_ask();
    world.nothing_left();
}

#[test]
fn any_number_of_slots_is_survived() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", u32::MAX);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world).lease;
    worker.complete(&mut world, base, crate::support::quick(0.8));
    worker.receive(&mut world);
    let crash = Outcome::Crashed { reason: "out of cores".into() };
    world.plan([cv(&[("model", "forest")])]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, crash);
    worker.receive(&mut world);
    world.take_ask();
    world.nothing_left();
}

fn heartbeat(session: SessionId, slots: Option<u32>, why_fewer: &str) -> Input {
    Input::Heartbeat { session, leases: vec![], draining: false, slots, why_fewer: why_fewer.to_owned() }
}

#[test]
fn a_worker_without_room_prepares_nothing_and_is_asked_again_when_it_has_some() {
    let (mut world, mut worker, ready) = after_base();
    world.take_ask();
    let session = worker.session();
    let prepared = |frames: &[CoordinatorFrame]| -> Vec<StudyId> {
        let asked = |frame: &CoordinatorFrame| match frame {
            CoordinatorFrame::Prepare { study, .. } => Some(study.clone()),
            _ => None,
        };
        frames.iter().filter_map(asked).collect()
    };
    let failed = world.submit(&spec(1));
    assert_eq!(prepared(&worker.receive(&mut world)), vec![failed.clone()]);
    let why = "no space left on the device".to_owned();
    world.give(Input::NotReady { session, study: failed.clone(), why });
    world.give(heartbeat(session, Some(0), "the disk is full"));
    let said = |world: &World| world.core.live.workers[&session].why_fewer.clone();
    assert_eq!(said(&world), "the disk is full");
    let later = world.submit(&spec(2));
    assert_eq!(prepared(&worker.receive(&mut world)), vec![], "it would take room that is not there");
    world.give(heartbeat(session, Some(1), ""));
    let mut asked = prepared(&worker.receive(&mut world));
    asked.sort();
    let mut both = vec![failed, later];
    both.sort();
    assert_eq!((asked, said(&world)), (both, String::new()), "but not of {ready}, which stands");
}

#[test]
fn a_worker_that_has_lost_its_gpu_is_granted_nothing_until_it_is_back() {
    let (mut world, mut worker, _) = after_base();
    let session = worker.session();
    let capacity = |slots| heartbeat(session, slots, "");
    world.give(capacity(Some(0)));
    world.plan([cv(&[("model", "forest")])]);
    assert_eq!(worker.receive(&mut world), vec![]);
    world.give(capacity(None));
    assert_eq!(worker.receive(&mut world), vec![], "who does not say has what it had");
    world.give(capacity(Some(1)));
    assert_eq!(worker.grant(&mut world).lease.experiment.0, 2);
    world.nothing_left();
}
