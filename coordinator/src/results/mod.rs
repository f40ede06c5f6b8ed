//! The results folder of a study: `OUT/NAME-ID/` with `results.tsv`, `results.json`, `report.html`,
//! `progress.svg`, `progress.png`, `best/`, and of a training study `repository.git`.
//!
//! It is written from the state now and then while a study runs and whenever a run ends, whole file by whole file; the
//! store stays the truth.

mod classes;
mod cost;
mod explanation;
mod find;
mod html;
mod judgement;
mod report;
mod repository;
mod script;
mod table;
mod warm;

use std::io;
use std::path::Path;

use ar_common::{Block, Config, Member, Outcome, StudyId};
use ar_core::{Experiment, State};
use ar_net::{BlobStore, durable};
use serde::Deserialize;

pub use classes::ClassPart;
pub use cost::CostPart;
pub use explanation::{EffectPart, ExplanationPart, ImportancePart, InteractionPart, PrunedPart, TriplePart};
pub use find::{Entry, FindError, all, find, read};
pub use judgement::{ComparedPart, DecisionPart, HoldoutPart, VerdictPart};
pub use report::StudyPart;
pub use report::{ContributionPart, ExperimentPart, RankedPart, RemovedPart, Report, Scored};
pub use repository::COMMITTER;
pub use warm::WarmPart;

/// Folder beside those of the studies, with a folder `ID-EXPERIMENT-ATTEMPT` for each failed run that was to be kept.
pub const FAILED: &str = "failed";
/// The git repository in the folder of a training study.
pub const REPOSITORY: &str = "repository.git";

/// Name of the study's folder: its name and the first digits of its identity.
pub fn folder_name(report: &Report) -> String {
    name(&report.study.name, &report.study.id)
}

/// The same, of a study that has no results yet.
pub(crate) fn name(name: &str, id: &str) -> String {
    format!("{}-{}", plain(name), id.get(..8).unwrap_or(id))
}

/// The git branch of a training study; a name that git takes.
pub fn branch(study: &str, id: &StudyId) -> String {
    format!("autoresearch/{}", name(study, &id.0).replace("..", "-"))
}

/// A name that is one plain path component everywhere.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let plain = plain.trim_matches(['-', '.']);
    if plain.is_empty() { "study".to_owned() } else { plain.to_owned() }
}

/// Writes the folder. Files that are there are replaced whole or not at all.
///
/// # Errors
/// When the folder cannot be written or a file of the winner is missing from the store.
pub fn write(folder: &Path, report: &Report, state: &State, blobs: &BlobStore) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let commits = write_repository(folder, report, state, blobs);
    durable::write(&folder.join("results.tsv"), table::tsv(report, &commits).as_bytes())?;
    write_best(&folder.join("best"), report, state, blobs)?;
    warm::write(&folder.join(warm::FOLDER), report, state, blobs)?;
    durable::write(&folder.join("report.html"), html::page(report).as_bytes())?;
    durable::write(&folder.join("progress.svg"), html::svg(report).as_bytes())?;
    durable::write(&folder.join("progress.png"), &html::png(report)?)?;
    // Last, because it says that the rest is there.
    durable::write(&folder.join("results.json"), report.to_json().as_bytes())
}

/// Writes what a training study kept as a git repository. Without it there are still all other results.
fn write_repository(folder: &Path, report: &Report, state: &State, blobs: &BlobStore) -> repository::Commits {
    let study = state.studies.get(&StudyId(report.study.id.as_str().into()));
    let Some((study, training)) = study.and_then(|study| Some((study, study.spec.training()?))) else {
        return repository::Commits::new();
    };
    let folder = folder.join(REPOSITORY);
    let write = || repository::write(&folder, report, training, &study.tree, blobs);
    // What git left half done when it was killed, a lock say, must not stop it for ever; all of it can be made anew.
    let made = write().or_else(|error| match std::fs::remove_dir_all(&folder) {
        Ok(()) => write(),
        Err(_) => Err(error),
    });
    made.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot write repository.git; all other results are written");
        repository::Commits::new()
    })
}

/// Copies what the last fit of the winner made.
fn write_best(folder: &Path, report: &Report, state: &State, blobs: &BlobStore) -> io::Result<()> {
    let Some(verdict) = &report.verdict else {
        return Ok(());
    };
    let Some(study) = state.studies.get(&StudyId(report.study.id.as_str().into())) else {
        return Ok(());
    };
    if let Some(training) = study.spec.training() {
        script::write(folder, training, &study.tree, &verdict.winner, blobs)?;
        return write_winner(folder, report, verdict);
    }
    let is_winner = |e: &&Experiment| e.block == Block::Refit && e.runs(&verdict.winner, &verdict.members);
    let refit = state.experiments_of(study).filter(is_winner);
    let Some(measures) = refit.last().and_then(|e| e.outcome()).and_then(Outcome::measures) else {
        return remove_other(folder, verdict);
    };
    std::fs::create_dir_all(folder)?;
    for artifact in &measures.artifacts {
        let bytes = blobs.read(&artifact.digest).map_err(io::Error::other)?;
        durable::write(&folder.join(plain(&artifact.name)), &bytes)?;
    }
    write_winner(folder, report, verdict)
}

/// Says which configuration was handed over.
fn write_winner(folder: &Path, report: &Report, verdict: &VerdictPart) -> io::Result<()> {
    let mut winner = serde_json::json!({
        "config": verdict.winner,
        "label": verdict.winner_label,
        "score": winner_score(verdict),
        "metric": report.study.metric,
        "beats_base": verdict.beats_base,
    });
    if !verdict.members.is_empty() {
        winner["members"] = serde_json::json!(verdict.members);
    }
    durable::write(&folder.join("winner.json"), format!("{winner:#}").as_bytes())
}

/// The winner's mean over the folds of the verdict.
fn winner_score(verdict: &VerdictPart) -> Option<f64> {
    if verdict.candidate.as_ref() == Some(&verdict.winner) {
        return verdict.candidate_score;
    }
    // A base without a score leaves the best seen.
    verdict.base_score.or(verdict.candidate_score)
}

/// Takes away what an earlier verdict handed over: it is not the model of this one's winner.
fn remove_other(folder: &Path, verdict: &VerdictPart) -> io::Result<()> {
    let remove = |name: &str| match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let text = std::fs::read(folder.join("winner.json")).unwrap_or_default();
    let known: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let config = known.as_ref().and_then(|known| Config::deserialize(known.get("config")?).ok());
    let members = known.as_ref().and_then(|known| Vec::<Member>::deserialize(known.get("members")?).ok());
    if config.as_ref() == Some(&verdict.winner) && members.unwrap_or_default() == verdict.members {
        return Ok(());
    }
    // The mark goes last: what is left by a crash between is taken away next time.
    ["model.joblib", "pipeline.py", "winner.json"].into_iter().try_for_each(remove)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod audit;
