//! The session: connecting, preparing, heartbeats, answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ar_common::frames::{
    CoordinatorFrame, Grant, Hardware, HeldLease, Hello, LeaseRef, LeaseStage, WorkerFrame,
};
use ar_common::frames::{PROTOCOL_MAX, PROTOCOL_MIN, Unavailable};
use ar_common::{Block, Digest, Epoch, ExperimentId, Millis, Outcome, StudyId, WorkerId};

use crate::input::{Effect, Input, SpoolEntry};

/// Who a worker is; does not change while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its stable name.
    pub worker: WorkerId,
    /// Drawn at this start.
    pub boot: u64,
    /// How many experiments it runs at once when it starts.
    pub slots: u32,
    /// Its machine.
    pub hardware: Hardware,
    /// What whoever started it says of it, by name.
    pub labels: BTreeMap<String, String>,
}

/// A study on this worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Preparation {
    UnderWay,
    Stands { unavailable: Vec<Unavailable>, facts: String },
    Failed { why: String },
}

/// Why an attempt is being stopped; decides what its end means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stopping {
    Deadline {
        seconds: f64,
    },
    Cancelled,
    Twin(ExperimentId),
    /// It lost its race.
    Raced,
    Drained,
}

/// An attempt that runs.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) grant: Grant,
    /// None while it waits for what it needs.
    pub(crate) deadline: Option<Millis>,
    pub(crate) stopping: Option<Stopping>,
    /// How often its process was lost here.
    pub(crate) losses: u32,
    /// What its process has scored so far.
    pub(crate) seen: Seen,
}

/// The folds that a process has scored, in fold order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) folds: Vec<f64>,
    /// Seconds that they took together.
    pub(crate) seconds: f64,
}

/// The worker.
#[derive(Debug)]
pub struct Worker {
    pub(crate) identity: Identity,
    /// How many experiments it runs at once by now.
    pub(crate) slots: u32,
    /// What a person should know, until a heartbeat has taken it along.
    pub(crate) notice: String,
    /// Why it runs fewer than usual; every heartbeat says so.
    pub(crate) why_fewer: String,
    /// The store whose epochs and experiments are known here.
    pub(crate) cluster: Option<u64>,
    pub(crate) epoch: Epoch,
    pub(crate) heartbeat_ms: u64,
    /// Whether the stream is open and was welcomed.
    pub(crate) welcomed: bool,
    pub(crate) next_heartbeat: Option<Millis>,
    pub(crate) studies: BTreeMap<StudyId, Preparation>,
    pub(crate) queue: VecDeque<Grant>,
    pub(crate) running: BTreeMap<LeaseRef, Running>,
    /// Results; `true` once durable.
    pub(crate) spool: BTreeMap<LeaseRef, (SpoolEntry, bool)>,
    /// First experiment seen with a training matrix.
    pub(crate) twins: BTreeMap<(StudyId, Block, String), ExperimentId>,
    /// Experiments that lost their race here: they have no score of all folds that a twin could share.
    pub(crate) raced_out: BTreeSet<ExperimentId>,
    pub(crate) drain_until: Option<Millis>,
    pub(crate) effects: Vec<Effect>,
}

impl Worker {
    /// A worker that starts with what its spool kept.
    pub fn new(identity: Identity, spooled: Vec<SpoolEntry>) -> Self {
        Self {
            slots: identity.slots,
            notice: String::new(),
            why_fewer: String::new(),
            identity,
            cluster: None,
            epoch: Epoch(0),
            heartbeat_ms: 10_000,
            welcomed: false,
            next_heartbeat: None,
            studies: BTreeMap::new(),
            queue: VecDeque::new(),
            running: BTreeMap::new(),
            spool: spooled.into_iter().map(|entry| (entry.lease, (entry, true))).collect(),
            twins: BTreeMap::new(),
            raced_out: BTreeSet::new(),
            drain_until: None,
            effects: Vec::new(),
        }
    }

    /// Takes one input at `now`; what it returns is to be done in order.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        self.take(input, now);
        self.fill_slots(now);
        self.check_drained();
        std::mem::take(&mut self.effects)
    }

    /// When [`Input::Tick`] is next needed.
    pub fn next_wake(&self) -> Option<Millis> {
        let deadlines =
            self.running.values().filter(|run| run.stopping.is_none()).filter_map(|run| run.deadline);
        let drain = self.drain_until.filter(|_| self.running.values().any(|run| run.stopping.is_none()));
        deadlines.chain(self.next_heartbeat).chain(drain).min()
    }

    /// How many attempts run, wait, and are kept for an answer.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.running.len(), self.queue.len(), self.spool.len())
    }

    fn take(&mut self, input: Input, now: Millis) {
        match input {
            Input::Connected => self.hello(),
            Input::Disconnected => {
                self.welcomed = false;
                self.next_heartbeat = None;
            }
            Input::Frame { epoch, frame } => self.frame(epoch, frame, now),
            Input::Preparing { study, text } => self.send(WorkerFrame::Preparing { study, text }),
            Input::Prepared { study, unavailable, facts } => {
                self.studies.insert(study.clone(), Preparation::Stands { unavailable, facts });
                self.tell_preparation(&study);
            }
            Input::PrepareFailed { study, why } => {
                self.studies.insert(study.clone(), Preparation::Failed { why });
                self.tell_preparation(&study);
            }
            Input::Started { lease } => {
                if self.running.contains_key(&lease) {
                    self.send(WorkerFrame::Started { lease });
                }
            }
            Input::Matrix { lease, hash } => self.matrix(lease, hash),
            Input::Fold { lease, fold, score, seconds } => self.fold(lease, fold, score, seconds),
            Input::Progress { lease, figures } => {
                if self.running.contains_key(&lease) {
                    self.send(WorkerFrame::Progress { lease, figures });
                }
            }
            Input::Waits { lease } => self.time(lease, None),
            Input::Begins { lease } => self.time(lease, Some(now)),
            Input::Unready { lease, why } => self.unready(lease, why),
            Input::NoSpace { lease } => self.no_space(lease),
            Input::Ended { lease, outcome } => self.ended(lease, outcome),
            Input::Lost { lease, why } => self.lost(lease, &why, now),
            Input::Spooled { lease } => self.spooled(lease),
            Input::Capacity { slots, what, why_fewer } => self.capacity(slots, what, why_fewer),
            Input::Drain { grace_ms } => self.drain(now + grace_ms),
            Input::Tick => self.tick(now),
        }
    }

    pub(crate) fn send(&mut self, frame: WorkerFrame) {
        if self.welcomed || matches!(frame, WorkerFrame::Hello(_)) {
            self.effects.push(Effect::Send(frame));
        }
    }

    fn hello(&mut self) {
        let hello = Hello {
            worker: self.identity.worker.clone(),
            boot: self.identity.boot,
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            hardware: self.identity.hardware.clone(),
            slots: self.slots,
            leases: self.held(),
            spooled: self.spool.keys().copied().collect(),
            labels: self.identity.labels.clone(),
        };
        self.send(WorkerFrame::Hello(hello));
    }

    pub(crate) fn held(&self) -> Vec<HeldLease> {
        let queued = self.queue.iter().map(|grant| (grant.lease, LeaseStage::Queued));
        let running = self.running.keys().map(|lease| (*lease, LeaseStage::Running));
        let uploading = self.spool.keys().map(|lease| (*lease, LeaseStage::Uploading));
        queued.chain(running).chain(uploading).map(|(lease, stage)| HeldLease { lease, stage }).collect()
    }

    fn frame(&mut self, epoch: Epoch, frame: CoordinatorFrame, now: Millis) {
        if let CoordinatorFrame::Welcome { cluster, .. } = frame
            && self.cluster != Some(cluster)
        {
            // Another store counts its epochs and its experiments anew.
            self.cluster = Some(cluster);
            self.epoch = epoch;
            self.twins.clear();
            self.raced_out.clear();
        }
        if epoch < self.epoch {
            let why = format!("a coordinator of epoch {epoch} spoke after one of epoch {}", self.epoch);
            self.welcomed = false;
            self.effects.push(Effect::Reconnect { why });
            return;
        }
        self.epoch = epoch;
        match frame {
            CoordinatorFrame::Welcome { heartbeat_ms, .. } => {
                self.welcomed = true;
                self.heartbeat_ms = heartbeat_ms;
                self.next_heartbeat = Some(now + heartbeat_ms);
                if self.drain_until.is_some() || !self.why_fewer.is_empty() {
                    // A Hello does not say so, and nothing must be granted before it is known; nor need people wait for why.
                    self.heartbeat();
                }
                self.offer_spool();
            }
            CoordinatorFrame::Prepare { study, tree } => self.prepare(study, tree),
            CoordinatorFrame::Grant(grant) => self.granted(grant),
            CoordinatorFrame::Revoke { lease } => {
                let waiting = self.queue.len();
                self.queue.retain(|grant| grant.lease != lease);
                if self.queue.len() < waiting {
                    self.send(WorkerFrame::Released { leases: vec![lease] });
                }
            }
            CoordinatorFrame::Cancel { lease, .. } => {
                self.queue.retain(|grant| grant.lease != lease);
                self.stop(lease, Stopping::Cancelled);
            }
            CoordinatorFrame::Ack { lease } | CoordinatorFrame::Refused { lease, .. } => {
                if self.spool.remove(&lease).is_some() {
                    self.effects.push(Effect::Unspool(lease));
                }
            }
            CoordinatorFrame::Drain => self.drain(now),
        }
    }

    fn offer_spool(&mut self) {
        let durable: Vec<SpoolEntry> =
            self.spool.values().filter(|(_, durable)| *durable).map(|(entry, _)| entry.clone()).collect();
        for SpoolEntry { lease, outcome, digest } in durable {
            self.send(WorkerFrame::Completed { lease, outcome, digest });
        }
    }

    fn prepare(&mut self, study: StudyId, tree: Digest) {
        match self.studies.get(&study) {
            Some(Preparation::UnderWay) => {}
            Some(Preparation::Stands { .. }) => self.tell_preparation(&study),
            // Asked again after a failure, e.g. by a coordinator that came back: try again.
            Some(Preparation::Failed { .. }) | None => {
                self.studies.insert(study.clone(), Preparation::UnderWay);
                self.effects.push(Effect::Prepare { study, tree });
            }
        }
    }

    pub(crate) fn tell_preparation(&mut self, study: &StudyId) {
        let frame = match self.studies.get(study) {
            Some(Preparation::Stands { unavailable, facts }) => WorkerFrame::Ready {
                study: study.clone(),
                unavailable: unavailable.clone(),
                facts: facts.clone(),
            },
            Some(Preparation::Failed { why }) => {
                WorkerFrame::NotReady { study: study.clone(), why: why.clone() }
            }
            Some(Preparation::UnderWay) | None => return,
        };
        self.send(frame);
    }

    /// Lists all that is held.
    pub(crate) fn heartbeat(&mut self) {
        if !self.welcomed {
            return;
        }
        let heartbeat = WorkerFrame::Heartbeat {
            leases: self.held(),
            draining: self.drain_until.is_some(),
            slots: Some(self.slots),
            notice: std::mem::take(&mut self.notice),
            why_fewer: self.why_fewer.clone(),
        };
        self.send(heartbeat);
    }

    fn tick(&mut self, now: Millis) {
        if self.next_heartbeat.is_some_and(|due| due <= now) {
            self.heartbeat();
            self.next_heartbeat = Some(now + self.heartbeat_ms);
        }
        self.enforce_deadlines(now);
    }

    fn spooled(&mut self, lease: LeaseRef) {
        let Some((entry, durable)) = self.spool.get_mut(&lease) else {
            return;
        };
        *durable = true;
        let SpoolEntry { lease, outcome, digest } = entry.clone();
        self.send(WorkerFrame::Completed { lease, outcome, digest });
    }

    pub(crate) fn keep(&mut self, lease: LeaseRef, outcome: Outcome) {
        let digest = ar_common::frames::outcome_digest(&outcome);
        let entry = SpoolEntry { lease, outcome, digest };
        self.spool.insert(lease, (entry.clone(), false));
        self.effects.push(Effect::Spool(entry));
    }
}
