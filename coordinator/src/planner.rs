//! Joins core and search: the core's history goes in as the search's observations, the search's
//! suggestions come back as the core's experiments.

use ar_common::{ExperimentId, Metric, Space};
use ar_core::{Planned, PlannedExperiment, State, Study, TimeLeft};
use ar_search::{Observation, Plan, Problem};

/// A plan to be made, with all it is made from.
#[derive(Debug)]
pub struct Request {
    space: Space,
    metric: Metric,
    budget: ar_common::Budget,
    seed: u64,
    time: TimeLeft,
    want: usize,
    history: Vec<Observation>,
}

impl Request {
    /// Takes what a plan needs from the state.
    pub fn new(state: &State, study: &Study, want: usize, time: TimeLeft) -> Self {
        Self {
            space: study.space.clone(),
            metric: study.spec.metric.clone(),
            budget: study.budget(),
            seed: study.spec.seed,
            time,
            want,
            history: history(state, study),
        }
    }
}

/// A study's evaluations as the search sees them: what counts towards the budget, in order.
pub fn history(state: &State, study: &Study) -> Vec<Observation> {
    state
        .experiments_of(study)
        .filter(|experiment| experiment.block.counts())
        .map(|experiment| Observation {
            experiment: experiment.id,
            config: experiment.config.clone(),
            block: experiment.block,
            mode: experiment.mode,
            outcome: experiment.outcome().cloned(),
        })
        .collect()
}

/// Asks the search.
pub fn plan(request: &Request) -> Planned {
    let problem = Problem {
        space: &request.space,
        metric: &request.metric,
        budget: request.budget,
        spent_time: request.time != TimeLeft::All,
        seed: request.seed,
    };
    let answer = match request.time {
        TimeLeft::Nothing => ar_search::conclude(&problem, &request.history),
        TimeLeft::Confirmation | TimeLeft::All => ar_search::plan(&problem, &request.history, request.want),
    };
    match answer {
        Plan::Suggest(suggestions) => Planned::Experiments(
            suggestions
                .into_iter()
                .map(|suggestion| PlannedExperiment {
                    id: ExperimentId(0),
                    config: suggestion.config,
                    block: suggestion.block,
                    mode: suggestion.mode,
                    round: suggestion.round,
                    reason: suggestion.reason,
                })
                .collect(),
        ),
        Plan::Wait => Planned::Wait,
        Plan::Conclude(verdict) => Planned::Conclude(verdict),
        Plan::Fail { .. } => Planned::Failed,
    }
}
