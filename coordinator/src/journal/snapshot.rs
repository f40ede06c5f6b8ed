//! Snapshots: the state as a file beside the journal, so that the records before it can go.
//!
//! A snapshot is a file of the store's folder, and not one of its blobs: what is needed to read the journal is backed up with it,
//! and nobody who clears blobs away need know of it. The journal names the one that counts, with its digest ([`Pointer`]), so a file
//! that was cut short, exchanged or lost is noticed. It is read back and compared before any record is removed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ar_common::{Digest, Seq};
use ar_core::{SnapshotError, State};
use ar_net::durable;
use serde::{Deserialize, Serialize};

use super::{JournalError, files};

/// The folder of snapshots within that of the store.
pub(super) const FOLDER: &str = "snapshots";
const SUFFIX: &str = "snapshot";
const FORMAT: u8 = 1;
/// Records between two snapshots, at least: at the measured 200,000 records/s they are replayed in a quarter of a second.
const EVERY: u64 = 50_000;

/// Where snapshots are kept, and how often one is made.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub(super) folder: PathBuf,
    /// Records after which the next one is due, at least.
    pub every: u64,
}

/// Which snapshot a replay begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    format: u8,
    /// The last record that is folded into it.
    pub seq: Seq,
    /// Its file.
    file: String,
    /// Of its bytes.
    digest: Digest,
}

impl Snapshots {
    /// Those of the store in `dir`.
    pub fn of(dir: &Path) -> Self {
        Self { folder: dir.join(FOLDER), every: EVERY }
    }

    /// Whether the next one is due, with so many records since the last. A large state is written less often, so that what it
    /// costs is a fixed share of what it spares.
    pub fn is_due(&self, records: u64, state: &State) -> bool {
        records >= self.every.max(2 * state.experiments.len() as u64)
    }

    /// Writes a state, and reads it back. It counts once the journal names it. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be used, or what is read is not what was written.
    pub fn keep(&self, state: &State) -> Result<Pointer, JournalError> {
        let io = |error| JournalError::io("write a snapshot into", &self.folder, error);
        files::make_private_dir(&self.folder).map_err(io)?;
        let bytes = state.to_snapshot();
        let digest = Digest::of(&bytes);
        let file = format!("{:020}-{}.{SUFFIX}", state.seq.0, digest.short(8));
        durable::write(&self.folder.join(&file), &bytes).map_err(io)?;
        drop(bytes);
        let pointer = Pointer { format: FORMAT, seq: state.seq, file, digest };
        let again = self.load(&pointer)?;
        if again.hash() != state.hash() {
            let what = "what is read from it is not what was written".to_owned();
            return Err(JournalError::Snapshot { file: self.path(&pointer), what });
        }
        Ok(pointer)
    }

    /// Reads the one that is named. Blocks.
    ///
    /// # Errors
    /// When it is not there, not what was written, or of a later version.
    pub fn load(&self, pointer: &Pointer) -> Result<State, JournalError> {
        let file = self.path(pointer);
        let wrong = |what: String| JournalError::Snapshot { file: file.clone(), what };
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(wrong("it is gone".to_owned())),
            Err(error) => return Err(JournalError::io("read", &file, error)),
        };
        if Digest::of(&bytes) != pointer.digest {
            return Err(wrong("its bytes are not those that were written".to_owned()));
        }
        match State::from_snapshot(&bytes) {
            Ok(state) if state.seq == pointer.seq => Ok(state),
            Ok(state) => Err(wrong(format!("it is of record {}, not {}", state.seq, pointer.seq))),
            Err(SnapshotError::Foreign) => Err(wrong(SnapshotError::Foreign.to_string())),
            Err(why) => Err(JournalError::Newer { file, seq: pointer.seq, what: why.to_string() }),
        }
    }

    /// Removes those that are older than the one that counts, but for the newest of them: a copy of etcd that was made a moment ago
    /// names it, and the copy of this folder that goes with it is still being made. Best effort: they only take room.
    pub(super) fn tidy(&self, counts: &Pointer) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let seq = |path: &Path| -> Option<u64> {
            let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
            name.split_once('-')?.0.parse().ok()
        };
        let all = entries.flatten().map(|entry| entry.path());
        let mut older: Vec<_> = all.filter(|path| seq(path).is_some_and(|seq| seq < counts.seq.0)).collect();
        older.sort_by_key(|path| seq(path));
        older.pop();
        for path in older {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old snapshot cannot be removed");
            }
        }
    }

    fn path(&self, pointer: &Pointer) -> PathBuf {
        self.folder.join(&pointer.file)
    }
}

impl Pointer {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    /// Reads it back; the name of its file must be one, as it comes from outside.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let pointer: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if pointer.format > FORMAT {
            return Err(format!("it is of format {}, known are formats up to {FORMAT}", pointer.format));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if !pointer.file.chars().all(plain) || pointer.file.starts_with('.') {
            return Err(format!("`{}` is no name of a snapshot", pointer.file.escape_debug()));
        }
        Ok(pointer)
    }
}
