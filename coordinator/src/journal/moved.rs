//! `moved-to`: a store that was moved elsewhere, and is left where it was. Whoever opened it again would have two of one cluster.

use std::fs;
use std::path::{Path, PathBuf};

use ar_net::durable;

use super::JournalError;

const NAME: &str = "moved-to";

/// Where the store in `dir` was moved, if it was.
pub(super) fn target(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join(NAME)).ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Writes down that it was.
pub(super) fn mark(dir: &Path, to: &str) -> Result<(), JournalError> {
    let path = dir.join(NAME);
    durable::write(&path, to.as_bytes()).map_err(|error| JournalError::io("write", &path, error))
}

/// A name for the old file of a store that comes back, under which nothing is yet: a move that was cut off and made again
/// sets aside two.
pub(super) fn aside(dir: &Path, name: &str) -> PathBuf {
    let numbered = (2_u32..).map(|number| dir.join(format!("{name}.moved-{number}")));
    let mut names = std::iter::once(dir.join(format!("{name}.moved"))).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or_else(|| dir.join(format!("{name}.moved")))
}

/// The store is here again.
pub(super) fn clear(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join(NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::io("remove", &path, error))
        }
        _ => Ok(()),
    }
}
