//! Workers that get nothing more: because somebody said so, or because what they run fails where the others' runs do not.

use std::collections::BTreeMap;

use ar_common::{Outcome, StudyId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::input::SessionId;
use crate::live::LiveWorker;
use crate::record::Record;
use crate::step::Turn;

/// A worker is set aside where one that fails as often as the others would fail all of its runs with a chance below this.
const CHANCE: f64 = 1e-3;
/// Failures of a worker, and runs of the others, below which nothing is concluded: one that fails at once would else take most of a
/// study before the others have run much.
const FEWEST_FAILURES: u32 = 5;
const FEWEST_OTHERS: u32 = 3;

/// Why a worker gets nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Of which start of it; of all where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// The reason, for people.
    pub why: String,
}

/// How a worker's runs of one study ended, since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    boot: u64,
    failed: u32,
    succeeded: u32,
}

/// Of each study and worker.
pub(crate) type Tallies = BTreeMap<StudyId, BTreeMap<WorkerId, Tally>>;

impl LiveWorker {
    /// Whether it may be given more.
    pub fn takes_more(&self) -> bool {
        !self.draining && !self.held_back
    }
}

impl Turn<'_> {
    /// Whether a worker that comes is held back. A quarantine ends with the start that it was for.
    pub(crate) fn is_held_back(&mut self, worker: &WorkerId, boot: u64) -> bool {
        match self.core.state.holds.get(worker).map(|hold| hold.boot) {
            None => false,
            Some(of) if of.is_none_or(|of| of == boot) => true,
            Some(_) => {
                self.record(Record::Readmitted { worker: worker.clone() });
                false
            }
        }
    }

    /// Somebody wants a worker to finish what it runs and get nothing more.
    pub(crate) fn hold(&mut self, worker: &WorkerId, why: String) {
        if self.core.state.holds.get(worker).is_some_and(|hold| hold.boot.is_none()) {
            return;
        }
        self.set_aside(worker, Hold { boot: None, why });
    }

    /// Somebody wants a worker to get experiments again.
    pub(crate) fn readmit(&mut self, worker: &WorkerId) {
        if !self.core.state.holds.contains_key(worker) {
            return;
        }
        for tallies in self.core.live.tallies.values_mut() {
            tallies.remove(worker);
        }
        self.record(Record::Readmitted { worker: worker.clone() });
        if let Some(live) = self.live_worker(worker) {
            live.held_back = false;
        }
    }

    fn set_aside(&mut self, worker: &WorkerId, hold: Hold) {
        let Hold { boot, why } = hold;
        self.record(Record::Held { worker: worker.clone(), boot, why });
        if let Some(live) = self.live_worker(worker) {
            live.held_back = true;
        }
        self.revoke_unstarted(|_, holder| holder == worker);
    }

    fn live_worker(&mut self, worker: &WorkerId) -> Option<&mut LiveWorker> {
        let session = self.core.live.by_name.get(worker)?;
        self.core.live.workers.get_mut(session)
    }

    /// Counts how a run ended, and sets its worker aside if it fails where the others do not.
    pub(crate) fn tally(&mut self, session: SessionId, study: &StudyId, outcome: &Outcome) {
        let Some(live) = self.core.live.workers.get(&session) else { return };
        let (worker, boot) = (live.worker.clone(), live.boot);
        let tallies = self.core.live.tallies.entry(study.clone()).or_default();
        let tally = tallies.entry(worker.clone()).or_default();
        if tally.boot != boot {
            *tally = Tally { boot, ..Tally::default() };
        }
        match outcome {
            Outcome::Cancelled { .. } => return,
            Outcome::Done(_) | Outcome::StoppedEarly { .. } | Outcome::DuplicateOf { .. } => {
                tally.succeeded += 1;
            }
            _ => tally.failed += 1,
        }
        let own = *tally;
        let others = tallies.iter().filter(|(name, _)| **name != worker);
        let (failed, succeeded) = others.fold((0, 0), |sum, (_, t)| (sum.0 + t.failed, sum.1 + t.succeeded));
        if own.succeeded > 0 || own.failed < FEWEST_FAILURES || failed + succeeded < FEWEST_OTHERS {
            return;
        }
        // Laplace's rule of succession: never certain, however few failed.
        let share = f64::from(failed + 1) / f64::from(failed + succeeded + 2);
        if share.powi(i32::try_from(own.failed).unwrap_or(i32::MAX)) >= CHANCE
            || self.core.state.holds.contains_key(&worker)
        {
            return;
        }
        let name = self.core.state.studies.get(study).map_or(study.short(), |study| study.spec.name.as_str());
        let why = format!(
            "all {} of its runs of `{name}` failed, the last: {}; of other workers' {} runs {succeeded} went well; look at that \
             machine, and start its worker again",
            own.failed,
            outcome.reason().unwrap_or_else(|| outcome.word().to_owned()),
            failed + succeeded
        );
        self.set_aside(&worker, Hold { boot: Some(boot), why });
    }
}
