//! Studies that have ended and left: their experiments are in an archive, and the state keeps what is asked of them for ever.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::{Config, Digest, ExperimentId, Outcome, Seq, StudyId};
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::state::{Experiment, State, Status, Study};
use crate::step::Turn;

/// Version of the archive's form.
const FORMAT: u32 = 1;
/// Experiments of one record that takes them back; of a hundred constants each they are some hundred kilobytes.
const BATCH: usize = 500;

/// The experiments of a study, as they are kept outside of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    format: u32,
    /// Of which study.
    pub study: StudyId,
    /// All of them, in the order in which they were planned.
    pub experiments: Vec<Experiment>,
}

/// What stays of a study whose experiments are in an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Archived {
    /// The blob that holds them.
    pub archive: Digest,
    /// How many they are.
    pub experiments: usize,
    /// How they ended, by the word of the outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Leases of them that were lost.
    pub lost: u64,
    /// The best of the study's own split: its number, what it was, its score.
    pub best: Option<(ExperimentId, Config, f64)>,
    /// The blobs that their results name.
    pub blobs: BTreeSet<Digest>,
}

/// Bytes that are no archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// A later version wrote them.
    #[error("it is of format {0}, known are formats up to {FORMAT}; upgrade the coordinator")]
    Newer(u32),
    /// They cannot be read.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
}

impl Archive {
    /// As bytes: a MessagePack map with names.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing plain data to memory has no way to fail.
        rmp_serde::to_vec_named(self).unwrap_or_default()
    }

    /// Reads it back.
    ///
    /// # Errors
    /// When the bytes are no archive, or one of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        #[derive(Deserialize)]
        struct Probe {
            format: u32,
        }
        match rmp_serde::from_slice::<Probe>(bytes) {
            Ok(Probe { format }) if format > FORMAT => Err(ArchiveError::Newer(format)),
            _ => rmp_serde::from_slice(bytes).map_err(|error| ArchiveError::Unreadable(error.to_string())),
        }
    }
}

/// The blobs that the results of experiments name.
pub fn blobs_of<'a>(experiments: impl IntoIterator<Item = &'a Experiment>) -> BTreeSet<Digest> {
    let measures = experiments.into_iter().filter_map(|experiment| experiment.outcome()?.measures());
    measures.flat_map(|measures| measures.artifacts.iter().map(|artifact| artifact.digest)).collect()
}

impl State {
    /// The experiments of a study, to be kept elsewhere; none where it has not ended, or has none here.
    pub fn to_archive(&self, id: &StudyId) -> Option<Archive> {
        let study = self.studies.get(id).filter(|study| study.is_finished() && study.archived.is_none())?;
        let experiments = self.experiments_of(study).cloned().collect();
        Some(Archive { format: FORMAT, study: id.clone(), experiments })
    }

    /// Puts experiments back as they were.
    pub fn put_back(&mut self, archive: &Archive) {
        self.take_back(&archive.study, &archive.experiments, true);
    }

    pub(crate) fn apply_archived(&mut self, id: &StudyId, archive: Digest) {
        let Some(study) = self.studies.get(id).cloned() else { return };
        let all: Vec<&Experiment> = self.experiments_of(&study).collect();
        let mut outcomes = BTreeMap::<String, u64>::new();
        for outcome in all.iter().filter_map(|experiment| experiment.outcome()) {
            *outcomes.entry(Outcome::word(outcome).to_owned()).or_default() += 1;
        }
        let archived = Archived {
            archive,
            experiments: all.len(),
            outcomes,
            lost: all.iter().map(|experiment| u64::from(experiment.attempt.0.saturating_sub(1))).sum(),
            best: self
                .best(&study)
                .map(|(experiment, score)| (experiment.id, experiment.config.clone(), score)),
            blobs: blobs_of(all),
        };
        for id in &study.experiments {
            self.experiments.take(*id);
        }
        if let Some(study) = self.study_mut(id) {
            study.archived = Some(Box::new(archived));
            study.experiments = Vec::new();
            study.keys = Default::default();
        }
    }

    /// Puts experiments back; those that are here stay as they are, so that what was cut short is done again.
    pub(crate) fn take_back(&mut self, id: &StudyId, experiments: &[Experiment], last: bool) {
        let Some((known, study)) = self.studies.get_key_value(id).filter(|(_, s)| s.archived.is_some())
        else {
            return;
        };
        let (known, mut study) = (known.clone(), Study::clone(study));
        for experiment in experiments.iter().filter(|experiment| experiment.study == *id) {
            if self.experiments.get(experiment.id).is_none() {
                study.experiments.push(experiment.id);
                study.keys.insert(&experiment.key());
                self.experiments.put_back(Experiment { study: known.clone(), ..experiment.clone() });
            }
        }
        if last {
            study.archived = None;
        }
        self.studies.insert(known, study.into());
    }
}

impl Turn<'_> {
    /// Lets the experiments of a study that has ended leave: they are in this archive as they were at `as_of`.
    pub(crate) fn archive(&mut self, id: &StudyId, archive: Digest, as_of: Seq) {
        let Some(study) = self.core.state.studies.get(id) else { return };
        let pending = |experiment: &Experiment| !matches!(experiment.status, Status::Done { .. });
        let unchanged = study.last_done <= as_of && !self.core.state.experiments_of(study).any(pending);
        if !study.is_finished() || study.archived.is_some() || !unchanged {
            return;
        }
        let live = &mut self.core.live;
        for experiment in &study.experiments {
            live.ran_on.remove(experiment);
        }
        live.queues.remove(id);
        live.tallies.remove(id);
        live.planning.remove(id);
        live.wanted.remove(id);
        live.time_left.remove(id);
        self.record(Record::Archived { study: id.clone(), archive });
    }

    /// Takes the experiments of a study back from its archive.
    pub(crate) fn recall(&mut self, archive: Archive) {
        let Archive { study, mut experiments, .. } = archive;
        if self.core.state.studies.get(&study).is_none_or(|known| known.archived.is_none()) {
            return;
        }
        loop {
            let rest = experiments.split_off(experiments.len().min(BATCH));
            let last = rest.is_empty();
            self.record(Record::Recalled { study: study.clone(), experiments, last });
            if last {
                return;
            }
            experiments = rest;
        }
    }
}
