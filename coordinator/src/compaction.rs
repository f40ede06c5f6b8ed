//! When the journal is shortened: a snapshot is written beside everything else, then named by the journal, and what stood before it
//! is removed bit by bit between other work.

use ar_common::Seq;
use ar_core::State;

use crate::journal::{Journal, JournalError, Pointer, Snapshots};

/// How far the current shortening is.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// Absent where the journal keeps none.
    snapshots: Option<Snapshots>,
    /// The last snapshot that was begun.
    last: Seq,
    writing: bool,
    written: Option<Pointer>,
    trimming: bool,
}

impl Compaction {
    pub(crate) fn new(journal: &dyn Journal) -> Self {
        let last = journal.snapshot_at();
        // What an earlier process did not come to.
        Self { snapshots: journal.snapshots(), last, writing: false, written: None, trimming: last > Seq(0) }
    }

    /// Where a snapshot of this state is to be written, if one is due. The state must be that of the end of a batch.
    pub(crate) fn begin(&mut self, state: &State) -> Option<Snapshots> {
        let due =
            self.snapshots.as_ref().filter(|s| s.is_due(state.seq.0.saturating_sub(self.last.0), state));
        if self.writing || self.written.is_some() || self.trimming {
            return None;
        }
        let snapshots = due?.clone();
        self.writing = true;
        self.last = state.seq;
        Some(snapshots)
    }

    /// It was written, or could not be: then the journal stays as long as it is, and the next one is tried in time.
    pub(crate) fn kept(&mut self, kept: Result<Pointer, JournalError>) {
        self.writing = false;
        match kept {
            Ok(pointer) => self.written = Some(pointer),
            Err(error) => tracing::warn!(%error, "no snapshot could be made; the journal is not shortened"),
        }
    }

    /// Whether [`Self::go_on`] would do something.
    pub(crate) fn has_work(&self, durable: Seq) -> bool {
        self.trimming || self.written.as_ref().is_some_and(|pointer| pointer.seq <= durable)
    }

    /// Does the next bit.
    pub(crate) async fn go_on(
        &mut self,
        journal: &mut dyn Journal,
        durable: Seq,
    ) -> Result<(), JournalError> {
        if let Some(pointer) = self.written.take_if(|pointer| pointer.seq <= durable) {
            tracing::info!(seq = pointer.seq.0, "the journal begins with a snapshot");
            journal.compact(pointer).await?;
            self.trimming = true;
        } else if self.trimming {
            self.trimming = journal.trim().await?;
        }
        Ok(())
    }
}
