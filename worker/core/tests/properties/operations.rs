//! The alphabet of the stories.

use ar_common::Outcome;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{crashed, done};

/// One thing that happens. Leases are picked among those there are.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A stream opens.
    Connect,
    /// It breaks.
    Disconnect,
    /// The coordinator welcomes, after so many others have reigned.
    Welcome { later: u64 },
    /// A deposed coordinator speaks.
    Deposed(Index),
    /// The coordinator wants a study.
    Prepare(u8),
    /// Its environment stands, or cannot be made.
    Prepared { study: u8, stands: bool },
    /// A lease of an experiment that was planned at some time or other.
    Grant { study: u8, experiment: u64, deadline_ms: u64 },
    /// A grant comes again.
    GrantAgain(Index),
    /// The coordinator takes a lease back.
    Revoke(Index),
    /// The coordinator ends a lease.
    Cancel(Index),
    /// The coordinator answers a result that was offered.
    Answer { which: Index, ack: bool },
    /// A process has started.
    Started(Index),
    /// Its matrix is known, and the scores of its first folds.
    Matrix(Index, u8),
    /// It is gone.
    End(Index, Outcome),
    /// It is gone with its server.
    Lost(Index),
    /// It did not begin: there is no space.
    NoSpace(Index),
    /// What it needs is made ready first.
    Waits(Index),
    /// What it needs is ready.
    Begins(Index),
    /// A result has reached the disk.
    Fsync(Index),
    /// So many may run at once from now on, of those that usually may.
    Capacity(u32),
    /// Time passes.
    Wait(u64),
    /// The worker is to leave.
    Drain(u64),
    /// The worker's process dies; another starts with what is on the disk.
    Die,
}

pub(crate) fn operations() -> impl Strategy<Value = Operation> {
    let index = any::<Index>;
    let outcome =
        prop_oneof![4 => (0..100_u32).prop_map(|n| done(f64::from(n) / 100.0)), 1 => Just(crashed())];
    prop_oneof![
        24 => Just(Operation::Connect),
        2 => Just(Operation::Disconnect),
        24 => prop_oneof![3 => Just(0), 1 => 1..3_u64].prop_map(|later| Operation::Welcome { later }),
        1 => index().prop_map(Operation::Deposed),
        18 => (0..2_u8).prop_map(Operation::Prepare),
        24 => (0..2_u8, prop::bool::weighted(0.8)).prop_map(|(study, stands)| Operation::Prepared { study, stands }),
        84 => (0..2_u8, 1..40_u64, prop_oneof![2_000..9_000_u64, Just(60_000)])
            .prop_map(|(study, experiment, deadline_ms)| Operation::Grant { study, experiment, deadline_ms }),
        6 => index().prop_map(Operation::GrantAgain),
        12 => index().prop_map(Operation::Revoke),
        18 => index().prop_map(Operation::Cancel),
        60 => (index(), any::<bool>()).prop_map(|(which, ack)| Operation::Answer { which, ack }),
        36 => index().prop_map(Operation::Started),
        36 => (index(), 0..6_u8).prop_map(|(which, hash)| Operation::Matrix(which, hash)),
        72 => (index(), outcome).prop_map(|(which, outcome)| Operation::End(which, outcome)),
        18 => index().prop_map(Operation::Lost),
        6 => index().prop_map(Operation::NoSpace),
        6 => index().prop_map(Operation::Waits),
        18 => index().prop_map(Operation::Begins),
        72 => index().prop_map(Operation::Fsync),
        12 => (0..4_u32).prop_map(Operation::Capacity),
        36 => prop_oneof![1..3_000_u64, 3_000..70_000_u64].prop_map(Operation::Wait),
        1 => prop_oneof![0..5_000_u64, 5_000..90_000_u64].prop_map(Operation::Drain),
        1 => Just(Operation::Die),
    ]
}
