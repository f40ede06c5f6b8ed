//! GPUs that fail and recover: how many attempts run at once follows.

use ar_common::frames::{LeaseStage, WorkerFrame};
use ar_worker_core::{Effect, Input};

use crate::support::*;

fn capacity(slots: u32) -> Input {
    Input::Capacity { slots, why: format!("{slots} left") }
}

fn told(slots: u32, held: &[(u64, LeaseStage)]) -> Effect {
    let (leases, notice) = (leases(held), format!("{slots} left"));
    Effect::Send(WorkerFrame::Heartbeat { leases, draining: false, slots: Some(slots), notice })
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
    let mut bench = Bench::ready(1);
    assert_eq!(bench.give(capacity(0)), vec![told(0, &[])]);
    assert_eq!(bench.grant(1), vec![]);
    let effects = bench.give(capacity(1));
    assert_eq!(effects, vec![told(1, &[(1, LeaseStage::Queued)]), Effect::Run(grant(1))]);
    assert_eq!(bench.wait(HEARTBEAT), vec![heartbeat(1, &[(1, LeaseStage::Running)], false)], "said once");
}

#[test]
fn what_was_lost_while_nobody_listened_is_in_the_next_hello() {
    let mut bench = Bench::ready(2);
    bench.give(Input::Disconnected);
    assert_eq!(bench.give(capacity(1)), vec![]);
    let effects = bench.give(Input::Connected);
    let [Effect::Send(WorkerFrame::Hello(hello))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(hello.slots, 1);
    bench.welcome();
    assert_eq!(bench.wait(HEARTBEAT), vec![told(1, &[])], "and its reason in the next heartbeat");
}
