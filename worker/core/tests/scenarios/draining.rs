//! Leaving.

use ar_common::frames::{CoordinatorFrame, LeaseStage, WorkerFrame};
use ar_worker_core::{Effect, Input};

use crate::support::*;

const LONG: Input = Input::Drain { grace_ms: 30_000 };

fn ack(experiment: u64) -> CoordinatorFrame {
    CoordinatorFrame::Ack { lease: lease(experiment) }
}

#[test]
fn an_idle_worker_leaves_at_once() {
    assert_eq!(Bench::new(1).give(LONG), vec![Effect::Exit]);
    assert_eq!(Bench::ready(1).give(LONG), vec![heartbeat(1, &[], true), Effect::Exit]);
}

#[test]
fn a_drain_is_told_first_then_what_waits_is_given_back() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    bench.grant(3);
    assert_eq!(bench.give(LONG), vec![heartbeat(1, &[(1, LeaseStage::Running)], true), released(&[2, 3])]);
    assert_eq!(bench.grant(4), vec![released(&[4])], "a grant that was on its way");
    assert_eq!(bench.worker.counts(), (1, 0, 0));
}

#[test]
fn what_fits_the_grace_is_finished_and_its_answer_awaited() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    assert_eq!(bench.wait(HEARTBEAT), vec![heartbeat(1, &[(1, LeaseStage::Running)], true)]);
    assert_eq!(bench.finish(1, done(0.8)), vec![spool(1, done(0.8)), completed(1, done(0.8))]);
    assert_eq!(bench.hear(ack(1)), vec![Effect::Unspool(lease(1)), Effect::Exit]);
}

#[test]
fn what_does_not_fit_the_grace_is_stopped_and_given_back() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    assert!(!bench.wait(29_999).contains(&stop(1, GRACE)));
    assert_eq!(bench.worker.next_wake(), Some(bench.now + 1));
    assert_eq!(bench.wait(1), vec![stop(1, GRACE)]);
    assert_eq!(bench.wait(1), vec![], "once");
    let effects = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    assert_eq!(effects, vec![released(&[1]), Effect::Exit], "a run that was killed to leave is no result");
}

#[test]
fn a_result_that_came_before_the_drain_took_hold_counts() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    bench.wait(30_000);
    assert_eq!(bench.finish(1, done(0.8)), vec![spool(1, done(0.8)), completed(1, done(0.8))]);
    assert_eq!(bench.hear(ack(1)), vec![Effect::Unspool(lease(1)), Effect::Exit]);
}

#[test]
fn a_hard_deadline_within_the_grace_is_a_timeout() {
    let mut bench = Bench::running(&[1]);
    bench.give(Input::Drain { grace_ms: DEADLINE + 1 });
    assert!(bench.wait(DEADLINE).contains(&stop(1, GRACE)));
    bench.wait(1);
    let effects = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    assert_eq!(effects, vec![spool(1, ar_common::Outcome::TimedOut { seconds: 60.0 })]);
}

#[test]
fn a_worker_whose_coordinator_is_away_leaves_once_its_results_are_durable() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    bench.give(Input::Disconnected);
    assert_eq!(bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) }), vec![spool(1, done(0.8))]);
    assert_eq!(
        bench.give(Input::Spooled { lease: lease(1) }),
        vec![Effect::Exit],
        "the next start offers it"
    );
}

#[test]
fn a_coordinator_that_goes_away_does_not_hold_the_exit() {
    let mut bench = Bench::running(&[1]);
    bench.finish(1, done(0.8));
    assert_eq!(bench.give(LONG), vec![heartbeat(1, &[(1, LeaseStage::Uploading)], true)]);
    assert_eq!(bench.give(Input::Disconnected), vec![Effect::Exit]);
}

#[test]
fn the_coordinators_drain_leaves_no_grace() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    bench.hear(CoordinatorFrame::Drain);
    assert_eq!(bench.worker.next_wake(), Some(bench.now));
    assert_eq!(bench.wait(0), vec![stop(1, GRACE)]);
    let effects = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    assert_eq!(effects, vec![released(&[1]), Effect::Exit]);
}

#[test]
fn of_two_drains_the_earlier_end_binds() {
    for (first, second) in [(30_000, 10_000), (10_000, 30_000)] {
        let mut bench = Bench::running(&[1]);
        bench.give(Input::Drain { grace_ms: first });
        bench.give(Input::Drain { grace_ms: second });
        assert!(!bench.wait(9_999).contains(&stop(1, GRACE)));
        assert!(bench.wait(1).contains(&stop(1, GRACE)));
    }
}

#[test]
fn a_draining_worker_that_comes_back_says_so_before_it_says_that_it_is_ready() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    bench.give(Input::Disconnected);
    bench.connect();
    assert_eq!(bench.welcome(), vec![heartbeat(1, &[(1, LeaseStage::Running)], true)]);
    let effects = bench.hear(prepare());
    assert!(matches!(effects[..], [Effect::Send(WorkerFrame::Ready { .. })]), "{effects:?}");
}

#[test]
fn a_lost_run_starts_again_within_the_grace_and_not_after_it() {
    let mut bench = Bench::running(&[1]);
    bench.give(LONG);
    let lost = || Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    assert_eq!(bench.give(lost()), vec![Effect::Run(grant(1))]);
    assert!(bench.wait(30_000).contains(&stop(1, GRACE)));
    assert_eq!(bench.give(lost()), vec![released(&[1]), Effect::Exit]);
}
