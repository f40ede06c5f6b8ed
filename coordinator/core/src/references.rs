//! Which blobs the state refers to: they must stay.
//!
//! The patterns name every field, so that one which is added does not compile before it is said here whether it refers to one.

use ar_common::{Artifact, Digest, Measures, Outcome};

use crate::archive::Archived;
use crate::state::{Experiment, State, Status, Study};

impl State {
    /// The lists of files of all studies. What is in a list must stay, too.
    pub fn trees(&self) -> impl Iterator<Item = Digest> {
        self.studies.values().map(|study| study.tree)
    }

    /// All blobs that are referred to, without those in the [lists of files](State::trees).
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        let Self { seq: _, incarnation: _, epoch: _, studies, experiments, refused: _, holds: _ } = self;
        studies.values().flat_map(|study| named(study)).chain(experiments.iter().flat_map(left))
    }
}

/// What a study refers to itself: its list of files, and the archive of its experiments with what they left.
fn named(study: &Study) -> impl Iterator<Item = Digest> {
    // The digests in a spec are parts of its identity, not names of blobs.
    let Study {
        spec: _,
        space: _,
        removed: _,
        tree,
        phase: _,
        experiments: _,
        spent: _,
        folds_saved: _,
        keys: _,
        verdict: _,
        sealed_openings: _,
        last_done: _,
        paused: _,
        archived,
    } = study;
    let archived = archived.as_deref().into_iter().flat_map(|archived| {
        let Archived { archive, experiments: _, outcomes: _, lost: _, best: _, blobs } = archived;
        std::iter::once(*archive).chain(blobs.iter().copied())
    });
    std::iter::once(*tree).chain(archived)
}

/// What an experiment left: models, checkpoints.
fn left(experiment: &Experiment) -> impl Iterator<Item = Digest> {
    let Experiment {
        id: _,
        study: _,
        config: _,
        block: _,
        mode: _,
        round: _,
        reason: _,
        attempt: _,
        newest_lease: _,
        losses_running: _,
        status,
        members: _,
        race: _,
        expected_gain: _,
    } = experiment;
    let outcome = match status {
        Status::Queued | Status::Leased { .. } => None,
        // That digest is the outcome's own.
        Status::Done { lease: _, digest: _, outcome } => Some(outcome),
    };
    outcome.and_then(measures).into_iter().flat_map(artifacts)
}

fn measures(outcome: &Outcome) -> Option<&Measures> {
    match outcome {
        Outcome::Done(measures) => Some(measures),
        Outcome::StoppedEarly { .. }
        | Outcome::DuplicateOf { .. }
        | Outcome::Crashed { .. }
        | Outcome::TimedOut { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::NoMetric { .. }
        | Outcome::Cancelled { .. } => None,
    }
}

fn artifacts(measures: &Measures) -> impl Iterator<Item = Digest> {
    let Measures {
        score: _,
        folds: _,
        seconds: _,
        predict_seconds: _,
        peak_memory: _,
        sealed: _,
        artifacts,
        members: _,
        course: _,
        figures: _,
        device: _,
    } = measures;
    artifacts.iter().map(|Artifact { name: _, digest }| *digest)
}
