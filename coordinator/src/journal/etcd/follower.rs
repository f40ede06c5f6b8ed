//! Reading the journal in etcd: from the start, or on and on, by whoever stands by.

use std::convert::Infallible;
use std::time::Duration;

use ar_common::Seq;
use ar_core::State;
use etcd_client::{Client, GetOptions, WatchOptions};

use super::batch::{Head, Joiner};
use crate::etcd::Etcd;
use crate::journal::envelope::Unreadable;
use crate::journal::{Entry, JournalError, Pointer, Snapshots};

/// Keys in one answer; each is under 1 MiB.
const PAGE: i64 = 64;
/// A watch that died without a word costs a follower this much.
const LOOK: Duration = Duration::from_secs(5);

/// The head as etcd has it: its revision is 0 where there is none.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) last: Seq,
    pub(super) revision: i64,
}

/// Reads the head.
pub(super) async fn head(etcd: &mut Etcd) -> Result<Found, JournalError> {
    let answer = etcd.get(etcd.keys.head(), None).await?;
    let Some(key) = answer.kvs().first() else { return Ok(Found { last: Seq(0), revision: 0 }) };
    let head = Head::from_bytes(key.value()).map_err(|why| wrong(etcd, Seq(0), why))?;
    Ok(Found { last: head.last, revision: key.mod_revision() })
}

/// Visits the records after `after` up to `last`, which are there for good: no revision need be pinned,
/// and a read that takes long is not overtaken by etcd's own compaction.
pub(super) async fn read(
    etcd: &mut Etcd,
    after: Seq,
    last: Seq,
    visit: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), JournalError> {
    let mut next = after.next();
    let mut joiner = Joiner::default();
    let mut from = etcd.keys.from(next);
    let end = etcd.keys.from(last.next());
    while next <= last {
        let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
        let page = etcd.get(from.clone(), Some(options)).await?;
        for key in page.kvs() {
            let entries = joiner.take(next, key.value()).map_err(|(seq, why)| wrong(etcd, seq, why))?;
            for entry in entries.into_iter().flatten() {
                next = entry.seq.next();
                visit(entry);
            }
        }
        match page.kvs().last() {
            Some(key) if page.more() => from = format!("{}\0", String::from_utf8_lossy(key.key())),
            _ => break,
        }
    }
    if next != last.next() || joiner.waits() {
        let what = format!("it is missing, though the head says that {last} was written");
        return Err(wrong(etcd, next, Unreadable::Damaged(what)));
    }
    Ok(())
}

/// Reads which snapshot a replay begins with.
pub(super) async fn pointer(etcd: &mut Etcd) -> Result<Option<Pointer>, JournalError> {
    let answer = etcd.get(etcd.keys.snapshot(), None).await?;
    let Some(key) = answer.kvs().first() else { return Ok(None) };
    let damaged =
        |what| wrong(etcd, Seq(0), Unreadable::Damaged(format!("the name of its snapshot: {what}")));
    Pointer::from_bytes(key.value()).map(Some).map_err(damaged)
}

/// Brings a state to `last`: from the snapshot if that is newer than what the state has seen, then record by record. A leader may
/// shorten the journal meanwhile; then it is the newer snapshot that goes on.
pub(super) async fn fold(
    etcd: &mut Etcd,
    snapshots: &Snapshots,
    state: &mut State,
    last: Seq,
) -> Result<(), JournalError> {
    let mut begun = None;
    loop {
        let pointer = pointer(etcd).await?;
        let read = match pointer.as_ref().filter(|pointer| pointer.seq > state.seq) {
            Some(pointer) => load(snapshots, pointer).await.map(|loaded| *state = loaded),
            None => Ok(()),
        };
        let read = match read {
            Ok(()) if state.seq >= last => Ok(()),
            Ok(()) => read_on(etcd, state, last).await,
            failed => failed,
        };
        // What is missing may have gone rightly since: then the name of the snapshot is another one.
        if read.is_ok() || pointer == begun && begun.is_some() || pointer.is_none() {
            return read;
        }
        begun = pointer;
    }
}

async fn read_on(etcd: &mut Etcd, state: &mut State, last: Seq) -> Result<(), JournalError> {
    read(etcd, state.seq, last, &mut |entry| state.apply(&entry.record)).await
}

async fn load(snapshots: &Snapshots, pointer: &Pointer) -> Result<State, JournalError> {
    let (snapshots, pointer) = (snapshots.clone(), pointer.clone());
    let stopped = snapshots.folder.clone();
    let loading = tokio::task::spawn_blocking(move || snapshots.load(&pointer));
    loading.await.unwrap_or(Err(JournalError::Stopped { dir: stopped }))
}

pub(super) fn wrong(etcd: &Etcd, seq: Seq, why: Unreadable) -> JournalError {
    let place = etcd.keys.place();
    match why {
        Unreadable::Damaged(what) => JournalError::DamagedInEtcd { place, seq, what },
        Unreadable::Newer(what) => JournalError::Newer { file: place, seq, what },
    }
}

/// Keeps the state of a journal that another coordinator writes.
#[derive(Debug)]
pub struct Follower {
    etcd: Etcd,
    snapshots: Snapshots,
    state: State,
}

impl Follower {
    /// One that has read nothing yet; snapshots are where all coordinators keep them.
    pub fn new(etcd: &Etcd, snapshots: &Snapshots) -> Self {
        Self { etcd: etcd.clone(), snapshots: snapshots.clone(), state: State::default() }
    }

    /// The fold of what it has read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The fold of what it has read.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Reads what has been written so far.
    ///
    /// # Errors
    /// When it cannot be read in full.
    pub async fn catch_up(&mut self) -> Result<(), JournalError> {
        let last = head(&mut self.etcd).await?.last;
        fold(&mut self.etcd, &self.snapshots, &mut self.state, last).await
    }

    /// Reads on for ever. It may be dropped at any time: a batch is folded whole or not at all.
    ///
    /// # Errors
    /// When the journal cannot be read in full.
    pub async fn follow(&mut self) -> Result<Infallible, JournalError> {
        loop {
            self.catch_up().await?;
            // Whatever ends the wait, the head is asked next.
            let _ = tokio::time::timeout(LOOK, self.moved()).await;
        }
    }

    /// Waits until the head moves, if the watch holds; a moment where it does not.
    async fn moved(&mut self) {
        let Ok(seen) = head(&mut self.etcd).await else { return };
        if seen.last != self.state.seq {
            return;
        }
        let key = self.etcd.keys.head();
        let options = WatchOptions::new().with_start_revision(seen.revision + 1);
        let watch = async |mut client: Client| {
            let mut stream = client.watch(key.clone(), Some(options.clone())).await?;
            while let Some(answer) = stream.message().await? {
                if answer.canceled() || !answer.events().is_empty() {
                    break;
                }
            }
            Ok::<_, etcd_client::Error>(())
        };
        if self.etcd.once(watch).await.is_err() {
            self.etcd.leave();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
