//! Content-addressed blobs in a folder: `ab/cdef...` by their digest, written once, verified on reading.
//! `partial/` holds what arrived of others before their connection was cut.

mod cache;
mod receiving;
mod sweep;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ar_common::{Digest, Tree, TreeEntry};

use crate::durable;

pub use cache::{Cache, Pins};
pub use receiving::Receiving;
pub use sweep::{Stored, Swept};

/// Where blobs come from that are not in the folder.
///
/// It may block, and is asked only from threads that may.
pub trait Origin: std::fmt::Debug + Send + Sync {
    /// Brings the blob into the folder, verified; whether it is there now.
    ///
    /// # Errors
    /// When that fails, which does not tell whether there is such a blob.
    fn bring(&self, store: &BlobStore, digest: &Digest) -> Result<bool, BlobError>;
}

/// A folder of blobs.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: PathBuf,
    /// Held while a blob is removed, and while one is found to be there and marked as used: what somebody was told is there is
    /// not removed a moment later.
    removing: Arc<Mutex<()>>,
    origin: Option<Arc<dyn Origin>>,
}

/// What can go wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not here.
    #[error("blob {0} is not in the store; submit the study again")]
    Missing(Digest),
    /// Its content is not what its name says.
    #[error(
        "blob {digest} at {path} is damaged (its content hashes to {found}); remove that file and submit the study again"
    )]
    Damaged {
        /// Its name.
        digest: Digest,
        /// What its content hashes to.
        found: Digest,
        /// Where it lies.
        path: PathBuf,
    },
    /// What was sent is not what was announced.
    #[error("a blob was announced as {announced} and hashes to {found}; it was not kept")]
    Lies {
        /// The name it was sent under.
        announced: Digest,
        /// What its content hashes to.
        found: Digest,
    },
    /// A list of files that cannot be read, or would leave its folder.
    #[error("the file list {digest} is not valid: {why}")]
    BadTree {
        /// Its name.
        digest: Digest,
        /// Why.
        why: String,
    },
    /// The store of objects that holds it.
    #[error("the store of objects does not answer for {what}: {source}")]
    Elsewhere {
        /// For what.
        what: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system.
    #[error("cannot use {path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.to_owned();
    move |source| BlobError::Io { path, source }
}

impl BlobStore {
    /// Opens the store at `root`, making it if needed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        durable::private_folder(root).map_err(io_error(root))?;
        Ok(Self { root: root.to_owned(), removing: Arc::default(), origin: None })
    }

    /// The same folder, which brings what is read and not there from `origin`.
    #[must_use]
    pub fn with_origin(mut self, origin: Arc<dyn Origin>) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Where a blob lies, or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (folder, file) = name.split_at(2);
        self.root.join(folder).join(file)
    }

    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Whether the blob is here; from now on it counts as used just now.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn touch(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        // What this lock guards is whole between any two statements.
        let _guard = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => {
                let file = opened.map_err(io_error(&path))?;
                file.set_modified(SystemTime::now()).map_err(io_error(&path))?;
                Ok(true)
            }
        }
    }

    /// Removes a blob, say a damaged one; whether it was there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(io_error(&path)),
        }
    }

    /// Keeps `bytes`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        self.keep(&digest, |file| file.write_all(bytes))?;
        Ok(digest)
    }

    /// Keeps a copy of a file, read once. Returns its digest and length.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub fn put_file(&self, path: &Path) -> Result<(Digest, u64), BlobError> {
        let mut source = File::open(path).map_err(io_error(path))?;
        let mut partial = self.partial()?;
        let (digest, bytes) = copy_hashed(&mut source, partial.as_file_mut()).map_err(io_error(path))?;
        self.persist(partial, &digest)?;
        Ok((digest, bytes))
    }

    /// Reads a blob, verified.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        self.file(digest)?.read_to_end(&mut bytes).map_err(io_error(&path))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(BlobError::Damaged { digest: *digest, found, path });
        }
        Ok(bytes)
    }

    /// Copies a blob to a file, verified while it is copied.
    ///
    /// # Errors
    /// When it is missing or damaged, or the file cannot be written; the file is then not there.
    pub fn copy_to(&self, digest: &Digest, to: &Path) -> Result<(), BlobError> {
        let path = self.path(digest);
        let mut source = self.file(digest)?;
        let mut found = *digest;
        durable::write_with(to, |file| {
            found = copy_hashed(&mut source, file)?.0;
            if found == *digest { Ok(()) } else { Err(io::Error::other("damaged")) }
        })
        .map_err(|source| match found == *digest {
            true => BlobError::Io { path: to.to_owned(), source },
            false => BlobError::Damaged { digest: *digest, found, path },
        })
    }

    /// Makes `to`, a new file, of a blob that was [checked](Self::check) before: in no time and no space where the file
    /// system shares blocks until they are written to (a reflink), else by a copy within the kernel.
    ///
    /// It is never a hard link, however large the blob: that would be the blob itself under another name, and whoever owns
    /// a file may make it writable again. A script that writes into its data in place would change the blob, and with it
    /// every other run. For the same reason the new file has modes of its own. It is not made durable.
    ///
    /// # Errors
    /// When the blob is missing, or the file is there or cannot be written.
    pub fn lay_out(&self, digest: &Digest, to: &Path) -> Result<(), BlobError> {
        let mut source = self.file(digest)?;
        let mut made = File::create_new(to).map_err(io_error(to))?;
        if !reflinked(&source, &made) {
            io::copy(&mut source, &mut made).map_err(io_error(to))?;
        }
        Ok(())
    }

    /// Reads a blob piece by piece and compares it with its name.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn check(&self, digest: &Digest) -> Result<(), BlobError> {
        let mut file = self.file(digest)?;
        let path = self.path(digest);
        let (found, _) = copy_hashed(&mut file, &mut io::sink()).map_err(io_error(&path))?;
        if found == *digest { Ok(()) } else { Err(BlobError::Damaged { digest: *digest, found, path }) }
    }

    fn file(&self, digest: &Digest) -> Result<File, BlobError> {
        let path = self.path(digest);
        let open = || match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(io_error(&path)),
        };
        if let Some(file) = open()? {
            return Ok(file);
        }
        match &self.origin {
            Some(origin) if origin.bring(self, digest)? => open()?.ok_or(BlobError::Missing(*digest)),
            _ => Err(BlobError::Missing(*digest)),
        }
    }

    /// Keeps a list of files.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put_tree(&self, mut entries: Vec<TreeEntry>) -> Result<Digest, BlobError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        // Plain data has no way to fail.
        self.put(&serde_json::to_vec(&Tree { entries }).unwrap_or_default())
    }

    /// Reads a list of files and checks every path in it.
    ///
    /// # Errors
    /// When it is missing, damaged, not a list, or names a path outside its folder.
    pub fn read_tree(&self, digest: &Digest) -> Result<Tree, BlobError> {
        let bytes = self.read(digest)?;
        let bad = |why: String| BlobError::BadTree { digest: *digest, why };
        let tree: Tree = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        tree.entries.iter().try_for_each(TreeEntry::check_path).map_err(|error| bad(error.to_string()))?;
        if let Some(path) = tree.conflict() {
            return Err(bad(format!("`{path}` is there twice, or lies below a file or a link")));
        }
        Ok(tree)
    }

    fn partial(&self) -> Result<tempfile::NamedTempFile, BlobError> {
        tempfile::Builder::new().prefix(".partial-").tempfile_in(&self.root).map_err(io_error(&self.root))
    }

    fn keep(&self, digest: &Digest, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), BlobError> {
        if self.touch(digest)? {
            return Ok(());
        }
        let mut partial = self.partial()?;
        fill(partial.as_file_mut()).map_err(io_error(partial.path()))?;
        self.persist(partial, digest)
    }

    fn persist(&self, partial: tempfile::NamedTempFile, digest: &Digest) -> Result<(), BlobError> {
        partial.as_file().sync_all().map_err(io_error(partial.path()))?;
        self.settle(digest, |path| partial.persist(path).map(drop).map_err(|error| error.error))
    }

    /// Gives a whole and durable file its name, by `rename`.
    fn settle(&self, digest: &Digest, rename: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), BlobError> {
        let path = self.path(digest);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        rename(&path).map_err(io_error(&path))?;
        durable::sync_folder(folder).map_err(io_error(folder))
    }
}

/// The digest of a file's content, read piece by piece.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of_file(path: &Path) -> io::Result<Digest> {
    Ok(copy_hashed(&mut File::open(path)?, &mut io::sink())?.0)
}

/// Whether `to` now has the content of `from` by sharing its blocks. Most file systems cannot; then nothing has happened.
fn reflinked(from: &File, to: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::ioctl_ficlone(to, from).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        false
    }
}

fn copy_hashed(source: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = source.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok((Digest::from_hasher(&hasher), bytes));
        };
        hasher.update(piece);
        to.write_all(piece)?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests;
