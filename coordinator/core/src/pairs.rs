//! Runs that are compared: one after the other on one machine.
//!
//! Of a training study what ran on the same fresh seed is compared, and a run within a time budget depends on the machine,
//! its load and its heat. So a run on a fresh seed starts once the one planned before it on that seed has ended, and where
//! that ran, as long as that worker is there. Where it ran is forgotten by a restart: then the worker with room takes it.

use ar_common::{Block, ExperimentId, StudyId};

use crate::input::SessionId;
use crate::state::{Experiment, State, Study};
use crate::step::Turn;

/// Whether a training run on this block is one of a pair.
pub(crate) fn is_compared(block: Block) -> bool {
    block.repeat().is_some_and(|repeat| repeat > 0)
}

/// The experiment beside which this one runs, if it is one of a pair.
pub(crate) fn partner<'a>(
    state: &'a State,
    study: &Study,
    experiment: ExperimentId,
) -> Option<&'a Experiment> {
    study.spec.training()?;
    let this = state.experiment(experiment)?;
    if !is_compared(this.block) {
        return None;
    }
    // Pairs are planned together: it is near the end, and not far before this one.
    let before = study.experiments.iter().rev().skip_while(|id| **id >= experiment);
    let mut before = before.filter_map(|id| state.experiment(*id));
    before.find(|other| other.block == this.block)
}

/// The devices on which the run beside which this one runs ran: this one is to have the same.
pub(crate) fn devices(state: &State, study: &Study, experiment: ExperimentId) -> Vec<String> {
    let measures = partner(state, study, experiment).and_then(|partner| partner.outcome()?.measures());
    measures
        .and_then(|measures| measures.device.as_ref())
        .map(|device| device.ids.clone())
        .unwrap_or_default()
}

/// Whether an experiment waits for the one beside which it runs.
pub(crate) fn waits(state: &State, study: &Study, experiment: ExperimentId) -> bool {
    partner(state, study, experiment).is_some_and(Experiment::is_pending)
}

impl Turn<'_> {
    /// Whether an experiment may run on this connection, as far as the one beside which it runs has a say.
    pub(crate) fn is_at_home(&self, session: SessionId, study: &Study, experiment: ExperimentId) -> bool {
        let Some(partner) = partner(&self.core.state, study, experiment) else {
            return true;
        };
        if partner.is_pending() {
            return false;
        }
        let live = &self.core.live;
        let Some(home) = live.ran_on.get(&partner.id) else {
            return true;
        };
        let takes = |worker: &crate::live::LiveWorker| {
            worker.worker == *home
                && worker.takes_more()
                && worker.slots > 0
                && worker.ready.contains(&partner.study)
        };
        let is_it = live.workers.get(&session).is_some_and(|worker| worker.worker == *home);
        is_it || !live.workers.values().any(takes)
    }

    /// Experiments of a study that wait for nothing but a worker.
    pub(crate) fn waiting(&self, id: &StudyId, study: &Study) -> usize {
        let queue = self.core.live.queues.get(id);
        let free = |experiment: &&ExperimentId| !waits(&self.core.state, study, **experiment);
        queue.map_or(0, |queue| queue.iter().filter(free).count())
    }
}
