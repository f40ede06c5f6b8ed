//! `moved-to`: a store that was moved elsewhere, and is left where it was. Whoever opened it again would have two of one cluster.

use std::fs;
use std::path::Path;

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
