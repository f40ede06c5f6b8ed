//! How studies share workers.

use std::collections::BTreeMap;

use ar_common::{Measures, Needs, Outcome, Share, StudyId, StudySpec};
use ar_core::Planned;

use crate::support::{Worker, World, cv, done, spec};

/// A study that is submitted and whose base is done, by a worker that leaves again.
fn open(world: &mut World, spec: &StudySpec) -> StudyId {
    let study = world.submit(spec);
    let mut worker = Worker::new("first", 1);
    worker.join(world, &study);
    let asks = world.take_asks();
    let Some(ask) = asks.iter().find(|ask| ask.study == study) else { panic!("no plan is asked for") };
    world.answer(ask, Planned::Experiments(vec![cv(&[])]));
    let base = worker.grant(world).lease;
    // Nothing is planned for a worker that leaves.
    worker.draining = true;
    worker.heartbeat(world);
    worker.complete(world, base, slow(0.8));
    worker.receive(world);
    worker.disconnect(world);
    study
}

fn shared(seed: u64, share: Share) -> StudySpec {
    let mut spec = spec(seed);
    spec.limits.share = share;
    spec.budget.per_round = 12;
    spec
}

/// Answers every plan that is asked for with configurations that are new.
fn answer_all(world: &mut World, next: &mut BTreeMap<StudyId, usize>) {
    for ask in world.take_asks() {
        let at = next.entry(ask.study.clone()).or_insert(1);
        let config = |n: usize| {
            let option = |of: &[&'static str], n: usize| of[n % of.len()];
            let (models, scales) = (["base", "boost"], ["base", "none", "robust"]);
            cv(&[
                ("model", option(&models, n / 6)),
                ("scale", option(&scales, n / 2)),
                ("encode", option(&["base", "onehot"], n)),
            ])
        };
        let new: Vec<_> = (*at..12).map(config).take(ask.want).collect();
        *at += new.len();
        world.answer(&ask, Planned::Experiments(new));
    }
}

fn leases_of(world: &World, study: &StudyId) -> usize {
    let of_study = |id: &&ar_common::ExperimentId| {
        world.core.state.experiment(**id).is_some_and(|experiment| experiment.study == *study)
    };
    world.core.live.leases.keys().filter(of_study).count()
}

/// How many of each of two studies are out on a worker with so many slots, once some have ended.
fn counts(shares: &[Share; 2], slots: u32) -> [usize; 2] {
    let mut world = World::new();
    let [a, b] = [0, 1].map(|i| shared(i as u64, shares[i].clone()));
    let studies = [open(&mut world, &a), open(&mut world, &b)];
    let mut worker = Worker::new("w1", slots);
    worker.connect(&mut world);
    worker.receive(&mut world);
    for study in &studies {
        worker.ready(&mut world, study);
    }
    let mut next = BTreeMap::new();
    answer_all(&mut world, &mut next);
    worker.receive(&mut world);
    for _ in 0..slots {
        let Some(oldest) = worker.held.keys().next().copied() else { break };
        worker.complete(&mut world, oldest, slow(0.7));
        answer_all(&mut world, &mut next);
        worker.receive(&mut world);
    }
    studies.map(|study| leases_of(&world, &study))
}

/// It took long, so that nothing is granted ahead.
fn slow(score: f64) -> Outcome {
    let Outcome::Done(measures) = done(score) else { panic!("it is done") };
    Outcome::Done(Measures { seconds: 60.0, ..measures })
}

#[test]
fn equal_studies_share_equally_and_others_by_weight() {
    assert_eq!(counts(&[Share::default(), Share::default()], 4), [2, 2]);
    assert_eq!(counts(&[Share { weight: 3.0, ..Share::default() }, Share::default()], 4), [3, 1]);
}

#[test]
fn a_higher_priority_is_served_first() {
    assert_eq!(counts(&[Share::default(), Share { priority: 1, ..Share::default() }], 4), [0, 4]);
}

#[test]
fn a_study_has_no_more_out_than_it_asked_for() {
    let capped = Share { most: Some(1), ..Share::default() };
    let counts = counts(&[capped, Share { most: Some(2), ..Share::default() }], 8);
    assert_eq!(counts, [1, 2]);
}

#[test]
fn what_needs_something_runs_only_where_that_is() {
    let mut world = World::new();
    let mut needing = spec(0);
    let label = || [("zone".to_owned(), "a".to_owned())].into();
    needing.limits.needs = Needs { labels: label(), ..Needs::default() };
    let study = world.submit(&needing);
    let mut without = Worker::new("w1", 1);
    without.connect(&mut world);
    let asked = |frames: &[ar_common::frames::CoordinatorFrame]| {
        frames.iter().any(|frame| matches!(frame, ar_common::frames::CoordinatorFrame::Prepare { .. }))
    };
    assert!(!asked(&without.receive(&mut world)), "it is not even prepared there");
    let hellos =
        |world: &World| world.core.live.workers.values().map(|w| (*w.hello).clone()).collect::<Vec<_>>();
    let why = world.study(&study).unsatisfied(&hellos(&world)).unwrap();
    assert_eq!(why, "no worker has what it needs; nearest comes w1: no label zone=a");
    let mut with = Worker::new("w2", 1);
    with.labels = label();
    with.connect(&mut world);
    assert!(asked(&with.receive(&mut world)));
    assert_eq!(world.study(&study).unsatisfied(&hellos(&world)), None);
}
