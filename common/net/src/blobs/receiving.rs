//! A blob that arrives in pieces. Where its connection was cut, what came is kept, and the next one goes on from there.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ar_common::Digest;

use super::{BlobError, BlobStore, io_error};

/// Folder of what has not arrived whole, by digest.
pub(super) const PARTIAL: &str = "partial";
/// Names of those of which several arrive at once.
pub(super) const UNNAMED: &str = ".partial-";

/// A blob that arrives in pieces; kept only if it is what was announced.
#[derive(Debug)]
pub struct Receiving {
    store: BlobStore,
    announced: Digest,
    partial: Partial,
    hasher: blake3::Hasher,
    bytes: u64,
}

#[derive(Debug)]
enum Partial {
    /// Left where the next one finds it. Locked, so that nobody else goes on with it meanwhile.
    Named { file: File, path: PathBuf },
    /// Beside another one that is arriving; gone if it is not finished.
    Unnamed(tempfile::NamedTempFile),
}

impl BlobStore {
    /// How many bytes of a blob arrived before, with which [`BlobStore::receive`] goes on; 0 if somebody else is receiving it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn received(&self, digest: &Digest) -> Result<u64, BlobError> {
        let path = self.partial_path(digest);
        match open_locked(&path, false).map_err(io_error(&path))? {
            Some(file) => Ok(file.metadata().map_err(io_error(&path))?.len()),
            None => Ok(0),
        }
    }

    /// Begins a blob that arrives in pieces, or goes on with what arrived of it before. That is read again, as the whole is
    /// hashed, so it may take a moment.
    ///
    /// # Errors
    /// When no file can be made or read.
    pub fn receive(&self, announced: Digest) -> Result<Receiving, BlobError> {
        let path = self.partial_path(&announced);
        fs::create_dir_all(path.parent().unwrap_or(&self.root)).map_err(io_error(&path))?;
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        let partial = match open_locked(&path, true).map_err(io_error(&path))? {
            Some(mut file) => {
                bytes = io::copy(&mut file, &mut hasher).map_err(io_error(&path))?;
                Partial::Named { file, path }
            }
            None => Partial::Unnamed(self.partial()?),
        };
        Ok(Receiving { store: self.clone(), announced, partial, hasher, bytes })
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(PARTIAL).join(digest.to_string())
    }
}

impl Receiving {
    /// The next piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn piece(&mut self, data: &[u8]) -> Result<(), BlobError> {
        let path = self.partial.path().to_owned();
        self.partial.file().write_all(data).map_err(io_error(&path))?;
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        Ok(())
    }

    /// Bytes so far, with those that arrived before.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets what arrived before: it comes from its beginning.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn restart(&mut self) -> Result<(), BlobError> {
        let path = self.partial.path().to_owned();
        let file = self.partial.file();
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(io_error(&path))?;
        self.hasher = blake3::Hasher::new();
        self.bytes = 0;
        Ok(())
    }

    /// Verifies and keeps it.
    ///
    /// # Errors
    /// When it is not what was announced, or cannot be kept; nothing is kept then.
    pub fn finish(self) -> Result<u64, BlobError> {
        let found = Digest::from_hasher(&self.hasher);
        match self.partial {
            Partial::Named { path, .. } if found != self.announced => {
                // What is wrong does not become right by going on with it.
                fs::remove_file(&path).map_err(io_error(&path))?;
                Err(BlobError::Lies { announced: self.announced, found })
            }
            Partial::Unnamed(_) if found != self.announced => {
                Err(BlobError::Lies { announced: self.announced, found })
            }
            Partial::Named { file, path } => {
                file.sync_all().map_err(io_error(&path))?;
                self.store.settle(&self.announced, |to| fs::rename(&path, to))?;
                Ok(self.bytes)
            }
            Partial::Unnamed(partial) => {
                self.store.persist(partial, &self.announced)?;
                Ok(self.bytes)
            }
        }
    }
}

impl Partial {
    fn file(&mut self) -> &mut File {
        match self {
            Self::Named { file, .. } => file,
            Self::Unnamed(partial) => partial.as_file_mut(),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named { path, .. } => path,
            Self::Unnamed(partial) => partial.path(),
        }
    }
}

/// The file at `path`, locked; `None` if somebody else has it, or there is none and none is to be made.
fn open_locked(path: &Path, make: bool) -> io::Result<Option<File>> {
    loop {
        let file = match File::options().read(true).write(true).create(make).truncate(false).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            opened => opened?,
        };
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Whoever had it may have finished it meanwhile: then it is the blob itself by now, and no longer of this name.
        let (ours, named) = (file.metadata()?, fs::metadata(path));
        match named {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}
