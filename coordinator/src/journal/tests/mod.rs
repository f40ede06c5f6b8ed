//! Tests of the journal, by what they do to it.

mod append;
mod backends;
mod crash;
mod damage;
mod golden;
mod hostile;
mod lock;
mod memory;
pub(super) mod records;
mod snapshots;

use std::future::Future;
use std::path::{Path, PathBuf};

use ar_common::{Attempt, ExperimentId, Seq};
use ar_core::Record;
use tempfile::TempDir;

use super::store::{self, Store};
use super::{Entry, Journal, JournalError, RedbJournal};

const INCARNATION: u64 = 0xfeed_beef_0000_0001;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The record that the tests put at `seq`: of many sizes, and different at every position.
fn sample(seq: u64) -> Record {
    if seq == 1 {
        return Record::StoreMade { format: Record::FORMAT, incarnation: INCARNATION };
    }
    let worker = format!("worker-{seq}-{}", "x".repeat((seq * 37 % 400) as usize));
    Record::Granted {
        experiment: ExperimentId(seq),
        attempt: Attempt(1),
        worker: worker.as_str().into(),
        boot: seq.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        deadline_ms: 60_000,
    }
}

fn samples(first: u64, count: u64) -> Vec<Record> {
    (first..first + count).map(sample).collect()
}

fn entries(journal: &mut dyn Journal) -> Result<Vec<Entry>, JournalError> {
    let mut entries = Vec::new();
    block_on(journal.each(&mut |entry| entries.push(entry)))?;
    Ok(entries)
}

/// Everything in the store of `dir`.
fn read(dir: &Path) -> Result<Vec<Entry>, JournalError> {
    entries(&mut RedbJournal::open(dir, 99)?)
}

/// The sample records from the first to `last`.
fn expected(last: u64) -> Vec<Entry> {
    (1..=last).map(|seq| Entry { seq: Seq(seq), record: sample(seq) }).collect()
}

/// An open journal with sample records to `last`, a few at a time.
fn filled(dir: &Path, last: u64) -> RedbJournal {
    let mut journal = RedbJournal::open(dir, INCARNATION).unwrap();
    let mut next = 2;
    while next <= last {
        let count = (next % 7 + 1).min(last + 1 - next);
        block_on(journal.append(Seq(next), samples(next, count))).unwrap();
        next += count;
    }
    journal
}

/// A closed store with sample records to `last`, and its file.
fn closed(last: u64) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), last));
    let file = dir.path().join(store::NAME);
    (dir, file)
}
