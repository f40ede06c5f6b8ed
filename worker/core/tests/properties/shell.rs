//! The shell of the session, without a shell: processes, a disk and a stream that are maps, and a
//! second opinion on what the session holds.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::frames::{CoordinatorFrame, Figures, Grant, LeaseRef, LeaseStage};
use ar_common::{Digest, Epoch, ExperimentId, Millis, Outcome, Seq, StudyId};
use ar_worker_core::{Effect, Input, SpoolEntry, Worker};
use proptest::sample::Index;

use super::met::Met;
use super::operations::Operation;
use crate::support::{GRACE, HEARTBEAT, crashed, done, grant, identity, race};

/// A process, or what is left of one until its worker has been told.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) deadline: Option<Millis>,
    /// When it is killed, once it was asked to end.
    pub(crate) killed: Option<Millis>,
}

/// Where the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Closed,
    /// Open, and the coordinator has not spoken.
    Silent,
    Welcomed,
}

#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) slots: u32,
    /// How many of them there are by now.
    pub(crate) left: u32,
    pub(crate) worker: Worker,
    pub(crate) now: Millis,
    pub(crate) stream: Stream,
    pub(crate) epoch: Epoch,
    pub(crate) leases: u64,
    /// What was granted here and has not come to its end, as told by what went in and out.
    pub(crate) held: BTreeMap<LeaseRef, LeaseStage>,
    pub(crate) grants: BTreeMap<LeaseRef, Grant>,
    pub(crate) cancelled: BTreeSet<LeaseRef>,
    pub(crate) processes: BTreeMap<LeaseRef, Process>,
    pub(crate) preparing: BTreeSet<StudyId>,
    pub(crate) writing: BTreeMap<LeaseRef, SpoolEntry>,
    pub(crate) disk: BTreeMap<LeaseRef, SpoolEntry>,
    /// Results that the coordinator has seen and not answered on this stream.
    pub(crate) offered: BTreeSet<LeaseRef>,
    pub(crate) answered: BTreeSet<LeaseRef>,
    pub(crate) draining: bool,
    pub(crate) exited: bool,
    pub(crate) met: Met,
}

impl Shell {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            slots,
            left: slots,
            worker: Worker::new(identity(slots), vec![]),
            now: Millis(1_000),
            stream: Stream::Closed,
            epoch: Epoch(1),
            leases: 0,
            held: BTreeMap::new(),
            grants: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            processes: BTreeMap::new(),
            preparing: BTreeSet::new(),
            writing: BTreeMap::new(),
            disk: BTreeMap::new(),
            offered: BTreeSet::new(),
            answered: BTreeSet::new(),
            draining: false,
            exited: false,
            met: Met::default(),
        }
    }

    pub(crate) fn perform(&mut self, operation: &Operation) {
        if self.exited {
            self.start_anew();
        }
        match operation {
            Operation::Connect if self.stream == Stream::Closed => self.connect(),
            Operation::Disconnect => self.disconnect(),
            Operation::Welcome { later } if self.stream == Stream::Silent => {
                self.epoch = Epoch(self.epoch.0 + later);
                self.welcome();
            }
            // One that leaves may take the loss of its stream for the moment to go.
            Operation::Deposed(which) if self.stream == Stream::Welcomed && !self.draining => {
                self.deposed(which);
            }
            Operation::Prepare(study) => {
                let study = study_of(*study);
                self.hear(CoordinatorFrame::Prepare { study, tree: Digest::of(b"tree") });
            }
            Operation::Prepared { study, stands } => self.prepared(&study_of(*study), *stands),
            Operation::Grant { study, experiment, deadline_ms } => {
                self.grant(*study, *experiment, *deadline_ms);
            }
            Operation::GrantAgain(which) => {
                if let Some(grant) = pick(self.held.keys(), which).map(|lease| self.grants[&lease].clone()) {
                    self.hear(CoordinatorFrame::Grant(grant));
                }
            }
            Operation::Revoke(which) => {
                if let Some(lease) = pick(self.held.keys(), which) {
                    self.hear(CoordinatorFrame::Revoke { lease });
                }
            }
            Operation::Cancel(which) => self.cancel(which),
            Operation::Answer { which, ack } => {
                if let Some(lease) = pick(self.offered.iter(), which) {
                    self.answer(lease, *ack);
                }
            }
            Operation::Started(which) => {
                self.about(which, |lease| Input::Started { lease });
                let figures = Figures { seconds: 0.0, loss: Some(3.0), share: None };
                self.about(which, |lease| Input::Progress { lease, figures });
            }
            Operation::Matrix(which, hash) => {
                self.about(which, |lease| Input::Matrix { lease, hash: hash.to_string() });
                // Then its folds, behind the incumbent or not: as many as lose a race, or one less.
                let score = if hash % 2 == 0 { 0.4 } else { 0.6 };
                for fold in 0..1 + u32::from(*hash < 4) {
                    self.about(which, |lease| Input::Fold { lease, fold, score, seconds: 0.1 });
                }
            }
            Operation::End(which, outcome) => {
                if let Some(lease) = pick(self.processes.keys(), which) {
                    self.end(lease, outcome.clone());
                }
            }
            Operation::Lost(which) => self.lost(which),
            Operation::NoSpace(which) => self.no_space(which),
            Operation::Waits(which) => self.time(which, None),
            Operation::Begins(which) => self.time(which, Some(self.now)),
            Operation::Fsync(which) => {
                if let Some(lease) = pick(self.writing.keys(), which) {
                    self.fsync(lease);
                }
            }
            Operation::Capacity(slots) => self.capacity((*slots).min(self.slots)),
            Operation::Wait(ms) => self.wait(*ms),
            Operation::Drain(grace_ms) => self.drain(*grace_ms),
            Operation::Die => {
                self.met.deaths += 1;
                self.start_anew();
            }
            Operation::Connect | Operation::Welcome { .. } | Operation::Deposed(_) => {}
        }
    }

    fn connect(&mut self) {
        self.stream = Stream::Silent;
        self.give(Input::Connected);
    }

    fn disconnect(&mut self) {
        self.stream = Stream::Closed;
        self.offered.clear();
        self.give(Input::Disconnected);
    }

    fn welcome(&mut self) {
        self.stream = Stream::Welcomed;
        let (epoch, lease_ttl_ms, protocol) = (self.epoch, 45_000, 1);
        let frame =
            CoordinatorFrame::Welcome { cluster: 9, epoch, lease_ttl_ms, heartbeat_ms: HEARTBEAT, protocol };
        self.give(Input::Frame { epoch, frame });
        let durable: BTreeSet<LeaseRef> = self.disk.keys().copied().collect();
        let offered = std::mem::take(&mut self.offered);
        assert_eq!(offered, durable, "a welcome is followed by every result that is durable");
        self.offered = offered;
    }

    fn hear(&mut self, frame: CoordinatorFrame) {
        if self.stream == Stream::Welcomed {
            self.give(Input::Frame { epoch: self.epoch, frame });
        }
    }

    fn deposed(&mut self, which: &Index) {
        let counts = self.worker.counts();
        let lease = pick(self.held.keys(), which).unwrap_or(grant(1).lease);
        let frames = [
            CoordinatorFrame::Cancel { lease, why: "unknown".into() },
            CoordinatorFrame::Ack { lease },
            CoordinatorFrame::Drain,
        ];
        let epoch = Epoch(self.epoch.0 - 1);
        for frame in frames {
            let effects = self.worker.step(Input::Frame { epoch, frame }, self.now);
            assert!(matches!(effects[..], [Effect::Reconnect { .. }]), "{effects:?}");
        }
        assert_eq!(self.worker.counts(), counts);
        self.met.refused_epochs += 1;
        self.disconnect();
    }

    fn prepared(&mut self, study: &StudyId, stands: bool) {
        if !self.preparing.remove(study) {
            return;
        }
        let study = study.clone();
        self.give(if stands {
            Input::Prepared { study, unavailable: vec![], facts: String::new() }
        } else {
            Input::PrepareFailed { study, why: "no network".into() }
        });
    }

    fn grant(&mut self, study: u8, experiment: u64, deadline_ms: u64) {
        if self.stream != Stream::Welcomed {
            return;
        }
        self.leases += 1;
        let mut grant = grant(experiment);
        grant.lease.lease.seq = Seq(self.leases);
        (grant.study, grant.deadline_ms) = (study_of(study), deadline_ms);
        grant.race = race(&[0.5; 5]).filter(|_| experiment.is_multiple_of(2));
        self.held.insert(grant.lease, LeaseStage::Queued);
        self.grants.insert(grant.lease, grant.clone());
        self.hear(CoordinatorFrame::Grant(grant));
    }

    fn cancel(&mut self, which: &Index) {
        if self.stream != Stream::Welcomed {
            return;
        }
        let Some(lease) = pick(self.held.keys(), which) else {
            return;
        };
        self.met.cancelled += 1;
        match self.held[&lease] {
            LeaseStage::Queued => {
                self.held.remove(&lease);
            }
            LeaseStage::Running if self.processes[&lease].killed.is_none() => {
                self.cancelled.insert(lease);
            }
            // It has ended, or is being ended for another reason, which decides.
            _ => {}
        }
        self.hear(CoordinatorFrame::Cancel { lease, why: "lapsed".into() });
    }

    fn answer(&mut self, lease: LeaseRef, ack: bool) {
        self.offered.remove(&lease);
        self.answered.insert(lease);
        self.hear(if ack {
            CoordinatorFrame::Ack { lease }
        } else {
            CoordinatorFrame::Refused { lease, why: "an older lease".into() }
        });
        assert!(!self.held.contains_key(&lease), "{lease:?} was answered and is still held");
    }

    fn drain(&mut self, grace_ms: u64) {
        self.draining = true;
        self.gives_back_unheard();
        self.give(Input::Drain { grace_ms });
    }

    fn capacity(&mut self, slots: u32) {
        let fewer = slots < std::mem::replace(&mut self.left, slots);
        if fewer {
            self.gives_back_unheard();
        }
        self.met.without_room += u32::from(slots == 0);
        self.give(Input::Capacity { slots, what: "a GPU failed".into(), why_fewer: "it is aside".into() });
    }

    /// What waits is given back. Where nobody hears that, the next Hello does not list it.
    fn gives_back_unheard(&mut self) {
        if self.stream != Stream::Welcomed {
            self.held.retain(|_, stage| *stage != LeaseStage::Queued);
        }
    }

    fn about(&mut self, which: &Index, input: impl FnOnce(LeaseRef) -> Input) {
        if let Some(lease) = pick(self.processes.keys(), which) {
            self.give(input(lease));
        }
    }

    fn end(&mut self, lease: LeaseRef, outcome: Outcome) {
        self.processes.remove(&lease);
        self.give(Input::Ended { lease, outcome });
        self.is_gone(lease);
    }

    fn lost(&mut self, which: &Index) {
        if let Some(lease) = pick(self.processes.keys(), which) {
            self.processes.remove(&lease);
            self.met.losses += 1;
            self.give(Input::Lost { lease, why: "the server died".into() });
            self.is_gone(lease);
        }
    }

    /// Its time waits, or begins.
    fn time(&mut self, which: &Index, begins: Option<Millis>) {
        let Some(lease) = pick(self.processes.keys(), which) else {
            return;
        };
        let all = self.grants[&lease].deadline_ms;
        if let Some(process) = self.processes.get_mut(&lease) {
            process.deadline = begins.map(|now| now + all);
        }
        self.met.waits += u32::from(begins.is_none());
        self.give(if begins.is_none() { Input::Waits { lease } } else { Input::Begins { lease } });
    }

    /// It is given back; where nobody hears that, the next Hello does not list it.
    fn no_space(&mut self, which: &Index) {
        let Some(lease) = pick(self.processes.keys(), which) else {
            return;
        };
        self.processes.remove(&lease);
        if self.stream != Stream::Welcomed {
            self.held.remove(&lease);
        }
        self.give(Input::NoSpace { lease });
        self.is_gone(lease);
    }

    /// A process is gone: its lease has a result, was given back, runs again, or was called off.
    fn is_gone(&mut self, lease: LeaseRef) {
        let runs_again = self.processes.contains_key(&lease);
        if self.cancelled.remove(&lease) {
            assert!(!runs_again && !self.writing.contains_key(&lease), "{lease:?} was called off");
            self.held.remove(&lease);
        } else if self.held.get(&lease) == Some(&LeaseStage::Running) {
            let unheard = self.draining && self.stream != Stream::Welcomed;
            assert!(runs_again || unheard, "{lease:?} ended and nothing was said of it");
            if !runs_again {
                self.held.remove(&lease);
            }
        }
    }

    fn fsync(&mut self, lease: LeaseRef) {
        if let Some(entry) = self.writing.remove(&lease) {
            self.disk.insert(lease, entry);
            self.give(Input::Spooled { lease });
        }
    }

    /// Time passes: the session is woken when it wants to be, and what is not gone in time is killed.
    fn wait(&mut self, ms: u64) {
        let end = self.now + ms;
        for turn in 0.. {
            assert!(turn < 10_000, "the session asks to be woken again and again");
            let kill =
                self.processes.iter().filter_map(|(lease, process)| Some((process.killed?, *lease))).min();
            let wake = self.worker.next_wake().filter(|_| !self.exited);
            match (kill, wake) {
                (Some((at, lease)), _) if at <= end && wake.is_none_or(|wake| at <= wake) => {
                    self.now = self.now.max(at);
                    self.end(lease, crashed());
                }
                (_, Some(at)) if at <= end => {
                    self.now = self.now.max(at);
                    self.give(Input::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
        for (lease, process) in &self.processes {
            let outlives = process.deadline.is_some_and(|deadline| deadline + GRACE <= end);
            assert!(!outlives, "{lease:?} outlives its deadline");
        }
    }

    fn start_anew(&mut self) {
        (self.exited, self.draining, self.stream) = (false, false, Stream::Closed);
        self.left = self.slots;
        self.processes.clear();
        self.cancelled.clear();
        self.preparing.clear();
        self.writing.clear();
        self.offered.clear();
        self.held = self.disk.keys().map(|lease| (*lease, LeaseStage::Uploading)).collect();
        self.worker = Worker::new(identity(self.slots), self.disk.values().cloned().collect());
    }

    /// Everything ends, is written, offered and answered; or the worker leaves, if it is to and nobody is there to answer.
    fn settle(&mut self) {
        self.disconnect();
        if self.exited {
            return;
        }
        self.connect();
        self.welcome();
        while let Some(lease) = self.processes.keys().next().copied() {
            self.end(lease, done(0.5));
        }
        while let Some(lease) = self.writing.keys().next().copied() {
            self.fsync(lease);
        }
        while let Some(lease) = self.offered.first().copied().filter(|_| !self.exited) {
            self.answer(lease, lease.experiment.0.is_multiple_of(2));
        }
    }

    /// The faults end: whatever was granted comes to its end, and nothing of it is left.
    pub(crate) fn heal(mut self) {
        // The next start hands over what one that left could not.
        while self.exited || self.draining {
            self.settle_if_here();
            self.start_anew();
        }
        self.settle();
        assert_eq!(self.worker.counts(), (0, 0, 0));
        assert!(self.held.is_empty(), "never came to its end: {:?}", self.held);
        self.drain_and_leave();
        assert!(self.exited && self.disk.is_empty());
        assert!(self.grants.keys().all(|lease| lease.experiment > ExperimentId(0)));
    }

    /// The worker leaves, and does so within its grace.
    pub(crate) fn drain_and_leave(&mut self) {
        if self.exited {
            return;
        }
        self.drain(1_000);
        if !self.exited {
            self.wait(1_000 + GRACE);
            self.settle_if_here();
        }
        assert!(self.exited, "it does not leave: {:?}", self.worker);
    }

    fn settle_if_here(&mut self) {
        if !self.exited {
            self.settle();
        }
    }
}

fn study_of(which: u8) -> StudyId {
    StudyId(format!("study {which}").into())
}

fn pick<'a>(from: impl Iterator<Item = &'a LeaseRef>, which: &Index) -> Option<LeaseRef> {
    let all: Vec<LeaseRef> = from.copied().collect();
    (!all.is_empty()).then(|| all[which.index(all.len())])
}
