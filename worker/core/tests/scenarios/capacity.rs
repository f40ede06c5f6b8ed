//! GPUs that fail and recover, a disk that gets full: how many attempts run at once follows.

use ar_common::frames::{CoordinatorFrame, LeaseStage, WorkerFrame};
use ar_worker_core::{Effect, Input};

use crate::support::*;

fn capacity(slots: u32) -> Input {
    Input::Capacity { slots, what: format!("{slots} left"), why_fewer: why_fewer(slots) }
}

/// Of a worker that has two slots, usually.
fn why_fewer(slots: u32) -> String {
    if slots < 2 { format!("{} lost", 2 - slots) } else { String::new() }
}

fn told(slots: u32, held: &[(u64, LeaseStage)]) -> Effect {
    said(slots, held, &format!("{slots} left"))
}

/// Every heartbeat says why these are so few, and the first what happened.
fn said(slots: u32, held: &[(u64, LeaseStage)], notice: &str) -> Effect {
    let (leases, notice, why_fewer) = (leases(held), notice.to_owned(), why_fewer(slots));
    Effect::Send(WorkerFrame::Heartbeat { leases, draining: false, slots: Some(slots), notice, why_fewer })
}

#[test]
fn a_lost_slot_is_told_at_once_and_what_waits_is_given_back() {
    let mut bench = Bench::running(&[1, 2]);
    bench.grant(3);
    let held = [(3, LeaseStage::Queued), (1, LeaseStage::Running), (2, LeaseStage::Running)];
    assert_eq!(bench.give(capacity(1)), vec![told(1, &held), released(&[3])]);
    bench.grant(4);
    assert_eq!(bench.finish(1, done(0.8)).len(), 2, "its slot is gone, so nothing starts");
    let effects = bench.give(Input::Ended { lease: lease(2), outcome: done(0.7) });
    assert!(effects.contains(&Effect::Run(grant(4))), "{effects:?}");
}

#[test]
fn without_slots_nothing_runs_until_one_is_back() {
    let mut bench = Bench::running(&[1, 2]);
    bench.grant(3);
    let running = [(1, LeaseStage::Running), (2, LeaseStage::Running)];
    let held = [&[(3, LeaseStage::Queued)], &running[..]].concat();
    assert_eq!(bench.give(capacity(0)), vec![told(0, &held), released(&[3])]);
    assert_eq!(bench.grant(4), vec![released(&[4])], "it was on its way; others need not wait for it");
    assert_eq!(bench.wait(HEARTBEAT), vec![said(0, &running, "")], "what runs goes on");
    let silent = Input::Capacity { slots: 0, what: String::new(), why_fewer: why_fewer(0) };
    assert_eq!(bench.give(silent), vec![said(0, &running, "")]);
    assert_eq!(bench.finish(1, done(0.8)).len(), 2, "nothing takes its place");
    bench.give(Input::Ended { lease: lease(2), outcome: done(0.7) });
    let effects = bench.give(capacity(2));
    assert!(
        matches!(&effects[..], [Effect::Send(WorkerFrame::Heartbeat { why_fewer, .. })] if why_fewer.is_empty())
    );
    assert!(bench.grant(5).contains(&Effect::Run(grant(5))));
}

#[test]
fn what_finds_no_space_to_begin_goes_back_and_what_was_called_off_does_not() {
    let mut bench = Bench::running(&[1, 2]);
    bench.give(capacity(0));
    assert_eq!(bench.give(Input::NoSpace { lease: lease(1) }), vec![released(&[1])]);
    assert_eq!(bench.give(Input::NoSpace { lease: lease(1) }), vec![], "once");
    bench.hear(CoordinatorFrame::Cancel { lease: lease(2), why: "time is over".into() });
    assert_eq!(bench.give(Input::NoSpace { lease: lease(2) }), vec![]);
    assert_eq!(bench.worker.counts(), (0, 0, 0));
}

#[test]
fn what_was_lost_while_nobody_listened_is_in_the_next_hello() {
    let mut bench = Bench::ready(2);
    bench.give(Input::Disconnected);
    assert_eq!(bench.give(capacity(1)), vec![]);
    let effects = bench.give(Input::Connected);
    let [Effect::Send(WorkerFrame::Hello(hello))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(hello.slots, 1);
    let effects = bench.welcome();
    assert_eq!(effects, vec![told(1, &[])], "and its reason right after it");
    assert_eq!(bench.wait(HEARTBEAT), vec![said(1, &[], "")]);
}
