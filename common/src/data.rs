//! Data of a training study that its runs read where it lies: it is referred to, never copied.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::tree::{EntryKind, Tree, TreeEntry, TreePathError, check_path};

/// A file or a folder that every worker has, and that each run finds as a link in its copy of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRef {
    /// What it is called inside the project: a relative path.
    pub name: String,
    /// Where it lies on every worker: an absolute path.
    pub path: String,
    /// What it was when the study was submitted.
    pub fingerprint: Fingerprint,
}

/// By what data are told from others. How it is taken stands in `docs/results.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Hash of names, sizes and content, or of a part of the content.
    pub digest: Digest,
    /// Whether only a part of the content was hashed, because there is too much of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampled: bool,
}

impl DataRef {
    /// Checks that the name stays inside the folder in which the link is made. A reference comes from another machine, so
    /// this is asked before a link is made.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_name(&self) -> Result<(), TreePathError> {
        check_path(&self.name)
    }

    /// The first name that cannot stand among the files of a project and the other names: it is there already, or below a file
    /// or a link, through which it would be made somewhere else.
    pub fn conflict<'a>(files: impl IntoIterator<Item = &'a TreeEntry>, data: &[Self]) -> Option<String> {
        let link = |data: &Self| TreeEntry {
            path: data.name.clone(),
            digest: data.fingerprint.digest,
            bytes: 0,
            kind: EntryKind::Link,
        };
        let entries = files.into_iter().cloned().chain(data.iter().map(link)).collect();
        Tree { entries }.conflict().map(str::to_owned)
    }
}

/// Whether one of two paths is the other, or a folder above it.
pub fn overlap(a: &str, b: &str) -> bool {
    let above =
        |a: &str, b: &str| b.strip_prefix(a).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    above(a, b) || above(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_place_of_its_own_in_the_project() {
        let data = |name: &str| DataRef {
            name: name.into(),
            path: "/data".into(),
            fingerprint: Fingerprint { bytes: 1, files: 1, digest: Digest::of(b""), sampled: false },
        };
        let file =
            |path: &str, kind| TreeEntry { path: path.into(), digest: Digest::of(b""), bytes: 0, kind };
        let files = [file("train.py", EntryKind::Plain), file("away", EntryKind::Link)];
        let conflict = |names: &[&str]| {
            let data: Vec<DataRef> = names.iter().map(|name| data(name)).collect();
            DataRef::conflict(&files, &data)
        };
        assert_eq!(conflict(&["corpus", "data/tokens.bin", "data/vocab"]), None);
        assert_eq!(conflict(&["corpus", "corpus"]).as_deref(), Some("corpus"));
        assert_eq!(conflict(&["corpus", "corpus/tokens.bin"]).as_deref(), Some("corpus/tokens.bin"));
        assert_eq!(conflict(&["away/tokens.bin"]).as_deref(), Some("away/tokens.bin"));
        assert_eq!(conflict(&["train.py/x"]).as_deref(), Some("train.py/x"));
        assert!(data("corpus").check_name().is_ok());
        assert!(
            ["../x", "/x", "a/../b", "", "./a", "a/"].iter().all(|name| data(name).check_name().is_err())
        );
    }

    #[test]
    fn paths_overlap_by_whole_parts() {
        assert!(overlap("a", "a") && overlap("a", "a/b") && overlap("a/b/c", "a"));
        assert!(!overlap("a", "ab") && !overlap("a/b", "a/c") && !overlap("ab/c", "a"));
    }
}
