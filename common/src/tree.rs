//! A blob tree: the files that a study's attempts need, each by its content.

use std::collections::BTreeMap;

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
    /// What is made of the content.
    #[serde(default, skip_serializing_if = "EntryKind::is_plain")]
    pub kind: EntryKind,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A file.
    #[default]
    Plain,
    /// A file that may be run.
    Executable,
    /// A symbolic link; the content is where it leads.
    Link,
}

impl EntryKind {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

impl Tree {
    /// A path below one that is a link, or the same path twice: laid out, it would be written somewhere else. Trees come
    /// from other machines, so this is asked before any file is written.
    pub fn conflict(&self) -> Option<&str> {
        let mut seen: BTreeMap<&str, EntryKind> = BTreeMap::new();
        for entry in &self.entries {
            if seen.insert(&entry.path, entry.kind).is_some() {
                return Some(&entry.path);
            }
        }
        let above = |path: &str| path.match_indices('/').any(|(at, _)| seen.contains_key(&path[..at]));
        self.entries.iter().map(|entry| entry.path.as_str()).find(|path| above(path))
    }
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
        check_path(&self.path)
    }
}

/// Checks that a path stays inside the folder that it is taken from.
///
/// # Errors
/// When it does not.
pub fn check_path(path: &str) -> Result<(), TreePathError> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    let bad_char = |c: char| c.is_control() || c == '\\' || c == ':';
    if path.split('/').any(bad_part) || path.chars().any(bad_char) {
        return Err(TreePathError(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[test]
    fn paths_that_climb_are_refused() {
        let entry = |path: &str| TreeEntry {
            path: path.into(),
            digest: Digest::of(b""),
            bytes: 0,
            kind: EntryKind::Plain,
        };
        assert!(entry("ar_runner/options/scale/base.py").check_path().is_ok());
        for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/\n", "c:\\x"] {
            assert!(entry(bad).check_path().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_lies_below_a_link_or_a_file_and_nothing_twice() {
        let entry =
            |path: &str, kind| TreeEntry { path: path.into(), digest: Digest::of(b""), bytes: 0, kind };
        let tree = |entries| Tree { entries };
        let (plain, link) = (EntryKind::Plain, EntryKind::Link);
        assert_eq!(tree(vec![entry("a/b", plain), entry("a/c", link), entry("ab", plain)]).conflict(), None);
        assert_eq!(tree(vec![entry("a", link), entry("a/b", plain)]).conflict(), Some("a/b"));
        assert_eq!(tree(vec![entry("a/b/c", plain), entry("a", plain)]).conflict(), Some("a/b/c"));
        assert_eq!(tree(vec![entry("a", plain), entry("a", plain)]).conflict(), Some("a"));
    }
    /// A path of a few parts, most of which lead somewhere else.
    fn path() -> impl Strategy<Value = String> {
        let part =
            prop_oneof![Just("..".to_owned()), Just(".".to_owned()), Just(String::new()), ".{0,6}", "[a-c]"];
        vec(part, 1..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Read as a system would, not as this code does.
        #[test]
        fn a_path_that_is_taken_stays_inside(path in path()) {
            let steps: Vec<Component<'_>> = Path::new(&path).components().collect();
            let inside = !steps.is_empty() && steps.iter().all(|step| matches!(step, Component::Normal(_)));
            prop_assert!(inside || check_path(&path).is_err(), "{path:?}");
        }

        #[test]
        fn a_tree_that_is_almost_right_is_refused_or_means_something(
            paths in vec(path(), 0..4),
            changes in vec((any::<Index>(), any::<u8>()), 0..4),
        ) {
            let entry = |path| TreeEntry { path, digest: Digest::of(b"x"), bytes: 1, kind: EntryKind::Link };
            let tree = Tree { entries: paths.into_iter().map(entry).collect() };
            let mut bytes = serde_json::to_vec(&tree).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<Tree>(&bytes).unwrap(), &tree);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(tree) = serde_json::from_slice::<Tree>(&bytes) {
                let again: Tree = serde_json::from_slice(&serde_json::to_vec(&tree).unwrap()).unwrap();
                prop_assert_eq!(&again, &tree);
                tree.conflict();
                tree.entries.iter().for_each(|entry| drop(entry.check_path()));
            }
        }
    }
}
