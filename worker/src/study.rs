//! A study on this worker: its files laid out, its environment made, its fork server started.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ar_common::frames::Unavailable;
use ar_common::{Digest, StudyId};
use ar_net::{BlobError, BlobStore, Pins, durable};

use crate::cache::{Source, SourceError};
use crate::environment::{self, EnvironmentError};
use crate::forks::Forks;
use crate::server::{ForkServer, ServerError};
use crate::training::{DataFault, Project};

/// The file of a study's tree that names the environment.
const REQUIREMENTS: &str = "requirements.lock";

/// Why a study cannot be worked on here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StudyError {
    #[error(transparent)]
    Fetch(#[from] SourceError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("cannot lay out the study's files in {folder}: {source}")]
    Layout { folder: PathBuf, source: io::Error },
    #[error("the project's files could not be checked: {0}")]
    Check(String),
    #[error(transparent)]
    Data(#[from] DataFault),
    #[error("--metric-regex is not valid: {0}")]
    Regex(String),
    #[error("the study names no `{REQUIREMENTS}`; submit it with this version of the coordinator")]
    NoRequirements,
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What preparing a study needs, beside a source of its files.
#[derive(Debug, Clone)]
pub(crate) struct Preparing {
    pub(crate) study: StudyId,
    pub(crate) tree: Digest,
    /// Where it is laid out.
    pub(crate) folder: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) python: Option<PathBuf>,
}

/// A study whose environment stands.
#[derive(Debug)]
pub(crate) struct Study {
    pub(crate) runner: Runner,
    pub(crate) unavailable: Vec<Unavailable>,
    pub(crate) facts: String,
    /// Files that its attempts need in the cache.
    _files: Vec<Pins>,
}

/// What runs a study's attempts.
#[derive(Debug)]
pub(crate) enum Runner {
    /// A warm process that forks a child per attempt, for pipelines on a table.
    Forks(Forks),
    /// A command in a copy of the project, for training scripts.
    Commands(Arc<Project>),
}

impl Study {
    /// Fetches, lays out, makes the environment, starts the server.
    pub(crate) async fn prepare(
        preparing: &Preparing,
        source: &Source,
        progress: impl Fn(String) + Send + Sync,
    ) -> Result<Self, StudyError> {
        tracing::info!(study = %preparing.study, "preparing");
        let mut damaged = Vec::new();
        loop {
            match Self::prepare_once(preparing, source, &progress).await {
                // What lay in the cache for long may be had again, but not for ever.
                Err(StudyError::Blob(BlobError::Damaged { digest, .. })) if !damaged.contains(&digest) => {
                    source.discard(digest)?;
                    damaged.push(digest);
                }
                prepared => return prepared,
            }
        }
    }

    async fn prepare_once(
        preparing: &Preparing,
        source: &Source,
        progress: &(impl Fn(String) + Send + Sync),
    ) -> Result<Self, StudyError> {
        let Preparing { study: _, tree, folder, cache, python } = preparing;
        let (blobs, tree, python) = (source.cache.store(), *tree, python.as_deref());
        let files = fetch_tree(source, tree).await?;
        if let Some(project) = Project::prepare(blobs, tree, cache, python, progress).await? {
            let (unavailable, facts) = (project.unavailable(), project.facts.clone());
            let runner = Runner::Commands(Arc::new(project));
            return Ok(Self { runner, unavailable, facts, _files: files });
        }
        let lock = lay_out(blobs, tree, folder)?;
        let request = environment::Request { lock: &lock, complete: true, cache, python };
        let environment = environment::ensure(&request, progress).await?;
        progress("loading the data".to_owned());
        let server = ForkServer::start(&environment.python, folder).await?;
        let ready = server.ready.clone();
        let facts = format!(
            "Python {}, {} rows ({} to search on, {} sealed); imports took {:.1} s, loading {:.2} s",
            environment.version,
            ready.rows,
            ready.train_rows,
            ready.sealed_rows,
            ready.import_seconds,
            ready.load_seconds
        );
        let runner = Runner::Forks(Forks::new(environment.python, folder.clone(), server));
        // Its attempts read what was laid out.
        Ok(Self { runner, unavailable: ready.unavailable, facts, _files: Vec::new() })
    }
}

/// Gets the files of a tree, which stay as long as what is returned.
async fn fetch_tree(source: &Source, tree: Digest) -> Result<Vec<Pins>, StudyError> {
    let mut files = vec![source.fetch(tree).await?];
    for entry in source.cache.store().read_tree(&tree)?.entries {
        files.push(source.fetch(entry.digest).await?);
    }
    Ok(files)
}

/// Lays the files of a tree out in a fresh folder and returns the requirements. What an interrupted
/// start left there is removed first.
fn lay_out(blobs: &BlobStore, tree: Digest, folder: &Path) -> Result<String, StudyError> {
    let failed = |source| StudyError::Layout { folder: folder.to_owned(), source };
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other.map_err(failed)?,
    }
    durable::private_folder(folder).map_err(failed)?;
    for entry in blobs.read_tree(&tree)?.entries {
        let path = folder.join(&entry.path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        blobs.copy_to(&entry.digest, &path)?;
    }
    match std::fs::read_to_string(folder.join(REQUIREMENTS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StudyError::NoRequirements),
        read => read.map_err(failed),
    }
}
