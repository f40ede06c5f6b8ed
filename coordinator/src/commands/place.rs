//! The folder of a coordinator: the store, the tokens, the worker's folder.
//!
//! ```text
//! OUT/store/     journal, snapshots/, lock, blobs/, tokens/, worker/, coordinator.log
//! OUT/NAME-ID/   results of one study
//! OUT/failed/    folders of failed runs, where they are to be kept
//! ```

use std::path::{Path, PathBuf};

use ar_net::observe::ObserveError;
use ar_net::{Access, BlobError, BlobStore, ObserveArgs, TokenError, durable};

use crate::blobs::Blobs;
use crate::journal::{JournalError, RedbJournal, Snapshots};
use crate::results;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot use the folder {} ({source}); name one that can be written with --out DIR", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// An opened folder. Nothing of it is locked but by the journal.
pub(crate) struct Place {
    store: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) access: Access,
    pub(crate) worker: PathBuf,
    pub(crate) failed: PathBuf,
}

impl Place {
    /// Opens it. What is seen of it is as the environment says where no flags do.
    pub(crate) fn open(out: &Path, observe: Option<&ObserveArgs>) -> Result<Self, PlaceError> {
        let failed = |source| PlaceError::Folder { path: out.to_owned(), source };
        // The worker is told these paths; it need not be where this process is.
        let out_absolute = std::path::absolute(out).map_err(failed)?;
        let store = out_absolute.join("store");
        std::fs::create_dir_all(&out_absolute).map_err(failed)?;
        durable::private_folder(&store).map_err(failed)?;
        let observe = match observe {
            Some(observe) => observe.clone(),
            None => ObserveArgs::from_environment()?,
        };
        ar_net::observe::start(&observe, Some(&store.join("coordinator.log")), "ar-coordinator")?;
        Ok(Self {
            blobs: BlobStore::open(&store.join("blobs"))?.into(),
            access: Access::open(&store.join("tokens"))?,
            worker: store.join("worker"),
            failed: out_absolute.join(results::FAILED),
            store,
        })
    }

    /// The folder of the store.
    pub(crate) fn folder(&self) -> PathBuf {
        self.store.clone()
    }

    /// The folder of the store and the results.
    pub(crate) fn out(&self) -> PathBuf {
        self.store.parent().unwrap_or(&self.store).to_owned()
    }

    /// Opens the journal, which takes the store's lock.
    pub(crate) fn journal(&self) -> Result<RedbJournal, JournalError> {
        RedbJournal::open(&self.store, rand::random())
    }

    /// Where snapshots of a journal in etcd are kept, one after so many records at least: apart from those of a store in the folder,
    /// which stays readable when it is moved.
    pub(crate) fn snapshots(&self, cluster: &str, every: Option<u64>) -> Snapshots {
        let mut snapshots = Snapshots::of(&self.store.join(format!("etcd-{cluster}")));
        snapshots.every = every.unwrap_or(snapshots.every);
        snapshots
    }
}
