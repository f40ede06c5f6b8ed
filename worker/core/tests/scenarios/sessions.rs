//! The stream: who speaks first, who is believed, what is said again.

use ar_common::Epoch;
use ar_common::frames::{CoordinatorFrame, Figures, LeaseStage, PROTOCOL_MAX, PROTOCOL_MIN, WorkerFrame};
use ar_worker_core::{Effect, Input};

use crate::support::*;

#[test]
fn the_first_words_say_who_it_is_and_what_it_can_do() {
    let hello = Bench::new(3).connect();
    assert_eq!((hello.worker, hello.boot, hello.slots), ("w1".into(), 77, 3));
    assert_eq!((hello.protocol_min, hello.protocol_max), (PROTOCOL_MIN, PROTOCOL_MAX));
    assert_eq!((hello.hardware.host.as_str(), hello.leases, hello.spooled), ("bench", vec![], vec![]));
}

#[test]
fn nothing_but_hello_is_said_before_the_welcome() {
    let mut bench = Bench::running(&[1]);
    bench.give(Input::Disconnected);
    bench.connect();
    assert_eq!(bench.wait(HEARTBEAT), vec![]);
    assert_eq!(bench.give(prepared()), vec![]);
    assert_eq!(bench.finish(1, done(0.8)), vec![spool(1, done(0.8))], "kept, and not offered");
    assert_eq!(bench.welcome(), vec![completed(1, done(0.8))]);
}

#[test]
fn every_lease_held_is_in_every_heartbeat_as_often_as_the_coordinator_wants() {
    let mut bench = Bench::ready(2);
    bench.grant(1);
    bench.grant(2);
    bench.grant(3);
    bench.grant(4);
    bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) });
    let held = [
        (4, LeaseStage::Queued),
        (2, LeaseStage::Running),
        (3, LeaseStage::Running),
        (1, LeaseStage::Uploading),
    ];
    assert_eq!(bench.wait(HEARTBEAT - 1), vec![]);
    assert_eq!(bench.wait(1), vec![heartbeat(2, &held, false)]);
    assert_eq!(bench.wait(1), vec![], "one");
    assert_eq!(bench.wait(HEARTBEAT - 1), vec![heartbeat(2, &held, false)]);
}

#[test]
fn a_reconnect_lists_every_lease_and_every_spooled_result() {
    let mut bench = Bench::ready(2);
    for experiment in 1..=4 {
        bench.grant(experiment);
    }
    bench.finish(1, done(0.8));
    bench.give(Input::Ended { lease: lease(2), outcome: crashed() });
    let (hello, effects) = bench.reconnect();
    let held = [
        (3, LeaseStage::Running),
        (4, LeaseStage::Running),
        (1, LeaseStage::Uploading),
        (2, LeaseStage::Uploading),
    ];
    assert_eq!(hello.leases, leases(&held));
    assert_eq!(
        hello.spooled,
        vec![lease(1), lease(2)],
        "a result that is on its way to the disk is not lost either"
    );
    assert_eq!(effects, vec![completed(1, done(0.8))], "only what is durable is offered");
    assert_eq!(bench.give(Input::Spooled { lease: lease(2) }), vec![completed(2, crashed())]);
}

#[test]
fn what_runs_goes_on_while_the_coordinator_is_away() {
    let mut bench = Bench::running(&[1]);
    bench.grant(2);
    bench.give(Input::Disconnected);
    let effects = bench.give(Input::Ended { lease: lease(1), outcome: done(0.8) });
    assert_eq!(effects, vec![spool(1, done(0.8)), Effect::Run(grant(2))]);
    assert_eq!(bench.wait(HEARTBEAT), vec![], "nobody hears it");
    assert_eq!(
        bench.worker.next_wake().map(|at| at.0),
        Some(1_000 + DEADLINE),
        "nor is anything due but the deadline"
    );
}

#[test]
fn a_frame_of_a_lower_epoch_is_not_obeyed_and_drops_the_stream() {
    let mut bench = Bench::ready(1);
    bench.epoch = Epoch(5);
    bench.give(Input::Disconnected);
    bench.connect();
    bench.welcome();
    bench.epoch = Epoch(4);
    for frame in [CoordinatorFrame::Grant(grant(1)), CoordinatorFrame::Drain] {
        match &bench.hear(frame)[..] {
            [Effect::Reconnect { why }] => assert!(why.contains("epoch 4") && why.contains('5'), "{why}"),
            other => panic!("expected to reconnect: {other:?}"),
        }
    }
    assert_eq!(bench.worker.counts(), (0, 0, 0), "nothing was granted");
    assert_eq!(bench.wait(HEARTBEAT), vec![], "nor is anything said to it");

    bench.give(Input::Disconnected);
    bench.connect();
    assert!(
        matches!(bench.welcome()[..], [Effect::Reconnect { .. }]),
        "a deposed coordinator may welcome again"
    );
    bench.epoch = Epoch(5);
    bench.give(Input::Disconnected);
    bench.connect();
    assert_eq!(bench.welcome(), vec![], "the one that rules is believed");
    bench.epoch = Epoch(6);
    assert_eq!(bench.grant(1), vec![Effect::Run(grant(1))], "and so is its successor");
}

#[test]
fn another_store_begins_its_epochs_and_its_experiments_anew() {
    let mut bench = Bench::ready(1);
    bench.epoch = Epoch(8);
    bench.grant(1);
    bench.give(Input::Matrix { lease: lease(1), hash: "m".into() });
    bench.finish(1, done(0.8));
    bench.give(Input::Disconnected);
    bench.connect();
    bench.epoch = Epoch(1);
    assert_eq!(bench.welcome_of(10), vec![completed(1, done(0.8))], "its answer will be a refusal");
    bench.grant(2);
    let effects = bench.give(Input::Matrix { lease: lease(2), hash: "m".into() });
    assert_eq!(effects, vec![], "experiment 1 of this store is another one");
}

#[test]
fn a_worker_that_is_away_is_woken_for_deadlines_alone_and_an_idle_one_for_heartbeats() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.worker.next_wake(), None);
    bench.connect();
    assert_eq!(bench.worker.next_wake(), None, "no interval is known before the welcome");
    bench.welcome();
    assert_eq!(bench.worker.next_wake(), Some(bench.now + HEARTBEAT));
    bench.give(Input::Disconnected);
    assert_eq!(bench.worker.next_wake(), None);
}

#[test]
fn a_started_process_is_told_of_only_while_it_runs() {
    let mut bench = Bench::ready(1);
    bench.grant(1);
    let told = vec![Effect::Send(WorkerFrame::Started { lease: lease(1) })];
    assert_eq!(bench.give(Input::Started { lease: lease(1) }), told);
    bench.finish(1, done(0.8));
    assert_eq!(bench.give(Input::Started { lease: lease(1) }), vec![]);
}

#[test]
fn how_far_a_run_is_is_told_only_while_it_runs() {
    let mut bench = Bench::running(&[1]);
    let figures = Figures { seconds: 2.0, loss: Some(3.0), share: Some(0.5) };
    let progress = || Input::Progress { lease: lease(1), figures };
    let told = vec![Effect::Send(WorkerFrame::Progress { lease: lease(1), figures })];
    assert_eq!(bench.give(progress()), told);
    bench.finish(1, done(0.8));
    assert_eq!(bench.give(progress()), vec![]);
}
