//! Ending what runs: deadlines and cancellations.

use ar_common::Outcome;
use ar_common::frames::CoordinatorFrame;
use ar_worker_core::{Effect, Input};

use crate::support::*;

const TIMED_OUT: Outcome = Outcome::TimedOut { seconds: 60.0 };

fn cancel(experiment: u64) -> CoordinatorFrame {
    CoordinatorFrame::Cancel { lease: lease(experiment), why: "this lease has lapsed".into() }
}

#[test]
fn the_hard_deadline_stops_what_runs_once_and_with_its_grace() {
    let mut bench = Bench::running(&[1]);
    bench.give(Input::Disconnected);
    assert_eq!(bench.worker.next_wake(), Some(bench.now + DEADLINE));
    assert_eq!(bench.wait(DEADLINE - 1), vec![]);
    assert_eq!(bench.wait(1), vec![stop(1, GRACE)], "whether the coordinator is there or not");
    assert_eq!(bench.wait(GRACE), vec![], "it is stopped once");
    assert_eq!(bench.worker.next_wake(), None);
    assert_eq!(bench.give(Input::Ended { lease: lease(1), outcome: crashed() }), vec![spool(1, TIMED_OUT)]);
}

#[test]
fn the_deadline_runs_from_the_start_and_not_from_the_grant() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    bench.wait(DEADLINE - 1);
    bench.finish(1, done(0.8));
    let effects = bench.wait(DEADLINE - 1);
    assert!(!effects.contains(&stop(2, GRACE)), "{effects:?}");
    assert!(bench.wait(1).contains(&stop(2, GRACE)));
}

#[test]
fn what_waits_for_its_study_has_no_deadline_until_it_begins() {
    let mut bench = Bench::running(&[1]);
    bench.give(Input::Disconnected);
    bench.wait(DEADLINE - 1);
    assert_eq!(bench.give(Input::Waits { lease: lease(1) }), vec![]);
    assert_eq!(bench.worker.next_wake(), None);
    assert_eq!(bench.wait(10 * DEADLINE), vec![]);
    assert_eq!(bench.give(Input::Begins { lease: lease(1) }), vec![]);
    assert_eq!(bench.wait(DEADLINE - 1), vec![]);
    assert_eq!(bench.wait(1), vec![stop(1, GRACE)], "it has all of its time from then on");
}

#[test]
fn what_waits_for_its_study_can_be_called_off_and_leaves_with_the_worker() {
    for (end, answer) in [(true, vec![]), (false, vec![released(&[1])])] {
        let mut bench = Bench::running(&[1]);
        bench.give(Input::Waits { lease: lease(1) });
        let stopped = if end {
            bench.hear(cancel(1))
        } else {
            bench.give(Input::Drain { grace_ms: 1_000 });
            bench.wait(1_000)
        };
        assert!(stopped.iter().any(|effect| matches!(effect, Effect::Stop { .. })), "{stopped:?}");
        let mut effects = bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
        effects.retain(|effect| *effect != Effect::Exit);
        assert_eq!(effects, answer, "nothing came of it");
    }
}

#[test]
fn only_what_is_late_is_stopped() {
    let mut bench = Bench::ready(2);
    let mut short = grant(1);
    short.deadline_ms = 1_000;
    bench.hear(CoordinatorFrame::Grant(short));
    bench.grant(2);
    assert_eq!(bench.wait(1_000), vec![stop(1, GRACE)]);
}

#[test]
fn a_result_that_came_before_the_deadline_took_hold_counts() {
    let mut bench = Bench::running(&[1]);
    bench.wait(DEADLINE);
    assert_eq!(bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) }), vec![spool(1, done(0.8))]);
}

#[test]
fn a_cancelled_run_is_killed_at_once_and_whatever_it_gives_is_no_result() {
    for outcome in [crashed(), done(0.8)] {
        let mut bench = Bench::running(&[1]);
        assert_eq!(bench.hear(cancel(1)), vec![stop(1, 0)]);
        assert_eq!(bench.hear(cancel(1)), vec![], "once");
        assert_eq!(
            bench.wait(DEADLINE),
            vec![heartbeat(1, &[(1, ar_common::frames::LeaseStage::Running)], false)]
        );
        assert_eq!(bench.give(Input::Ended { lease: lease(1), outcome }), vec![]);
        assert_eq!(bench.worker.counts(), (0, 0, 0));
    }
}

#[test]
fn a_result_on_its_way_is_not_cancelled() {
    let mut bench = Bench::running(&[1]);
    bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) });
    assert_eq!(bench.hear(cancel(1)), vec![]);
    assert_eq!(bench.give(Input::Spooled { lease: lease(1) }), vec![completed(1, done(0.8))]);
}

#[test]
fn why_it_was_stopped_first_decides_what_its_end_means() {
    let mut bench = Bench::running(&[1]);
    bench.wait(DEADLINE);
    assert_eq!(bench.give(Input::Matrix { lease: lease(1), hash: "m".into() }), vec![]);
    assert_eq!(bench.hear(cancel(1)), vec![]);
    let lost = Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    assert_eq!(bench.give(lost), vec![spool(1, TIMED_OUT)], "and it does not start again");
}

#[test]
fn a_stopped_run_holds_its_slot_until_it_is_gone() {
    let mut bench = Bench::running(&[1]);
    bench.hear(cancel(1));
    assert_eq!(bench.grant(2), vec![]);
    let lost = Input::Lost { lease: lease(1), why: "the server that held it died".into() };
    assert_eq!(bench.give(lost), vec![Effect::Run(grant(2))]);
}
