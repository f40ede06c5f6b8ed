//! Random interleavings of everything that can happen to a session. Seeds are fixed, so a run is
//! repeatable, and operations are plain data, so a failure shrinks to a short story.

mod checks;
mod met;
mod operations;
mod shell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use met::Met;
use operations::{Operation, operations};
use shell::Shell;

fn seeded(cases: u32, seed: u64) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

fn run(slots: u32, story: &[Operation]) -> Shell {
    let mut shell = Shell::new(slots);
    for operation in story {
        shell.perform(operation);
    }
    shell
}

proptest! {
    #![proptest_config(seeded(384, 1))]

    /// The shell checks after every step: what is held is what is listed, a result is offered only
    /// when it is durable and forgotten only when it was answered, slots are not overfilled, nothing
    /// passes its deadline. Once the faults heal every lease comes to its end.
    #[test]
    fn whatever_happens_no_lease_is_forgotten_and_every_one_comes_to_its_end(
        slots in 1..=3_u32,
        story in prop::collection::vec(operations(), 1..200),
    ) {
        run(slots, &story).heal();
    }
}

/// Coverage of the property itself: a property that never met a fault shows nothing.
#[test]
fn the_stories_meet_everything_that_can_happen() {
    use proptest::strategy::ValueTree;

    let mut runner = TestRunner::new(seeded(1, 2));
    let mut met = Met::default();
    for slots in [1, 2, 3].into_iter().cycle().take(48) {
        let story = prop::collection::vec(operations(), 200).new_tree(&mut runner).unwrap().current();
        let mut shell = run(slots, &story);
        shell.drain_and_leave();
        met.add(&shell.met);
    }
    let Met { runs, offers, twins, races, timeouts, losses, .. } = met;
    let Met { released, cancelled, refused_epochs, deaths, drains, without_room, waits, .. } = met;
    let ends = [runs, offers, twins, races, timeouts, losses];
    let mut all =
        [released, cancelled, refused_epochs, deaths, drains, without_room, waits].into_iter().chain(ends);
    assert!(all.all(|count| count > 0), "{met:?}");
}
