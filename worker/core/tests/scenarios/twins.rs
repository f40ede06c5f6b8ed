//! Two experiments with the same matrix and model.

use ar_common::frames::CoordinatorFrame;
use ar_common::{Block, Digest, ExperimentId, Outcome};
use ar_worker_core::{Effect, Input};

use crate::support::*;

fn matrix(experiment: u64, hash: &str) -> Input {
    Input::Matrix { lease: lease(experiment), hash: hash.to_owned() }
}

fn duplicate_of(experiment: u64) -> Outcome {
    Outcome::DuplicateOf { experiment: ExperimentId(experiment) }
}

#[test]
fn a_twin_is_stopped_at_once_and_ends_as_a_duplicate_of_the_first() {
    let mut bench = Bench::running(&[1, 2]);
    assert_eq!(bench.give(matrix(1, "m")), vec![]);
    assert_eq!(bench.give(matrix(2, "m")), vec![stop(2, 0)]);
    assert_eq!(bench.finish(2, crashed()), vec![spool(2, duplicate_of(1)), completed(2, duplicate_of(1))]);
    assert_eq!(bench.finish(1, done(0.8)).len(), 2, "the first goes on");
}

#[test]
fn a_twin_that_ends_before_it_can_be_stopped_is_a_duplicate_still() {
    let mut bench = Bench::running(&[1, 2]);
    bench.give(matrix(1, "m"));
    bench.give(matrix(2, "m"));
    assert_eq!(bench.finish(2, done(0.8))[0], spool(2, duplicate_of(1)));
}

#[test]
fn every_further_twin_is_one_of_the_first() {
    let mut bench = Bench::running(&[1]);
    bench.give(matrix(1, "m"));
    bench.finish(1, done(0.8));
    for experiment in [2, 3] {
        bench.grant(experiment);
        assert_eq!(bench.give(matrix(experiment, "m")), vec![stop(experiment, 0)]);
        assert_eq!(bench.finish(experiment, crashed())[0], spool(experiment, duplicate_of(1)));
    }
}

#[test]
fn an_experiment_is_no_twin_of_itself() {
    let mut bench = Bench::running(&[1]);
    bench.give(matrix(1, "m"));
    bench.give(Input::Lost { lease: lease(1), why: "the server that held it died".into() });
    assert_eq!(bench.give(matrix(1, "m")), vec![], "it runs again");
    bench.hear(CoordinatorFrame::Cancel { lease: lease(1), why: "lapsed".into() });
    bench.give(Input::Ended { lease: lease(1), outcome: crashed() });
    let mut again = grant(1);
    again.lease.lease.seq.0 += 50;
    let second = again.lease;
    assert_eq!(bench.hear(CoordinatorFrame::Grant(again.clone())), vec![Effect::Run(again)]);
    assert_eq!(
        bench.give(Input::Matrix { lease: second, hash: "m".into() }),
        vec![],
        "and under another lease"
    );
}

#[test]
fn the_one_that_was_planned_first_is_the_original_whichever_came_here_first() {
    let mut bench = Bench::running(&[5]);
    bench.give(matrix(5, "m"));
    bench.finish(5, done(0.8));
    bench.grant(3);
    assert_eq!(bench.give(matrix(3, "m")), vec![], "another worker may have called 5 a duplicate of 3");
    bench.finish(3, done(0.8));
    bench.grant(4);
    assert_eq!(bench.give(matrix(4, "m")), vec![stop(4, 0)]);
    assert_eq!(bench.finish(4, crashed())[0], spool(4, duplicate_of(3)));
}

#[test]
fn other_matrices_other_splits_and_other_studies_are_no_twins() {
    let mut bench = Bench::ready(4);
    let (other, tree) = ("07e4".into(), Digest::of(b"other"));
    bench.hear(CoordinatorFrame::Prepare { study: other, tree });
    bench.give(Input::Prepared { study: "07e4".into(), unavailable: vec![], facts: String::new() });
    let mut grants = [1, 2, 3, 4].map(grant);
    grants[2].block = Block::Cv { repeat: 1 };
    grants[3].study = "07e4".into();
    for grant in grants {
        bench.hear(CoordinatorFrame::Grant(grant));
    }
    for (experiment, hash) in [(1, "m"), (2, "n"), (3, "m"), (4, "m")] {
        assert_eq!(bench.give(matrix(experiment, hash)), vec![], "experiment {experiment}");
    }
}
