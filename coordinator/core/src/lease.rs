//! Leases: who holds which, when they lapse, and what a worker's words say about them.

use ar_common::frames::{CoordinatorFrame, HeldLease, Hello, LeaseRef, LeaseStage, negotiate};
use ar_common::{Digest, ExperimentId, LeaseSeq, Outcome};

use crate::input::{Effect, SessionId};
use crate::live::{LiveLease, LiveWorker};
use crate::record::{Loss, Record};
use crate::state::Status;
use crate::step::Turn;

/// Losses while running after which an experiment is quarantined instead of tried again.
const LOSSES_TO_QUARANTINE: u32 = 3;

impl Turn<'_> {
    pub(crate) fn hello(&mut self, session: SessionId, hello: &Hello) {
        let Some(protocol) = negotiate(hello.protocol_min, hello.protocol_max) else {
            let why = format!(
                "this coordinator speaks protocol {} to {}, worker `{}` speaks {} to {}; upgrade the older one",
                ar_common::frames::PROTOCOL_MIN,
                ar_common::frames::PROTOCOL_MAX,
                hello.worker,
                hello.protocol_min,
                hello.protocol_max
            );
            self.output.effects.push(Effect::Close { session, why, for_good: true });
            return;
        };
        // One session per worker: a newer one replaces a half-open older one.
        if let Some(older) = self.core.live.by_name.get(&hello.worker).copied() {
            self.core.live.disconnect(older);
            let why = "the same worker opened another session".to_owned();
            self.output.effects.push(Effect::Close { session: older, why, for_good: false });
        }
        let held_back = self.is_held_back(&hello.worker, hello.boot);
        let worker = LiveWorker {
            worker: hello.worker.clone(),
            boot: hello.boot,
            slots: hello.slots,
            why_fewer: String::new(),
            ready: Default::default(),
            asked: Default::default(),
            held: Default::default(),
            draining: false,
            held_back,
            not_ready: Default::default(),
            hello: Box::new(hello.clone()),
        };
        // One that comes with another name over the same connection has that name now.
        self.core.live.disconnect(session);
        self.core.live.by_name.insert(hello.worker.clone(), session);
        self.core.live.workers.insert(session, worker);
        let timing = self.core.live.timing;
        self.send(
            session,
            CoordinatorFrame::Welcome {
                cluster: self.core.state.incarnation,
                epoch: self.core.state.epoch,
                lease_ttl_ms: timing.lease_ttl_ms,
                heartbeat_ms: timing.heartbeat_ms,
                protocol,
            },
        );
        self.renew(session, &hello.leases);
        self.forget_missing(hello);
    }

    /// Leases that the journal says this worker holds but that it neither holds nor has a result of
    /// are lost: its process started anew, or it never got the grant.
    fn forget_missing(&mut self, hello: &Hello) {
        let known = |lease: LeaseSeq| {
            hello.leases.iter().any(|held| held.lease.lease == lease)
                || hello.spooled.iter().any(|spooled| spooled.lease == lease)
        };
        let mut lost = Vec::new();
        for experiment in self.core.live.leases.keys() {
            let Some(Status::Leased { lease, worker, .. }) =
                self.core.state.experiment(*experiment).map(|e| &e.status)
            else {
                continue;
            };
            if worker != &hello.worker {
                continue;
            }
            if !known(*lease) {
                lost.push((*experiment, *lease));
            }
        }
        for (experiment, lease) in lost {
            self.requeue(experiment, lease, Loss::Forgotten);
        }
    }

    pub(crate) fn heartbeat(
        &mut self,
        session: SessionId,
        leases: &[HeldLease],
        draining: bool,
        slots: Option<u32>,
    ) {
        let Some(worker) = self.core.live.workers.get_mut(&session) else {
            return;
        };
        let slots = slots.unwrap_or(worker.slots);
        self.core.live.unsettled |= (worker.draining, worker.slots) != (draining, slots);
        if worker.slots == 0 && slots > 0 {
            // What it could not prepare, or was not asked to, for want of room.
            worker.asked.retain(|study| worker.ready.contains(study));
        }
        (worker.draining, worker.slots) = (draining, slots);
        self.renew(session, leases);
    }

    /// Renews the leases listed that are current, and calls off those that are not.
    fn renew(&mut self, session: SessionId, leases: &[HeldLease]) {
        let Some(worker) = self.core.live.workers.get(&session) else {
            return;
        };
        let (name, boot, draining) = (worker.worker.clone(), worker.boot, worker.draining);
        let lapses = self.core.live.timing.lease_ttl_ms;
        for held in leases {
            if !self.is_current(&held.lease, &name, boot) {
                if held.stage != LeaseStage::Uploading {
                    let why = "this lease has lapsed and was given to another".to_owned();
                    self.send(session, CoordinatorFrame::Cancel { lease: held.lease, why });
                }
                continue;
            }
            // A process that has ended, or that its worker takes along as it leaves, is not a loss
            // that its experiment could be the cause of.
            let running = held.stage == LeaseStage::Running && !draining;
            let lease = LiveLease { lapses: self.now + lapses, running, holder: Some(session) };
            self.core.live.leases.insert(held.lease.experiment, lease);
            if let Some(worker) = self.core.live.workers.get_mut(&session) {
                worker.held.insert(held.lease.experiment);
            }
        }
    }

    fn is_current(&self, lease: &LeaseRef, worker: &ar_common::WorkerId, boot: u64) -> bool {
        matches!(
            self.core.state.experiment(lease.experiment).map(|e| &e.status),
            Some(Status::Leased { lease: current, worker: owner, boot: owner_boot, .. })
                if *current == lease.lease && owner == worker && *owner_boot == boot
        )
    }

    pub(crate) fn started(&mut self, session: SessionId, lease: LeaseRef) {
        let held = HeldLease { lease, stage: LeaseStage::Running };
        self.renew(session, &[held]);
    }

    pub(crate) fn released(&mut self, session: SessionId, leases: &[LeaseRef]) {
        let Some((name, boot)) = self.core.live.workers.get(&session).map(|w| (w.worker.clone(), w.boot))
        else {
            return;
        };
        for lease in leases {
            if self.is_current(lease, &name, boot) {
                self.requeue(lease.experiment, lease.lease, Loss::Released);
            }
        }
    }

    /// Ends every lease whose ttl has passed.
    pub(crate) fn lapse(&mut self) {
        let now = self.now;
        let lapsed: Vec<ExperimentId> = self
            .core
            .live
            .leases
            .iter()
            .filter(|(_, lease)| lease.lapses <= now)
            .map(|(id, _)| *id)
            .collect();
        for experiment in lapsed {
            if let Some(Status::Leased { lease, .. }) =
                self.core.state.experiment(experiment).map(|e| &e.status)
            {
                let lease = *lease;
                self.requeue(experiment, lease, Loss::Lapsed);
            }
        }
    }

    /// One record takes the lease back and queues the next attempt; at the third loss of a running
    /// process, one record ends the experiment instead.
    fn requeue(&mut self, experiment: ExperimentId, lease: LeaseSeq, cause: Loss) {
        let live = self.core.live.leases.get(&experiment);
        let running = cause != Loss::Released && live.is_some_and(|lease| lease.running);
        self.core.live.forget_lease(experiment);
        let Some(entry) = self.core.state.experiment(experiment) else {
            return;
        };
        let study = entry.study.clone();
        if running && entry.losses_running + 1 >= LOSSES_TO_QUARANTINE {
            let reason = format!(
                "quarantined: its worker was lost {LOSSES_TO_QUARANTINE} times while it ran; look at the worker's log, \
                 and give it more memory if the machine killed it"
            );
            self.end_without_result(experiment, Some(lease), Outcome::Crashed { reason });
            return;
        }
        self.record(Record::Requeued { experiment, lease, cause, running });
        // In front: an experiment that waited once does not wait behind newer plans.
        self.core.live.queues.entry(study).or_default().push_front(experiment);
    }

    /// Ends a pending experiment from here, and tells the worker that has it.
    pub(crate) fn cancel(&mut self, experiment: ExperimentId, why: &str) {
        let Some(entry) = self.core.state.experiment(experiment) else {
            return;
        };
        let study = entry.study.clone();
        let holder = match &entry.status {
            Status::Leased { lease, worker, boot, .. } => {
                Some((*lease, self.core.live.session_of(worker, *boot)))
            }
            Status::Queued => None,
            Status::Done { .. } => return,
        };
        self.core.live.forget_lease(experiment);
        self.core.live.dequeue(&study, experiment);
        let lease = holder.map(|(lease, _)| lease);
        self.end_without_result(experiment, lease, Outcome::Cancelled { reason: why.to_owned() });
        if let Some((lease, Some(session))) = holder {
            let lease = LeaseRef { experiment, lease };
            self.send(session, CoordinatorFrame::Cancel { lease, why: why.to_owned() });
        }
    }

    fn end_without_result(&mut self, experiment: ExperimentId, lease: Option<LeaseSeq>, outcome: Outcome) {
        let digest: Digest = ar_common::frames::outcome_digest(&outcome);
        self.record(Record::Done { experiment, lease, digest, outcome });
    }
}
