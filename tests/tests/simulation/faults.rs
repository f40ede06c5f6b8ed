//! What may break, and what a world is made of.

use proptest::prelude::*;

/// What a world is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Decides every delay, and how each configuration fares.
    pub(crate) seed: u64,
    /// Slots of each worker.
    pub(crate) slots: Vec<u32>,
    /// How many studies there are.
    pub(crate) studies: u64,
    /// Whether experiments take milliseconds, and are granted ahead.
    pub(crate) quick: bool,
}

impl Setup {
    /// One study on one worker.
    pub(crate) fn small() -> Self {
        Self { seed: 5, slots: vec![2], studies: 1, quick: false }
    }
}

/// Something breaks. Machines and studies are counted round and round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A connection breaks. Each side sees it in its own time; what was on its way to the coordinator
    /// may arrive late, even after what was said on the next connection.
    Cut { machine: usize, machine_sees: u64, head_sees: u64, late: Option<u64> },
    /// A connection breaks, and so does the next one, right after its Hello, which comes late.
    CutHello { machine: usize, late: u64 },
    /// A machine is cut off.
    Partition { machine: usize, ms: u64 },
    /// A worker's process dies with all it runs, and comes back; its disk may be a new one.
    KillMachine { machine: usize, down: u64, disk_too: bool },
    /// The server that holds a worker's processes dies, and they with it.
    LoseProcesses { machine: usize },
    /// A worker is told to leave; another starts in its place.
    Drain { machine: usize, grace: u64 },
    /// A worker cannot make its next environment.
    FailPrepare { machine: usize },
    /// A worker's process dies a little after each of the next processes that it starts, so often.
    Deadly { machine: usize, times: u32 },
    /// The coordinator dies and comes back.
    KillHead(Death),
    /// As before, when it next writes to its journal.
    KillWritingHead(Death),
    /// Another coordinator takes over while this one still believes that it rules.
    Depose { lives_on: u64 },
    /// The journal is slow to take the next batch.
    SlowJournal { ms: u64 },
    /// A study's time for searching is over.
    SearchTimeOver { study: usize },
    /// All of a study's time is over.
    TimeOver { study: usize },
    /// A study gets a larger budget.
    Extend { study: usize },
}

/// How a coordinator dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    /// It comes back so many milliseconds later.
    pub(crate) down: u64,
    /// The batch that it was writing is durable. Nobody lives who could know.
    pub(crate) last_batch_survives: bool,
}

/// Faults come in the first quarter of an hour.
const DURATION: u64 = 900_000;

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    (any::<u64>(), prop::collection::vec(1..=3_u32, 1..=3), 1..=2_u64, any::<bool>())
        .prop_map(|(seed, slots, studies, quick)| Setup { seed, slots, studies, quick })
}

pub(crate) fn faults() -> impl Strategy<Value = (u64, Fault)> {
    let machine = || 0..3_usize;
    let study = || 0..2_usize;
    // Most connections end fast; some hang for as long as a keep-alive, or for longer than a lease lives.
    let seen = || prop_oneof![3 => 0..500_u64, 1 => 10_000..60_000_u64];
    let down = || prop_oneof![2 => 1..10_000_u64, 1 => 10_000..120_000_u64];
    let death = || {
        (down(), any::<bool>()).prop_map(|(down, last_batch_survives)| Death { down, last_batch_survives })
    };
    let fault = prop_oneof![
        4 => (machine(), seen(), seen(), prop::option::of(seen())).prop_map(|(machine, machine_sees, head_sees, late)| {
            Fault::Cut { machine, machine_sees, head_sees, late }
        }),
        2 => (machine(), 1_000..60_000_u64).prop_map(|(machine, late)| Fault::CutHello { machine, late }),
        2 => (machine(), 1_000..150_000_u64).prop_map(|(machine, ms)| Fault::Partition { machine, ms }),
        4 => (machine(), down(), prop::bool::weighted(0.3))
            .prop_map(|(machine, down, disk_too)| Fault::KillMachine { machine, down, disk_too }),
        2 => machine().prop_map(|machine| Fault::LoseProcesses { machine }),
        2 => (machine(), prop_oneof![0..1_000_u64, 1_000..60_000_u64])
            .prop_map(|(machine, grace)| Fault::Drain { machine, grace }),
        1 => machine().prop_map(|machine| Fault::FailPrepare { machine }),
        1 => (machine(), 1..5_u32).prop_map(|(machine, times)| Fault::Deadly { machine, times }),
        2 => death().prop_map(Fault::KillHead),
        5 => death().prop_map(Fault::KillWritingHead),
        3 => (1_000..200_000_u64).prop_map(|lives_on| Fault::Depose { lives_on }),
        2 => (100..20_000_u64).prop_map(|ms| Fault::SlowJournal { ms }),
        1 => study().prop_map(|study| Fault::SearchTimeOver { study }),
        1 => study().prop_map(|study| Fault::TimeOver { study }),
        2 => study().prop_map(|study| Fault::Extend { study }),
    ];
    // Most of them at the beginning, where the most is under way.
    (prop_oneof![0..1_000_u64, 0..10_000_u64, 0..90_000_u64, 0..DURATION], fault)
}
