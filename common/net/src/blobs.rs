//! Content-addressed blobs in a folder: `ab/cdef...` by their digest, written once, verified on reading.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ar_common::{Digest, Tree, TreeEntry};

use crate::durable;

/// A folder of blobs.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: PathBuf,
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
        Ok(Self { root: root.to_owned() })
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

    /// Begins a blob that arrives in pieces.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn receive(&self, announced: Digest) -> Result<Receiving, BlobError> {
        Ok(Receiving {
            store: self.clone(),
            announced,
            partial: self.partial()?,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    /// Reads a blob, verified.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Missing(*digest)),
            read => read.map_err(io_error(&path))?,
        };
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
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BlobError::Missing(*digest)),
            opened => opened.map_err(io_error(&path)),
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
        if self.contains(digest) {
            return Ok(());
        }
        let mut partial = self.partial()?;
        fill(partial.as_file_mut()).map_err(io_error(partial.path()))?;
        self.persist(partial, digest)
    }

    fn persist(&self, partial: tempfile::NamedTempFile, digest: &Digest) -> Result<(), BlobError> {
        let path = self.path(digest);
        let folder = path.parent().unwrap_or(&self.root);
        partial.as_file().sync_all().map_err(io_error(partial.path()))?;
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        partial.persist(&path).map_err(|error| BlobError::Io { path: path.clone(), source: error.error })?;
        durable::sync_folder(folder).map_err(io_error(folder))
    }
}

/// A blob that arrives in pieces; kept only if it is what was announced.
#[derive(Debug)]
pub struct Receiving {
    store: BlobStore,
    announced: Digest,
    partial: tempfile::NamedTempFile,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Receiving {
    /// The next piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn piece(&mut self, data: &[u8]) -> Result<(), BlobError> {
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        let path = self.partial.path().to_owned();
        self.partial.as_file_mut().write_all(data).map_err(io_error(&path))
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Verifies and keeps it.
    ///
    /// # Errors
    /// When it is not what was announced, or cannot be kept; nothing is kept then.
    pub fn finish(self) -> Result<u64, BlobError> {
        let found = Digest::from_hasher(&self.hasher);
        if found != self.announced {
            return Err(BlobError::Lies { announced: self.announced, found });
        }
        self.store.persist(self.partial, &self.announced)?;
        Ok(self.bytes)
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

fn copy_hashed(source: &mut File, to: &mut impl Write) -> io::Result<(Digest, u64)> {
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
mod tests {
    use ar_common::EntryKind;

    use super::*;

    #[test]
    fn a_blob_is_what_its_name_says_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let digest = store.put(b"content").unwrap();
        assert_eq!(store.read(&digest).unwrap(), b"content");
        fs::write(store.path(&digest), b"changed").unwrap();
        assert!(matches!(store.read(&digest), Err(BlobError::Damaged { .. })));
        let copy = folder.path().join("copy");
        assert!(matches!(store.copy_to(&digest, &copy), Err(BlobError::Damaged { .. })));
        assert!(!copy.exists());
        let absent = Digest::of(b"absent");
        assert!(matches!(store.read(&absent), Err(BlobError::Missing(_))));
    }

    #[test]
    fn a_file_that_is_laid_out_shares_no_fate_with_its_blob() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&folder.path().join("blobs")).unwrap();
        let digest = store.put(b"content").unwrap();
        fs::set_permissions(store.path(&digest), fs::Permissions::from_mode(0o400)).unwrap();
        store.check(&digest).unwrap();
        let to = folder.path().join("copy");
        store.lay_out(&digest, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o600, 0o600, "with modes of its own");
        assert!(store.lay_out(&digest, &to).is_err(), "nothing is written over");
        fs::OpenOptions::new().write(true).open(&to).unwrap().write_all(b"CON").unwrap();
        assert_eq!(
            (fs::read(&to).unwrap(), store.read(&digest).unwrap()),
            (b"CONtent".into(), b"content".into())
        );
        assert_eq!(digest_of_file(&to).unwrap(), Digest::of(b"CONtent"));
        fs::set_permissions(store.path(&digest), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(store.path(&digest), b"damaged").unwrap();
        assert!(matches!(store.check(&digest), Err(BlobError::Damaged { .. })));
        let absent = Digest::of(b"absent");
        assert!(matches!(store.lay_out(&absent, &folder.path().join("x")), Err(BlobError::Missing(_))));
        assert!(matches!(store.check(&absent), Err(BlobError::Missing(_))));
    }

    #[test]
    fn what_lies_about_its_hash_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let announced = Digest::of(b"one thing");
        let mut receiving = store.receive(announced).unwrap();
        receiving.piece(b"another thing").unwrap();
        assert!(matches!(receiving.finish(), Err(BlobError::Lies { .. })));
        assert!(!store.contains(&announced));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_that_climbs_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let file = store.put(b"x").unwrap();
        let entry =
            |path: &str| TreeEntry { path: path.into(), digest: file, bytes: 1, kind: EntryKind::Plain };
        let good = store.put_tree(vec![entry("b"), entry("a/c")]).unwrap();
        assert_eq!(store.read_tree(&good).unwrap().entries[0].path, "a/c");
        let bad = store.put_tree(vec![entry("../x")]).unwrap();
        assert!(matches!(store.read_tree(&bad), Err(BlobError::BadTree { .. })));
    }
}
