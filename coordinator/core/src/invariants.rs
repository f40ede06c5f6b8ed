//! The invariants that a core and its journal must hold, in one registry. Checked by the property
//! tests after every step, and by debug builds of the coordinator.

use std::collections::BTreeSet;

use ar_common::{ExperimentId, LeaseSeq, Seq};

use crate::record::Record;
use crate::state::{State, Status};
use crate::step::Core;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name in the registry, e.g. `I2`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
}

fn violation(invariant: &'static str, what: String) -> Violation {
    Violation { invariant, what }
}

/// Checks what one core must hold between two steps.
pub fn check(core: &Core) -> Vec<Violation> {
    let mut found = Vec::new();
    let queued: Vec<ExperimentId> = core.live.queues.values().flatten().copied().collect();
    let distinct: BTreeSet<ExperimentId> = queued.iter().copied().collect();
    if distinct.len() != queued.len() {
        found.push(violation("I3", format!("an experiment waits twice: {queued:?}")));
    }
    for experiment in &core.state.experiments {
        let (waits, leased) =
            (distinct.contains(&experiment.id), core.live.leases.contains_key(&experiment.id));
        let expected = match experiment.status {
            Status::Queued => (true, false),
            Status::Leased { .. } => (false, true),
            Status::Done { .. } => (false, false),
        };
        if (waits, leased) != expected {
            let what = format!("experiment {}: waits {waits}, leased {leased}", experiment.id);
            found.push(violation("I3", format!("{what}, but it is {:?}", experiment.status)));
        }
    }
    for (id, study) in &core.state.studies {
        if !study.keeps_to(&study.budget()) {
            let (spent, total) = (study.evaluations(), study.budget().total());
            found.push(violation("budget", format!("study {id} spent {spent} of {total}")));
        }
        let evaluations = study.experiments.len();
        if study.keys.len() != evaluations {
            found.push(violation(
                "duplicates",
                format!("study {id}: {} keys, {evaluations} experiments", study.keys.len()),
            ));
        }
    }
    found
}

/// Folds the journal from its start and checks what only its order shows: one end per experiment (I2),
/// one lease at a time with rising tokens (I3), rising epochs (I4).
#[derive(Debug, Default)]
pub struct Audit {
    state: State,
    newest: std::collections::BTreeMap<ExperimentId, LeaseSeq>,
    found: Vec<Violation>,
}

impl Audit {
    /// Takes the next record.
    pub fn record(&mut self, record: &Record) {
        let status = |id: &ExperimentId| self.state.experiment(*id).map(|e| e.status.clone());
        match record {
            Record::Granted { experiment, .. } => {
                if !matches!(status(experiment), Some(Status::Queued)) {
                    self.found.push(violation(
                        "I3",
                        format!("experiment {experiment} was granted while not waiting"),
                    ));
                }
                let lease = LeaseSeq { incarnation: self.state.incarnation, seq: Seq(self.state.seq.0 + 1) };
                if self.newest.insert(*experiment, lease).is_some_and(|before| before >= lease) {
                    self.found.push(violation(
                        "I3",
                        format!("lease tokens of experiment {experiment} do not rise"),
                    ));
                }
            }
            Record::Requeued { experiment, lease, .. } if !matches!(status(experiment), Some(Status::Leased { lease: held, .. }) if held == *lease) =>
            {
                self.found
                    .push(violation("I3", format!("experiment {experiment} lost a lease it did not have")));
            }
            Record::Done { experiment, .. }
                if !matches!(status(experiment), Some(Status::Queued | Status::Leased { .. })) =>
            {
                self.found.push(violation("I2", format!("experiment {experiment} ended twice")));
            }
            Record::Elected { epoch } if *epoch <= self.state.epoch => {
                self.found.push(violation("I4", format!("epoch {epoch} follows {}", self.state.epoch)));
            }
            _ => {}
        }
        self.state.apply(record);
    }

    /// What was found so far.
    pub fn found(&self) -> &[Violation] {
        &self.found
    }

    /// What was found, and the state at the end.
    pub fn finish(self) -> (Vec<Violation>, State) {
        (self.found, self.state)
    }
}
