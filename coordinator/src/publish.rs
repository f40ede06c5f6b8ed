//! Writing the results of a study that still runs, so that it can be looked at: `results`, `explain`, `report.html`.

use std::path::PathBuf;
use std::time::Duration;

use ar_common::{Seq, StudyId};
use ar_core::{Phase, State};
use ar_net::BlobStore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::results::{self, Report};

/// Time between two writings, at least.
const EVERY: Duration = Duration::from_secs(3);
/// And as many times what the last one took, so that it costs the experiments next to nothing.
const SHARE: u32 = 20;

/// Writes the results now and then, beside the run.
pub(crate) struct Publisher {
    pub(crate) out: PathBuf,
    pub(crate) blobs: BlobStore,
    pub(crate) study: StudyId,
    pub(crate) rows: Option<u64>,
    /// What was written last.
    seen: Option<Stamp>,
    due: Instant,
    writing: Option<JoinHandle<Duration>>,
}

/// What a study's results depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    last_done: Seq,
    phase: Phase,
    planned: usize,
}

impl Publisher {
    pub(crate) fn new(out: PathBuf, blobs: BlobStore, study: StudyId, rows: Option<u64>) -> Self {
        Self { out, blobs, study, rows, seen: None, due: Instant::now() + EVERY, writing: None }
    }

    /// Writes what `state` holds if it is time and there is something new. It returns at once.
    pub(crate) async fn offer(&mut self, state: &State) {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle().await;
        }
        let Some(study) = state.studies.get(&self.study) else {
            return;
        };
        let stamp =
            Stamp { last_done: study.last_done, phase: study.phase, planned: study.experiments.len() };
        // The end is written at once.
        let due = study.is_finished() || Instant::now() >= self.due;
        let any = state.experiments_of(study).any(|e| !e.is_pending());
        if self.writing.is_some() || self.seen == Some(stamp) || !due || !any {
            return;
        }
        self.seen = Some(stamp);
        let (state, study, rows) = (state.clone(), self.study.clone(), self.rows);
        let (out, blobs) = (self.out.clone(), self.blobs.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            if let Some(report) = Report::of(&state, &study) {
                let report = report.with_rows(rows);
                let folder = out.join(results::folder_name(&report));
                // The end of the run writes them again, and says what is wrong.
                if let Err(error) = results::write(&folder, &report, &state, &blobs) {
                    tracing::warn!(%error, "cannot write the results of a study that runs");
                }
            }
            began.elapsed()
        }));
    }

    /// Whether nothing is being written.
    pub(crate) fn is_idle(&self) -> bool {
        self.writing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until nothing is being written: what is written later must not be overwritten by it.
    pub(crate) async fn settle(&mut self) {
        if let Some(writing) = self.writing.take() {
            let took = writing.await.unwrap_or(EVERY);
            self.due = Instant::now() + EVERY.max(took * SHARE);
        }
    }
}
