//! The journal of one machine: a folder with `journal.redb`, `journal.tail`, `journal.identity`, `store.lock` and `snapshots/`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use ar_common::Seq;
use ar_core::{Record, State};
use tokio::sync::oneshot;

use super::error::JournalError;
use super::lock::StoreLock;
use super::store::{self, Batch, Store};
use super::tail::{self, Tail};
use super::{BoxFuture, Entry, Journal, Pointer, Snapshots, files, identity, moved};

/// The embedded journal. It holds the store's lock until it is dropped, which waits for the batch in
/// flight.
#[derive(Debug)]
pub struct RedbJournal {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// The position of the last record when it was opened: a replay must come that far.
    found: Seq,
    /// The one that a replay begins with.
    snapshot: Option<Pointer>,
    snapshots: Snapshots,
    restored: bool,
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

    /// Makes a store in `dir` that goes on from a snapshot, with its first record. One that was moved away from there is set aside
    /// under another name.
    pub fn begin_with(dir: &Path, snapshot: &Pointer, first: &Record) -> Result<(), JournalError> {
        let _lock = StoreLock::take(dir)?;
        let file = dir.join(store::NAME);
        if file.exists() {
            if moved::target(dir).is_none() {
                return Err(JournalError::Occupied { dir: dir.to_owned() });
            }
            std::fs::rename(&file, moved::aside(dir, store::NAME))
                .map_err(|e| JournalError::io("set aside", &file, e))?;
        }
        for name in [tail::NAME, identity::NAME] {
            match std::fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(JournalError::io("remove", &dir.join(name), error));
                }
                _ => {}
            }
        }
        Store::make(dir, Some(snapshot), first)?;
        moved::clear(dir)
    }

    /// Writes down that the store is elsewhere now; nobody opens it here any more.
    pub fn leave_for(&self, to: &str) -> Result<(), JournalError> {
        moved::mark(self.store.file().parent().unwrap_or(self.store.file()), to)
    }

    fn open_with(dir: &Path, incarnation: Option<u64>) -> Result<Self, JournalError> {
        let lock = StoreLock::take(dir)?;
        if let Some(to) = moved::target(dir) {
            return Err(JournalError::Moved { dir: dir.to_owned(), to });
        }
        let file = dir.join(store::NAME);
        let there = file.try_exists().map_err(|e| JournalError::io("open", &file, e))?;
        match (there, Tail::exists(dir), incarnation) {
            (true, _, _) => {}
            (false, true, _) => {
                let what = format!("it is gone, though {} beside it says that it was there", tail::NAME);
                return Err(JournalError::damaged(&file, what));
            }
            (false, false, Some(incarnation)) => {
                Store::make(dir, None, &Record::StoreMade { format: Record::FORMAT, incarnation })?;
            }
            (false, false, None) => return Err(JournalError::NoStore { dir: dir.to_owned() }),
        }
        let store = Arc::new(Store::open(dir)?);
        Self::over(store, dir, lock)
    }

    /// With a snapshot after so many records, at least.
    #[must_use]
    pub fn with_snapshot_every(mut self, records: u64) -> Self {
        self.snapshots.every = records;
        self
    }

    /// Visits every record after the snapshot, or from the start where there is none, in order. Blocks.
    pub fn each(&mut self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        let last = self.store.each(self.snapshot_seq(), visit)?;
        if last < self.found {
            let what =
                format!("it ends at record {last}, but record {} was there when it was opened", self.found);
            return Err(JournalError::damaged(self.store.file(), what));
        }
        Ok(())
    }

    /// The snapshot with every record after it folded in, in order. Blocks.
    pub fn replay(&mut self) -> Result<State, JournalError> {
        let mut state = match &self.snapshot {
            Some(pointer) => self.snapshots.load(pointer)?,
            None => State::default(),
        };
        self.each(&mut |entry| state.apply(&entry.record))?;
        Ok(state)
    }

    fn snapshot_seq(&self) -> Seq {
        self.snapshot.as_ref().map_or(Seq(0), |pointer| pointer.seq)
    }

    /// Starts the thread that writes.
    fn start(store: Arc<Store>, tail: Tail, dir: &Path, lock: StoreLock) -> Result<Self, JournalError> {
        let (found, snapshot) = (store.last()?, store.snapshot()?);
        let restored = identity::is_another(dir, store.file());
        let (requests, receiver) = mpsc::channel();
        let writer = Writer {
            store: Arc::clone(&store),
            dir: Some(dir.to_owned()),
            tail,
            last: found,
            stopped: false,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let writer = thread
            .spawn(move || writer.run(&receiver))
            .map_err(|e| JournalError::io("start a thread for", store.file(), e))?;
        Ok(Self {
            requests: Some(requests),
            writer: Some(writer),
            found,
            snapshot,
            snapshots: Snapshots::of(dir),
            restored,
            store,
            _lock: lock,
        })
    }

    /// The journal over an open database.
    pub(super) fn over(store: Arc<Store>, dir: &Path, lock: StoreLock) -> Result<Self, JournalError> {
        let found = store.last()?;
        let tail = open_tail(dir, store.file(), found)?;
        Self::start(store, tail, dir, lock)
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Hands the thread that writes a request, and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Request,
    ) -> Result<T, JournalError> {
        let (done, answer) = oneshot::channel();
        let Some(Ok(())) = self.requests.as_ref().map(|requests| requests.send(request(done))) else {
            return Err(self.stopped());
        };
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
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
        Box::pin(async move { self.ask(|done| Request::Append { first, records, done }).await })
    }

    fn each<'a>(
        &'a mut self,
        visit: &'a mut (dyn FnMut(Entry) + Send),
    ) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move { RedbJournal::each(self, visit) })
    }

    fn replay(&mut self) -> BoxFuture<'_, Result<State, JournalError>> {
        Box::pin(async move { RedbJournal::replay(self) })
    }

    fn snapshots(&self) -> Option<Snapshots> {
        Some(self.snapshots.clone())
    }

    fn snapshot_at(&self) -> Seq {
        self.snapshot_seq()
    }

    fn compact(&mut self, snapshot: Pointer) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            let named = snapshot.clone();
            self.ask(|done| Request::Point { snapshot: named, done }).await?;
            self.snapshots.tidy(&snapshot);
            self.snapshot = Some(snapshot);
            Ok(())
        })
    }

    fn trim(&mut self) -> BoxFuture<'_, Result<bool, JournalError>> {
        let upto = self.snapshot_seq();
        Box::pin(async move { self.ask(|done| Request::Trim { upto, done }).await })
    }

    fn is_restored(&self) -> bool {
        self.restored
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

/// What the thread is asked to do; whoever asked may be gone when it is done.
#[derive(Debug)]
enum Request {
    Append { first: Seq, records: Vec<Record>, done: oneshot::Sender<Result<(), JournalError>> },
    Point { snapshot: Pointer, done: oneshot::Sender<Result<(), JournalError>> },
    Trim { upto: Seq, done: oneshot::Sender<Result<bool, JournalError>> },
}

/// What the thread owns that writes.
#[derive(Debug)]
struct Writer {
    store: Arc<Store>,
    /// Where the identity is written, until it is.
    dir: Option<PathBuf>,
    tail: Tail,
    last: Seq,
    stopped: bool,
}

impl Writer {
    fn run(mut self, requests: &mpsc::Receiver<Request>) {
        for request in requests {
            match request {
                Request::Append { first, records, done } => drop(done.send(self.append(first, &records))),
                Request::Point { snapshot, done } => {
                    drop(done.send(self.guarded(|store| store.point(&snapshot))));
                }
                Request::Trim { upto, done } => drop(done.send(self.guarded(|store| store.trim(upto)))),
            }
        }
        if !self.stopped
            && let Err(error) = self.tail.settle(self.last)
        {
            tracing::debug!(%error, "the position of the last record is not durable");
        }
    }

    /// Does something to the store, unless an earlier write failed. One that fails stops all.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&Store) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if self.stopped {
            let file = self.store.file();
            return Err(JournalError::Stopped { dir: file.parent().unwrap_or(file).to_owned() });
        }
        let done = work(&self.store);
        self.stopped = done.is_err();
        done
    }

    fn append(&mut self, first: Seq, records: &[Record]) -> Result<(), JournalError> {
        self.guarded(|_| Ok(()))?;
        if first != self.last.next() {
            return Err(JournalError::NotNext { expected: self.last.next(), got: first });
        }
        if records.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(first, records)?;
        self.guarded(|store| store.write(&batch))?;
        self.last = Seq(batch.after().0 - 1);
        if let Some(dir) = self.dir.take()
            && let Err(error) = identity::settle(&dir, self.store.file())
        {
            tracing::warn!(%error, "which file the journal is cannot be written down; a copy will not be told from it");
        }
        // The records are durable; a tail that stays behind only sees less.
        if let Err(error) = self.tail.write(self.last) {
            tracing::debug!(%error, "the position of the last record was not written");
        }
        Ok(())
    }
}
