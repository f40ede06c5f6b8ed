//! The alphabet of the stories.

use proptest::prelude::*;
use proptest::sample::Index;

/// Who takes part.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Slots of each worker.
    pub(crate) workers: Vec<u32>,
    /// How many studies there are.
    pub(crate) studies: u64,
    /// Whether experiments are so short that they are granted ahead.
    pub(crate) quick: bool,
    /// Whether rows are sealed.
    pub(crate) holdout: bool,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Scored,
    Crashed,
    /// Of an experiment that may or may not be there, earlier or later.
    Duplicate(u64),
    OutOfRange,
    /// Stopped early, by so many folds of it; whether it raced or not.
    Behind(usize),
}

/// What the search answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// What it should.
    Sound,
    /// More than was asked for, twice, and with configurations that are not in the space.
    Rubbish,
    /// A verdict, whatever is pending.
    Hasty,
}

/// One thing that happens. Workers, leases and studies are picked among those there are.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// The worker connects if it is not, reads, says it is ready, heartbeats, starts and ends one lease.
    Work(Index, Ending),
    /// It opens a session, whether or not it has one.
    Connect(Index),
    /// Its connection breaks.
    Disconnect(Index),
    /// It ends a lease while its connection is away for longer than a lease lives, and comes back.
    Partition(Index, Ending),
    /// Its process dies three times in a row, each time while it runs what it holds.
    DieThrice(Index),
    /// Its process dies; its spool may die with it.
    Die { worker: Index, spool_too: bool },
    /// It reads what has come.
    Receive(Index),
    /// It lists what it holds.
    Heartbeat(Index),
    /// It starts a lease.
    Start(Index, Index),
    /// It ends a lease; the frame may be lost.
    Finish { worker: Index, lease: Index, ending: Ending, lost: bool },
    /// It offers what it spooled.
    Offer(Index),
    /// It gives a lease back.
    Release(Index, Index),
    /// It silently loses a lease.
    Forget(Index, Index),
    /// It sends another result under a lease that it once had.
    Corrupt(Index, Index),
    /// A result that was sent before comes again, on whatever connection.
    Replay(Index),
    /// It begins or ceases to drain.
    Drain(Index, bool),
    /// An option does not work on it.
    Unavailable(Index),
    /// Its environment breaks.
    NotReady(Index, Index),
    /// Time passes.
    Wait(u64),
    /// The search answers one of the plans under way; the answer may come again later.
    Plan { which: Index, answer: Answer, again: bool },
    /// The coordinator ends and another begins.
    Restart,
    /// The coordinator dies within its next step.
    Crash,
    /// A study is submitted again with a larger budget.
    Extend(Index),
    /// The time for searching is over.
    SearchTimeOver(Index),
    /// All time is over.
    TimeOver(Index),
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    (prop::collection::vec(1..=3_u32, 1..=4), 1..=3_u64, any::<bool>(), any::<bool>())
        .prop_map(|(workers, studies, quick, holdout)| Setup { workers, studies, quick, holdout })
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        8 => Just(Ending::Scored),
        1 => Just(Ending::Crashed),
        1 => (0..12_u64).prop_map(Ending::Duplicate),
        1 => Just(Ending::OutOfRange),
        2 => (0..6_usize).prop_map(Ending::Behind),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![6 => Just(Answer::Sound), 2 => Just(Answer::Rubbish), 1 => Just(Answer::Hasty)]
}

pub(crate) fn operations() -> impl Strategy<Value = Operation> {
    let index = any::<Index>;
    prop_oneof![
        24 => (index(), ending()).prop_map(|(worker, ending)| Operation::Work(worker, ending)),
        16 => (index(), answer(), any::<bool>())
            .prop_map(|(which, answer, again)| Operation::Plan { which, answer, again }),
        3 => index().prop_map(Operation::Connect),
        3 => index().prop_map(Operation::Disconnect),
        3 => (index(), any::<bool>()).prop_map(|(worker, spool_too)| Operation::Die { worker, spool_too }),
        2 => (index(), ending()).prop_map(|(worker, ending)| Operation::Partition(worker, ending)),
        1 => index().prop_map(Operation::DieThrice),
        4 => index().prop_map(Operation::Receive),
        4 => index().prop_map(Operation::Heartbeat),
        4 => (index(), index()).prop_map(|(worker, lease)| Operation::Start(worker, lease)),
        5 => (index(), index(), ending(), any::<bool>())
            .prop_map(|(worker, lease, ending, lost)| Operation::Finish { worker, lease, ending, lost }),
        4 => index().prop_map(Operation::Offer),
        2 => (index(), index()).prop_map(|(worker, lease)| Operation::Release(worker, lease)),
        2 => (index(), index()).prop_map(|(worker, lease)| Operation::Forget(worker, lease)),
        2 => (index(), index()).prop_map(|(worker, lease)| Operation::Corrupt(worker, lease)),
        3 => index().prop_map(Operation::Replay),
        2 => (index(), any::<bool>()).prop_map(|(worker, on)| Operation::Drain(worker, on)),
        1 => index().prop_map(Operation::Unavailable),
        1 => (index(), index()).prop_map(|(worker, study)| Operation::NotReady(worker, study)),
        5 => prop_oneof![1..9_000_u64, 20_000..44_000_u64, 45_000..100_000_u64].prop_map(Operation::Wait),
        1 => Just(Operation::Restart),
        1 => Just(Operation::Crash),
        1 => index().prop_map(Operation::Extend),
        1 => index().prop_map(Operation::SearchTimeOver),
        1 => index().prop_map(Operation::TimeOver),
    ]
}
