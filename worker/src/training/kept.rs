//! Folders of failed runs that somebody asked to keep, to look into.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ar_common::Outcome;
use ar_common::frames::Grant;
use nix::fcntl::OFlag;
use tokio::sync::watch;

use super::attempt::Stops;
use crate::output::Bounded;

/// The file in a kept folder that has what the run said.
const OUTPUT: &str = "autoresearch-output.txt";

/// Where failed runs are kept, if that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// One folder per failed attempt: `STUDY-EXPERIMENT-ATTEMPT`.
    pub(crate) folder: PathBuf,
    /// True when the worker is leaving: what ends by that has not failed.
    pub(crate) leave: watch::Receiver<bool>,
}

impl Kept {
    /// Whether an attempt that ended like this has failed. One that was called off has not.
    pub(super) fn wants(&self, outcome: &Outcome, stops: &Stops) -> bool {
        let failed = matches!(
            outcome,
            Outcome::Crashed { .. } | Outcome::OutOfMemory { .. } | Outcome::NoMetric { .. }
        );
        let called_off = stops.last().is_some_and(|grace| grace.is_zero() || *self.leave.borrow());
        failed && !called_off
    }

    /// Moves the folder of an attempt to where it is kept.
    pub(super) fn take(&self, grant: &Grant, from: &Path) -> io::Result<PathBuf> {
        let name = format!("{}-{}-{}", grant.study.short(), grant.lease.experiment, grant.attempt);
        let to = self.folder.join(name);
        fs::create_dir_all(&self.folder)?;
        // Of a store that was made anew, in which the numbers begin again.
        match fs::remove_dir_all(&to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(from, &to)?;
        Ok(to)
    }
}

/// Adds what a command said to the folder, in which a later command may say more. What the run made there is not followed
/// to elsewhere.
pub(super) fn write_output(folder: &Path, said: &Bounded) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    options.open(folder.join(OUTPUT))?.write_all(said.text().as_bytes())
}
