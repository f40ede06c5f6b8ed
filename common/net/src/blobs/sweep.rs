//! Removing blobs that nobody needs any more.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::SystemTime;

use ar_common::Digest;

use super::receiving::{PARTIAL, UNNAMED};
use super::{BlobError, BlobStore, io_error};

/// A blob in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub digest: Digest,
    /// How large it is.
    pub bytes: u64,
    /// When it was last put there or [touched](BlobStore::touch).
    pub used: SystemTime,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many blobs.
    pub blobs: u64,
    /// How many that had not arrived whole.
    pub partial: u64,
    /// Bytes of both.
    pub bytes: u64,
}

impl BlobStore {
    /// All blobs in the folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>, BlobError> {
        let mut stored = Vec::new();
        for folder in entries(&self.root)? {
            let prefix = folder.file_name().to_string_lossy().into_owned();
            if prefix.len() != 2 || !folder.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for entry in entries(&folder.path())? {
                let Ok(digest) = format!("{prefix}{}", entry.file_name().to_string_lossy()).parse() else {
                    continue;
                };
                // One that is gone by now was removed by somebody else.
                let Ok(metadata) = entry.metadata() else { continue };
                let used = metadata.modified().map_err(io_error(&entry.path()))?;
                stored.push(Stored { digest, bytes: metadata.len(), used });
            }
        }
        Ok(stored)
    }

    /// Removes each blob that `needed` does not name and that was not used since `before`, and what arrived in part and was not
    /// gone on with since then.
    ///
    /// # Errors
    /// When the file system refuses; what was removed until then stays so.
    pub fn sweep(&self, before: SystemTime, needed: impl Fn(&Digest) -> bool) -> Result<Swept, BlobError> {
        let mut swept = Swept::default();
        for stored in self.list()? {
            if stored.used < before
                && !needed(&stored.digest)
                && self.remove_unused(&stored.digest, before)?
            {
                swept.blobs += 1;
                swept.bytes += stored.bytes;
            }
        }
        let named = entries(&self.root.join(PARTIAL))?;
        let unnamed = entries(&self.root)?;
        let unnamed = unnamed.into_iter().filter(|e| e.file_name().to_string_lossy().starts_with(UNNAMED));
        for entry in named.into_iter().chain(unnamed) {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.modified().is_ok_and(|used| used < before) && fs::remove_file(entry.path()).is_ok() {
                swept.partial += 1;
                swept.bytes += metadata.len();
            }
        }
        Ok(swept)
    }

    /// Removes a blob unless it was used since `before`; whether it was removed.
    pub(super) fn remove_unused(&self, digest: &Digest, before: SystemTime) -> Result<bool, BlobError> {
        let path = self.path(digest);
        let _guard = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have asked for it since it was listed.
        match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(used) if used < before => self.discard(digest),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BlobError::Io { path, source: error })
            }
            _ => Ok(false),
        }
    }
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, BlobError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.and_then(Iterator::collect).map_err(io_error(folder)),
    }
}
