//! What can go wrong with a journal, told so that a person knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use ar_common::Seq;

use crate::etcd::EtcdError;

/// Why a journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it.
    #[error(
        "the store in {} is in use by {holder}; wait for it to end, or give this run a folder of its own with --out",
        dir.display()
    )]
    InUse {
        /// The store's folder.
        dir: PathBuf,
        /// Who, as far as is known: `process 1234 (ar-coordinator run data.csv)`.
        holder: String,
    },
    /// There is none, and none was to be made.
    #[error("there is no store in {}; name the folder of an earlier run, or start one there first", dir.display())]
    NoStore {
        /// Where one was looked for.
        dir: PathBuf,
    },
    /// It cannot be read in full.
    #[error(
        "{} is damaged{}: {what}; restore a backup of the whole folder {}, or move that folder aside to start \
         over; results of studies are kept in their own folders",
        file.display(), at(*seq), folder(file).display()
    )]
    Damaged {
        /// The file that is wrong.
        file: PathBuf,
        /// The record that is wrong, if that is known.
        seq: Option<Seq>,
        /// What is wrong.
        what: String,
    },
    /// The state that the journal begins with cannot be read.
    #[error(
        "the snapshot {} cannot be used: {what}; the records before it are gone, so restore a backup of the whole folder {}",
        file.display(), store(file).display()
    )]
    Snapshot {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The store went elsewhere.
    #[error(
        "the store in {} was moved to {to}; start the coordinator on that, or remove {} if that one is lost",
        dir.display(), dir.join("moved-to").display()
    )]
    Moved {
        /// Where it was.
        dir: PathBuf,
        /// Where it is.
        to: String,
    },
    /// There is one where a new one was to be made.
    #[error("there is a store in {} already, so nothing was moved; name another folder with --out, or move that one aside", dir.display())]
    Occupied {
        /// Where.
        dir: PathBuf,
    },
    /// The store went from etcd elsewhere.
    #[error(
        "the store in {} was moved to {to}; start the coordinator on that, or remove the key {key} if that one is lost",
        place.display()
    )]
    MovedFromEtcd {
        /// Where it was.
        place: PathBuf,
        /// What says so.
        key: String,
        /// Where it is.
        to: String,
    },
    /// What etcd holds cannot be read in full.
    #[error(
        "the journal in {} is damaged at record {seq}: {what}; stop all coordinators and restore a snapshot of \
         etcd (etcdctl snapshot restore)",
        place.display()
    )]
    DamagedInEtcd {
        /// Where its keys are.
        place: PathBuf,
        /// The record that is wrong.
        seq: Seq,
        /// What is wrong.
        what: String,
    },
    /// Another coordinator leads, or may do so.
    #[error("this coordinator leads no more ({why}){}; start it again, and it stands by", now(leader.as_deref()))]
    NotLeader {
        /// How that is known.
        why: String,
        /// Where the leader is, if that is known.
        leader: Option<String>,
    },
    /// The store is etcd, and it cannot be used.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// It holds what only a later version can read.
    #[error(
        "{} was written by a newer version of ar-coordinator: record {seq} cannot be read by this one ({what}); \
         upgrade, and run the same command again",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The first record that cannot be read.
        seq: Seq,
        /// What is not known about it.
        what: String,
    },
    /// The disk is full.
    #[error("no space left in {}; free some and run the same command again: nothing acknowledged is lost", dir.display())]
    NoSpace {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The caller's position is not the journal's; nothing was written.
    #[error(
        "records were to be journaled from position {got}, but {expected} is next; this is a bug, please report it"
    )]
    NotNext {
        /// Where the journal goes on.
        expected: Seq,
        /// Where the caller wanted to.
        got: Seq,
    },
    /// A record that cannot be put into bytes; nothing was written.
    #[error("record {seq} cannot be written: {what}; this is a bug, please report it")]
    Unwritable {
        /// Its position.
        seq: Seq,
        /// Why.
        what: String,
    },
    /// An earlier append failed, so what is durable is not known.
    #[error("the journal in {} takes no more records after an append that failed; run the same command again", dir.display())]
    Stopped {
        /// The store's folder.
        dir: PathBuf,
    },
    /// Anything else the operating system said.
    #[error("cannot {doing} {}: {source}; check that it is on a local disk and that this user may write there", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn now(leader: Option<&str>) -> String {
    leader.map(|url| format!("; the leader is at {url}")).unwrap_or_default()
}

fn at(seq: Option<Seq>) -> String {
    seq.map(|seq| format!(" at record {seq}")).unwrap_or_default()
}

fn store(snapshot: &Path) -> &Path {
    folder(folder(snapshot))
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

impl JournalError {
    /// Damage to `file`, at no record in particular.
    pub(super) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), seq: None, what: what.into() }
    }

    /// What the system said while `doing` something to `path`, with a full disk told as such.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { dir: folder(path).to_owned() }
            }
            _ => Self::Io { doing, path: path.to_owned(), source },
        }
    }

    /// What redb said while `doing` something to `file`.
    pub(super) fn redb(doing: &'static str, file: &Path, error: redb::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error {
            // The lock file was removed while its holder lives; redb's own lock still holds.
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Self::InUse { dir: folder(file).to_owned(), holder: "another process".to_owned() }
            }
            redb::Error::Io(source)
                if matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) =>
            {
                Self::damaged(file, format!("it ends too early or names a place outside itself ({source})"))
            }
            redb::Error::Io(source) => Self::io(doing, file, source),
            redb::Error::PreviousIo => Self::Stopped { dir: folder(file).to_owned() },
            redb::Error::Corrupted(what) => Self::damaged(file, what),
            // The file was shut; every other error names something about the content that is not
            // as this module writes it.
            redb::Error::DatabaseClosed => Self::Stopped { dir: folder(file).to_owned() },
            other => Self::damaged(file, other.to_string()),
        }
    }
}
