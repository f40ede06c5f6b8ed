//! What a training study kept, beside its base, with more time: a study of these two alone.

use std::collections::BTreeMap;

use ar_common::space::BASE;
use ar_common::{
    Budget, Config, Digest, Dimension, EntryKind, Limits, OptionSpec, SearchSpec, Site, Space, StudySpec,
    Training, TreeEntry, Variants, Workload,
};
use ar_net::BlobStore;

use super::{Intake, IntakeError, Subject};
use crate::local::{JOB, Job};

/// The only dimension, and its option beside the base.
const DIMENSION: &str = "promoted";
const WINNER: &str = "winner";

/// The project of a study that is in the store.
#[derive(Debug)]
pub struct Stored {
    /// Its files, as the study's tree names them.
    entries: Vec<TreeEntry>,
    /// What the winner changes, for people.
    pub winner: String,
}

/// The study that runs `winner` and the base of `spec`, a training study whose files are `tree`, with `times` the budget of time.
///
/// # Errors
/// When it is of no training script, or the base is all that was kept.
pub fn promoted(
    (spec, tree): (&StudySpec, &Digest),
    winner: &Config,
    (times, runs): (f64, u32),
    blobs: &BlobStore,
) -> Result<Intake, IntakeError> {
    let Some(training) = spec.training() else {
        return Err(IntakeError::Flag(
            "promote is for studies of training scripts, whose runs have a budget of time".into(),
        ));
    };
    if *winner == spec.space.base() {
        return Err(IntakeError::Flag(format!(
            "{} kept nothing but its base, so there is nothing to promote",
            spec.name
        )));
    }
    let entries = blobs.read_tree(tree)?.entries.into_iter().filter(|entry| entry.path != JOB).collect();
    let training = of_two(training, winner, times);
    let option = |name: &str| OptionSpec {
        name: name.to_owned(),
        family: format!("{DIMENSION}/{name}"),
        ..OptionSpec::default()
    };
    let options = vec![option(BASE), option(WINNER)];
    let dimension = Dimension { name: DIMENSION.to_owned(), options, ..Dimension::default() };
    let deadline = training.deadline_seconds();
    let promoted = StudySpec {
        name: format!("{}-promoted", spec.name),
        budget: Budget { rounds: 1, per_round: runs },
        search: SearchSpec { no_ensemble: true, no_race: true, ..SearchSpec::default() },
        limits: Limits { experiment_seconds: Some(deadline), study_seconds: None, ..spec.limits.clone() },
        space: Space { dimensions: vec![dimension], ..Space::default() },
        workload: Workload::Training(training),
        ..spec.clone()
    };
    let winner = ar_common::ensemble::describe(winner, &[], &spec.space.base());
    Ok(Intake { spec: promoted, subject: Subject::Stored(Box::new(Stored { entries, winner })) })
}

/// All that the winner changes as one option.
fn of_two(training: &Training, winner: &Config, times: f64) -> Training {
    let site = |site: &Site| {
        let text = site.texts.get(winner.get(&site.dimension)?)?.clone();
        let texts: BTreeMap<String, String> = [(WINNER.to_owned(), text)].into();
        Some(Site { dimension: DIMENSION.to_owned(), texts, ..site.clone() })
    };
    let variants = |variants: &Variants| {
        let path = variants.options.get(winner.get(&variants.dimension)?)?.clone();
        let options: BTreeMap<String, String> = [(WINNER.to_owned(), path)].into();
        Some(Variants { dimension: DIMENSION.to_owned(), options, ..variants.clone() })
    };
    Training {
        budget_seconds: training.budget_seconds * times,
        sites: training.sites.iter().filter_map(site).collect(),
        variants: training.variants.iter().filter_map(variants).collect(),
        ..training.clone()
    }
}

impl Stored {
    /// Names the project's files and what a worker is told of it in a new list; returns its digest.
    pub(super) fn store(&self, spec: &StudySpec, blobs: &BlobStore) -> Result<Digest, IntakeError> {
        let Some(training) = spec.training().cloned() else {
            return Err(IntakeError::Flag("promote is for studies of training scripts".to_owned()));
        };
        let job = Job { training, metric: spec.metric.clone(), seed: spec.seed };
        // Plain data has no way to fail.
        let job = serde_json::to_vec(&job).unwrap_or_default();
        let (digest, bytes) = (blobs.put(&job)?, job.len() as u64);
        let mut entries = self.entries.clone();
        entries.push(TreeEntry { path: JOB.to_owned(), digest, bytes, kind: EntryKind::Plain });
        Ok(blobs.put_tree(entries)?)
    }
}
