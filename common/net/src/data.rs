//! What data that are referred to consist of: a fingerprint of their content, and a cheap stamp of names, sizes and times.
//!
//! Both sides take the same one: where the study is submitted, and on every worker.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ar_common::{Digest, Fingerprint};

/// Most entries of a folder, those of the folders in it included.
pub const MOST: usize = 100_000;
/// Most bytes that are hashed whole.
const WHOLE: u64 = 64 << 20;
/// Bytes of a block where content is sampled: one at the head, one in the middle, one at the tail.
const BLOCK: u64 = 1 << 20;
/// Files of a folder that are sampled, the largest ones.
const SAMPLED: usize = 16;

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is not there.
    #[error("there is nothing at {}", .0.display())]
    Missing(PathBuf),
    /// The file system.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too much to be looked at before every run.
    #[error("{} has more than {MOST} files and folders; pack them into fewer files, or name a part of it", .0.display())]
    Many(PathBuf),
    /// A device, a pipe or a socket.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DataError::Missing(path),
        _ => DataError::Io { path, source },
    }
}

/// One file of the data.
struct Entry {
    /// Relative to the data; empty for a single file.
    name: OsString,
    path: PathBuf,
    what: What,
}

enum What {
    File {
        bytes: u64,
        modified: (i64, i64),
    },
    /// A link to a folder or to nothing counts by where it leads and is not followed; what is neither by its name.
    Other(OsString),
}

/// The fingerprint of a file or a folder.
///
/// # Errors
/// When it is not there, cannot be read, or has too many files.
pub fn fingerprint(path: &Path) -> Result<Fingerprint, DataError> {
    let entries = list(path, MOST)?;
    let sizes: Vec<u64> = entries.iter().map(Entry::bytes).collect();
    let bytes = sizes.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let sampled = bytes > WHOLE;
    let mut largest: Vec<usize> = (0..entries.len()).collect();
    // Equally large ones in the order of their names.
    largest.sort_by_key(|i| std::cmp::Reverse(sizes.get(*i).copied()));
    largest.truncate(SAMPLED);
    let mut hasher = blake3::Hasher::new();
    for (i, entry) in entries.iter().enumerate() {
        entry.hash_name(&mut hasher);
        if matches!(entry.what, What::File { .. }) && (!sampled || largest.contains(&i)) {
            hash_content(&entry.path, entry.bytes(), sampled, &mut hasher).map_err(io_error(&entry.path))?;
        }
    }
    let files = entries.iter().filter(|entry| matches!(entry.what, What::File { .. })).count() as u64;
    Ok(Fingerprint { bytes, files, digest: Digest::from_hasher(&hasher), sampled })
}

/// A hash of the names, sizes and modification times of a file or a folder: cheap, and other when something was written.
///
/// # Errors
/// As for [`fingerprint`].
pub fn stamp(path: &Path) -> Result<Digest, DataError> {
    let mut hasher = blake3::Hasher::new();
    for entry in list(path, MOST)? {
        entry.hash_name(&mut hasher);
        if let What::File { modified: (seconds, nanoseconds), .. } = entry.what {
            hasher.update(&seconds.to_le_bytes()).update(&nanoseconds.to_le_bytes());
        }
    }
    Ok(Digest::from_hasher(&hasher))
}

impl Entry {
    fn bytes(&self) -> u64 {
        if let What::File { bytes, .. } = self.what { bytes } else { 0 }
    }

    /// Name, kind and size, so that no two lists are hashed alike.
    fn hash_name(&self, hasher: &mut blake3::Hasher) {
        let (kind, number, target) = match &self.what {
            What::File { bytes, .. } => (b"f", *bytes, OsStr::new("")),
            What::Other(target) => (b"o", target.len() as u64, target.as_os_str()),
        };
        hasher.update(&(self.name.len() as u64).to_le_bytes()).update(self.name.as_bytes());
        hasher.update(kind).update(&number.to_le_bytes()).update(target.as_bytes());
    }
}

/// All of it, sorted by name, if it is not more than `most`.
fn list(root: &Path, most: usize) -> Result<Vec<Entry>, DataError> {
    let meta = fs::metadata(root).map_err(io_error(root))?;
    if meta.is_file() {
        return Ok(vec![Entry { name: OsString::new(), path: root.to_owned(), what: file(&meta) }]);
    }
    if !meta.is_dir() {
        return Err(DataError::Special(root.to_owned()));
    }
    let (mut entries, mut folders, mut seen) = (Vec::new(), vec![root.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(&folder).map_err(io_error(&folder))? {
            let found = found.map_err(io_error(&folder))?;
            seen += 1;
            if seen > most {
                return Err(DataError::Many(root.to_owned()));
            }
            let path = found.path();
            let kind = found.file_type().map_err(io_error(&path))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let what = match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => file(&meta),
                _ if kind.is_symlink() => {
                    What::Other(fs::read_link(&path).map_err(io_error(&path))?.into_os_string())
                }
                Ok(_) => What::Other(OsString::new()),
                Err(error) => return Err(io_error(&path)(error)),
            };
            let name = path.strip_prefix(root).unwrap_or(&path).as_os_str().to_owned();
            entries.push(Entry { name, path, what });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn file(meta: &Metadata) -> What {
    What::File { bytes: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) }
}

fn hash_content(path: &Path, bytes: u64, sampled: bool, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut source = File::open(path)?;
    let mut take = |from: u64, most: u64| -> io::Result<()> {
        source.seek(SeekFrom::Start(from))?;
        // No more than it had when it was listed, or a file that grows would never end.
        hasher.update_reader((&mut source).take(most)).map(drop)
    };
    if !sampled || bytes <= 3 * BLOCK {
        return take(0, bytes);
    }
    [0, (bytes - BLOCK) / 2, bytes - BLOCK].into_iter().try_for_each(|from| take(from, BLOCK))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_folder_is_told_by_names_sizes_and_content_wherever_it_lies() {
        let home = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let root = home.path().join(name);
            fs::create_dir_all(root.join("train")).unwrap();
            fs::write(root.join("train/a.bin"), "tokens").unwrap();
            fs::write(root.join("b.bin"), "more").unwrap();
            symlink("train", root.join("link")).unwrap();
            symlink("..", root.join("train/loop")).unwrap();
            symlink("nowhere", root.join("broken")).unwrap();
            root
        };
        let (one, other) = (make("one"), make("other"));
        let known = fingerprint(&one).unwrap();
        assert_eq!((known.bytes, known.files, known.sampled), (10, 2, false));
        assert_eq!(fingerprint(&other).unwrap(), known, "times and places do not matter");
        let differs = |change: &dyn Fn(&Path)| {
            let root = make("changed");
            change(&root);
            assert_ne!(fingerprint(&root).unwrap(), known);
            fs::remove_dir_all(&root).unwrap();
        };
        differs(&|root| fs::write(root.join("b.bin"), "mofe").unwrap());
        differs(&|root| fs::write(root.join("c.bin"), "").unwrap());
        differs(&|root| fs::rename(root.join("b.bin"), root.join("c.bin")).unwrap());
        differs(&|root| fs::remove_file(root.join("broken")).unwrap());
        differs(&|root| {
            fs::remove_file(root.join("link")).unwrap();
            symlink("elsewhere", root.join("link")).unwrap();
        });
    }

    #[test]
    fn what_is_written_changes_the_stamp_and_what_is_read_does_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tokens.bin");
        fs::write(&path, "tokens").unwrap();
        let before = stamp(&path).unwrap();
        fs::read(&path).unwrap();
        assert_eq!(stamp(&path).unwrap(), before);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(2)).unwrap();
        assert_ne!(stamp(&path).unwrap(), before, "the same size, another time");
        assert_ne!(stamp(home.path()).unwrap(), before);
    }

    #[test]
    fn of_large_data_only_blocks_are_read_and_that_is_said() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tokens.bin");
        let write = |at: u64, bytes: &[u8]| {
            let mut file = File::options().create(true).truncate(false).write(true).open(&path).unwrap();
            file.set_len(1 << 30).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(bytes).unwrap();
            fingerprint(&path).unwrap()
        };
        let empty = write(0, b"\0");
        assert!(empty.sampled && empty.bytes == 1 << 30);
        assert_eq!(write(100 << 20, b"x"), empty, "between the blocks nobody looks");
        let (head, middle) = (write(5, b"x"), write(1 << 29, b"x"));
        let tail = write((1 << 30) - 1, b"x");
        assert!(empty != head && head != middle && middle != tail);
        let folder = fingerprint(home.path()).unwrap();
        assert!(folder.sampled && folder.digest != tail.digest);
    }

    #[test]
    fn what_cannot_be_data_has_a_reason() {
        let home = tempfile::tempdir().unwrap();
        let gone = home.path().join("gone");
        assert!(matches!(fingerprint(&gone), Err(DataError::Missing(path)) if path == gone));
        assert!(matches!(fingerprint(Path::new("/dev/null")), Err(DataError::Special(_))));
        for i in 0..3 {
            fs::create_dir_all(home.path().join(format!("sub/{i}"))).unwrap();
        }
        assert!(list(home.path(), 4).is_ok());
        assert!(matches!(list(home.path(), 3), Err(DataError::Many(path)) if path == home.path()));
    }
}
