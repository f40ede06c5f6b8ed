//! What happens when the time of a study is over.

use ar_common::Outcome;
use ar_common::frames::CoordinatorFrame;
use ar_core::{Input, Phase, Planned, TimeLeft};

use super::{after_base, kinds, with_one_lease};
use crate::support::{Worker, World, config, cv, done, spec, verdict};

#[test]
fn when_all_time_is_over_what_is_pending_is_called_off_and_its_holders_are_told() {
    let (mut world, mut worker, study) = after_base();
    world.plan([cv(&[("model", "forest")]), cv(&[("model", "boost")])]);
    let lease = worker.grant(&mut world).lease;
    worker.start(&mut world, lease);
    let records = world.give(Input::TimeOver { study: study.clone() });
    assert_eq!(kinds(&records), ["Done", "Done"], "the one that runs and the one that waits");
    let frames = worker.receive(&mut world);
    assert!(
        matches!(&frames[..], [CoordinatorFrame::Cancel { lease: l, why }] if *l == lease && why.contains("time"))
    );
    assert!(matches!(world.experiment(2).outcome(), Some(Outcome::Cancelled { .. })));
    assert!(matches!(world.experiment(3).outcome(), Some(Outcome::Cancelled { .. })));
    assert_eq!(world.study(&study).spent, 1, "what was called off was not spent");

    assert_eq!(world.take_ask().time, TimeLeft::Nothing);
    assert_eq!(kinds(&worker.claim(&mut world, lease, done(0.9))), ["Refused"], "it came too late");
    worker.receive(&mut world);
    world.nothing_left();
}

#[test]
fn a_holder_that_is_away_learns_at_its_return_that_its_lease_was_called_off() {
    let (mut world, mut worker, study) = with_one_lease();
    let lease = worker.lease_of(2);
    worker.disconnect(&mut world);
    world.give(Input::TimeOver { study });
    assert_eq!(world.take_ask().want, 0, "the verdict needs no worker");
    worker.connect(&mut world);
    let told =
        |frame: &CoordinatorFrame| matches!(frame, CoordinatorFrame::Cancel { lease: l, .. } if *l == lease);
    assert!(worker.receive(&mut world).iter().any(told));
    world.nothing_left();
}

#[test]
fn when_all_time_is_over_the_verdict_is_drawn_and_the_closing_still_runs() {
    let (mut world, mut worker, study) = with_one_lease();
    world.give(Input::TimeOver { study: study.clone() });
    worker.receive(&mut world);
    let ask = world.take_ask();
    world.answer(&ask, Planned::Conclude(verdict(&config(&[]))));
    assert_eq!(world.study(&study).phase, Phase::Closing);
    let sealed = worker.grant(&mut world).lease;
    let records = world.give(Input::TimeOver { study });
    assert_eq!(kinds(&records), Vec::<&str>::new());
    assert_eq!(worker.lease_of(3), sealed, "the closing is not called off");
    world.nothing_left();
}

#[test]
fn a_plan_made_before_all_time_was_over_starts_nothing_after_it() {
    let (mut world, mut worker, study) = after_base();
    let before = world.take_ask();
    world.give(Input::TimeOver { study });
    world.answer(&before, Planned::Experiments(vec![cv(&[("model", "forest")])]));
    assert_eq!(worker.grants(&mut world), vec![]);
    let asks = world.take_asks();
    assert!(asks.iter().all(|ask| ask.time == TimeLeft::Nothing), "{asks:?}");
    let Some(after) = asks.last() else { panic!("the verdict is still to be drawn") };
    assert_eq!(kinds(&world.answer(after, Planned::Conclude(verdict(&config(&[])))))[0], "Concluded");
    worker.grant(&mut world);
    world.nothing_left();
}

#[test]
fn when_the_time_for_searching_is_over_the_search_is_told() {
    let (mut world, mut worker, study) = after_base();
    assert_eq!(world.take_ask().time, TimeLeft::All);
    world.give(Input::SearchTimeOver { study: study.clone() });
    let ask = world.take_ask();
    assert_eq!(ask.time, TimeLeft::Confirmation);
    world.answer(&ask, Planned::Experiments(vec![cv(&[("model", "forest")])]));
    let lease = worker.grant(&mut world).lease;
    worker.complete(&mut world, lease, done(0.8));
    worker.receive(&mut world);
    assert_eq!(world.take_ask().time, TimeLeft::Confirmation, "it stays over");

    world.give(Input::TimeOver { study: study.clone() });
    assert_eq!(world.take_ask().time, TimeLeft::Nothing);
    world.give(Input::SearchTimeOver { study });
    assert!(
        world.take_asks().iter().all(|ask| ask.time == TimeLeft::Nothing),
        "an earlier bound comes too late"
    );
    world.nothing_left();
}

#[test]
fn a_waiting_search_is_asked_again_when_its_time_is_over() {
    let (mut world, _, study) = with_one_lease();
    let mut other = Worker::new("w2", 1);
    other.join(&mut world, &study);
    let ask = world.take_ask();
    world.answer(&ask, Planned::Wait);
    assert_eq!(world.take_asks(), vec![]);
    world.give(Input::SearchTimeOver { study });
    assert_eq!(world.take_ask().time, TimeLeft::Confirmation);
    world.nothing_left();
}

#[test]
fn a_study_that_ran_out_of_time_goes_on_when_it_may_take_longer() {
    let mut world = World::new();
    let limited = |seconds| {
        let mut limited = spec(0);
        limited.limits.study_seconds = seconds;
        limited
    };
    let study = world.submit(&limited(Some(5.0)));
    let mut worker = Worker::new("w1", 1);
    worker.join(&mut world, &study);
    world.plan([cv(&[])]);
    world.give(Input::TimeOver { study: study.clone() });
    for ask in world.take_asks() {
        world.answer(&ask, Planned::Failed);
    }
    assert!(world.study(&study).is_finished());
    world.submit(&limited(Some(5.0)));
    world.submit(&limited(Some(3.0)));
    assert!(world.study(&study).is_finished(), "no more time than before");
    world.submit(&limited(Some(60.0)));
    assert!(!world.study(&study).is_finished());
    assert_eq!(world.take_ask().time, TimeLeft::All);
}

#[test]
fn an_extension_gives_a_study_its_time_again() {
    let (mut world, _, study) = after_base();
    world.give(Input::TimeOver { study: study.clone() });
    let ask = world.take_asks().pop();
    let Some(ask) = ask else { panic!("no plan was asked for") };
    world.answer(&ask, Planned::Failed);
    assert!(world.study(&study).is_finished());
    let mut raised = spec(0);
    raised.budget.rounds += 1;
    world.submit(&raised);
    assert_eq!(world.take_ask().time, TimeLeft::All);
    world.nothing_left();
}
