//! Checkpoints: what a training run starts from, and when what it leaves is kept.
//!
//! Files of a model are large, so a worker hands over only what another run might start from: what is better than all that
//! are kept of the same shape. A study keeps few of them, about as many as its best was improved.

use ar_common::frames::CheckpointOrder;
use ar_common::{Block, Digest, Measures, StudyId};

use crate::state::{Experiment, State, Study};

/// What a run is told of checkpoints; nothing where the study hands none on, or the run is one of a pair.
pub(crate) fn order(state: &State, study: &Study, experiment: &Experiment) -> Option<Box<CheckpointOrder>> {
    let warm = study.spec.search.warm_start.as_ref()?;
    study.spec.training()?;
    if experiment.block.repeat().is_some_and(|repeat| repeat > 0) || !experiment.block.counts() {
        return None;
    }
    let kept = state.experiments_of(study).filter(|other| warm.fits(&other.config, &experiment.config));
    let scores = kept.filter_map(|other| kept_of(other)?.score);
    let metric = &study.spec.metric;
    let better_than = scores.reduce(|best, score| if metric.gain(score, best) > 0.0 { score } else { best });
    Some(Box::new(CheckpointOrder { from: from(state, experiment.block), better_than }))
}

/// Whether what a planned run starts from is there and of its study, where it starts from something.
pub(crate) fn is_there(state: &State, study: &StudyId, block: Block) -> bool {
    let Block::Warm { from } = block else {
        return true;
    };
    state.experiment(from).is_some_and(|source| source.study == *study && kept_of(source).is_some())
}

fn from(state: &State, block: Block) -> Option<Digest> {
    let Block::Warm { from } = block else {
        return None;
    };
    kept_of(state.experiment(from)?)?.checkpoint()
}

/// What a run measured whose checkpoint is kept.
fn kept_of(experiment: &Experiment) -> Option<&Measures> {
    experiment.outcome()?.measures().filter(|measures| measures.checkpoint().is_some())
}

impl Study {
    /// Seconds that a configuration's model has been trained in all, with the runs that it goes on from.
    pub fn seconds_trained(&self, state: &State, experiment: &Experiment) -> f64 {
        let mut total = 0.0;
        let mut next = Some(experiment);
        // A run goes on from an earlier one, so this ends.
        while let Some(run) = next {
            total += run.outcome().and_then(|o| o.measures()).map_or(0.0, trained);
            next = match run.block {
                Block::Warm { from } if from < run.id => state.experiment(from),
                _ => None,
            };
        }
        total
    }
}

/// Seconds that one run trained: what it says itself, or all it took.
fn trained(measures: &Measures) -> f64 {
    let said = measures.figures.as_ref().and_then(|figures| figures.get("training_seconds").copied());
    said.filter(|seconds| (0.0..=measures.seconds).contains(seconds)).unwrap_or(measures.seconds)
}
