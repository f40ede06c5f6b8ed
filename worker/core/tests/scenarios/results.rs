//! A result: durable, then offered, then answered, then forgotten.

use ar_common::frames::{CoordinatorFrame, LeaseStage};
use ar_worker_core::{Effect, Input};

use crate::support::*;

fn ack(experiment: u64) -> CoordinatorFrame {
    CoordinatorFrame::Ack { lease: lease(experiment) }
}

fn refused(experiment: u64) -> CoordinatorFrame {
    CoordinatorFrame::Refused { lease: lease(experiment), why: "it was followed by another lease".into() }
}

#[test]
fn a_result_is_offered_only_after_it_is_durable() {
    let mut bench = Bench::running(&[1]);
    assert_eq!(bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) }), vec![spool(1, done(0.8))]);
    let (_, effects) = bench.reconnect();
    assert_eq!(effects, vec![]);
    assert_eq!(bench.give(Input::Spooled { lease: lease(1) }), vec![completed(1, done(0.8))]);
}

#[test]
fn a_failure_is_a_result_too() {
    let mut bench = Bench::running(&[1]);
    assert_eq!(bench.finish(1, crashed()), vec![spool(1, crashed()), completed(1, crashed())]);
}

#[test]
fn acknowledged_and_refused_both_free_the_spool() {
    let mut bench = Bench::running(&[1, 2]);
    bench.finish(1, done(0.8));
    bench.finish(2, done(0.9));
    assert_eq!(bench.hear(ack(1)), vec![Effect::Unspool(lease(1))]);
    assert_eq!(bench.hear(refused(2)), vec![Effect::Unspool(lease(2))]);
    assert_eq!(bench.worker.counts(), (0, 0, 0));
    assert_eq!(bench.hear(ack(1)), vec![], "once");
    let (hello, effects) = bench.reconnect();
    assert_eq!((hello.spooled, effects), (vec![], vec![]));
}

#[test]
fn an_unanswered_result_is_offered_after_every_welcome() {
    let mut bench = Bench::running(&[1, 2]);
    bench.finish(1, done(0.8));
    bench.finish(2, crashed());
    for _ in 0..3 {
        let (hello, effects) = bench.reconnect();
        assert_eq!(hello.spooled, vec![lease(1), lease(2)]);
        assert_eq!(effects, vec![completed(1, done(0.8)), completed(2, crashed())]);
    }
    bench.hear(ack(2));
    assert_eq!(bench.reconnect().1, vec![completed(1, done(0.8))]);
}

#[test]
fn what_a_former_start_kept_is_offered_by_this_one() {
    let mut bench = Bench::with_spool(1, vec![entry(4, done(0.7)), entry(2, crashed())]);
    assert_eq!(bench.worker.counts(), (0, 0, 2));
    let hello = bench.connect();
    assert_eq!(hello.spooled, vec![lease(2), lease(4)]);
    assert_eq!(hello.leases, leases(&[(2, LeaseStage::Uploading), (4, LeaseStage::Uploading)]));
    assert_eq!(bench.welcome(), vec![completed(2, crashed()), completed(4, done(0.7))]);
    assert_eq!(bench.hear(refused(2)), vec![Effect::Unspool(lease(2))]);
    assert_eq!(bench.hear(ack(4)), vec![Effect::Unspool(lease(4))]);
}

#[test]
fn a_result_that_could_not_be_handed_over_is_offered_again_when_the_shell_says_so() {
    let mut bench = Bench::running(&[1]);
    bench.finish(1, done(0.8));
    assert_eq!(bench.give(Input::Spooled { lease: lease(1) }), vec![completed(1, done(0.8))]);
}
