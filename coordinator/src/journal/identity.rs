//! `journal.identity`: which file the journal was, so that a copy of it is told from itself.
//!
//! A store that comes from a backup goes on from an earlier record, and grants leases at positions where others were granted after
//! the backup was made. A copied file has another number and time of birth than the one that the copied identity speaks of. A backup
//! that is written over the file in place has not; the page on operations says to restore into an empty folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use ar_net::durable;

pub(super) const NAME: &str = "journal.identity";

/// Whether the journal at `file` is another file than the one that is written down. None is where none was, or where the system
/// does not tell.
pub(super) fn is_another(dir: &Path, file: &Path) -> bool {
    let before = fs::read_to_string(dir.join(NAME)).ok();
    before.is_some_and(|before| identity(file).is_ok_and(|now| now != before))
}

/// Writes down which file the journal is, if it is another one. A copy is known for one until then, so this comes after the record
/// that says so.
pub(super) fn settle(dir: &Path, file: &Path) -> io::Result<()> {
    let (path, now) = (dir.join(NAME), identity(file)?);
    if fs::read_to_string(&path).is_ok_and(|before| before == now) {
        return Ok(());
    }
    durable::write(&path, now.as_bytes())
}

fn identity(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born =
        born.map_or_else(|| "unknown".to_owned(), |at| format!("{}.{:09}", at.as_secs(), at.subsec_nanos()));
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Ok(format!("file {number}\nborn {born}\n"))
}
