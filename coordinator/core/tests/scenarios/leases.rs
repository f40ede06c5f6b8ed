//! Grants, heartbeats, lapses, quarantine.

use ar_common::frames::{CoordinatorFrame, LeaseStage};
use ar_common::{Attempt, Block, Outcome};
use ar_core::{Loss, Record, Timing};

use super::{after_base, kinds, lease_in, with_one_lease};
use crate::support::{Worker, World, config, cv, done, planned, quick, spec};

const TTL: u64 = 45_000;

#[test]
fn the_base_goes_alone_and_the_rest_after_it_ended() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 3);
    worker.join(&mut world, &study);
    world.plan([cv(&[]), cv(&[("model", "forest")]), cv(&[("model", "boost")])]);
    let base = worker.grant(&mut world);
    assert_eq!(base.config, config(&[]));

    let records = worker.complete(&mut world, base.lease, done(0.8));
    assert_eq!(kinds(&records), ["Done", "Granted", "Granted"]);
    let frames = worker.receive(&mut world);
    assert_eq!(frames[0], CoordinatorFrame::Ack { lease: base.lease });
    assert_eq!(worker.held.len(), 2);
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn an_experiment_that_was_planned_before_the_base_does_not_block_the_study() {
    let mut world = World::new();
    let study = world.submit(&spec(0));
    let mut worker = Worker::new("w1", 3);
    worker.join(&mut world, &study);
    world.plan([cv(&[("model", "forest")]), cv(&[])]);
    let first = worker.grant(&mut world);
    worker.complete(&mut world, first.lease, done(0.7));
    worker.receive(&mut world);
    assert_eq!(worker.held.len(), 1, "the other goes once the first has ended");
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_frame_carries_the_token_that_its_record_gives_it() {
    let (mut world, mut worker, study) = after_base();
    let records = world.plan([cv(&[("model", "forest")])]);
    assert_eq!(kinds(&records), ["Planned", "Granted"]);
    let grant = worker.grant(&mut world);
    assert_eq!(grant.lease.lease, lease_in(&world, 2));
    assert_eq!(grant.lease.lease.seq, world.state().seq, "the token is the position of the record");
    assert_eq!(grant.lease.lease.incarnation, world.state().incarnation);
    let record = Record::Granted {
        experiment: grant.lease.experiment,
        attempt: grant.attempt,
        worker: "w1".into(),
        boot: 1,
        deadline_ms: grant.deadline_ms,
    };
    assert_eq!(records[1], record);
    assert_eq!((grant.study, grant.reference), (study, config(&[])));
    world.nothing_left();
}

#[test]
fn a_listed_lease_lives_on_and_an_unlisted_one_lapses_on_time() {
    let (mut world, worker, _) = with_one_lease();
    for _ in 0..10 {
        assert_eq!(world.wait(TTL - 1), vec![]);
        assert_eq!(worker.heartbeat(&mut world), vec![]);
    }
    assert_eq!(world.wait(TTL - 1), vec![]);
    let records = world.wait(1);
    assert_eq!(kinds(&records)[0], "Requeued");
    world.take_frames(worker.session());
    world.nothing_left();
}

#[test]
fn a_lapse_is_one_record_and_the_next_attempt_has_a_higher_token() {
    let (mut world, mut worker, _) = with_one_lease();
    let lost = worker.lease_of(2);
    worker.disconnect(&mut world);
    let records = world.wait(TTL);
    let requeued = Record::Requeued {
        experiment: lost.experiment,
        lease: lost.lease,
        cause: Loss::Lapsed,
        running: false,
    };
    assert_eq!(records, vec![requeued]);
    assert_eq!(world.experiment(2).attempt, Attempt(2));
    assert_eq!(world.wait(TTL), vec![], "it lapses once");

    let mut other = Worker::new("w2", 1);
    let study = world.experiment(2).study.clone();
    let again = other.join(&mut world, &study).remove(0);
    assert_eq!((again.lease.experiment, again.attempt), (lost.experiment, Attempt(2)));
    assert!(again.lease.lease > lost.lease);
    world.nothing_left();
}

#[test]
fn a_started_frame_renews_too() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    world.wait(TTL - 1);
    worker.start(&mut world, lease);
    assert_eq!(world.wait(TTL - 1), vec![]);
    world.nothing_left();
}

#[test]
fn whoever_lost_a_lease_is_told_to_stop_and_cannot_renew_it() {
    let (mut world, mut slow, study) = with_one_lease();
    let lost = slow.lease_of(2);
    slow.start(&mut world, lost);
    slow.disconnect(&mut world);
    world.wait(TTL);
    let mut other = Worker::new("w2", 1);
    other.join(&mut world, &study);

    slow.connect(&mut world);
    let frames = world.take_frames(slow.session());
    let cancel =
        |frame: &CoordinatorFrame| matches!(frame, CoordinatorFrame::Cancel { lease, .. } if *lease == lost);
    assert!(frames.iter().any(cancel), "told at its Hello: {frames:?}");
    world.wait(TTL - 1);
    slow.heartbeat(&mut world);
    let frames = slow.receive(&mut world);
    assert!(frames.iter().all(cancel) && frames.len() == 1, "told at its heartbeat: {frames:?}");
    let records = world.wait(1);
    assert_eq!(kinds(&records), ["Requeued", "Granted"], "the lease of the other lapsed when it was due");
    other.grant(&mut world);
    world.nothing_left();
}

#[test]
fn a_lease_is_renewed_and_given_back_by_its_own_worker_alone() {
    let (mut world, worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    let mut other = Worker::new("w2", 1);
    other.held.insert(lease, worker.held[&lease].clone());
    other.connect(&mut world);
    world.wait(TTL - 1);
    other.heartbeat(&mut world);
    assert_eq!(other.release(&mut world, lease), vec![]);
    let frames = other.receive(&mut world);
    let told =
        |frame: &&CoordinatorFrame| matches!(frame, CoordinatorFrame::Cancel { lease: l, .. } if *l == lease);
    assert_eq!(frames.iter().filter(told).count(), 2, "at its Hello and at its heartbeat: {frames:?}");
    assert_eq!(kinds(&world.wait(1)), ["Requeued", "Granted"]);
    world.take_frames(worker.session());
    world.nothing_left();
}

#[test]
fn a_lease_is_renewed_by_the_start_of_its_worker_that_it_was_granted_to() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    let mut held = worker.held[&lease].clone();
    held.stage = LeaseStage::Uploading;
    worker.die(&mut world);
    // What a former start left in the spool is listed by the next one as on its way.
    worker.held.insert(lease, held);
    world.wait(TTL - 1);
    assert_eq!(worker.connect(&mut world), vec![], "it is not lost yet");
    worker.heartbeat(&mut world);
    let records = world.wait(1);
    assert!(
        matches!(records[..], [Record::Requeued { cause: Loss::Lapsed, running: false, .. }]),
        "{records:?}"
    );
    worker.ready(&mut world, &study);
    worker.receive(&mut world);
    world.nothing_left();
}

#[test]
fn a_result_on_its_way_is_not_called_off() {
    let (mut world, mut worker, _) = with_one_lease();
    let lost = worker.lease_of(2);
    if let Some(held) = worker.held.get_mut(&lost) {
        held.stage = LeaseStage::Uploading;
    }
    worker.disconnect(&mut world);
    world.wait(TTL);
    worker.connect(&mut world);
    let frames = worker.receive(&mut world);
    assert!(!frames.iter().any(|frame| matches!(frame, CoordinatorFrame::Cancel { .. })), "{frames:?}");
    assert_eq!(kinds(&worker.complete(&mut world, lost, done(0.8))), ["Done"]);
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease: lost }]);
    world.nothing_left();
}

#[test]
fn the_third_loss_of_a_running_process_quarantines_with_a_reason() {
    let (mut world, mut worker, study) = with_one_lease();
    for loss in 1..=3 {
        let lease = worker.lease_of(2);
        worker.start(&mut world, lease);
        worker.die(&mut world);
        worker.connect(&mut world);
        assert_eq!(world.experiment(2).is_pending(), loss < 3, "after loss {loss}");
        worker.ready(&mut world, &study);
        worker.receive(&mut world);
    }
    let Some(Outcome::Crashed { reason }) = world.experiment(2).outcome() else { panic!("not quarantined") };
    assert!(reason.contains("quarantined") && reason.contains("3 times"), "{reason}");
    assert_eq!(world.take_ask().want, 1, "the study goes on");
    world.nothing_left();
}

#[test]
fn losses_of_queued_leases_and_releases_never_quarantine() {
    let (mut world, mut worker, study) = with_one_lease();
    for _ in 0..5 {
        worker.die(&mut world);
        worker.connect(&mut world);
        worker.ready(&mut world, &study);
        worker.receive(&mut world);
        let lease = worker.lease_of(2);
        worker.start(&mut world, lease);
        let records = worker.release(&mut world, lease);
        assert!(matches!(records[0], Record::Requeued { cause: Loss::Released, running: false, .. }));
        worker.receive(&mut world);
    }
    assert_eq!((world.experiment(2).losses_running, world.experiment(2).attempt), (0, Attempt(11)));
    assert!(world.experiment(2).is_pending());
    world.nothing_left();
}

#[test]
fn losses_of_what_waits_or_is_uploading_or_leaves_with_its_worker_never_quarantine() {
    let cases = [(LeaseStage::Queued, false), (LeaseStage::Uploading, false), (LeaseStage::Running, true)];
    for (stage, draining) in cases {
        let (mut world, mut worker, study) = with_one_lease();
        for loss in 1..=4 {
            let lease = worker.lease_of(2);
            if stage != LeaseStage::Queued {
                worker.start(&mut world, lease);
            }
            if let Some(held) = worker.held.get_mut(&lease) {
                held.stage = stage;
            }
            worker.draining = draining;
            worker.heartbeat(&mut world);
            worker.draining = false;
            worker.die(&mut world);
            let records = world.wait(TTL);
            assert!(
                matches!(records[..], [Record::Requeued { running: false, .. }]),
                "loss {loss}: {records:?}"
            );
            worker.connect(&mut world);
            worker.ready(&mut world, &study);
            worker.receive(&mut world);
        }
        assert_eq!((world.experiment(2).losses_running, world.experiment(2).attempt), (0, Attempt(5)));
        world.nothing_left();
    }
}

#[test]
fn a_release_of_a_lease_that_is_not_current_changes_nothing() {
    let (mut world, mut worker, _) = with_one_lease();
    let mut old = worker.lease_of(2);
    old.lease.seq.0 -= 1;
    assert_eq!(worker.release(&mut world, old), vec![]);
    assert_eq!(worker.lease_of(2).lease, lease_in(&world, 2));
    world.nothing_left();
}

#[test]
fn a_lost_experiment_goes_before_those_that_wait() {
    let (mut world, mut worker, _) = after_base();
    world.plan([cv(&[("model", "forest")]), cv(&[("model", "boost")]), cv(&[("scale", "none")])]);
    let lease = worker.grant(&mut world).lease;
    worker.release(&mut world, lease);
    assert_eq!(worker.grant(&mut world).lease.experiment, lease.experiment);
    world.nothing_left();
}

#[test]
fn a_worker_gets_as_many_as_it_has_slots_and_more_only_when_they_are_short() {
    let slow = with_plan_after(2, done(0.8));
    assert_eq!(slow, 2, "one for each slot");
    let fast = with_plan_after(2, quick(0.8));
    assert_eq!(fast, 8, "and three ahead for each when one takes 20 ms");
}

/// How many leases a worker gets of a long plan, after a base with this outcome.
fn with_plan_after(slots: u32, base: Outcome) -> usize {
    let mut world = World::new();
    let mut large = spec(0);
    large.budget.per_round = 10;
    let study = world.submit(&large);
    let mut worker = Worker::new("w1", slots);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, base);
    worker.receive(&mut world);
    let scales = ["base", "none", "robust"];
    let boosts = scales.map(|scale| cv(&[("model", "boost"), ("scale", scale)]));
    let encoded = scales.map(|scale| cv(&[("model", "boost"), ("scale", scale), ("encode", "onehot")]));
    let plain = scales.map(|scale| cv(&[("encode", "onehot"), ("scale", scale)]));
    let [a, b, c] = boosts;
    let [d, e, f] = encoded;
    let [g, h, i] = plain;
    world.plan([a, b, c, d, e, f, g, h, i]);
    let granted = worker.grants(&mut world).len();
    assert!(worker.held.values().all(|held| held.stage == LeaseStage::Queued));
    world.nothing_left();
    granted
}

#[test]
fn the_welcome_tells_the_times_that_bind() {
    let mut world = World::new();
    let mut worker = Worker::new("w1", 1);
    worker.connect(&mut world);
    let timing = Timing::default();
    let welcome = CoordinatorFrame::Welcome {
        cluster: world.state().incarnation,
        epoch: world.state().epoch,
        lease_ttl_ms: timing.lease_ttl_ms,
        heartbeat_ms: timing.heartbeat_ms,
        protocol: 1,
    };
    assert_eq!(timing.lease_ttl_ms, TTL);
    assert_eq!(worker.receive(&mut world), vec![welcome]);
    world.nothing_left();
}

#[test]
fn the_deadline_follows_the_base_and_the_limit_of_the_study_goes_first() {
    let (_, worker, _) = with_one_lease();
    let deadline = |worker: &Worker| worker.held.values().next().map(|held| held.grant.deadline_ms);
    assert_eq!(deadline(&worker), Some(60_000), "twenty times two seconds is less than a minute");

    let mut world = World::new();
    let mut limited = spec(0);
    limited.limits.experiment_seconds = Some(5.0);
    limited.limits.experiment_memory = Some(1 << 30);
    let study = world.submit(&limited);
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let grant = worker.grant(&mut world);
    assert_eq!((grant.deadline_ms, grant.grace_ms, grant.memory), (5_000, 2_000, Some(1 << 30)));
    world.nothing_left();

    // A run on a fresh split that covers several has the limit for each.
    let mut world = World::new();
    limited.tabular_mut().unwrap().splits.repeats = 4;
    let study = world.submit(&limited);
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world);
    worker.start(&mut world, base.lease);
    worker.claim(&mut world, base.lease, done(0.8));
    worker.receive(&mut world);
    world.plan([planned(config(&[]), Block::Cv { repeat: 1 })]);
    assert_eq!((base.deadline_ms, worker.grant(&mut world).deadline_ms), (5_000, 20_000));
}
