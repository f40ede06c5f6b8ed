//! The folder of a run: the store, the token, the worker's folder.
//!
//! ```text
//! OUT/store/     journal, lock, blobs/, token, worker/, coordinator.log
//! OUT/NAME-ID/   results of one study
//! OUT/failed/    folders of failed runs, where they are to be kept
//! ```

use std::path::{Path, PathBuf};

use ar_net::{BlobStore, Token, durable};

use super::RunError;
use crate::journal::{JournalError, RedbJournal};
use crate::results;

/// An opened folder. Nothing of it is locked but by the journal.
pub(super) struct Place {
    store: PathBuf,
    pub(super) blobs: BlobStore,
    pub(super) token: Token,
    pub(super) token_file: PathBuf,
    pub(super) worker: PathBuf,
    pub(super) failed: PathBuf,
}

impl Place {
    pub(super) fn open(out: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::Folder { path: out.to_owned(), source };
        // The worker is told these paths; it need not be where this process is.
        let out_absolute = std::path::absolute(out).map_err(failed)?;
        let store = out_absolute.join("store");
        std::fs::create_dir_all(&out_absolute).map_err(failed)?;
        durable::private_folder(&store).map_err(failed)?;
        ar_net::logs::start(Some(&store.join("coordinator.log")), "info").map_err(failed)?;
        let token_file = store.join("token");
        Ok(Self {
            blobs: BlobStore::open(&store.join("blobs"))?,
            token: Token::load_or_create(&token_file)?,
            token_file,
            worker: store.join("worker"),
            failed: out_absolute.join(results::FAILED),
            store,
        })
    }

    /// Opens the journal, which takes the store's lock.
    pub(super) fn journal(&self) -> Result<RedbJournal, JournalError> {
        RedbJournal::open(&self.store, rand::random())
    }
}
