//! A journal in memory, for tests and the simulation.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ar_common::Seq;
use ar_core::Record;

use super::{BoxFuture, Entry, Journal, JournalError};

/// What becomes of the records of an append that is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// They are not there, as when the disk is full.
    Lost,
    /// They are there all the same, as when the answer of a store is lost.
    Kept,
}

#[derive(Debug, Default)]
struct Shared {
    records: Vec<Record>,
    fail_next: Option<Failure>,
}

/// Records in a `Vec` that outlives the handle, so that a restart can replay them.
#[derive(Debug)]
pub struct MemoryJournal {
    shared: Arc<Mutex<Shared>>,
    stopped: bool,
}

impl MemoryJournal {
    /// A new store, with the record that says so.
    pub fn new(incarnation: u64) -> Self {
        let made = Record::StoreMade { format: Record::FORMAT, incarnation };
        let shared = Shared { records: vec![made], fail_next: None };
        Self { shared: Arc::new(Mutex::new(shared)), stopped: false }
    }

    /// The same store, as the next process opens it.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), stopped: false }
    }

    /// Makes the next append, by whichever handle, fail.
    pub fn fail_next(&self, failure: Failure) {
        self.lock().fail_next = Some(failure);
    }

    /// Everything that is durable, for a test to look at.
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&mut self, first: Seq, records: Vec<Record>) -> Result<(), JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped { dir: PathBuf::from("memory") });
        }
        let mut shared = self.lock();
        let expected = Seq(shared.records.len() as u64 + 1);
        if first != expected {
            return Err(JournalError::NotNext { expected, got: first });
        }
        let failure = shared.fail_next.take();
        if failure != Some(Failure::Lost) {
            shared.records.extend(records);
        }
        drop(shared);
        if failure.is_some() {
            self.stopped = true;
            return Err(JournalError::NoSpace { dir: PathBuf::from("memory") });
        }
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn append<'a>(&'a mut self, first: Seq, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move { self.append_now(first, records) })
    }

    fn each<'a>(
        &'a mut self,
        visit: &'a mut (dyn FnMut(Entry) + Send),
    ) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move {
            for (index, record) in self.records().into_iter().enumerate() {
                visit(Entry { seq: Seq(index as u64 + 1), record });
            }
            Ok(())
        })
    }
}
