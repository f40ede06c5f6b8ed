//! Joins core and search: the core's history goes in as the search's observations, the search's
//! suggestions come back as the core's experiments.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ar_common::{ExperimentId, Metric, SearchSpec, Space, StudyId};
use ar_core::{Planned, PlannedExperiment, State, Study, TimeLeft};
use ar_search::{Observation, Plan, Problem, Search};

/// What the search worked out for each study's last plan. It saves time; plans are the same without it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<HashMap<StudyId, Search>>>);

impl Memory {
    fn take(&self, study: &StudyId) -> Search {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(study).unwrap_or_default()
    }

    fn keep(&self, study: &StudyId, search: Search) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(study.clone(), search);
    }
}

/// Makes plans.
pub trait Planner: Send + Sync + std::fmt::Debug {
    /// Takes what a plan needs from the state. What is returned makes it, beside everything else.
    fn prepare(
        &self,
        state: &State,
        id: &StudyId,
        study: &Arc<Study>,
        ask: Ask,
    ) -> Box<dyn FnOnce() -> Planned + Send>;
}

/// The one that searches.
#[derive(Debug, Default)]
pub struct SearchPlanner(Memory);

impl Planner for SearchPlanner {
    fn prepare(
        &self,
        state: &State,
        id: &StudyId,
        study: &Arc<Study>,
        ask: Ask,
    ) -> Box<dyn FnOnce() -> Planned + Send> {
        // A copy of the state shares what does not change, so that the history is written out beside everything else.
        let (state, id, study, memory) = (state.clone(), id.clone(), study.clone(), self.0.clone());
        Box::new(move || plan(&Request::new(&state, &id, &study, ask), &memory))
    }
}

/// A plan to be made, with all it is made from.
#[derive(Debug)]
pub struct Request {
    study: StudyId,
    space: Space,
    metric: Metric,
    budget: ar_common::Budget,
    seed: u64,
    search: SearchSpec,
    constraints: ar_common::Constraints,
    time: TimeLeft,
    seconds: Option<f64>,
    test_share: f64,
    repeats: u32,
    want: usize,
    history: Vec<Observation>,
}

/// What is asked for, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Experiments, at most.
    pub want: usize,
    /// How much of the study's time is left.
    pub time: TimeLeft,
    /// Experiments that run at once on all workers.
    pub slots: u32,
}

impl Request {
    /// Takes what a plan needs from the state.
    pub fn new(state: &State, id: &StudyId, study: &Study, ask: Ask) -> Self {
        let Ask { want, time, slots } = ask;
        Self {
            study: id.clone(),
            space: study.space.clone(),
            metric: study.spec.metric.clone(),
            budget: study.budget(),
            seed: study.spec.seed,
            search: study.spec.search.clone(),
            constraints: study.spec.limits.constraints,
            time,
            test_share: study.spec.test_share(),
            repeats: study.spec.repeats(),
            seconds: study.spec.limits.study_seconds.map(|seconds| seconds * f64::from(slots)),
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
            members: experiment.members.to_vec(),
        })
        .collect()
}

/// What the study teaches so far.
pub fn explain(study: &Study, history: &[Observation]) -> ar_search::Explanation {
    let problem = Problem {
        space: &study.space,
        metric: &study.spec.metric,
        budget: study.budget(),
        spent_time: false,
        seconds: None,
        test_share: study.spec.test_share(),
        repeats: study.spec.repeats(),
        constraints: study.spec.limits.constraints,
        seed: study.spec.seed,
        search: &study.spec.search,
    };
    ar_search::explain(&problem, history)
}

/// Asks the search.
pub fn plan(request: &Request, memory: &Memory) -> Planned {
    let problem = Problem {
        space: &request.space,
        metric: &request.metric,
        budget: request.budget,
        spent_time: request.time != TimeLeft::All,
        seconds: request.seconds,
        test_share: request.test_share,
        repeats: request.repeats,
        constraints: request.constraints,
        seed: request.seed,
        search: &request.search,
    };
    let answer = match request.time {
        TimeLeft::Nothing => ar_search::conclude(&problem, &request.history),
        TimeLeft::Confirmation | TimeLeft::All => {
            let mut search = memory.take(&request.study);
            let plan = search.plan(&problem, &request.history, request.want);
            // A study that has ended needs it no more.
            if matches!(plan, Plan::Suggest(_) | Plan::Wait) {
                memory.keep(&request.study, search);
            }
            plan
        }
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
                    members: suggestion.members,
                    race: suggestion.race.map(Box::new),
                    expected_gain: suggestion.expected_gain.filter(|gain| gain.is_finite()),
                })
                .collect(),
        ),
        Plan::Wait => Planned::Wait,
        Plan::Conclude(verdict) => Planned::Conclude(verdict),
        Plan::Fail { .. } => Planned::Failed,
    }
}
