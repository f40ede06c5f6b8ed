//! The folder of a worker is that of one process.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use ar_net::durable;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::session::WorkerError;

/// How long one that has it may take to leave: a worker whose coordinator was killed does so within moments, and its successor in the
/// same folder waits for that.
const HANDOVER: Duration = Duration::from_secs(20);
/// How often it is looked whether it has left.
const LOOK: Duration = Duration::from_millis(20);

/// Makes the folder if it is not there, and takes it for this process alone.
pub(crate) fn take(folder: &Path) -> Result<Flock<File>, WorkerError> {
    let failed = |source| WorkerError::Folder { folder: folder.to_owned(), source };
    durable::private_folder(folder).map_err(failed)?;
    let path = folder.join("worker.lock");
    let mut file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, Errno::EWOULDBLOCK)) if began.elapsed() > HANDOVER => {
                return Err(WorkerError::InUse { folder: folder.to_owned() });
            }
            Err((held, Errno::EWOULDBLOCK)) => file = held,
            Err((_, error)) => return Err(failed(error.into())),
        }
        std::thread::sleep(LOOK);
    }
}

/// Removes what an earlier start laid out for studies, which is laid out again when they are prepared. The folder itself stays: it may
/// be a link, or a disk of its own. Best effort, as what stays only takes room.
pub(crate) fn empty(folder: &Path) {
    for left in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Err(error) = std::fs::remove_dir_all(left.path()) {
            tracing::warn!(path = %left.path().display(), %error, "what an earlier start laid out stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_on_another_disk_is_emptied_and_stays_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("disk"), home.path().join("studies"));
        std::fs::create_dir_all(real.join("0123abcd/data")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        empty(&link);
        assert!(link.is_symlink() && real.is_dir());
        assert_eq!(std::fs::read_dir(&real).unwrap().count(), 0);
        empty(&home.path().join("none"));
    }
}
