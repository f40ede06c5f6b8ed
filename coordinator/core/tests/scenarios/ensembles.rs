//! Experiments whose members vote: what they cost, what is taken for a result of theirs, and how they are handed over.

use ar_common::{Block, Measures, Member, Outcome, Verdict};
use ar_core::{Finish, Planned, PlannedExperiment};

use super::{after_base, kinds};
use crate::support::{config, done, planned, verdict};

fn members(weights: [u32; 3]) -> Vec<Member> {
    let models = ["forest", "boost", "base"].map(|model| config(&[("model", model)]));
    models.into_iter().zip(weights).map(|(config, weight)| Member { config, weight }).collect()
}

fn ensemble(weights: [u32; 3]) -> PlannedExperiment {
    PlannedExperiment { members: members(weights), ..planned(config(&[]), Block::FIRST) }
}

fn weighed(score: f64, weights: &[u32]) -> Outcome {
    match done(score) {
        Outcome::Done(measures) => Outcome::Done(Measures { members: weights.into(), ..measures }),
        other => other,
    }
}

#[test]
fn it_is_no_twin_of_the_base_costs_its_members_and_has_their_time() {
    let (mut world, mut worker, study) = after_base();
    world.plan([ensemble([0; 3])]);
    let grant = worker.grant(&mut world);
    assert_eq!((grant.members, grant.config), (members([0; 3]), config(&[])));
    assert_eq!(grant.deadline_ms, 180_000, "three times that of one");
    assert_eq!(world.study(&study).spent, 4);
    worker.complete(&mut world, grant.lease, weighed(0.99, &[2, 1, 0]));
    worker.receive(&mut world);
    let best = world.state().best(world.study(&study)).map(|(experiment, score)| (experiment.id.0, score));
    assert_eq!(best, Some((1, 0.8)), "its score is that of the rows its weights were chosen on");
    world.take_ask();
    world.nothing_left();
}

#[test]
fn one_that_is_called_off_gives_all_of_its_cost_back() {
    let (mut world, mut worker, study) = after_base();
    world.plan([ensemble([0; 3])]);
    worker.grant(&mut world);
    world.give(ar_core::Input::TimeOver { study: study.clone() });
    worker.receive(&mut world);
    assert_eq!(world.study(&study).spent, 1);
}

#[test]
fn one_that_does_not_fit_the_budget_or_is_none_is_not_taken() {
    let (mut world, mut worker, study) = after_base();
    let mut alone = ensemble([1; 3]);
    alone.members.truncate(1);
    let mut twice = ensemble([1; 3]);
    twice.members[1] = twice.members[0].clone();
    let mut foreign = ensemble([1; 3]);
    foreign.members[0].config = foreign.members[0].config.with("model", "unheard of");
    let total = world.study(&study).budget().total();
    let many = (1..).map(|repeat| PlannedExperiment { block: Block::Cv { repeat }, ..ensemble([1; 3]) });
    let plan: Vec<PlannedExperiment> =
        [alone, twice, foreign].into_iter().chain(many.take(total as usize)).collect();
    let ask = world.take_ask();
    world.answer(&ask, Planned::Experiments(plan));
    worker.receive(&mut world);
    let taken = world.state().experiments.len() as u32 - 1;
    assert_eq!(taken, (total - 1) / 3);
    assert_eq!(world.study(&study).spent, 1 + 3 * taken);
}

#[test]
fn a_worker_that_ran_the_base_instead_gives_no_result() {
    for answer in [done(0.9), Outcome::DuplicateOf { experiment: ar_common::ExperimentId(1) }] {
        let (mut world, mut worker, _) = after_base();
        world.plan([ensemble([0; 3])]);
        let lease = worker.grant(&mut world).lease;
        worker.complete(&mut world, lease, answer);
        worker.receive(&mut world);
        let outcome = world.experiment(2).outcome().cloned();
        assert!(
            matches!(&outcome, Some(Outcome::NoMetric { reason }) if reason.contains("upgrade")),
            "{outcome:?}"
        );
    }
}

#[test]
fn one_that_won_is_scored_on_the_sealed_rows_and_fitted_not_the_base() {
    let (mut world, mut worker, study) = after_base();
    let ask = world.take_ask();
    let won = Verdict { members: members([2, 1, 1]), ..verdict(&config(&[])) };
    world.answer(&ask, Planned::Conclude(won));
    let sealed = worker.grant(&mut world);
    assert_eq!((sealed.block, &sealed.members), (Block::Sealed, &members([2, 1, 1])));
    assert_eq!(sealed.deadline_ms, 2 * 180_000);
    worker.complete(&mut world, sealed.lease, Outcome::Crashed { reason: "disk full".into() });
    worker.receive(&mut world);
    let refit = worker.lease_of(3);
    let grant = worker.held[&refit].grant.clone();
    assert_eq!((grant.block, &grant.members), (Block::Refit, &members([2, 1, 1])));
    let fitted = Outcome::Done(Measures { members: [2, 1, 1].into(), ..Measures::default() });
    assert_eq!(kinds(&worker.complete(&mut world, refit, fitted)), ["Done", "Finished"]);
    assert_eq!(world.finish_of(&study), Some(Finish::Concluded));
}
