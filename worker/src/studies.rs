//! The studies that this worker has prepared. One of which nothing runs here for a while is let go with all that it holds: its Python
//! with the data, what was laid out, the files in the cache. For the next attempt it is prepared again: a worker that serves for weeks
//! sees many studies.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ar_common::StudyId;
use ar_net::Cache;
use tokio::sync::Mutex as AsyncMutex;

use crate::cache::{self, Source};
use crate::study::{Preparing, Study, StudyError};

/// All that were prepared since this worker started.
#[derive(Debug, Default)]
pub(crate) struct Studies {
    all: Mutex<BTreeMap<StudyId, Arc<Entry>>>,
}

/// One of them. Whoever prepares it or lets it go holds the lock, since both work in its folder.
#[derive(Debug)]
pub(crate) struct Entry(AsyncMutex<Held>);

#[derive(Debug)]
struct Held {
    preparing: Preparing,
    /// Gone where it was let go, or could not be prepared.
    study: Option<Arc<Study>>,
    /// When it was last seen in use.
    used: Instant,
}

impl Studies {
    /// None yet; each is let go once no attempt has used it for so long.
    pub(crate) fn new(longest: Duration, cache: Cache) -> Arc<Self> {
        let studies = Arc::new(Self::default());
        let look = (longest / 4).max(Duration::from_millis(100));
        tokio::spawn(rest(Arc::downgrade(&studies), look, longest, cache));
        studies
    }

    /// Prepares a study, from now on one of them.
    pub(crate) async fn prepare(
        &self,
        preparing: Preparing,
        source: &Source,
        progress: impl Fn(String) + Send + Sync,
    ) -> Result<Arc<Study>, StudyError> {
        let entry = {
            let mut all = self.lock();
            let entry = all.entry(preparing.study.clone());
            Arc::clone(entry.or_insert_with(|| Arc::new(Entry::of(preparing.clone()))))
        };
        let mut held = entry.0.lock().await;
        // Its files may be others than they were.
        (held.preparing, held.study) = (preparing, None);
        held.prepare(source, progress).await
    }

    /// The one that was prepared under this name.
    pub(crate) fn find(&self, study: &StudyId) -> Option<Arc<Entry>> {
        self.lock().get(study).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StudyId, Arc<Entry>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn of(preparing: Preparing) -> Self {
        Self(AsyncMutex::new(Held { preparing, study: None, used: Instant::now() }))
    }

    /// The study, unless it was let go, or somebody is about it: does not wait.
    pub(crate) fn standing(&self) -> Option<Arc<Study>> {
        self.0.try_lock().ok()?.take()
    }

    /// The study, prepared again if it was let go.
    pub(crate) async fn awake(&self, source: &Source) -> Result<Arc<Study>, StudyError> {
        let mut held = self.0.lock().await;
        // Another attempt may have been here before.
        match held.take() {
            Some(study) => Ok(study),
            None => held.prepare(source, |_| {}).await,
        }
    }

    /// Lets the study go if no attempt has used it for so long. Whether it has.
    async fn rest(&self, longest: Duration) -> bool {
        // Whoever holds it needs it.
        let Ok(mut held) = self.0.try_lock() else { return false };
        let Some(study) = &held.study else { return false };
        if Arc::strong_count(study) > 1 {
            held.used = Instant::now();
            return false;
        }
        if held.used.elapsed() < longest {
            return false;
        }
        held.study = None;
        let name = &held.preparing.study;
        tracing::info!(study = %name, "it has had nothing to do here for {longest:?}, and is let go");
        let folder = held.preparing.folder.clone();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        match removed.unwrap_or_else(|ended| Err(io::Error::other(ended))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(study = %name, %error, "what was laid out for it stays until it is prepared again");
            }
            _ => {}
        }
        true
    }
}

impl Held {
    async fn prepare(
        &mut self,
        source: &Source,
        progress: impl Fn(String) + Send + Sync,
    ) -> Result<Arc<Study>, StudyError> {
        let study = Arc::new(Study::prepare(&self.preparing, source, progress).await?);
        (self.study, self.used) = (Some(Arc::clone(&study)), Instant::now());
        Ok(study)
    }

    fn take(&mut self) -> Option<Arc<Study>> {
        self.used = Instant::now();
        self.study.clone()
    }
}

/// Looks again and again for what may be let go; ends with the worker.
async fn rest(studies: Weak<Studies>, look: Duration, longest: Duration, cache: Cache) {
    loop {
        tokio::time::sleep(look).await;
        let Some(studies) = studies.upgrade() else { return };
        let all: Vec<Arc<Entry>> = studies.lock().values().cloned().collect();
        let mut rested = false;
        for entry in all {
            rested |= entry.rest(longest).await;
        }
        if rested {
            cache::tidy(&cache);
        }
    }
}
