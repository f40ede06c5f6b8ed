//! What may break, what a world is made of, and mistakes that must be found.

use super::agenda::Dice;

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
    /// Whether two coordinators share a store; else there is one, with a disk of its own.
    pub(crate) shared: bool,
    /// A mistake in a shell.
    pub(crate) mutant: Option<Mutant>,
}

/// When, and what.
pub(crate) type At = (u64, Fault);

impl Setup {
    /// One study on one worker, and one coordinator.
    pub(crate) fn small() -> Self {
        Self { seed: 5, slots: vec![2], studies: 1, quick: false, shared: false, mutant: None }
    }

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let machines = dice.between(1, 4);
        Self {
            seed: dice.between(0, u64::MAX),
            slots: (0..machines).map(|_| u32::try_from(dice.between(1, 4)).unwrap_or(1)).collect(),
            studies: dice.between(1, 3),
            quick: dice.once_in(2),
            shared: dice.once_in(2),
            mutant: None,
        }
    }

    /// The world of a seed, and what breaks in it.
    pub(crate) fn of(seed: u64) -> (Self, Vec<At>) {
        let mut dice = Dice(seed);
        let setup = Self::draw(&mut dice);
        let faults = (0..dice.between(0, 25)).map(|_| Fault::draw(&mut dice)).collect();
        (setup, faults)
    }
}

/// A mistake that a shell could make. Each must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The coordinator takes any result for one under the newest lease.
    AnyLease,
    /// The coordinator acts before its records are durable.
    AckFirst,
    /// The coordinator takes what it wrote for durable.
    NoSync,
    /// The coordinator does not ask whether its journal has lost its end.
    NoTail,
    /// The shared store does not compare the leader key.
    NoEpochFence,
    /// The shared store does not compare the journal's head.
    NoHeadFence,
    /// The worker listens to whoever speaks.
    DeafToEpochs,
    /// The worker offers a result that is not on its disk yet.
    SpoolNoSync,
}

/// Something breaks. Machines, hosts and studies are counted round and round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A connection breaks. Each side sees it in its own time; what was on its way to the coordinator
    /// may arrive late, even after what was said on the next connection.
    Cut { machine: usize, machine_sees: u64, head_sees: u64, late: Option<u64> },
    /// A connection breaks, and so does the next one, right after its Hello, which comes late.
    CutHello { machine: usize, late: u64 },
    /// A machine is cut off.
    Partition { machine: usize, ms: u64 },
    /// The network is slow between coordinators and workers, and brings some frames twice.
    RoughNetwork { ms: u64 },
    /// A worker's process dies with all it runs, and comes back; its disk may be a new one.
    KillMachine { machine: usize, down: u64, disk_too: bool },
    /// A worker's process is stopped, and goes on.
    PauseMachine { machine: usize, ms: u64 },
    /// A worker's clock jumps ahead.
    JumpMachine { machine: usize, ms: u64 },
    /// The server that holds a worker's processes dies, and they with it.
    LoseProcesses { machine: usize },
    /// A worker is told to leave; another starts in its place.
    Drain { machine: usize, grace: u64 },
    /// A worker cannot make its next environment.
    FailPrepare { machine: usize },
    /// A worker's process dies a little after each of the next processes that it starts, so often.
    Deadly { machine: usize, times: u32 },
    /// The coordinator that leads dies and comes back.
    KillHead(Death),
    /// As before, when it next writes to its journal.
    KillWritingHead(Death),
    /// The one that stands by dies and comes back.
    KillStandby(Death),
    /// The coordinator that leads is stopped, and goes on.
    PauseHead { ms: u64 },
    /// The clock of the one that leads jumps ahead.
    JumpHead { ms: u64 },
    /// The leader key goes, while its holder still believes that it leads.
    Depose,
    /// A host is cut off from the shared store.
    CutStore { host: usize, ms: u64 },
    /// The way to the shared store loses, holds and repeats requests, and loses answers.
    RoughStore { ms: u64 },
    /// The journal is slow to take the next batch.
    SlowJournal { ms: u64 },
    /// A journal of one's own loses its end while its coordinator is down.
    LoseEnd { records: u64 },
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
    /// Its machine dies with it, and what was not synced.
    pub(crate) power: bool,
}

/// Faults come in the first quarter of an hour.
const DURATION: u64 = 900_000;

impl Death {
    fn draw(dice: &mut Dice) -> Self {
        let down = down(dice);
        Self { down, last_batch_survives: dice.once_in(2), power: dice.once_in(2) }
    }
}

/// Most connections end fast; some hang for as long as a keep-alive, or for longer than a lease lives.
fn seen(dice: &mut Dice) -> u64 {
    if dice.once_in(4) { dice.between(10_000, 60_000) } else { dice.between(0, 500) }
}

fn down(dice: &mut Dice) -> u64 {
    if dice.once_in(3) { dice.between(10_000, 120_000) } else { dice.between(1, 10_000) }
}

impl Fault {
    /// How many kinds there are.
    pub(crate) const KINDS: usize = 24;

    /// Any fault. Most come at the beginning, where the most is under way.
    pub(crate) fn draw(dice: &mut Dice) -> At {
        let span = [1_000, 10_000, 90_000, DURATION][dice.index(4)];
        (dice.between(0, span), Self::any(dice))
    }

    fn any(dice: &mut Dice) -> Self {
        let (machine, host, study) = (dice.index(3), dice.index(2), dice.index(2));
        match dice.between(0, 50) {
            0..4 => {
                let (machine_sees, head_sees) = (seen(dice), seen(dice));
                let late = dice.once_in(2).then(|| seen(dice));
                Self::Cut { machine, machine_sees, head_sees, late }
            }
            4..6 => Self::CutHello { machine, late: dice.between(1_000, 60_000) },
            6..8 => Self::Partition { machine, ms: dice.between(1_000, 150_000) },
            8..10 => Self::RoughNetwork { ms: dice.between(1_000, 120_000) },
            10..13 => {
                let disk_too = dice.once_in(3);
                Self::KillMachine { machine, down: down(dice), disk_too }
            }
            13..15 => Self::PauseMachine { machine, ms: dice.between(1_000, 150_000) },
            15..17 => Self::JumpMachine { machine, ms: dice.between(1_000, 100_000) },
            17..19 => Self::LoseProcesses { machine },
            19..21 => {
                let span = if dice.once_in(2) { 1_000 } else { 60_000 };
                Self::Drain { machine, grace: dice.between(0, span) }
            }
            21 => Self::FailPrepare { machine },
            22 => Self::Deadly { machine, times: u32::try_from(dice.between(1, 5)).unwrap_or(1) },
            23..25 => Self::KillHead(Death::draw(dice)),
            25..30 => Self::KillWritingHead(Death::draw(dice)),
            30 => Self::KillStandby(Death::draw(dice)),
            31..34 => Self::PauseHead { ms: dice.between(500, 150_000) },
            34 => Self::JumpHead { ms: dice.between(1_000, 100_000) },
            35..37 => Self::Depose,
            37..40 => Self::CutStore { host, ms: dice.between(500, 60_000) },
            40..43 => Self::RoughStore { ms: dice.between(1_000, 120_000) },
            43..45 => Self::SlowJournal { ms: dice.between(100, 20_000) },
            // A world ends where this is noticed.
            45 if dice.once_in(4) => Self::LoseEnd { records: dice.between(1, 5) },
            45 => Self::SearchTimeOver { study },
            46 => Self::TimeOver { study },
            _ => Self::Extend { study },
        }
    }

    /// What it is called: its kind, without its figures.
    pub(crate) fn kind(&self) -> String {
        let said = format!("{self:?}");
        said.split([' ', '(']).next().unwrap_or_default().to_owned()
    }
}
