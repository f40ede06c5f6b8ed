//! What a restart forgets: connections, deadlines, capacity, plans under way. Rebuilt from the
//! workers' Hello; never journaled, never hashed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ar_common::frames::Hello;
use ar_common::{ExperimentId, Millis, Seq, StudyId, WorkerId};

use crate::input::{SessionId, TimeLeft};

/// Times that decide when a lease lapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease lives without a heartbeat, milliseconds.
    pub lease_ttl_ms: u64,
    /// How often workers send one, milliseconds.
    pub heartbeat_ms: u64,
    /// Between asking a process to end and ending it, milliseconds.
    pub grace_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease_ttl_ms: 45_000, heartbeat_ms: 10_000, grace_ms: 2_000 }
    }
}

/// The volatile half of the core.
#[derive(Debug, Default)]
pub struct Live {
    /// Times in force.
    pub timing: Timing,
    /// Connected workers by connection.
    pub workers: BTreeMap<SessionId, LiveWorker>,
    /// Deadlines of the leases that are out, by experiment.
    pub leases: BTreeMap<ExperimentId, LiveLease>,
    /// Experiments that wait for a worker, per study, in order.
    pub queues: BTreeMap<StudyId, VecDeque<ExperimentId>>,
    /// Per study, what its planning is doing.
    pub planning: BTreeMap<StudyId, Planning>,
    /// How many experiments each plan was asked for that is being made.
    pub wanted: BTreeMap<StudyId, usize>,
    /// Where runs went beside which another one is to run.
    pub ran_on: BTreeMap<ExperimentId, WorkerId>,
    /// Studies whose time limit has begun to bind.
    pub time_left: BTreeMap<StudyId, TimeLeft>,
    /// Connections by their workers' names; of each name there is one.
    pub(crate) by_name: BTreeMap<WorkerId, SessionId>,
    /// How runs ended, since this coordinator began.
    pub(crate) tallies: crate::holding::Tallies,
    /// Whether something has changed that others may follow from.
    pub(crate) unsettled: bool,
}

/// A connected worker.
#[derive(Debug)]
pub struct LiveWorker {
    /// Its name.
    pub worker: WorkerId,
    /// Which start of it.
    pub boot: u64,
    /// How many experiments it runs at once.
    pub slots: u32,
    /// Why these are fewer than usual, by its own word; empty if they are not.
    pub why_fewer: String,
    /// Studies whose environment stands there.
    pub ready: BTreeSet<StudyId>,
    /// Studies it was asked to prepare, or cannot.
    pub asked: BTreeSet<StudyId>,
    /// Leases it holds.
    pub held: BTreeSet<ExperimentId>,
    /// Takes no more, by its own word.
    pub draining: bool,
    /// Is given no more, by a [`Hold`](crate::Hold).
    pub held_back: bool,
    /// Why studies cannot be run there.
    pub not_ready: BTreeMap<StudyId, String>,
    /// What it said of itself when it came.
    pub hello: Box<Hello>,
}

/// The volatile half of a lease.
#[derive(Debug, Clone, Copy)]
pub struct LiveLease {
    /// When it lapses.
    pub lapses: Millis,
    /// Whether its process is known to run.
    pub running: bool,
    /// The connection over which its worker was last heard of it.
    pub holder: Option<SessionId>,
}

/// What planning is doing for one study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planning {
    /// A plan is being made from this position; an answer from any other is not its.
    InFlight(Seq),
    /// The search said to wait for something newer than this position.
    WaitingSince(Seq),
}

impl Live {
    /// The connection of a worker's given start.
    pub(crate) fn session_of(&self, worker: &WorkerId, boot: u64) -> Option<SessionId> {
        let session = *self.by_name.get(worker)?;
        self.workers.get(&session).filter(|live| live.boot == boot).map(|_| session)
    }

    /// A worker's connection ended.
    pub(crate) fn disconnect(&mut self, session: SessionId) {
        if let Some(worker) = self.workers.remove(&session)
            && self.by_name.get(&worker.worker) == Some(&session)
        {
            self.by_name.remove(&worker.worker);
        }
    }

    pub(crate) fn forget_lease(&mut self, experiment: ExperimentId) {
        let holder = self.leases.remove(&experiment).and_then(|lease| lease.holder);
        if let Some(worker) = holder.and_then(|session| self.workers.get_mut(&session)) {
            worker.held.remove(&experiment);
        }
    }

    pub(crate) fn dequeue(&mut self, study: &StudyId, experiment: ExperimentId) {
        if let Some(queue) = self.queues.get_mut(study)
            && let Some(place) = queue.iter().position(|id| *id == experiment)
        {
            queue.remove(place);
        }
    }
}
