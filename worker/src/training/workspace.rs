//! The folder of one attempt: a copy of the project with the configuration's values written in.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ar_common::{Digest, EntryKind, Training, Tree, TreeEntry, workload};
use ar_net::{BlobError, BlobStore};

/// Where the project's files stand in a study's tree.
pub(crate) const PROJECT: &str = "project/";

/// Why a workspace cannot be made or is not what it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("cannot write {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the project has no file `{0}`, in which a value is to be written; submit the study again")]
    NoFile(String),
    #[error("the values do not fit `{0}`; submit the study again")]
    DoesNotFit(String),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> WorkspaceError {
    let path = path.to_owned();
    move |source| WorkspaceError::Io { path, source }
}

/// Lays the project out in `folder` and writes the values of a configuration.
pub(crate) fn make(
    blobs: &BlobStore,
    tree: &Tree,
    training: &Training,
    config: &ar_common::Config,
    folder: &Path,
) -> Result<(), WorkspaceError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other.map_err(io_error(folder))?,
    }
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let changes = training.changes(config);
    let mut unchanged = changes.keys().copied().collect::<std::collections::BTreeSet<_>>();
    for (path, entry) in files(tree) {
        let to = folder.join(path);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(io_error(parent))?;
        let content = blobs.read(&entry.digest)?;
        if entry.kind == EntryKind::Link {
            let target = String::from_utf8_lossy(&content).into_owned();
            symlink(&target, &to).map_err(io_error(&to))?;
            continue;
        }
        let content = match changes.get(path) {
            Some(changes) => {
                unchanged.remove(path);
                let text = std::str::from_utf8(&content).ok();
                let made = text.and_then(|text| workload::spliced(text, changes));
                made.ok_or_else(|| WorkspaceError::DoesNotFit(path.to_owned()))?.into_bytes()
            }
            None => content,
        };
        // It is gone with its attempt, so nothing here needs to survive a crash of the machine.
        fs::write(&to, content).map_err(io_error(&to))?;
        if entry.kind == EntryKind::Executable {
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(io_error(&to))?;
        }
    }
    match unchanged.first() {
        Some(missing) => Err(WorkspaceError::NoFile((*missing).to_owned())),
        None => Ok(()),
    }
}

/// The project's files with their paths in it.
fn files(tree: &Tree) -> impl Iterator<Item = (&str, &TreeEntry)> {
    tree.entries.iter().filter_map(|entry| Some((entry.path.strip_prefix(PROJECT)?, entry)))
}

/// A protected file that is no longer what was submitted, but for the values written in.
pub(crate) fn tampered(
    blobs: &BlobStore,
    tree: &Tree,
    training: &Training,
    config: &ar_common::Config,
    folder: &Path,
) -> Option<String> {
    let changes = training.changes(config);
    let is_protected = |path: &str| training.protect.iter().any(|protected| protected == path);
    files(tree).filter(|(path, _)| is_protected(path)).find_map(|(path, entry)| {
        let expected = match changes.get(path) {
            Some(changes) => {
                let content = blobs.read(&entry.digest).ok()?;
                let made =
                    std::str::from_utf8(&content).ok().and_then(|text| workload::spliced(text, changes))?;
                Digest::of(made.as_bytes())
            }
            None => entry.digest,
        };
        let to = folder.join(path);
        let found = match entry.kind {
            EntryKind::Link => {
                fs::read_link(&to).ok().map(|target| Digest::of(target.to_string_lossy().as_bytes()))
            }
            _ if fs::symlink_metadata(&to).is_ok_and(|meta| meta.is_file()) => {
                fs::read(&to).ok().map(|content| Digest::of(&content))
            }
            _ => None,
        };
        (found != Some(expected)).then(|| path.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ar_common::{BudgetBy, Config, Site};

    use super::*;

    #[test]
    fn modes_links_and_line_ends_survive_and_only_the_values_change() {
        let home = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(&home.path().join("blobs")).unwrap();
        let source = "# caf\u{e9}\r\nLR = 0.1 # rate\r\n";
        let entry = |path: &str, content: &[u8], kind| TreeEntry {
            path: format!("{PROJECT}{path}"),
            digest: blobs.put(content).unwrap(),
            bytes: content.len() as u64,
            kind,
        };
        let entries = vec![
            entry("train.py", source.as_bytes(), EntryKind::Plain),
            entry("bin/go", b"#!/bin/sh\n", EntryKind::Executable),
            entry("data", b"/elsewhere/data", EntryKind::Link),
            entry("raw.bin", b"\xff\x00\r\n", EntryKind::Plain),
        ];
        let digest = blobs.put_tree(entries).unwrap();
        let tree = blobs.read_tree(&digest).unwrap();
        let start = source.find("0.1").unwrap();
        let texts: BTreeMap<String, String> = [("0.2".to_owned(), "0.2".to_owned())].into();
        let training = Training {
            path: String::new(),
            project: digest,
            command: "true".into(),
            edit: vec!["train.py".into()],
            budget_seconds: 1.0,
            startup_seconds: 1.0,
            budget_by: BudgetBy::Variable("TIME_BUDGET".into()),
            metric_regex: None,
            evaluate: None,
            pins: vec![],
            protect: vec!["raw.bin".into(), "data".into()],
            sites: vec![Site {
                dimension: "LR".into(),
                file: "train.py".into(),
                start,
                end: start + 3,
                texts,
            }],
        };
        let folder = home.path().join("work");
        let config: Config = [("LR", "0.2")].into_iter().collect();
        make(&blobs, &tree, &training, &config, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("train.py")).unwrap(), source.replace("0.1", "0.2"));
        assert_eq!(fs::read(folder.join("raw.bin")).unwrap(), b"\xff\x00\r\n");
        assert_eq!(fs::metadata(folder.join("bin/go")).unwrap().permissions().mode() & 0o111, 0o111);
        assert_eq!(fs::read_link(folder.join("data")).unwrap(), Path::new("/elsewhere/data"));
        let check = || tampered(&blobs, &tree, &training, &config, &folder);
        assert_eq!(check(), None);
        fs::write(folder.join("train.py"), "anything").unwrap();
        assert_eq!(check(), None, "what is searched may be changed");
        fs::write(folder.join("raw.bin"), b"changed").unwrap();
        assert_eq!(check().as_deref(), Some("raw.bin"));
        fs::write(folder.join("raw.bin"), b"\xff\x00\r\n").unwrap();
        fs::remove_file(folder.join("data")).unwrap();
        assert_eq!(check().as_deref(), Some("data"));
        let bad = Training {
            sites: vec![Site { file: "gone.py".into(), ..training.sites[0].clone() }],
            ..training
        };
        let error = make(&blobs, &tree, &bad, &config, &folder).unwrap_err();
        assert!(error.to_string().contains("gone.py"), "{error}");
    }
}
