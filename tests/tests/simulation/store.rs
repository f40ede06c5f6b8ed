//! What coordinators write to: a disk that one of them has for itself, or a store that two share behind two fences.

use std::rc::Rc;

use ar_core::Record;

use super::agenda::{BatchId, HeadId};
use super::faults::Mutant;

/// How long a leader key lives without being kept alive, milliseconds.
pub(crate) const LEADER_TTL: u64 = 5_000;
/// How long a leader that hears nothing from the store holds on, milliseconds.
pub(crate) const PATIENCE: u64 = 15_000;
/// How long a request waits for its answer before it is sent again, milliseconds.
pub(crate) const ANSWER: u64 = 1_000;

/// Where the journal is.
#[derive(Debug)]
pub(crate) enum Store {
    /// A file of one coordinator's own.
    Own(Disk),
    /// Shared by two coordinators.
    Shared(Cluster),
}

/// The disk under a journal: what a program wrote, and what is there after a power cut.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Records that were written.
    pub(crate) written: u64,
    /// Those that a power cut leaves.
    synced: u64,
    /// What the file beside the journal says was acknowledged.
    tail: u64,
    /// A batch was cut short as the power failed.
    pub(crate) torn: bool,
    /// It lost what it had said was there.
    pub(crate) lied: bool,
}

impl Disk {
    /// With the record that says that the store was made.
    pub(crate) fn made() -> Self {
        Self { written: 1, synced: 1, tail: 1, torn: false, lied: false }
    }

    /// Takes a batch; durable on return, if it is synced.
    pub(crate) fn write(&mut self, records: u64, sync: bool) {
        self.written += records;
        if sync {
            self.synced = self.written;
        }
    }

    /// The position of the last record is written beside the journal, after the journal.
    pub(crate) fn acknowledge(&mut self) {
        self.tail = self.written;
    }

    /// What was written and not synced is gone.
    pub(crate) fn lose_power(&mut self) {
        self.written = self.synced;
        self.tail = self.tail.min(self.synced);
    }

    /// The file loses its end, as when an older copy takes its place; what stands beside it does not. How many are gone.
    pub(crate) fn lose_end(&mut self, records: u64) -> u64 {
        let lost = records.min(self.written.saturating_sub(1));
        self.written -= lost;
        self.synced = self.synced.min(self.written);
        self.lied |= lost > 0;
        lost
    }

    /// How many records there are; nothing if some are missing that were acknowledged.
    pub(crate) fn open(&mut self, mutant: Option<Mutant>) -> Option<u64> {
        let missing = self.tail > self.written && mutant != Some(Mutant::NoTail);
        (!missing).then_some(self.written)
    }
}

/// A batch on its way to a shared store, with what must still hold when it gets there.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) head: HeadId,
    pub(crate) id: BatchId,
    pub(crate) records: Rc<[Record]>,
    /// Where in the journal it belongs.
    pub(crate) first: u64,
    /// The create_revision of its leader key.
    pub(crate) epoch: u64,
    /// The mod_revision of the journal's head.
    pub(crate) revision: u64,
}

/// What the store says to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is there; the journal's head has this mod_revision since.
    Written(u64),
    /// Another leads, or nobody.
    NotLeader,
    /// It leads, and somebody else has moved the head.
    Moved,
}

/// The right to lead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaderKey {
    pub(crate) created: u64,
    pub(crate) holder: HeadId,
    expires: u64,
}

/// The keys that matter, as etcd has them.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    revision: u64,
    key: Option<LeaderKey>,
    /// The journal's head: when it was moved last, and by which batch.
    moved: u64,
    batch: BatchId,
}

impl Cluster {
    pub(crate) fn leader(&self, now: u64) -> Option<LeaderKey> {
        self.key.filter(|key| key.expires > now)
    }

    /// Takes the leader key if nobody has it.
    pub(crate) fn elect(&mut self, holder: HeadId, now: u64) -> Option<LeaderKey> {
        if self.leader(now).is_some() {
            return None;
        }
        self.revision += 1;
        self.key = Some(LeaderKey { created: self.revision, holder, expires: now + LEADER_TTL });
        self.key
    }

    /// Keeps the key of that reign alive; whether it still was.
    pub(crate) fn keep(&mut self, created: u64, now: u64) -> bool {
        let alive = self.leader(now).is_some_and(|key| key.created == created);
        if let Some(key) = self.key.as_mut().filter(|_| alive) {
            key.expires = now + LEADER_TTL;
        }
        alive
    }

    /// Nobody leads any more.
    pub(crate) fn depose(&mut self) {
        self.key = None;
    }

    /// The mod_revision of the journal's head.
    pub(crate) fn head(&self) -> u64 {
        self.moved
    }

    /// The batch that moved it.
    pub(crate) fn last_batch(&self) -> BatchId {
        self.batch
    }

    /// Takes a batch behind both fences: what it answers, and whether the batch has been committed by this.
    pub(crate) fn write(&mut self, write: &Write, now: u64, mutant: Option<Mutant>) -> (Answer, bool) {
        let leads = self.leader(now).is_some_and(|key| key.created == write.epoch);
        let first = leads || mutant == Some(Mutant::NoEpochFence);
        let second = self.moved == write.revision || mutant == Some(Mutant::NoHeadFence);
        if first && second {
            self.revision += 1;
            (self.moved, self.batch) = (self.revision, write.id);
            return (Answer::Written(self.moved), true);
        }
        let answer = match leads {
            // It had been committed, and the answer was lost.
            _ if self.batch == write.id => Answer::Written(self.moved),
            true => Answer::Moved,
            false => Answer::NotLeader,
        };
        (answer, false)
    }
}
