//! The journal of one machine: a folder with `journal.redb`, `journal.tail` and `store.lock`.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use ar_common::Seq;
use ar_core::{Record, State};
use tokio::sync::oneshot;

use super::error::JournalError;
use super::lock::StoreLock;
use super::store::{self, Batch, Store};
use super::tail::{self, Tail};
use super::{BoxFuture, Entry, Journal, files};

/// The embedded journal. It holds the store's lock until it is dropped, which waits for the batch in
/// flight.
#[derive(Debug)]
pub struct RedbJournal {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// The position of the last record when it was opened: a replay must come that far.
    found: Seq,
    // The order matters: the database is closed before the lock is given up.
    store: Arc<Store>,
    _lock: StoreLock,
}

impl RedbJournal {
    /// Opens the store in `dir`, and makes it with `incarnation`, drawn at random, if there is none.
    pub fn open(dir: &Path, incarnation: u64) -> Result<Self, JournalError> {
        files::make_private_dir(dir).map_err(|e| JournalError::io("make", dir, e))?;
        Self::open_with(dir, Some(incarnation))
    }

    /// Opens the store in `dir`; there must be one.
    pub fn open_existing(dir: &Path) -> Result<Self, JournalError> {
        if !dir.join(store::NAME).exists() && !Tail::exists(dir) {
            return Err(JournalError::NoStore { dir: dir.to_owned() });
        }
        Self::open_with(dir, None)
    }

    fn open_with(dir: &Path, incarnation: Option<u64>) -> Result<Self, JournalError> {
        let lock = StoreLock::take(dir)?;
        let file = dir.join(store::NAME);
        let there = file.try_exists().map_err(|e| JournalError::io("open", &file, e))?;
        match (there, Tail::exists(dir), incarnation) {
            (true, _, _) => {}
            (false, true, _) => {
                let what = format!("it is gone, though {} beside it says that it was there", tail::NAME);
                return Err(JournalError::damaged(&file, what));
            }
            (false, false, Some(incarnation)) => {
                Store::make(dir, &Record::StoreMade { format: Record::FORMAT, incarnation })?;
            }
            (false, false, None) => return Err(JournalError::NoStore { dir: dir.to_owned() }),
        }
        let store = Arc::new(Store::open(dir)?);
        let found = store.last()?;
        let tail = open_tail(dir, &file, found)?;
        Self::start(store, tail, found, lock)
    }

    /// Visits every record from the start, in order. Blocks.
    pub fn each(&mut self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        let last = self.store.each(visit)?;
        if last < self.found {
            let what =
                format!("it ends at record {last}, but record {} was there when it was opened", self.found);
            return Err(JournalError::damaged(self.store.file(), what));
        }
        Ok(())
    }

    /// Folds every record from the start, in order. Blocks.
    pub fn replay(&mut self) -> Result<State, JournalError> {
        let mut state = State::default();
        self.each(&mut |entry| state.apply(&entry.record))?;
        Ok(state)
    }

    /// Starts the thread that writes.
    fn start(store: Arc<Store>, tail: Tail, found: Seq, lock: StoreLock) -> Result<Self, JournalError> {
        let (requests, receiver) = mpsc::channel();
        let writer = Writer { store: Arc::clone(&store), tail, last: found, stopped: false };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let writer = thread
            .spawn(move || writer.run(&receiver))
            .map_err(|e| JournalError::io("start a thread for", store.file(), e))?;
        Ok(Self { requests: Some(requests), writer: Some(writer), found, store, _lock: lock })
    }

    #[cfg(test)]
    pub(super) fn over(store: Store, dir: &Path) -> Result<Self, JournalError> {
        let lock = StoreLock::take(dir)?;
        let found = store.last()?;
        let tail = open_tail(dir, store.file(), found)?;
        Self::start(Arc::new(store), tail, found, lock)
    }

    fn stopped(&self) -> JournalError {
        JournalError::Stopped { dir: self.store.file().parent().unwrap_or(self.store.file()).to_owned() }
    }
}

/// Opens the tail and holds the journal against it.
fn open_tail(dir: &Path, file: &Path, found: Seq) -> Result<Tail, JournalError> {
    let path = dir.join(tail::NAME);
    let io = |error| JournalError::io("write", &path, error);
    let mut tail = Tail::open(dir).map_err(io)?;
    match tail.read().map_err(io)? {
        Some(acknowledged) if acknowledged > found => {
            let what = format!("it ends at record {found}, but {acknowledged} records were acknowledged");
            return Err(JournalError::damaged(file, what));
        }
        Some(_) => {}
        // New, or hurt by itself: the journal has been checked, and this is only a second look.
        None => tracing::debug!(file = %path.display(), "writing the position of the last record anew"),
    }
    tail.settle(found).map_err(io)?;
    Ok(tail)
}

impl Journal for RedbJournal {
    fn append<'a>(&'a mut self, first: Seq, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let request = Request { first, records, done };
            let Some(Ok(())) = self.requests.as_ref().map(|requests| requests.send(request)) else {
                return Err(self.stopped());
            };
            answer.await.unwrap_or_else(|_| Err(self.stopped()))
        })
    }

    fn each<'a>(
        &'a mut self,
        visit: &'a mut (dyn FnMut(Entry) + Send),
    ) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move { RedbJournal::each(self, visit) })
    }
}

impl Drop for RedbJournal {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // Its panics have been caught; should one have got through, there is nothing to add.
            let _ = writer.join();
        }
    }
}

#[derive(Debug)]
struct Request {
    first: Seq,
    records: Vec<Record>,
    done: oneshot::Sender<Result<(), JournalError>>,
}

/// What the thread owns that writes.
#[derive(Debug)]
struct Writer {
    store: Arc<Store>,
    tail: Tail,
    last: Seq,
    stopped: bool,
}

impl Writer {
    fn run(mut self, requests: &mpsc::Receiver<Request>) {
        for request in requests {
            let result = self.append(request.first, &request.records);
            // Whoever asked may have gone; the records stay.
            let _ = request.done.send(result);
        }
        if !self.stopped
            && let Err(error) = self.tail.settle(self.last)
        {
            tracing::debug!(%error, "the position of the last record is not durable");
        }
    }

    fn append(&mut self, first: Seq, records: &[Record]) -> Result<(), JournalError> {
        if self.stopped {
            let file = self.store.file();
            return Err(JournalError::Stopped { dir: file.parent().unwrap_or(file).to_owned() });
        }
        if first != self.last.next() {
            return Err(JournalError::NotNext { expected: self.last.next(), got: first });
        }
        if records.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(first, records)?;
        if let Err(error) = self.store.write(&batch) {
            self.stopped = true;
            return Err(error);
        }
        self.last = Seq(batch.after().0 - 1);
        // The records are durable; a tail that stays behind only sees less.
        if let Err(error) = self.tail.write(self.last) {
            tracing::debug!(%error, "the position of the last record was not written");
        }
        Ok(())
    }
}
