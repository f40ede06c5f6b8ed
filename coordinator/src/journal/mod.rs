//! The journal: the durable, ordered record of the coordinator, and its only truth.
//!
//! [`RedbJournal`] keeps it in one folder of one machine, [`EtcdJournal`] in the etcd of a cluster;
//! [`MemoryJournal`] keeps it in memory for tests and the simulation. What a record *means* is not known here: [`ar_core::State`] folds it.
//!
//! *Architecture Invariant:* a journal that cannot be read in full is an error that says what is
//! wrong. Nothing here drops, skips or repairs a record.

mod embedded;
mod envelope;
mod error;
mod etcd;
mod files;
mod identity;
mod lock;
mod memory;
mod moved;
mod quiet;
mod snapshot;
mod store;
mod tail;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use ar_common::{Epoch, Seq};
use ar_core::{Record, State};

pub use embedded::RedbJournal;
pub use error::JournalError;
pub use etcd::{EtcdJournal, Follower};
pub use memory::{Failure, MemoryJournal};
pub use snapshot::{Pointer, Snapshots};

/// A future that the trait's callers may hold without knowing the store.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its position, from 1 without gaps.
    pub seq: Seq,
    /// What happened.
    pub record: Record,
}

/// A durable sequence of records.
pub trait Journal: Send {
    /// Makes `records` durable as `first`, `first + 1`, ...; all of them or none. `first` must follow
    /// the last record. Once the future is `Ok` they survive a crash and a power cut.
    ///
    /// After an error it is not known whether they are there, so this journal takes no more: open it
    /// again and replay. Only [`JournalError::NotNext`] leaves it usable. A dropped future does not
    /// take its records back.
    fn append<'a>(&'a mut self, first: Seq, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>>;

    /// Visits every record after the snapshot, or from the start where there is none, in order. May block; meant for the start of
    /// a process.
    fn each<'a>(
        &'a mut self,
        visit: &'a mut (dyn FnMut(Entry) + Send),
    ) -> BoxFuture<'a, Result<(), JournalError>>;

    /// The snapshot, with every record after it folded in, in order. May block; meant for the start of a process.
    fn replay(&mut self) -> BoxFuture<'_, Result<State, JournalError>> {
        Box::pin(async move {
            let mut state = State::default();
            self.each(&mut |entry| state.apply(&entry.record)).await?;
            Ok(state)
        })
    }

    /// Where snapshots are kept; a journal that keeps none holds every record for ever.
    fn snapshots(&self) -> Option<Snapshots> {
        None
    }

    /// The position of the snapshot that a replay would begin with; 0 where there is none.
    fn snapshot_at(&self) -> Seq {
        Seq(0)
    }

    /// From now on a replay begins with this snapshot; the records that are folded into it can go, with [`Journal::trim`]. It must
    /// be of the last record of a batch, and durable.
    fn compact(&mut self, _snapshot: Pointer) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async { Ok(()) })
    }

    /// Removes some of the records that the snapshot made superfluous: few enough not to hold anybody up. Whether there are more.
    fn trim(&mut self) -> BoxFuture<'_, Result<bool, JournalError>> {
        Box::pin(async { Ok(false) })
    }

    /// Whether the store is a copy of what it was when it was last written: a backup that was restored, or a folder that was moved.
    /// Leases that were granted after the backup was made must not be taken for those that are granted from now on.
    fn is_restored(&self) -> bool {
        false
    }

    /// The epoch of the reign for which it was opened, where the store knows one: where coordinators
    /// are elected. Others count.
    fn epoch(&self) -> Option<Epoch> {
        None
    }
}
