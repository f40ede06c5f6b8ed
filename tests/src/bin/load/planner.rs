//! Plans that cost nothing: configurations in the order of their numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ar_common::{
    Block, Budget, Config, Digest, Dimension, Direction, ExperimentId, Limits, Metric, Mode, OptionSpec,
    SearchSpec, Space, StudyId, StudySpec, Training, Workload,
};
use ar_coordinator::planner::{Ask, Planner};
use ar_core::{Planned, PlannedExperiment, State, Study};

/// Options of each of the three dimensions: a hundred million configurations.
const OPTIONS: usize = 500;
/// Experiments of one plan, at most: one record.
const BATCH: usize = 512;

/// Counts through the space.
#[derive(Debug, Default)]
pub(crate) struct Enumerate {
    next: Arc<AtomicU64>,
}

impl Enumerate {
    /// One that begins with another number.
    pub(crate) fn starting_at(n: u64) -> Self {
        Self { next: Arc::new(AtomicU64::new(n)) }
    }
}

impl Planner for Enumerate {
    fn prepare(
        &self,
        _: &State,
        _: &StudyId,
        _: &Arc<Study>,
        ask: Ask,
    ) -> Box<dyn FnOnce() -> Planned + Send> {
        let next = Arc::clone(&self.next);
        Box::new(move || {
            let want = ask.want.clamp(1, BATCH) as u64;
            let first = next.fetch_add(want, Ordering::Relaxed);
            Planned::Experiments((first..first + want).map(planned).collect())
        })
    }
}

/// Experiment `n` of the study.
pub(crate) fn planned(n: u64) -> PlannedExperiment {
    PlannedExperiment {
        id: ExperimentId(0),
        config: config(n),
        block: Block::FIRST,
        mode: Mode::Explore,
        round: 1,
        reason: "next in order".into(),
        members: Vec::new(),
        race: None,
        expected_gain: None,
    }
}

fn config(mut n: u64) -> Config {
    let mut option = || {
        let digit = n % OPTIONS as u64;
        n /= OPTIONS as u64;
        name(digit as usize)
    };
    [("a", option()), ("b", option()), ("c", option())].into_iter().collect()
}

fn name(n: usize) -> String {
    if n == 0 { ar_common::space::BASE.to_owned() } else { format!("o{n}") }
}

/// A study of a script that nobody runs.
pub(crate) fn study() -> StudySpec {
    let option = |n: usize| OptionSpec {
        name: name(n),
        family: name(n),
        floor: false,
        inactive_under: Default::default(),
        only_with: Default::default(),
        value: None,
    };
    let dimension = |name: &str| Dimension {
        name: name.to_owned(),
        options: (0..OPTIONS).map(option).collect(),
        ..Dimension::default()
    };
    StudySpec {
        version: StudySpec::VERSION,
        name: "load".into(),
        seed: 0,
        metric: Metric { name: "loss".into(), direction: Direction::Minimize, low: None, high: None },
        workload: Workload::Training(Training {
            path: "nowhere".into(),
            project: Digest::of(b"project"),
            command: "true".into(),
            edit: vec!["train.py".into()],
            budget_seconds: 1.0,
            startup_seconds: 60.0,
            budget_by: ar_common::BudgetBy::Variable("TIME_BUDGET".into()),
            metric_regex: None,
            evaluate: None,
            protect: Vec::new(),
            sites: Vec::new(),
            pins: Vec::new(),
            variants: Vec::new(),
            data: Vec::new(),
        }),
        budget: Budget { rounds: 1, per_round: 100_000_000 },
        search: SearchSpec { no_ensemble: true, no_race: true, ..SearchSpec::default() },
        limits: Limits { experiment_seconds: Some(60.0), ..Limits::default() },
        space: Space { dimensions: ["a", "b", "c"].map(dimension).into(), ..Space::default() },
    }
}
