//! A blob tree: the files that a study's attempts need, each by its content.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A list of files, itself stored as a blob. The digest of a tree names all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tree {
    /// The files, sorted by path.
    pub entries: Vec<TreeEntry>,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Relative path with `/` between folders.
    pub path: String,
    /// Its content.
    pub digest: Digest,
    /// Its length, bytes.
    pub bytes: u64,
}

/// A path that would leave the folder it is laid out in, or cannot be a file's name there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path inside the tree; paths are relative, with no `..`, no empty part and no control characters"
)]
pub struct TreePathError(pub String);

impl TreeEntry {
    /// Checks that the path stays inside the folder it is laid out in. A tree comes from another
    /// machine, so this is asked before any file is written.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_path(&self) -> Result<(), TreePathError> {
        let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
        let bad_char = |c: char| c.is_control() || c == '\\' || c == ':';
        if self.path.split('/').any(bad_part) || self.path.chars().any(bad_char) {
            return Err(TreePathError(self.path.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_are_refused() {
        let entry = |path: &str| TreeEntry { path: path.into(), digest: Digest::of(b""), bytes: 0 };
        assert!(entry("ar_runner/options/scale/base.py").check_path().is_ok());
        for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/\n", "c:\\x"] {
            assert!(entry(bad).check_path().is_err(), "{bad}");
        }
    }
}
