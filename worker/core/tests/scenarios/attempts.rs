//! From grant to slot, and back.

use ar_common::frames::CoordinatorFrame;
use ar_common::{ExperimentId, Outcome};
use ar_worker_core::{Effect, Input};

use crate::support::*;

#[test]
fn grants_run_at_once_while_slots_are_free_and_then_in_order() {
    let mut bench = Bench::ready(2);
    assert_eq!(bench.grant(1), vec![Effect::Run(grant(1))]);
    assert_eq!(bench.grant(2), vec![Effect::Run(grant(2))]);
    assert_eq!(bench.grant(4), vec![]);
    assert_eq!(bench.grant(3), vec![]);
    assert_eq!(bench.worker.counts(), (2, 2, 0));
    let next = bench.give(Input::Ended { lease: lease(2), outcome: crashed() });
    assert_eq!(
        next,
        vec![spool(2, crashed()), Effect::Run(grant(4))],
        "a slot is free before the result is durable"
    );
    let next = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    assert_eq!(next, vec![spool(1, crashed()), Effect::Run(grant(3))]);
}

#[test]
fn a_grant_that_comes_again_is_the_same_one() {
    let mut bench = Bench::ready(1);
    bench.grant(1);
    bench.grant(2);
    assert_eq!(bench.grant(1), vec![], "it runs");
    assert_eq!(bench.grant(2), vec![], "it waits");
    assert_eq!(bench.worker.counts(), (1, 1, 0));
    bench.finish(1, done(0.8));
    assert_eq!(bench.grant(1), vec![], "its result is kept");
    assert_eq!(bench.worker.counts(), (1, 0, 1));
}

#[test]
fn another_lease_of_the_same_experiment_is_another_attempt() {
    let mut bench = Bench::running(&[1]);
    bench.hear(CoordinatorFrame::Cancel { lease: lease(1), why: "lapsed".into() });
    let mut again = grant(1);
    again.lease.lease.seq.0 += 50;
    assert_eq!(
        bench.hear(CoordinatorFrame::Grant(again.clone())),
        vec![],
        "the slot is taken until the first is gone"
    );
    let effects = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    assert_eq!(effects, vec![Effect::Run(again)]);
}

#[test]
fn what_waits_can_be_taken_back_and_what_runs_cannot() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    let revoke = |experiment| CoordinatorFrame::Revoke { lease: lease(experiment) };
    assert_eq!(bench.hear(revoke(1)), vec![], "it runs");
    assert_eq!(bench.hear(revoke(3)), vec![], "it is not here");
    assert_eq!(bench.hear(revoke(2)), vec![released(&[2])]);
    assert_eq!(bench.hear(revoke(2)), vec![], "once");
    assert_eq!(bench.worker.counts(), (1, 0, 0));
}

#[test]
fn a_cancelled_lease_that_waits_is_forgotten_without_a_word() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    assert_eq!(bench.hear(CoordinatorFrame::Cancel { lease: lease(2), why: "time is over".into() }), vec![]);
    assert_eq!(
        bench.finish(1, done(0.8)),
        vec![spool(1, done(0.8)), completed(1, done(0.8))],
        "nothing follows it"
    );
}

#[test]
fn a_run_that_was_lost_with_its_server_starts_again_with_all_its_time() {
    let mut bench = Bench::running(&[1]);
    bench.wait(DEADLINE - 1);
    let lost = || Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    assert_eq!(bench.give(lost()), vec![Effect::Run(grant(1))]);
    assert_eq!(bench.worker.counts(), (1, 0, 0));
    bench.wait(DEADLINE - 1);
    assert_eq!(bench.give(lost()), vec![Effect::Run(grant(1))]);
    let effects = bench.wait(DEADLINE - 1);
    assert!(!effects.contains(&stop(1, GRACE)), "its deadline starts anew: {effects:?}");
    assert!(bench.wait(1).contains(&stop(1, GRACE)));
}

#[test]
fn at_the_third_loss_the_run_itself_is_held_to_be_the_cause() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    let lost = || Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    bench.give(lost());
    bench.give(lost());
    let reason = "the server that held it died, 3 times while this ran".to_owned();
    assert_eq!(bench.give(lost()), vec![spool(1, Outcome::Crashed { reason }), Effect::Run(grant(2))]);
    assert_eq!(bench.give(lost()), vec![], "it has ended");
}

#[test]
fn what_is_said_of_a_lease_that_is_not_here_changes_nothing() {
    let mut bench = Bench::running(&[1]);
    let other = lease(8);
    for input in [
        Input::Started { lease: other },
        Input::Matrix { lease: other, hash: "m".into() },
        Input::Ended { lease: other, outcome: done(0.9) },
        Input::Lost { lease: other, why: "gone".into() },
        Input::Spooled { lease: other },
    ] {
        assert_eq!(bench.give(input.clone()), vec![], "{input:?}");
    }
    for frame in [
        CoordinatorFrame::Ack { lease: other },
        CoordinatorFrame::Refused { lease: other, why: "never granted".into() },
        CoordinatorFrame::Cancel { lease: other, why: "lapsed".into() },
    ] {
        assert_eq!(bench.hear(frame.clone()), vec![], "{frame:?}");
    }
    assert_eq!(bench.worker.counts(), (1, 0, 0));
    assert_eq!(lease(1).experiment, ExperimentId(1));
}
