//! The folder of one attempt: a copy of the project with the configuration's values written in.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ar_common::{DataRef, Digest, EntryKind, Training, Tree, TreeEntry, workload};
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
    #[error("the project has no file `{0}`, which a configuration needs; submit the study again")]
    NoFile(String),
    #[error("the values do not fit `{0}`; submit the study again")]
    DoesNotFit(String),
}

impl WorkspaceError {
    /// Whether it is for want of space, which is no fault of the run.
    pub(crate) fn is_full(&self) -> bool {
        let kind = match self {
            Self::Io { source, .. } | Self::Blob(BlobError::Io { source, .. }) => source.kind(),
            _ => return false,
        };
        matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
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
    let replaced = training.replaced(config);
    let mut unchanged = changes.keys().copied().collect::<std::collections::BTreeSet<_>>();
    for (path, entry) in files(tree) {
        let to = folder.join(path);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(io_error(parent))?;
        if entry.kind == EntryKind::Link {
            let target = String::from_utf8_lossy(&blobs.read(&entry.digest)?).into_owned();
            symlink(&target, &to).map_err(io_error(&to))?;
            continue;
        }
        // It is gone with its attempt, so nothing here needs to survive a crash of the machine.
        match changes.get(path) {
            Some(changes) => {
                unchanged.remove(path);
                let content = blobs.read(&entry.digest)?;
                let text = std::str::from_utf8(&content).ok();
                let made = text.and_then(|text| workload::spliced(text, changes));
                let made = made.ok_or_else(|| WorkspaceError::DoesNotFit(path.to_owned()))?;
                fs::write(&to, made).map_err(io_error(&to))?;
            }
            // A project may hold data of any size, so what is not rewritten is not read either.
            None => {
                let other = replaced.get(path).map(|other| named(tree, other)).transpose()?;
                blobs.lay_out(&other.unwrap_or(entry).digest, &to)?;
            }
        }
        if entry.kind == EntryKind::Executable {
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(io_error(&to))?;
        }
    }
    for data in &training.data {
        let to = folder.join(&data.name);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(io_error(parent))?;
        symlink(&data.path, &to).map_err(io_error(&to))?;
    }
    match unchanged.first() {
        Some(missing) => Err(WorkspaceError::NoFile((*missing).to_owned())),
        None => Ok(()),
    }
}

/// A file of the project.
fn named<'t>(tree: &'t Tree, path: &str) -> Result<&'t TreeEntry, WorkspaceError> {
    let found = files(tree).find(|(known, _)| *known == path);
    found.map(|(_, entry)| entry).ok_or_else(|| WorkspaceError::NoFile(path.to_owned()))
}

/// Compares every blob of the project with its name: once for all attempts of this start, which copy them unread.
pub(crate) fn check(blobs: &BlobStore, tree: &Tree) -> Result<(), BlobError> {
    files(tree).try_for_each(|(_, entry)| blobs.check(&entry.digest))
}

/// A name of data that cannot stand among the project's files.
pub(crate) fn conflict(tree: &Tree, data: &[DataRef]) -> Option<String> {
    let inside = |(path, entry): (&str, &TreeEntry)| TreeEntry { path: path.to_owned(), ..entry.clone() };
    let inside: Vec<TreeEntry> = files(tree).map(inside).collect();
    DataRef::conflict(&inside, data)
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
                ar_net::digest_of_file(&to).ok()
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

    /// A training study in which `LR` of `train.py` is searched.
    fn training(project: Digest, start: usize) -> Training {
        let texts: BTreeMap<String, String> = [("0.2".to_owned(), "0.2".to_owned())].into();
        Training {
            path: String::new(),
            project,
            command: "true".into(),
            edit: vec!["train.py".into()],
            budget_seconds: 1.0,
            startup_seconds: 1.0,
            budget_by: BudgetBy::Variable("TIME_BUDGET".into()),
            metric_regex: None,
            evaluate: None,
            protect: vec!["raw.bin".into(), "data".into()],
            pins: vec![],
            variants: vec![],
            data: vec![],
            sites: vec![Site {
                dimension: "LR".into(),
                file: "train.py".into(),
                start,
                end: start + 3,
                texts,
            }],
        }
    }

    #[test]
    fn a_large_file_is_whole_and_writing_into_it_leaves_the_blob_alone() {
        use std::io::{Read, Seek, SeekFrom, Write};
        const SIZE: u64 = 64 << 20;
        let home = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(&home.path().join("blobs")).unwrap();
        // Mostly a hole, as a file of tokens that was allocated and not filled is.
        let source = home.path().join("tokens.bin");
        let mut file = fs::File::create(&source).unwrap();
        file.set_len(SIZE).unwrap();
        file.seek(SeekFrom::Start(SIZE - 4)).unwrap();
        file.write_all(b"tail").unwrap();
        let (large, bytes) = blobs.put_file(&source).unwrap();
        fs::set_permissions(blobs.path(&large), fs::Permissions::from_mode(0o400)).unwrap();
        let script = blobs.put(b"LR = 0.1").unwrap();
        let entry = |path: &str, digest, bytes| TreeEntry {
            path: format!("{PROJECT}{path}"),
            digest,
            bytes,
            kind: EntryKind::Plain,
        };
        let entries = vec![entry("tokens.bin", large, bytes), entry("train.py", script, 8)];
        let tree = blobs.read_tree(&blobs.put_tree(entries).unwrap()).unwrap();
        let training = Training { protect: vec!["tokens.bin".into()], ..training(large, 5) };
        let (config, folder) = ([("LR", "0.2")].into_iter().collect(), home.path().join("work"));
        check(&blobs, &tree).unwrap();
        make(&blobs, &tree, &training, &config, &folder).unwrap();
        let laid = folder.join("tokens.bin");
        assert_eq!(fs::metadata(&laid).unwrap().len(), SIZE);
        assert_eq!(tampered(&blobs, &tree, &training, &config, &folder), None);
        let mut file = fs::OpenOptions::new().read(true).write(true).open(&laid).unwrap();
        file.seek(SeekFrom::Start(SIZE - 4)).unwrap();
        let mut end = String::new();
        file.read_to_string(&mut end).unwrap();
        assert_eq!(end, "tail");
        file.rewind().unwrap();
        file.write_all(b"mine").unwrap();
        drop(file);
        blobs.check(&large).unwrap();
        assert_eq!(tampered(&blobs, &tree, &training, &config, &folder).as_deref(), Some("tokens.bin"));
        fs::set_permissions(blobs.path(&script), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(blobs.path(&script), b"LR = 9.9").unwrap();
        assert!(matches!(check(&blobs, &tree), Err(BlobError::Damaged { .. })));
    }

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
        let training = training(digest, start);
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
