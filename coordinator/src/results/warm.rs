//! Training runs that went on from a checkpoint: ranked apart, and the best of them handed over in a folder of its own.

use std::io;
use std::path::Path;

use ar_common::config::describe;
use ar_common::{Block, CHECKPOINT, Config, Outcome, StudyId};
use ar_core::{State, Study};
use ar_net::{BlobStore, durable};
use serde::{Deserialize, Serialize};

use super::report::{Report, finite};
use super::script;

/// The folder with the best of them: the searched files, its checkpoint, and what it is.
pub(super) const FOLDER: &str = "warm";
/// What it is. It is written last, so that it is there only beside the whole.
const ABOUT: &str = "run.json";

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmPart {
    /// The experiment.
    pub id: u64,
    /// The one whose checkpoint it started from.
    pub from: u64,
    /// Its configuration.
    pub config: Config,
    /// What differs from the base.
    pub label: String,
    /// The score.
    pub score: f64,
    /// Seconds that the model was trained in all, by this run and those before it.
    pub seconds_trained: f64,
}

/// Those with a score, best first.
pub(super) fn ranked(state: &State, study: &Study, base: &Config) -> Vec<WarmPart> {
    let mut all: Vec<WarmPart> = state
        .experiments_of(study)
        .filter_map(|experiment| {
            let Block::Warm { from } = experiment.block else {
                return None;
            };
            Some(WarmPart {
                id: experiment.id.0,
                from: from.0,
                config: experiment.config.clone(),
                label: describe(&experiment.config, base),
                score: experiment.outcome().and_then(Outcome::score).and_then(finite)?,
                seconds_trained: finite(study.seconds_trained(state, experiment))?,
            })
        })
        .collect();
    all.sort_by(|a, b| study.spec.metric.gain(b.score, a.score).total_cmp(&0.0));
    all
}

/// Writes the best one whose checkpoint was kept: its files, and what it left.
///
/// # Errors
/// When the folder cannot be written or the store lacks something.
pub(super) fn write(folder: &Path, report: &Report, state: &State, blobs: &BlobStore) -> io::Result<()> {
    let study = state.studies.get(&StudyId(report.study.id.as_str().into()));
    let Some((study, training)) = study.and_then(|study| Some((study, study.spec.training()?))) else {
        return Ok(());
    };
    let kept = report.warm.iter().find_map(|run| {
        let measures = state.experiment(ar_common::ExperimentId(run.id))?.outcome()?.measures()?;
        Some((run, measures.checkpoint()?))
    });
    let Some((run, digest)) = kept else {
        return Ok(());
    };
    let about = serde_json::json!({ "run": run, "checkpoint": digest.to_string() });
    let about = format!("{about:#}");
    let mark = folder.join(ABOUT);
    if std::fs::read(&mark).is_ok_and(|known| known == about.as_bytes()) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    match std::fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    script::write(folder, training, &study.tree, &run.config, blobs)?;
    blobs.copy_to(&digest, &folder.join(CHECKPOINT)).map_err(io::Error::other)?;
    durable::write(&mark, about.as_bytes())
}
