//! The whole swarm in one simulated world: the coordinator's core and the workers' sessions, the same
//! code that runs in production, in shells that are made of maps and a queue of events.
//!
//! One thread runs a world; its time is virtual, and all delays and faults come from one seed, so a run is
//! repeatable. The world breaks connections (and delivers what was under way late, twice or never), cuts off
//! machines, stops processes of either side and lets them go on, makes clocks jump, kills either side with
//! whatever it had not made durable, and cuts the power of disks. The journal is a disk of one coordinator's
//! own, or a store that two coordinators share behind two fences, on a way that loses, holds and repeats
//! requests and loses answers. After the faults everything heals. Then every experiment has ended once, and
//! nothing that was acknowledged is lost or runs again.
//!
//! All invariants (I1 to I10) are checked after every step; I6 at intervals, I7 and I8 at the end. `AR_SIM_SEEDS`
//! says how many seeds are run (10,000 if absent), `AR_SIM_FIRST` from which on.

#![expect(clippy::unwrap_used, reason = "what is missing here is a mistake in the world, and ends the test")]

mod simulation {
    pub(crate) mod agenda;
    mod breaks;
    mod clock;
    pub(crate) mod faults;
    pub(crate) mod head;
    mod heads;
    pub(crate) mod ledger;
    pub(crate) mod link;
    pub(crate) mod machine;
    mod machines;
    pub(crate) mod met;
    mod reigns;
    pub(crate) mod search;
    pub(crate) mod seeds;
    pub(crate) mod store;
    pub(crate) mod world;
}

use simulation::agenda::Dice;
use simulation::faults::{At, Death, Fault, Mutant, Setup};
use simulation::met::Met;
use simulation::seeds;
use simulation::world::World;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// With fewer seeds than that, a fault may not be met by chance.
const ENOUGH: u64 = 2_000;

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_and_every_experiment_ends() {
    let (first, count) = (number("AR_SIM_FIRST", 1), number("AR_SIM_SEEDS", 10_000));
    let swept = seeds::sweep(first, count);
    println!("{count} seeds in {:.1} s, {:.1} per second", swept.seconds, count as f64 / swept.seconds);
    println!("{:?}\n{:?}", swept.fired, swept.met);
    // A fault that never happened shows nothing.
    if count >= ENOUGH {
        let never: Vec<&str> =
            swept.met.counts().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
        assert!(never.is_empty(), "never met: {never:?} of {:?}", swept.met);
        assert_eq!(swept.drawn.len(), Fault::KINDS, "{:?}", swept.drawn);
        assert!(
            swept.drawn.iter().eq(swept.fired.keys()),
            "drawn {:?}, happened {:?}",
            swept.drawn,
            swept.fired
        );
    }
}

#[test]
fn a_run_is_repeatable() {
    for seed in 0..32 {
        let (setup, faults) = Setup::of(seed);
        let run = || World::new(&setup, &faults).run();
        let (one, other) = (run(), run());
        assert_eq!((one.journal, one.met), (other.journal, other.met), "seed {seed}");
    }
}

/// What does not hold in the first world in which this mistake shows, of so many.
fn found(mutant: Mutant, shared: bool, seeds: u64) -> String {
    let broken = |seed| {
        let (setup, faults) = Setup::of(seed);
        let world = |mutant| Setup { shared, mutant, ..setup.clone() };
        let why = seeds::run(&world(Some(mutant)), &faults).err()?;
        let without = seeds::run(&world(None), &faults).err();
        assert_eq!(without, None, "seed {seed} without the mistake");
        println!("{mutant:?} shows with seed {seed}: {}", why.lines().next().unwrap_or_default());
        Some(why)
    };
    (1..=seeds).find_map(broken).unwrap_or_else(|| panic!("{mutant:?} shows in none of {seeds} worlds"))
}

#[test]
fn a_coordinator_that_does_not_look_at_tokens_is_found() {
    let why = found(Mutant::AnyLease, false, 400);
    assert!(why.contains("not what its worker made"), "{why}");
}

#[test]
fn a_coordinator_that_acts_before_its_records_are_durable_is_found() {
    let why = found(Mutant::AckFirst, false, 5);
    assert!(why.contains("is not in the journal"), "{why}");
}

#[test]
fn a_coordinator_that_does_not_sync_its_journal_is_found() {
    let why = found(Mutant::NoSync, false, 100);
    assert!(why.contains("I1"), "{why}");
}

#[test]
fn a_coordinator_that_does_not_ask_whether_its_journal_is_whole_is_found() {
    let why = found(Mutant::NoTail, false, 400);
    assert!(why.contains("I1"), "{why}");
}

#[test]
fn a_store_that_lets_a_deposed_coordinator_write_is_found() {
    let why = found(Mutant::NoEpochFence, true, 200);
    assert!(why.contains("I4"), "{why}");
}

#[test]
fn a_store_that_takes_a_request_twice_is_found() {
    let why = found(Mutant::NoHeadFence, true, 200);
    assert!(why.contains("I2"), "{why}");
}

#[test]
fn a_worker_that_listens_to_a_deposed_coordinator_is_found() {
    let why = found(Mutant::DeafToEpochs, true, 400);
    assert!(why.contains("I4"), "{why}");
}

#[test]
fn a_worker_that_offers_what_it_has_not_kept_is_found() {
    let why = found(Mutant::SpoolNoSync, false, 5);
    assert!(why.contains("I1"), "{why}");
}

#[test]
fn without_faults_every_experiment_takes_one_attempt() {
    let mut dice = Dice(3);
    for _ in 0..32 {
        let setup = Setup::draw(&mut dice);
        let met = World::new(&setup, &[]).run().met;
        let Met { requeued, refused, cancelled, quarantined, repeats, .. } = met;
        assert_eq!([requeued, refused, cancelled, quarantined, repeats], [0; 5], "{setup:?}: {met:?}");
    }
}

/// Kills the coordinator each time it writes, again and again.
fn killed_while_it_writes(last_batch_survives: bool) -> Met {
    let death = Death { down: 1_000, last_batch_survives, power: false };
    let faults: Vec<At> = (0..60).map(|n| (n * 1_003, Fault::KillWritingHead(death))).collect();
    World::new(&Setup::small(), &faults).run().met
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

/// Worlds with a coordinator each, and so many faults drawn by `fault`. No work is lost in any.
fn cost_no_work(seed: u64, faults: usize, fault: impl Fn(&mut Dice) -> At) -> Met {
    let mut dice = Dice(seed);
    let mut all = Met::default();
    for _ in 0..24 {
        let setup = Setup { shared: false, ..Setup::draw(&mut dice) };
        let faults: Vec<At> = (0..faults).map(|_| fault(&mut dice)).collect();
        let met = World::new(&setup, &faults).run().met;
        assert_eq!(met.requeued, met.forgotten, "only grants that never came: {met:?}");
        assert_eq!([met.lost_running, met.refused, met.lapsed, met.late], [0; 4], "{met:?}");
        all.add(&met);
    }
    all
}

#[test]
fn a_connection_that_breaks_for_less_than_a_lease_lives_costs_no_work() {
    let all = cost_no_work(5, 20, |dice| {
        let (machine_sees, head_sees) = (dice.between(0, 500), dice.between(0, 500));
        let fault = Fault::Cut { machine: dice.index(3), machine_sees, head_sees, late: None };
        (dice.between(0, 60_000), fault)
    });
    assert!(all.repeats > 0 && all.forgotten > 0, "{all:?}");
}

#[test]
fn a_coordinator_that_comes_back_in_time_costs_no_work() {
    let all = cost_no_work(6, 12, |dice| {
        let (down, last_batch_survives) = (dice.between(1, 2_000), dice.once_in(2));
        let death = Death { down, last_batch_survives, power: dice.once_in(2) };
        (dice.between(0, 60_000), Fault::KillWritingHead(death))
    });
    assert!(all.batches_lost > 20 && all.batches_without_effects > 20, "{all:?}");
}
