//! The journal of a cluster, in etcd. Two fences stand before every write: the leader key must still
//! be the one of this reign (its create_revision), and the head must be where this coordinator left it.
//!
//! A transaction that got no answer is sent again as it is. If it had been committed, the second one
//! fails at the head, and the head names the batch that moved it: one's own means committed. So a
//! batch is there once, whatever the network does. A batch that needs several transactions is there
//! when the head moves, which only the last one does; what a fallen leader left above the head is
//! removed by the next, and no reader looks there.

mod batch;
mod follower;
mod origin;

use ar_common::{Epoch, Seq};
use ar_core::{Record, State};
use etcd_client::{
    Compare, CompareOp, DeleteOptions, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use super::envelope::Unreadable;
use super::{BoxFuture, Entry, Journal, JournalError, Pointer, Snapshots};
use crate::election::{Leadership, Lost};
use crate::etcd::{self, Etcd};
use batch::{Batch, Head};
pub use follower::Follower;
use follower::{Found, fold, head, pointer, read, wrong};
use origin::Origin;

/// Keys that are removed in one transaction.
const SLICE: i64 = 256;

/// The journal of a cluster, for as long as this coordinator leads it.
#[derive(Debug)]
pub struct EtcdJournal {
    etcd: Etcd,
    epoch: Epoch,
    lost: Lost,
    head: Found,
    snapshots: Snapshots,
    /// The last record of the snapshot that a replay begins with.
    snapshot: Seq,
    /// What was read while standing by; the next replay goes on from there.
    warm: Option<Follower>,
    restored: bool,
    /// Which etcd this is, until the journal says it: with the next record, which tells of a restored one.
    origin: Option<String>,
    stopped: bool,
}

impl EtcdJournal {
    /// Opens it for writing. `warm` is what this coordinator has read while it stood by.
    ///
    /// # Errors
    /// When this coordinator does not lead any more, or the head cannot be read.
    pub async fn open(
        etcd: &Etcd,
        leadership: &Leadership,
        snapshots: &Snapshots,
        warm: Option<Follower>,
    ) -> Result<Self, JournalError> {
        let mut journal = Self {
            etcd: etcd.clone(),
            epoch: leadership.epoch(),
            lost: leadership.watch(),
            head: Found { last: Seq(0), revision: 0 },
            snapshots: snapshots.clone(),
            snapshot: Seq(0),
            warm,
            restored: false,
            origin: None,
            stopped: false,
        };
        journal.head = or_lost(journal.lost.clone(), head(&mut journal.etcd)).await?;
        let origin = or_lost(journal.lost.clone(), Origin::of(&mut journal.etcd)).await?;
        journal.restored = origin.is_another();
        journal.origin = origin.news();
        // Parts of a batch that an earlier leader could not finish must not stand among the next one's.
        let (from, end) = (journal.etcd.keys.from(journal.head.last.next()), journal.etcd.keys.end());
        let rest = TxnOp::delete(from, Some(DeleteOptions::new().with_range(end)));
        journal.write(vec![rest], None).await?;
        let lost = journal.lost.clone();
        let named = or_lost(lost.clone(), pointer(&mut journal.etcd)).await?;
        journal.snapshot = named.map_or(Seq(0), |pointer| pointer.seq);
        or_lost(lost, journal.check_place()).await?;
        Ok(journal)
    }

    /// Refuses a store that was moved elsewhere.
    async fn check_place(&mut self) -> Result<(), JournalError> {
        let answer = self.etcd.get(self.etcd.keys.moved(), None).await?;
        match answer.kvs().first() {
            None => Ok(()),
            Some(key) => Err(JournalError::MovedFromEtcd {
                place: self.etcd.keys.place(),
                key: self.etcd.keys.moved(),
                to: String::from_utf8_lossy(key.value()).chars().filter(|c| !c.is_control()).collect(),
            }),
        }
    }

    /// The position of the last record.
    pub fn last(&self) -> Seq {
        self.head.last
    }

    /// Begins the journal with a snapshot that came from elsewhere; nothing may be there yet.
    ///
    /// # Errors
    /// When there is a journal, or it cannot be written.
    pub async fn begin_with(&mut self, snapshot: &Pointer) -> Result<(), JournalError> {
        if self.head.last != Seq(0) {
            return Err(JournalError::NotNext { expected: Seq(1), got: self.head.last });
        }
        let moved = Head::new(snapshot.seq, rand::random());
        let put = TxnOp::put(self.etcd.keys.snapshot(), snapshot.to_bytes(), None);
        let head = TxnOp::put(self.etcd.keys.head(), moved.to_bytes(), None);
        let revision = self.write(vec![put, head], Some(&moved)).await?;
        self.head = Found { last: moved.last, revision };
        self.snapshot = snapshot.seq;
        Ok(())
    }

    /// Writes down that the store is elsewhere now; nobody opens it here any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn leave_for(&mut self, to: &str) -> Result<(), JournalError> {
        let put = TxnOp::put(self.etcd.keys.moved(), to, None);
        self.write(vec![put], None).await.map(drop)
    }

    async fn compact_now(&mut self, snapshot: &Pointer) -> Result<(), JournalError> {
        let put = TxnOp::put(self.etcd.keys.snapshot(), snapshot.to_bytes(), None);
        self.write(vec![put], None).await?;
        self.snapshot = snapshot.seq;
        self.snapshots.tidy(snapshot);
        Ok(())
    }

    async fn trim_now(&mut self) -> Result<bool, JournalError> {
        let keys = &self.etcd.keys;
        let options =
            GetOptions::new().with_range(keys.from(self.snapshot.next())).with_limit(SLICE).with_keys_only();
        let there = self.etcd.get(keys.from(Seq(0)), Some(options)).await?;
        let Some(last) = there.kvs().last() else { return Ok(false) };
        // Up to this key and with it.
        let end = [last.key(), b"\0"].concat();
        let from = self.etcd.keys.from(Seq(0));
        let delete = TxnOp::delete(from, Some(DeleteOptions::new().with_range(end)));
        self.write(vec![delete], None).await?;
        Ok(there.more())
    }

    async fn append_now(&mut self, first: Seq, records: &[Record]) -> Result<(), JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped { dir: self.etcd.keys.place() });
        }
        if first != self.head.last.next() {
            return Err(JournalError::NotNext { expected: self.head.last.next(), got: first });
        }
        if records.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(rand::random(), first, records)?;
        // Until it is known to be there; also where the future is dropped.
        self.stopped = true;
        let moved = Head::new(batch.last, batch.id);
        let count = batch.parts.len();
        for (index, part) in batch.parts.into_iter().enumerate() {
            let put = TxnOp::put(self.etcd.keys.part(first, index), part, None);
            if index + 1 < count {
                self.write(vec![put], None).await?;
            } else {
                let head = TxnOp::put(self.etcd.keys.head(), moved.to_bytes(), None);
                let origin = self.origin.as_deref().map(|now| TxnOp::put(self.etcd.keys.origin(), now, None));
                let ops = [put, head].into_iter().chain(origin).collect();
                let revision = self.write(ops, Some(&moved)).await?;
                self.head = Found { last: moved.last, revision };
                self.origin = None;
            }
        }
        self.stopped = false;
        Ok(())
    }

    /// Does `ops` behind both fences, once. Returns the revision at which they were done.
    async fn write(&mut self, ops: Vec<TxnOp>, moves: Option<&Head>) -> Result<i64, JournalError> {
        let keys = &self.etcd.keys;
        let fences = [
            Compare::create_revision(keys.leader(), CompareOp::Equal, self.revision()),
            Compare::mod_revision(keys.head(), CompareOp::Equal, self.head.revision),
        ];
        let look = [TxnOp::get(keys.leader(), None), TxnOp::get(keys.head(), None)];
        let txn = Txn::new().when(fences).and_then(ops).or_else(look);
        let lost = self.lost.clone();
        let sent = self.etcd.ask("take records", |client| {
            let txn = txn.clone();
            async move { etcd::kv(&client).txn(txn).await }
        });
        let sent = Box::pin(sent);
        let answer = or_lost(lost, async { Ok(sent.await?) }).await?;
        self.judge(&answer, moves)
    }

    fn judge(&self, answer: &TxnResponse, moves: Option<&Head>) -> Result<i64, JournalError> {
        if answer.succeeded() {
            return Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision));
        }
        let mut found = answer.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Get(keys) => keys.kvs().first().cloned(),
            _ => None,
        });
        let (leader, head): (Option<KeyValue>, Option<KeyValue>) =
            (found.next().flatten(), found.next().flatten());
        if let (Some(head), Some(moves)) = (&head, moves) {
            let there = Head::from_bytes(head.value()).map_err(|why| wrong(&self.etcd, Seq(0), why))?;
            if there == *moves {
                tracing::info!(last = %moves.last, "an earlier try had been committed");
                return Ok(head.mod_revision());
            }
        }
        match leader {
            Some(leader) if leader.create_revision() == self.revision() => {
                let what = "the head was moved, and not by its leader".to_owned();
                Err(wrong(&self.etcd, self.head.last, Unreadable::Damaged(what)))
            }
            leader => Err(JournalError::NotLeader {
                why: "etcd says that its reign has ended".to_owned(),
                leader: leader.map(|key| String::from_utf8_lossy(key.value()).into_owned()),
            }),
        }
    }

    fn revision(&self) -> i64 {
        // It came from there.
        i64::try_from(self.epoch.0).unwrap_or(i64::MAX)
    }
}

/// Waits for `work`, but no longer than this coordinator leads.
async fn or_lost<T>(
    mut lost: Lost,
    work: impl Future<Output = Result<T, JournalError>>,
) -> Result<T, JournalError> {
    tokio::select! {
        // An answer that is there counts.
        biased;
        done = work => done,
        why = lost.wait() => Err(JournalError::NotLeader { why, leader: None }),
    }
}

impl Journal for EtcdJournal {
    fn append<'a>(&'a mut self, first: Seq, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move { self.append_now(first, &records).await })
    }

    fn each<'a>(
        &'a mut self,
        visit: &'a mut (dyn FnMut(Entry) + Send),
    ) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(or_lost(self.lost.clone(), read(&mut self.etcd, self.snapshot, self.head.last, visit)))
    }

    fn replay(&mut self) -> BoxFuture<'_, Result<State, JournalError>> {
        Box::pin(async move {
            let mut state = self.warm.take().map(Follower::into_state).unwrap_or_default();
            let fold = fold(&mut self.etcd, &self.snapshots, &mut state, self.head.last);
            or_lost(self.lost.clone(), fold).await?;
            Ok(state)
        })
    }

    fn snapshots(&self) -> Option<Snapshots> {
        Some(self.snapshots.clone())
    }

    fn snapshot_at(&self) -> Seq {
        self.snapshot
    }

    fn compact(&mut self, snapshot: Pointer) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move { self.compact_now(&snapshot).await })
    }

    fn trim(&mut self) -> BoxFuture<'_, Result<bool, JournalError>> {
        Box::pin(async move {
            let lost = self.lost.clone();
            or_lost(lost, self.trim_now()).await
        })
    }

    fn epoch(&self) -> Option<Epoch> {
        Some(self.epoch)
    }

    fn is_restored(&self) -> bool {
        self.restored
    }
}
