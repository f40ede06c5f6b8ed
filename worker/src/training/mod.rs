//! Training scripts: a study's project on this worker, and one attempt in a copy of it.

mod attempt;
mod checkpoints;
mod curve;
mod data;
mod folder;
mod kept;
mod lines;
mod live;
mod summary;
mod variables;
mod workspace;

use std::path::{Path, PathBuf};

use ar_common::frames::Unavailable;
use ar_common::{DataRef, Digest, Metric, Training, Tree};
use ar_net::{BlobError, BlobStore};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::environment::{self, Environment};
use crate::study::StudyError;

pub(crate) use attempt::{Surroundings, run};
pub(crate) use data::{DataFault, Watched};
pub(crate) use kept::Kept;

/// The file of a study's tree that makes it one of a training script.
pub const JOB: &str = "training.json";
/// The project's own requirements.
const REQUIREMENTS: &str = "requirements.txt";

/// What a worker is told of a training study, beside the project's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What trains.
    pub training: Training,
    /// What is measured.
    pub metric: Metric,
    /// Seed of the study; repeat `n` runs with this and `n`.
    pub seed: u64,
}

/// A training study whose environment stands.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) job: Job,
    pub(crate) tree: Tree,
    /// Data that its runs read where they lie.
    pub(crate) data: Vec<Watched>,
    pub(crate) regex: Option<Regex>,
    /// The folder of the interpreter, which is first on the path, if one was made or named.
    pub(crate) programs: Option<PathBuf>,
    pub(crate) facts: String,
}

impl Project {
    /// Reads a study's tree and makes its environment; `None` where it is not of a training script.
    pub(crate) async fn prepare(
        blobs: &BlobStore,
        tree: Digest,
        cache: &Path,
        python: Option<&Path>,
        progress: impl Fn(String) + Send + Sync,
    ) -> Result<Option<Self>, StudyError> {
        let tree = blobs.read_tree(&tree)?;
        let named = |path: &str| tree.entries.iter().find(|entry| entry.path == path);
        let Some(entry) = named(JOB) else {
            return Ok(None);
        };
        let job: Job = serde_json::from_slice(&blobs.read(&entry.digest)?)
            .map_err(|error| BlobError::BadTree { digest: entry.digest, why: error.to_string() })?;
        if !job.training.data.is_empty() {
            progress("looking at the data".to_owned());
        }
        // A thread of its own, because a project may hold data of any size.
        let (every, files, references) = (blobs.clone(), tree.clone(), job.training.data.clone());
        let checked = tokio::task::spawn_blocking(move || check(&every, &files, &references)).await;
        let data = checked.map_err(|error| StudyError::Check(error.to_string()))??;
        let regex = job.training.metric_regex.as_deref().map(Regex::new).transpose();
        let regex = regex.map_err(|error| StudyError::Regex(error.to_string()))?;
        let requirements = named(&format!("{}{REQUIREMENTS}", workspace::PROJECT));
        let (programs, facts) = match (python, requirements) {
            (Some(python), _) => (python.parent().map(Path::to_owned), format!("{}", python.display())),
            (None, Some(entry)) => {
                let lock = String::from_utf8_lossy(&blobs.read(&entry.digest)?).into_owned();
                let request = environment::Request { lock: &lock, complete: false, cache, python: None };
                let Environment { python, version } = environment::ensure(&request, &progress).await?;
                (python.parent().map(Path::to_owned), format!("Python {version} with {REQUIREMENTS}"))
            }
            (None, None) => (None, "the worker's own programs".to_owned()),
        };
        let files = tree.entries.iter().filter(|entry| entry.path.starts_with(workspace::PROJECT)).count();
        let lying = match data.len() {
            0 => String::new(),
            n => format!(", {n} data where they lie"),
        };
        let facts = format!("{files} files{lying}; {facts}");
        Ok(Some(Self { job, tree, data, regex, programs, facts }))
    }

    /// Every option can be written here.
    pub(crate) fn unavailable(&self) -> Vec<Unavailable> {
        Vec::new()
    }
}

/// Compares the project's files with their names, and the data with what was submitted.
fn check(blobs: &BlobStore, tree: &Tree, data: &[DataRef]) -> Result<Vec<Watched>, StudyError> {
    workspace::check(blobs, tree)?;
    if let Some(name) = workspace::conflict(tree, data) {
        return Err(DataFault::Name(name).into());
    }
    data.iter().map(|reference| Ok(Watched::check(reference)?)).collect()
}
