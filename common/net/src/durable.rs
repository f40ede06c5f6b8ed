//! Files that are there whole or not at all, whatever dies when.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes `bytes` to `path` so that a reader, or the next start after a power cut, sees the old
/// content or the new one and nothing between. The folder must exist.
///
/// # Errors
/// When the file system refuses; the old content is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Like [`write()`], where nothing is there yet: of several that come at once one writes. Whether it was this one.
///
/// # Errors
/// When the file system refuses.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let folder = folder_of(path);
    let mut temporary = temporary(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        written => written.map_err(|error| error.error)?,
    };
    sync_folder(folder)?;
    Ok(true)
}

/// Like [`write()`], for content that is produced piece by piece.
///
/// # Errors
/// When `fill` or the file system fails; the old content is then still there.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let mut temporary = temporary(folder)?;
    fill(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the folder cannot be opened.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder, and its parents, that only this user may enter.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is gone"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_that_write_what_is_not_there_yet_one_does() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let begin = std::sync::Barrier::new(4);
            let write = |n: usize| {
                begin.wait();
                let first = write_new(&path, n.to_string().as_bytes()).unwrap();
                let found = fs::read_to_string(&path).unwrap();
                assert!(!first || found == n.to_string());
                found
            };
            let each: Vec<String> = std::thread::scope(|scope| {
                let write = &write;
                let all: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(each.iter().all(|found| *found == each[0]), "{each:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no litter");
        }
    }
}
