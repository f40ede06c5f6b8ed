//! Which results become truth.

use ar_common::frames::CoordinatorFrame;
use ar_common::{Block, ExperimentId, Measures, Outcome, SealedScore};
use ar_core::{Planned, Record, State, Status};

use super::{after_base, kinds, with_one_lease};
use crate::support::{Worker, config, cv, done, planned, spec, verdict};

const TTL: u64 = 45_000;

fn refused(frames: &[CoordinatorFrame]) -> &str {
    match frames {
        [CoordinatorFrame::Refused { why, .. }] => why,
        other => panic!("expected a refusal: {other:?}"),
    }
}

#[test]
fn a_result_under_a_lapsed_lease_that_is_the_newest_is_accepted() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.keep(lease, done(0.82));
    worker.disconnect(&mut world);
    assert_eq!(kinds(&world.wait(TTL)), ["Requeued"]);
    worker.connect(&mut world);
    let records = worker.offer(&mut world, lease);
    assert_eq!(kinds(&records), ["Done"]);
    assert!(worker.receive(&mut world).contains(&CoordinatorFrame::Ack { lease }));
    assert_eq!(worker.spool.len(), 0);

    worker.ready(&mut world, &study);
    assert_eq!(worker.grants(&mut world), vec![], "nobody runs it again");
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_result_under_an_older_lease_is_refused_and_audited_and_never_a_result() {
    let (mut world, mut slow, study) = with_one_lease();
    let old = slow.lease_of(2);
    slow.keep(old, done(0.99));
    slow.disconnect(&mut world);
    world.wait(TTL);
    let mut other = Worker::new("w2", 1);
    other.join(&mut world, &study);
    slow.connect(&mut world);
    let records = slow.offer(&mut world, old);
    assert!(
        matches!(&records[..], [Record::Refused { experiment: ExperimentId(2), lease, .. }] if *lease == old.lease)
    );
    let frames = slow.receive(&mut world);
    assert!(refused(&frames[frames.len() - 1..]).contains("was followed by"), "{frames:?}");
    assert_eq!((slow.spool.len(), world.state().refused), (0, 1), "a refusal frees the spool too");

    let newest = other.lease_of(2);
    assert_eq!(kinds(&other.complete(&mut world, newest, done(0.81))), ["Done"]);
    other.receive(&mut world);
    assert_eq!(world.experiment(2).outcome(), Some(&done(0.81)));
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn an_identical_repeat_is_acknowledged_without_a_second_record() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.82));
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);
    assert_eq!(worker.claim(&mut world, lease, done(0.82)), vec![]);
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);
    assert_eq!(world.ledger.ends_of(ExperimentId(2)), 1);
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn another_result_under_the_same_lease_is_refused() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, done(0.82));
    worker.receive(&mut world);
    assert_eq!(kinds(&worker.claim(&mut world, lease, done(0.83))), ["Refused"]);
    refused(&worker.receive(&mut world));
    assert_eq!(world.experiment(2).outcome(), Some(&done(0.82)));
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_result_for_what_was_never_planned_or_never_granted_is_refused() {
    let (mut world, mut worker, _) = after_base();
    world.plan([cv(&[("model", "forest")]), cv(&[("model", "boost")])]);
    let held = worker.grant(&mut world).lease;
    for experiment in [0, 3, 99, u64::MAX] {
        let mut lease = held;
        lease.experiment = ExperimentId(experiment);
        assert_eq!(kinds(&worker.claim(&mut world, lease, done(0.9))), ["Refused"]);
        refused(&worker.receive(&mut world));
    }
    let mut future = held;
    future.lease.seq.0 += 1;
    assert_eq!(kinds(&worker.claim(&mut world, future, done(0.9))), ["Refused"]);
    refused(&worker.receive(&mut world));
    let mut other_store = held;
    other_store.lease.incarnation += 1;
    assert_eq!(kinds(&worker.claim(&mut world, other_store, done(0.9))), ["Refused"]);
    refused(&worker.receive(&mut world));
    assert!(matches!(world.experiment(2).status, Status::Leased { .. }));
    world.nothing_left();
}

#[test]
fn a_number_that_cannot_be_true_is_an_outcome_with_a_reason_and_never_a_score() {
    let measured = |change: fn(&mut Measures)| {
        let mut measures =
            Measures { score: Some(0.8), folds: [0.8; 5].into(), seconds: 2.0, ..Measures::default() };
        change(&mut measures);
        Outcome::Done(measures)
    };
    let cases = [
        ("not a number", measured(|m| m.score = Some(f64::NAN))),
        ("not a number", measured(|m| m.score = Some(f64::INFINITY))),
        ("outside its range", measured(|m| m.score = Some(1.5))),
        ("outside its range", measured(|m| m.folds[3] = -0.1)),
        ("without a value", measured(|m| m.score = None)),
        (
            "not a number",
            Outcome::StoppedEarly {
                folds: vec![0.7, f64::NAN],
                seconds: 1.0,
                rule: ar_common::Rule::EveryFold,
            },
        ),
    ];
    for (expected, outcome) in cases {
        let (mut world, mut worker, study) = with_one_lease();
        let lease = worker.lease_of(2);
        assert_eq!(kinds(&worker.complete(&mut world, lease, outcome.clone())), ["Done"], "{expected}");
        assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);
        let Some(Outcome::NoMetric { reason }) = world.experiment(2).outcome() else { panic!("{expected}") };
        assert!(reason.contains(expected), "{expected}: {reason}");
        let best = world.state().best(world.study(&study)).map(|(experiment, _)| experiment.id);
        assert_eq!(best, Some(ExperimentId(1)));

        assert_eq!(worker.claim(&mut world, lease, outcome), vec![], "a repeat is known by what was sent");
        assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);
        assert_eq!(world.take_ask().want, 1);
        world.nothing_left();
    }
}

#[test]
fn a_sealed_score_that_cannot_be_true_is_an_outcome_with_a_reason_too() {
    let score = |score, base_score| SealedScore {
        score,
        base_score,
        difference: 0.0,
        low: -0.1,
        high: 0.1,
        level: 0.95,
        rows: 60,
    };
    let endless = SealedScore { high: f64::INFINITY, ..score(0.8, 0.7) };
    for (score, true_enough) in
        [(score(0.8, f64::NAN), false), (score(7.0, 0.8), false), (endless, false), (score(0.8, 0.7), true)]
    {
        let (mut world, mut worker, _) = after_base();
        let ask = world.take_ask();
        world.answer(&ask, Planned::Conclude(verdict(&config(&[]))));
        let sealed = worker.grant(&mut world);
        assert_eq!(sealed.block, Block::Sealed);
        let outcome =
            Outcome::Done(Measures { sealed: Some(Box::new(score)), seconds: 1.0, ..Measures::default() });
        assert_eq!(
            kinds(&worker.complete(&mut world, sealed.lease, outcome)),
            ["Done", "Planned", "Granted"]
        );
        let kept = world.experiment(2).outcome().and_then(Outcome::measures).is_some();
        assert_eq!(kept, true_enough);
        worker.receive(&mut world);
        world.nothing_left();
    }
}

#[test]
fn a_crash_of_the_users_code_is_a_result_and_is_not_tried_again() {
    let (mut world, mut worker, _) = with_one_lease();
    let lease = worker.lease_of(2);
    let crash = Outcome::Crashed { reason: "ValueError".into() };
    assert_eq!(kinds(&worker.complete(&mut world, lease, crash.clone())), ["Done"]);
    assert_eq!(worker.receive(&mut world), vec![CoordinatorFrame::Ack { lease }]);
    assert_eq!(world.experiment(2).outcome(), Some(&crash));
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_duplicate_gives_its_budget_back_and_a_crash_does_not() {
    let (mut world, mut worker, study) = with_one_lease();
    assert_eq!(world.study(&study).spent, 2);
    let lease = worker.lease_of(2);
    worker.complete(&mut world, lease, Outcome::DuplicateOf { experiment: ExperimentId(1) });
    worker.receive(&mut world);
    assert_eq!(world.study(&study).spent, 1);
    world.plan([cv(&[("model", "boost")])]);
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, Outcome::Crashed { reason: "ValueError".into() });
    worker.receive(&mut world);
    assert_eq!(world.study(&study).spent, 2);
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn a_duplicate_of_what_is_no_earlier_experiment_of_its_kind_is_an_outcome_with_a_reason() {
    let (mut world, mut worker, study) = after_base();
    let again = planned(config(&[]), Block::Cv { repeat: 1 });
    world.plan([cv(&[("model", "forest")]), cv(&[("model", "boost")]), again, cv(&[("scale", "none")])]);
    // Itself, none, one that is no cross-validation of the same split, and at last the base.
    for (experiment, first, believed) in [(2, 2, false), (3, u64::MAX, false), (4, 1, false), (5, 1, true)] {
        worker.receive(&mut world);
        let lease = worker.lease_of(experiment);
        let outcome = Outcome::DuplicateOf { experiment: ExperimentId(first) };
        worker.complete(&mut world, lease, outcome.clone());
        let kept = world.experiment(experiment).outcome();
        if believed {
            assert_eq!(kept, Some(&outcome));
        } else {
            assert!(
                matches!(kept, Some(Outcome::NoMetric { reason }) if reason.contains("no duplicate")),
                "{kept:?}"
            );
        }
    }
    assert_eq!(world.study(&study).spent, 4, "what is no duplicate was paid for");
    worker.receive(&mut world);
    world.take_ask();
    world.nothing_left();
}

#[test]
fn experiments_of_two_studies_are_no_duplicates() {
    let (mut world, mut worker, study) = after_base();
    let ask = world.take_ask();
    world.answer(&ask, Planned::Failed);
    let other = world.submit(&spec(1));
    worker.receive(&mut world);
    worker.ready(&mut world, &other);
    world.plan([cv(&[])]);
    let base = worker.grant(&mut world);
    assert!(base.study != study && base.config == world.experiment(1).config);
    worker.complete(&mut world, base.lease, Outcome::DuplicateOf { experiment: ExperimentId(1) });
    assert!(matches!(world.experiment(2).outcome(), Some(Outcome::NoMetric { .. })));
    worker.receive(&mut world);
    world.take_ask();
    world.nothing_left();
}

#[test]
fn best_is_the_highest_score_of_the_own_split_and_the_earlier_of_equals() {
    let (mut world, mut worker, study) = after_base();
    let forest = [("model", "forest")];
    let plans = [
        (cv(&forest), 0.9),
        (cv(&[("model", "boost")]), 0.9),
        (planned(config(&forest), Block::Cv { repeat: 1 }), 0.99),
    ];
    for (plan, score) in plans {
        world.plan([plan]);
        let lease = worker.grant(&mut world).lease;
        worker.complete(&mut world, lease, done(score));
        worker.receive(&mut world);
    }
    let best = world.state().best(world.study(&study)).map(|(experiment, score)| (experiment.id, score));
    assert_eq!(best, Some((ExperimentId(2), 0.9)));
    assert_eq!(world.take_ask().want, 1);
    world.nothing_left();
}

#[test]
fn best_keeps_to_the_constraints_by_all_runs_of_a_configuration() {
    let mut constrained = spec(0);
    constrained.limits.constraints.memory = Some(100);
    let study = constrained.id();
    // The ledger of a world knows no constraints, so the records are folded here.
    let mut state = State::default();
    let tree = ar_common::Digest::of(b"tree");
    state.apply(&Record::Submitted { study: study.clone(), spec: Box::new(constrained), tree });
    let took = |score, bytes| match done(score) {
        Outcome::Done(measures) => Outcome::Done(Measures { peak_memory: Some(bytes), ..measures }),
        other => other,
    };
    let forest = [("model", "forest")];
    let plans = [
        (cv(&[]), took(0.7, 50)),
        (cv(&forest), took(0.9, 50)),
        (cv(&[("model", "boost")]), took(0.99, 101)),
        (planned(config(&forest), Block::Cv { repeat: 1 }), took(0.9, 200)),
    ];
    let mut seen = Vec::new();
    for (mut plan, outcome) in plans {
        plan.id = state.next_experiment();
        let (experiment, as_of) = (plan.id, state.seq);
        state.apply(&Record::Planned { study: study.clone(), as_of, experiments: vec![plan] });
        state.apply(&Record::Done { experiment, lease: None, digest: tree, outcome });
        seen.push(state.best(&state.studies[&study]).map(|(experiment, _)| experiment.id.0));
    }
    assert_eq!(seen, [Some(1), Some(2), Some(2), Some(1)]);
}

#[test]
fn the_hash_tells_states_apart() {
    let (world, _, _) = after_base();
    let hashes: Vec<_> = (0..=world.ledger.journal.len())
        .map(|len| {
            let mut state = State::default();
            world.ledger.journal[..len].iter().for_each(|record| state.apply(record));
            state.hash()
        })
        .collect();
    let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
    assert!(!hashes.contains(&ar_common::Digest::of(b"")), "a state that cannot be written has no hash");
}
