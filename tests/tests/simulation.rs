//! The whole swarm in one simulated world: the coordinator's core and the workers' sessions, the same
//! code that runs in production, in shells that are made of maps and a queue of events.
//!
//! Time is virtual and every delay comes from a seed, so a run is repeatable; faults are plain data,
//! so a failure shrinks to a short list of them. The world breaks connections (and delivers what was
//! under way late or never), kills either side with whatever it had not made durable, lets a deposed
//! coordinator live on, drains workers and loses their processes. After the faults everything heals.
//! Then every experiment has ended once, and nothing that was acknowledged is lost or runs again.

#![expect(clippy::unwrap_used, reason = "what is missing here is a mistake in the world, and ends the test")]

mod simulation {
    pub(crate) mod agenda;
    mod breaks;
    pub(crate) mod faults;
    pub(crate) mod head;
    mod heads;
    pub(crate) mod ledger;
    pub(crate) mod link;
    pub(crate) mod machine;
    mod machines;
    pub(crate) mod met;
    pub(crate) mod search;
    pub(crate) mod world;
}

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use simulation::faults::{Death, Fault, Setup, faults, setup};
use simulation::met::Met;
use simulation::world::World;

fn seeded(cases: u32, seed: u64) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(seeded(256, 1))]

    /// I1 to I6 hold at every moment, I8 once the faults heal.
    #[test]
    fn whatever_breaks_nothing_acknowledged_is_lost_and_every_experiment_ends(
        setup in setup(),
        faults in prop::collection::vec(faults(), 0..24),
    ) {
        World::new(&setup, &faults).run();
    }
}

proptest! {
    #![proptest_config(seeded(16, 2))]

    /// The same seed and the same faults give the same journal.
    #[test]
    fn a_run_is_repeatable(setup in setup(), faults in prop::collection::vec(faults(), 0..16)) {
        let run = || World::new(&setup, &faults).run().0;
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn without_faults_every_experiment_takes_one_attempt() {
    let mut runner = TestRunner::new(seeded(1, 3));
    for _ in 0..16 {
        let setup = setup().new_tree(&mut runner).unwrap().current();
        let met = World::new(&setup, &[]).run().1;
        let Met { requeued, refused, cancelled, quarantined, repeats, .. } = met;
        assert_eq!([requeued, refused, cancelled, quarantined, repeats], [0; 5], "{setup:?}: {met:?}");
    }
}

/// Coverage of the simulation itself: one that never met a fault shows nothing.
#[test]
fn the_world_meets_every_fault() {
    let mut runner = TestRunner::new(seeded(1, 4));
    let mut all = Met::default();
    for _ in 0..64 {
        let setup = setup().new_tree(&mut runner).unwrap().current();
        let faults = prop::collection::vec(faults(), 24).new_tree(&mut runner).unwrap().current();
        all.add(&World::new(&setup, &faults).run().1);
    }
    let never: Vec<&str> =
        all.counts().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
    assert!(never.is_empty(), "never met: {never:?} of {all:?}");
}

/// Kills the coordinator each time it writes, again and again.
fn killed_while_it_writes(last_batch_survives: bool) -> Met {
    let death = Death { down: 1_000, last_batch_survives };
    let faults: Vec<(u64, Fault)> = (0..60).map(|n| (n * 1_003, Fault::KillWritingHead(death))).collect();
    World::new(&Setup::small(), &faults).run().1
}

#[test]
fn what_became_durable_as_its_coordinator_died_holds_and_is_said_by_the_next() {
    let met = killed_while_it_writes(true);
    assert!(met.batches_without_effects > 5, "{met:?}");
    assert_eq!(met.requeued, met.forgotten, "grants that were never sent: {met:?}");
    assert_eq!((met.refused, met.lost_running), (0, 0), "{met:?}");
}

#[test]
fn what_was_not_durable_as_its_coordinator_died_never_happened() {
    let met = killed_while_it_writes(false);
    assert!(met.batches_lost > 5, "{met:?}");
    assert_eq!((met.requeued, met.refused), (0, 0), "nothing was said that did not hold: {met:?}");
}

/// The worlds of a property, each with so many faults drawn from `fault`.
fn worlds(seed: u64, faults: usize, fault: impl Strategy<Value = (u64, Fault)>) -> impl Iterator<Item = Met> {
    let mut runner = TestRunner::new(seeded(1, seed));
    let strategy = (setup(), prop::collection::vec(fault, faults));
    (0..24).map(move |_| {
        let (setup, faults) = strategy.new_tree(&mut runner).unwrap().current();
        World::new(&setup, &faults).run().1
    })
}

#[test]
fn a_connection_that_breaks_for_less_than_a_lease_lives_costs_no_work() {
    let cut = (0..60_000_u64, 0..3_usize, 0..500_u64, 0..500_u64);
    let cut = cut.prop_map(|(at, machine, machine_sees, head_sees)| {
        (at, Fault::Cut { machine, machine_sees, head_sees, late: None })
    });
    let mut all = Met::default();
    for met in worlds(5, 20, cut) {
        assert_eq!(met.requeued, met.forgotten, "only grants that never came: {met:?}");
        assert_eq!([met.lost_running, met.refused, met.lapsed, met.late], [0; 4], "{met:?}");
        all.add(&met);
    }
    assert!(all.repeats > 0 && all.forgotten > 0, "{all:?}");
}

#[test]
fn a_coordinator_that_comes_back_in_time_costs_no_work() {
    let kill = (0..60_000_u64, 1..2_000_u64, any::<bool>());
    let kill = kill.prop_map(|(at, down, last_batch_survives)| {
        (at, Fault::KillWritingHead(Death { down, last_batch_survives }))
    });
    let mut all = Met::default();
    for met in worlds(6, 12, kill) {
        assert_eq!(met.requeued, met.forgotten, "only grants that never came: {met:?}");
        assert_eq!([met.lost_running, met.refused, met.lapsed, met.late], [0; 4], "{met:?}");
        all.add(&met);
    }
    assert!(all.batches_lost > 20 && all.batches_without_effects > 20, "{all:?}");
}
