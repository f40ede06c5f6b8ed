//! Removing what no study refers to, once nobody has used it for a while.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use ar_common::Digest;
use ar_net::{BlobError, Cache};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Blobs;
use crate::actor::{Ended, Handle};

/// For how long what nobody refers to is kept, unless somebody wants it otherwise.
pub(crate) const UNREFERENCED: Duration = Duration::from_secs(24 * 3600);

/// Looks at the blobs now and then.
#[derive(Debug)]
pub(crate) struct Sweeper {
    handle: Handle,
    blobs: Blobs,
    /// For how long what nobody refers to is kept.
    keep: Duration,
    due: Instant,
    sweeping: Option<JoinHandle<()>>,
}

impl Sweeper {
    /// Begins at once.
    pub(crate) fn new(handle: &Handle, blobs: &Blobs, keep: Duration) -> Self {
        Self { handle: handle.clone(), blobs: blobs.clone(), keep, due: Instant::now(), sweeping: None }
    }

    /// Begins to sweep if it is time to, beside everything else.
    pub(crate) async fn look(&mut self) -> Result<(), Ended> {
        let under_way = self.sweeping.as_ref().is_some_and(|task| !task.is_finished());
        if under_way || Instant::now() < self.due {
            return Ok(());
        }
        self.due = Instant::now() + (self.keep / 24).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        // From before the studies are looked at: what a study uses that is submitted meanwhile was used since then, or is
        // referred to by what is seen.
        let before = SystemTime::now().checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH);
        let (direct, trees) = self
            .handle
            .ask(|state, _| {
                let direct: BTreeSet<Digest> = state.blobs().collect();
                (direct, state.trees().collect::<BTreeSet<Digest>>())
            })
            .await?;
        let blobs = self.blobs.clone();
        self.sweeping = Some(tokio::spawn(async move {
            match blobs.sweep(before, direct, trees).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed blobs that no study refers to"),
                // Whatever a list names must stay, and one that cannot be read may name anything.
                Err(error) => tracing::warn!(%error, "blobs are kept that may not be needed"),
            }
        }));
        Ok(())
    }

    /// Waits until nothing is being removed.
    pub(crate) async fn settle(&mut self) {
        if let Some(task) = self.sweeping.take() {
            let _ = task.await;
        }
    }
}

impl Blobs {
    /// Removes what is neither named here nor listed in one of these trees, and was not used since `before`; how many.
    async fn sweep(
        &self,
        before: SystemTime,
        direct: BTreeSet<Digest>,
        trees: BTreeSet<Digest>,
    ) -> Result<u64, BlobError> {
        let folder = self.folder.clone();
        let needed = super::blocking(move || {
            let mut needed = direct;
            for tree in trees {
                needed.extend(folder.read_tree(&tree)?.entries.iter().map(|entry| entry.digest));
            }
            Ok(needed)
        });
        let (needed, folder) = (needed.await?, self.folder.clone());
        let Some(bucket) = &self.bucket else {
            return super::blocking(move || {
                let swept = folder.sweep(before, |digest| needed.contains(digest))?;
                Ok(swept.blobs + swept.partial)
            })
            .await;
        };
        let removed = bucket.sweep(&folder, before, &needed).await?;
        // The folder has what was read of it, within a size.
        super::blocking(move || Cache::new(folder.clone(), Cache::usual(&folder)).evict(SystemTime::now()))
            .await?;
        Ok(removed)
    }
}
