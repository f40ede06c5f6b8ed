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

use ar_common::{Epoch, Seq};
use ar_core::{Record, State};
use etcd_client::{Compare, CompareOp, DeleteOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::envelope::Unreadable;
use super::{BoxFuture, Entry, Journal, JournalError};
use crate::election::{Leadership, Lost};
use crate::etcd::{self, Etcd};
use batch::{Batch, Head};
pub use follower::Follower;
use follower::{Found, head, read, wrong};

/// The journal of a cluster, for as long as this coordinator leads it.
#[derive(Debug)]
pub struct EtcdJournal {
    etcd: Etcd,
    epoch: Epoch,
    lost: Lost,
    head: Found,
    /// What was read while standing by; the next replay goes on from there.
    warm: Option<Follower>,
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
        warm: Option<Follower>,
    ) -> Result<Self, JournalError> {
        let mut journal = Self {
            etcd: etcd.clone(),
            epoch: leadership.epoch(),
            lost: leadership.watch(),
            head: Found { last: Seq(0), revision: 0 },
            warm,
            stopped: false,
        };
        journal.head = or_lost(journal.lost.clone(), head(&mut journal.etcd)).await?;
        // Parts of a batch that an earlier leader could not finish must not stand among the next one's.
        let (from, end) = (journal.etcd.keys.from(journal.head.last.next()), journal.etcd.keys.end());
        let rest = TxnOp::delete(from, Some(DeleteOptions::new().with_range(end)));
        journal.write(vec![rest], None).await?;
        Ok(journal)
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
                let revision = self.write(vec![put, head], Some(&moved)).await?;
                self.head = Found { last: moved.last, revision };
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
        Box::pin(or_lost(self.lost.clone(), read(&mut self.etcd, Seq(0), self.head.last, visit)))
    }

    fn replay(&mut self) -> BoxFuture<'_, Result<State, JournalError>> {
        Box::pin(async move {
            let mut state = self.warm.take().map(Follower::into_state).unwrap_or_default();
            let after = state.seq;
            let mut fold = |entry: Entry| state.apply(&entry.record);
            let read = read(&mut self.etcd, after, self.head.last, &mut fold);
            or_lost(self.lost.clone(), read).await?;
            Ok(state)
        })
    }

    fn epoch(&self) -> Option<Epoch> {
        Some(self.epoch)
    }
}
