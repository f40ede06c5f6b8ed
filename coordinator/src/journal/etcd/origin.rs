//! Which etcd the journal was written in, so that one which was restored from a backup is told from it.
//!
//! A restored etcd goes on from an earlier revision, and leases are granted at positions where others were granted after the backup was
//! made. etcd gives a restored cluster another number, if it is restored under another `--initial-cluster-token` or with other
//! addresses; under the same ones the number is the same, and nothing tells.

use crate::etcd::Etcd;
use crate::journal::JournalError;

/// The number of the cluster that answers, and the one in the journal.
#[derive(Debug)]
pub(super) struct Origin {
    /// None where the answer does not say it.
    now: Option<String>,
    written: Option<String>,
}

impl Origin {
    pub(super) async fn of(etcd: &mut Etcd) -> Result<Self, JournalError> {
        let answer = etcd.get(etcd.keys.origin(), None).await?;
        let now = answer.header().map(|header| format!("{:016x}", header.cluster_id()));
        let written = answer.kvs().first().map(|key| String::from_utf8_lossy(key.value()).into_owned());
        Ok(Self { now, written })
    }

    /// Whether the journal was written in another etcd. One that does not say it, as those of earlier versions, counts as its own.
    pub(super) fn is_another(&self) -> bool {
        self.written.is_some() && self.now.is_some() && self.written != self.now
    }

    /// What is to be written, if the journal does not say it yet.
    pub(super) fn news(self) -> Option<String> {
        self.now.filter(|now| self.written.as_ref() != Some(now))
    }
}
