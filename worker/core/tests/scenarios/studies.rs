//! Preparing studies.

use ar_common::Digest;
use ar_common::frames::{CoordinatorFrame, Unavailable, WorkerFrame};
use ar_worker_core::{Effect, Input};

use crate::support::*;

fn order() -> Effect {
    Effect::Prepare { study: study(), tree: Digest::of(b"tree") }
}

fn ready() -> Effect {
    Effect::Send(WorkerFrame::Ready { study: study(), unavailable: vec![], facts: "303 rows".into() })
}

fn welcomed() -> Bench {
    let mut bench = Bench::new(1);
    bench.connect();
    bench.welcome();
    bench
}

#[test]
fn a_study_is_prepared_once_and_told_whenever_it_is_asked_for() {
    let mut bench = welcomed();
    assert_eq!(bench.hear(prepare()), vec![order()]);
    assert_eq!(bench.hear(prepare()), vec![], "it is under way");
    assert_eq!(bench.give(prepared()), vec![ready()]);
    assert_eq!(bench.hear(prepare()), vec![ready()]);
    bench.reconnect();
    assert_eq!(bench.hear(prepare()), vec![ready()], "a coordinator that has forgotten is told again");
}

#[test]
fn what_was_prepared_while_the_coordinator_was_away_is_told_when_it_asks() {
    let mut bench = welcomed();
    bench.hear(prepare());
    bench.give(Input::Disconnected);
    assert_eq!(bench.give(prepared()), vec![]);
    bench.connect();
    bench.welcome();
    assert_eq!(bench.hear(prepare()), vec![ready()]);
}

#[test]
fn a_study_that_could_not_be_prepared_is_tried_again_when_it_is_asked_for() {
    let mut bench = welcomed();
    bench.hear(prepare());
    let why = "no network; check the proxy".to_owned();
    let told = WorkerFrame::NotReady { study: study(), why: why.clone() };
    assert_eq!(bench.give(Input::PrepareFailed { study: study(), why }), vec![Effect::Send(told)]);
    assert_eq!(bench.grant(1), vec![released(&[1])], "nothing runs without its environment");
    bench.reconnect();
    assert_eq!(bench.hear(prepare()), vec![order()]);
    assert_eq!(bench.give(prepared()), vec![ready()]);
    assert_eq!(bench.grant(2), vec![Effect::Run(grant(2))]);
}

#[test]
fn progress_and_options_that_do_not_work_are_passed_on() {
    let mut bench = welcomed();
    bench.hear(prepare());
    let text = "installing 12 packages".to_owned();
    let told = WorkerFrame::Preparing { study: study(), text: text.clone() };
    assert_eq!(bench.give(Input::Preparing { study: study(), text }), vec![Effect::Send(told)]);
    let (dimension, option, reason) = ("model".into(), "lgbm".into(), "cannot be imported".into());
    let unavailable = vec![Unavailable { dimension, option, reason }];
    let facts = "303 rows".to_owned();
    let told = WorkerFrame::Ready { study: study(), unavailable: unavailable.clone(), facts: facts.clone() };
    let effects = bench.give(Input::Prepared { study: study(), unavailable, facts });
    assert_eq!(effects, vec![Effect::Send(told.clone())]);
    assert_eq!(bench.hear(prepare()), vec![Effect::Send(told)]);
}

#[test]
fn studies_are_prepared_side_by_side() {
    let mut bench = welcomed();
    bench.hear(prepare());
    let (other, tree) = ("07e4".into(), Digest::of(b"other"));
    let asked = bench.hear(CoordinatorFrame::Prepare { study: other, tree });
    assert_eq!(asked, vec![Effect::Prepare { study: "07e4".into(), tree }]);
    bench.give(prepared());
    let mut of_other = grant(1);
    of_other.study = "07e4".into();
    assert_eq!(
        bench.hear(CoordinatorFrame::Grant(of_other)),
        vec![released(&[1])],
        "the other one does not stand yet"
    );
    assert_eq!(bench.grant(2), vec![Effect::Run(grant(2))]);
}

#[test]
fn a_study_whose_data_are_gone_gives_back_what_has_not_begun_and_tells_why() {
    let mut bench = Bench::running(&[1, 2]);
    assert_eq!(bench.grant(3), vec![], "it waits for a slot");
    let why = "the data are gone".to_owned();
    let told = WorkerFrame::NotReady { study: study(), why: why.clone() };
    let effects = bench.give(Input::Unready { lease: lease(2), why });
    assert_eq!(effects, vec![Effect::Send(told), released(&[2, 3])]);
    assert_eq!(bench.grant(4), vec![released(&[4])]);
    assert_eq!(
        bench.finish(1, done(0.8)),
        vec![spool(1, done(0.8)), completed(1, done(0.8))],
        "what runs ends"
    );
    assert_eq!(bench.hear(prepare()), vec![order()], "it is looked at again when it is asked for");
}
