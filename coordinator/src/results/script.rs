//! What a training study hands over: the searched files with the winner's values written in.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ar_common::{Config, Digest, Training, workload};
use ar_net::{BlobStore, durable};

/// Writes the searched files of `config` below `folder`.
///
/// # Errors
/// When the folder cannot be written or the project is missing from the store.
pub(super) fn write(
    folder: &Path,
    training: &Training,
    tree: &Digest,
    config: &Config,
    blobs: &BlobStore,
) -> io::Result<()> {
    let tree = blobs.read_tree(tree).map_err(io::Error::other)?;
    let changes = training.changes(config);
    let replaced = training.replaced(config);
    let files: BTreeSet<&String> =
        training.edit.iter().chain(training.variants.iter().map(|variants| &variants.file)).collect();
    for path in files {
        let whole = format!("project/{}", replaced.get(path.as_str()).copied().unwrap_or(path));
        let entry = tree.entries.iter().find(|entry| entry.path == whole);
        let entry = entry.ok_or_else(|| io::Error::other(format!("the stored project has no {path}")))?;
        let content = blobs.read(&entry.digest).map_err(io::Error::other)?;
        let none = Vec::new();
        let text = std::str::from_utf8(&content).ok();
        let made = text.and_then(|text| workload::spliced(text, changes.get(path.as_str()).unwrap_or(&none)));
        let made =
            made.ok_or_else(|| io::Error::other(format!("the values do not fit the stored {path}")))?;
        let to = folder.join(path);
        std::fs::create_dir_all(to.parent().unwrap_or(folder))?;
        durable::write(&to, made.as_bytes())?;
    }
    Ok(())
}
