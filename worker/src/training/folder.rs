//! An attempt's folder, before its run and after it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::Outcome;
use ar_common::frames::Grant;

use super::attempt::Surroundings;
use super::{data, workspace};
use crate::capacity::Need;
use crate::session::{FULL_PATIENCE, WorkerError};

/// Time between two tries where the disk is full.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no folder.
pub(super) enum Unmade {
    /// The disk is full and stays so.
    Full(WorkerError),
    /// It is full, and the worker takes nothing for as long as it is.
    NoSpace,
    /// The study's data are no longer what they were.
    Unready(String),
    /// It cannot be made, here or anywhere.
    Never(String),
    /// What it needs did not arrive; that is no fault of the run.
    Elsewhere(String),
}

/// Makes it, if the data that it leads to are what they should be.
pub(super) async fn laid_out(grant: &Grant, surroundings: &Surroundings) -> Result<(), Unmade> {
    let never =
        |error: &dyn std::fmt::Display| Unmade::Never(format!("its folder could not be made: {error}"));
    let project = Arc::clone(&surroundings.project);
    let changed = move || data::changed(&project.data).map(|(_, fault)| fault.to_string());
    match tokio::task::spawn_blocking(changed).await {
        Ok(None) => {}
        Ok(Some(why)) => return Err(Unmade::Unready(why)),
        Err(error) => return Err(never(&error)),
    }
    let began = Instant::now();
    loop {
        let (config, folder, blobs) =
            (grant.config.clone(), surroundings.folder.clone(), surroundings.blobs.clone());
        let project = Arc::clone(&surroundings.project);
        let made = tokio::task::spawn_blocking(move || {
            workspace::make(&blobs, &project.tree, &project.job.training, &config, &folder)
        });
        match made.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if error.is_full() && surroundings.capacity.lacks(Need::Disk) => {
                tracing::warn!(%error, "no space for an attempt's folder; it is given back");
                return Err(Unmade::NoSpace);
            }
            // A neighbour that ends may leave space.
            Ok(Err(error)) if error.is_full() && began.elapsed() < FULL_PATIENCE => {
                tracing::error!(%error, "no space for an attempt's folder; trying again");
                tokio::time::sleep(FULL_PAUSE).await;
            }
            Ok(Err(error)) if error.is_full() => {
                let folder = surroundings.folder.clone();
                return Err(Unmade::Full(WorkerError::Full { folder, why: error.to_string() }));
            }
            Ok(Err(error)) => return Err(never(&error)),
            Err(error) => return Err(never(&error)),
        }
    }
}

/// The outcome, unless a file or data were changed that no run may change.
pub(super) async fn checked(grant: &Grant, surroundings: &Surroundings, outcome: Outcome) -> Outcome {
    if !matches!(outcome, Outcome::Done(_)) {
        return outcome;
    }
    let (config, folder, blobs) =
        (grant.config.clone(), surroundings.folder.clone(), surroundings.blobs.clone());
    let project = Arc::clone(&surroundings.project);
    let tampered = tokio::task::spawn_blocking(move || {
        let training = &project.job.training;
        if let Some(path) = workspace::tampered(&blobs, &project.tree, training, &config, &folder) {
            return Some(format!("`{path}` is protected, and the run changed it"));
        }
        let (reference, _) = data::changed(&project.data)?;
        let (name, path) = (&reference.name, &reference.path);
        Some(format!("`{name}` ({path}) is data that no run may change, and it changed while this one ran"))
    });
    match tampered.await {
        Ok(None) => outcome,
        Ok(Some(reason)) => Outcome::NoMetric { reason },
        Err(error) => {
            Outcome::NoMetric { reason: format!("the protected files could not be checked: {error}") }
        }
    }
}

/// Keeps it, if it is that of a failed run and somebody asked for those, or removes it.
pub(super) async fn left(grant: Grant, folder: std::path::PathBuf, kept: Option<super::Kept>) {
    let removed = tokio::task::spawn_blocking(move || {
        match kept.map(|kept| kept.take(&grant, &folder)) {
            Some(Ok(to)) => return tracing::info!(folder = %to.display(), "kept the folder of a failed run"),
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot keep the folder of a failed run; it is removed");
            }
            None => {}
        }
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove an attempt's folder");
            }
            _ => {}
        }
    });
    let _ = removed.await;
}
