//! Archives: the experiments of studies that have ended, as blobs, so that journal and memory do not grow for ever.

use ar_common::{Digest, StudyId};
use ar_core::{Archive, ArchiveError, Input, State};
use ar_net::{BlobError, BlobStore};

use crate::actor::{Ended, Handle};
use crate::blobs::Blobs;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchivingError {
    /// The store of blobs.
    #[error("the archive of study {study}: {source}")]
    Blob {
        /// Which study.
        study: StudyId,
        /// What it said.
        source: BlobError,
    },
    /// Its content.
    #[error("the archive {archive} of study {study}: {source}")]
    Content {
        /// Which study.
        study: StudyId,
        /// The blob.
        archive: Digest,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// The coordinator.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Keeps the experiments of a study that has ended, reads them back, and tells the core. It changes nothing where the study goes on
/// meanwhile.
///
/// # Errors
/// When the blob cannot be kept.
pub(crate) async fn archive(handle: &Handle, blobs: &Blobs, study: StudyId) -> Result<(), ArchivingError> {
    let state = handle.ask(|state, _| state.clone()).await?;
    let (as_of, folder, id) = (state.seq, blobs.folder().clone(), study.clone());
    let keeping = tokio::task::spawn_blocking(move || {
        let Some(archive) = state.to_archive(&id) else { return Ok(None) };
        let failed = |source| ArchivingError::Blob { study: id.clone(), source };
        let digest = folder.put(&archive.to_bytes()).map_err(failed)?;
        // What cannot be read back must not leave.
        Ok::<_, ArchivingError>((read(&id, digest, &folder)? == archive).then_some(digest))
    });
    let Some(archive) = keeping.await.map_err(|_| Ended)?? else { return Ok(()) };
    blobs.keep(archive).await.map_err(|source| ArchivingError::Blob { study: study.clone(), source })?;
    tracing::info!(study = study.short(), %archive, "the experiments of a study that has ended are archived");
    Ok(handle.input(Input::Archive { study, archive, as_of }).await?)
}

/// Takes the experiments of a study back, if they are in an archive.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn recall(handle: &Handle, blobs: &BlobStore, study: StudyId) -> Result<(), ArchivingError> {
    let (id, blobs) = (study.clone(), blobs.clone());
    let archive = handle.ask(move |state, _| archive_of(state, &id)).await?;
    let Some(archive) = archive else { return Ok(()) };
    let archive =
        tokio::task::spawn_blocking(move || read(&study, archive, &blobs)).await.map_err(|_| Ended)??;
    Ok(handle.input(Input::Recall(archive)).await?)
}

/// The state with the experiments of a study in it, wherever they are.
///
/// # Errors
/// When they are in an archive that cannot be read.
pub(crate) fn whole(mut state: State, study: &StudyId, blobs: &BlobStore) -> Result<State, ArchivingError> {
    if let Some(archive) = archive_of(&state, study) {
        state.put_back(&read(study, archive, blobs)?);
    }
    Ok(state)
}

fn archive_of(state: &State, study: &StudyId) -> Option<Digest> {
    Some(state.studies.get(study)?.archived.as_ref()?.archive)
}

fn read(study: &StudyId, archive: Digest, blobs: &BlobStore) -> Result<Archive, ArchivingError> {
    let failed = |source| ArchivingError::Blob { study: study.clone(), source };
    let bytes = blobs.read(&archive).map_err(failed)?;
    Archive::from_bytes(&bytes).map_err(|source| ArchivingError::Content {
        study: study.clone(),
        archive,
        source,
    })
}
