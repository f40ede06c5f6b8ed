//! Random interleavings of everything that may go wrong. Seeds are fixed, so a run is repeatable, and
//! operations are plain data, so a failure shrinks to a short story.

mod met;
mod operations;
mod simulation;

use ar_core::{Record, State};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use met::Met;
use operations::{Operation, Setup, operations, setup};
use simulation::Simulation;

fn seeded(cases: u32, seed: u64) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

/// The ledger checks every invariant after every step (see `support`); this drives it.
fn run(setup: &Setup, story: &[Operation]) -> Simulation {
    let mut simulation = Simulation::new(setup);
    for operation in story {
        simulation.perform(operation);
    }
    simulation
}

proptest! {
    #![proptest_config(seeded(192, 1))]

    /// Invariants I1, I2, I3, I5, I6 and the budget hold after every step, and once the faults heal
    /// every study finishes and every experiment ends, once (I8).
    #[test]
    fn whatever_happens_the_invariants_hold_and_every_study_ends(
        setup in setup(),
        story in prop::collection::vec(operations(), 1..160),
    ) {
        run(&setup, &story).heal();
    }
}

proptest! {
    #![proptest_config(seeded(24, 2))]

    /// A step is a function of the core and its input: the same story gives the same journal.
    #[test]
    fn the_same_story_gives_the_same_journal(
        setup in setup(),
        story in prop::collection::vec(operations(), 1..80),
    ) {
        let (one, other) = (run(&setup, &story), run(&setup, &story));
        prop_assert_eq!(one.world.ledger.journal, other.world.ledger.journal);
    }
}

proptest! {
    #![proptest_config(seeded(32, 4))]

    /// I6: a snapshot taken anywhere, written, read back and followed by the rest of the journal is the
    /// live state.
    #[test]
    fn any_snapshot_and_the_rest_of_the_journal_are_the_live_state(
        setup in setup(),
        story in prop::collection::vec(operations(), 1..120),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let world = run(&setup, &story).world;
        let journal = &world.ledger.journal;
        for cut in cuts {
            let (before, after) = journal.split_at(cut.index(journal.len() + 1));
            let snapshot = fold(State::default(), before).to_snapshot();
            let replayed = fold(State::from_snapshot(&snapshot).unwrap(), after);
            prop_assert_eq!(&replayed, world.state());
            prop_assert_eq!(replayed.hash(), world.state().hash());
        }
    }
}

fn fold(mut state: State, records: &[Record]) -> State {
    records.iter().for_each(|record| state.apply(record));
    state
}

/// Coverage of the property itself: over a few hundred operations each fault has happened.
#[test]
fn the_stories_meet_every_fault() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::new(seeded(1, 3));
    let mut met = Met::default();
    for _ in 0..48 {
        let setup = setup().new_tree(&mut runner).unwrap().current();
        let story = prop::collection::vec(operations(), 160).new_tree(&mut runner).unwrap().current();
        run(&setup, &story).count(&mut met);
    }
    let Met { restarts, crashes, lapses, forgotten, refusals, .. } = met;
    let Met { quarantines, repeats, late_accepts, reopened, called_off, ensembles, raced_out, .. } = met;
    let all = [
        restarts,
        crashes,
        lapses,
        forgotten,
        refusals,
        quarantines,
        repeats,
        late_accepts,
        reopened,
        called_off,
        ensembles,
        raced_out,
    ];
    assert!(all.iter().all(|count| *count > 0), "{met:?}");
}
