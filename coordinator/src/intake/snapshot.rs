//! A project's folder, read once: what of it is a file of the project, and its content.
//!
//! What git would ignore is left out, and so is what no project needs. Nothing is written.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ar_common::{DataRef, Digest, EntryKind, Tree, TreeEntry};
use ar_net::BlobStore;
use ignore::WalkBuilder;

use super::IntakeError;

/// Most files of a project.
const FILES: usize = 20_000;
/// Most bytes of all of them: each worker makes a copy for each run.
const BYTES: u64 = 1 << 30;
/// Folders that no project needs, ignored or not.
const NEVER: [&str; 8] =
    [".git", ".hg", ".venv", "venv", "__pycache__", "node_modules", ".ipynb_checkpoints", ".mypy_cache"];

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The file system.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The walk.
    #[error("cannot read the project: {0}")]
    Walk(#[from] ignore::Error),
    /// A name that other machines cannot have.
    #[error("`{}` has a name that cannot be copied to other machines; rename it, or name it in .gitignore", .0.display())]
    Name(PathBuf),
    /// Too large to copy for each run.
    #[error(
        "{} has more than {FILES} files or {} MiB that git does not ignore; hand data to the runs where they lie with --data PATH, and name checkpoints in .gitignore", .0.display(), BYTES >> 20
    )]
    Large(PathBuf),
    /// Neither file nor link.
    #[error("`{}` is neither a file nor a link; name it in .gitignore", .0.display())]
    Special(PathBuf),
}

/// What a project consisted of.
#[derive(Debug)]
pub(super) struct Snapshot {
    root: PathBuf,
    /// Sorted by path.
    pub(super) entries: Vec<TreeEntry>,
}

impl Snapshot {
    /// Reads the project at `root`; `out`, where results go, is no part of it, nor is what it has where `data` stand.
    pub(super) fn of(root: &Path, out: &Path, data: &[DataRef]) -> Result<Self, ProjectError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| ProjectError::Io { path, source }
        };
        let root = root.canonicalize().map_err(io_error(root))?;
        let mut without: Vec<PathBuf> = data.iter().map(|data| root.join(&data.name)).collect();
        without.extend(out.canonicalize());
        let mut walk = WalkBuilder::new(&root);
        // Dot files belong to a project; whether it is a repository does not matter.
        walk.hidden(false).parents(true).require_git(false).follow_links(false);
        walk.filter_entry(move |entry| {
            let never = entry.file_name().to_str().is_some_and(|name| NEVER.contains(&name));
            !never && !without.iter().any(|path| path == entry.path())
        });
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for found in walk.build() {
            let found = found?;
            let path = found.path();
            let meta = fs::symlink_metadata(path).map_err(io_error(path))?;
            if meta.is_dir() {
                continue;
            }
            let relative = path.strip_prefix(&root).ok().and_then(Path::to_str);
            let relative = relative.ok_or_else(|| ProjectError::Name(path.to_owned()))?.to_owned();
            let (kind, digest, length) = if meta.is_symlink() {
                let target = link(&root, path).map_err(io_error(path))?;
                (EntryKind::Link, Digest::of(target.as_bytes()), target.len() as u64)
            } else if meta.is_file() {
                let executable = meta.permissions().mode() & 0o100 != 0;
                let kind = if executable { EntryKind::Executable } else { EntryKind::Plain };
                let content = fs::read(path).map_err(io_error(path))?;
                (kind, Digest::of(&content), content.len() as u64)
            } else {
                return Err(ProjectError::Special(path.to_owned()));
            };
            bytes += length;
            let entry = TreeEntry { path: relative, digest, bytes: length, kind };
            entry.check_path().map_err(|_| ProjectError::Name(path.to_owned()))?;
            entries.push(entry);
            if entries.len() > FILES || bytes > BYTES {
                return Err(ProjectError::Large(root));
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, entries })
    }

    /// Where it was.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Digest of all of it.
    pub(super) fn digest(&self) -> Digest {
        // Plain data has no way to fail.
        Digest::of(&serde_json::to_vec(&Tree { entries: self.entries.clone() }).unwrap_or_default())
    }

    /// The text of a file as it was; `None` if it is no text of the project.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.path == path && entry.kind != EntryKind::Link)?;
        let content = fs::read(self.root.join(path)).ok()?;
        (Digest::of(&content) == entry.digest).then(|| String::from_utf8(content).ok()).flatten()
    }

    /// Keeps every file; what has changed since it was read is an error.
    pub(super) fn store(&self, blobs: &BlobStore) -> Result<(), IntakeError> {
        for entry in &self.entries {
            let path = self.root.join(&entry.path);
            let digest = match entry.kind {
                EntryKind::Link => link(&self.root, &path).ok().map(|target| blobs.put(target.as_bytes())),
                EntryKind::Plain | EntryKind::Executable => {
                    Some(blobs.put_file(&path).map(|(digest, _)| digest))
                }
            };
            if digest.transpose()? != Some(entry.digest) {
                return Err(IntakeError::Moving(path));
            }
        }
        Ok(())
    }
}

/// Where a link leads. One that leaves the project leads to the same place from everywhere.
fn link(root: &Path, path: &Path) -> io::Result<String> {
    let target = fs::read_link(path)?;
    let whole = path.parent().unwrap_or(root).join(&target);
    let inside = whole.canonicalize().is_ok_and(|to| to.starts_with(root)) && target.is_relative();
    let target = if inside { target } else { std::path::absolute(whole)? };
    target.into_os_string().into_string().map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_git_ignores_stays_out_and_modes_and_links_stay_in() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("project");
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("train.py", "LR = 1\r\n");
        write(".gitignore", "*.ckpt\ndata/\n");
        write("model.ckpt", "large");
        write("data/rows", "large");
        write("run.sh", "#!/bin/sh\n");
        write("__pycache__/x.pyc", "cache");
        write("out/results.tsv", "ours");
        write("lib/a.py", "A = 1\n");
        fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("lib/a.py", root.join("inside")).unwrap();
        symlink("../elsewhere", root.join("outside")).unwrap();
        let snapshot = Snapshot::of(&root, &root.join("out"), &[]).unwrap();
        let kinds: Vec<(&str, EntryKind)> =
            snapshot.entries.iter().map(|e| (e.path.as_str(), e.kind)).collect();
        let plain = EntryKind::Plain;
        assert_eq!(
            kinds,
            [
                (".gitignore", plain),
                ("inside", EntryKind::Link),
                ("lib/a.py", plain),
                ("outside", EntryKind::Link),
                ("run.sh", EntryKind::Executable),
                ("train.py", plain),
            ]
        );
        let blobs = BlobStore::open(&home.path().join("blobs")).unwrap();
        snapshot.store(&blobs).unwrap();
        let target = |path: &str| {
            let entry = snapshot.entries.iter().find(|e| e.path == path).unwrap();
            String::from_utf8(blobs.read(&entry.digest).unwrap()).unwrap()
        };
        assert_eq!(target("inside"), "lib/a.py");
        assert!(Path::new(&target("outside")).is_absolute(), "it leads to the same place from a workspace");
        assert_eq!(snapshot.text("train.py").as_deref(), Some("LR = 1\r\n"));
        fs::write(root.join("train.py"), "LR = 2\n").unwrap();
        assert!(matches!(snapshot.store(&blobs), Err(IntakeError::Moving(_))));
        assert_ne!(Snapshot::of(&root, home.path(), &[]).unwrap().digest(), snapshot.digest());
    }
}
