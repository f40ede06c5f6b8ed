//! Attempts: from grant to slot to result.

use ar_common::frames::{Grant, LeaseRef, WorkerFrame};
use ar_common::{Millis, Outcome};

use crate::input::Effect;
use crate::worker::{Preparation, Running, Seen, Stopping, Worker};

/// Times that a process may be lost with its server before its experiment is held to be the cause.
const LOSSES_TO_CRASH: u32 = 3;

impl Worker {
    pub(crate) fn granted(&mut self, grant: Grant) {
        let known = self.running.contains_key(&grant.lease)
            || self.spool.contains_key(&grant.lease)
            || self.queue.iter().any(|waiting| waiting.lease == grant.lease);
        if known {
            return;
        }
        let stands = matches!(self.studies.get(&grant.study), Some(Preparation::Stands { .. }));
        // One that was granted before it was known that nothing can run here would wait for as long as that lasts.
        if !stands || self.drain_until.is_some() || self.slots == 0 {
            self.send(WorkerFrame::Released { leases: vec![grant.lease] });
            return;
        }
        self.queue.push_back(grant);
    }

    /// More or fewer attempts may run at once. What waits for a slot that is gone is given back: another worker may
    /// have one.
    pub(crate) fn capacity(&mut self, slots: u32, what: String, why_fewer: String) {
        let fewer = slots < self.slots;
        self.slots = slots;
        self.why_fewer = why_fewer;
        if !what.is_empty() {
            self.notice = what;
        }
        // Told first, so that what is given back does not come straight back.
        self.heartbeat();
        if fewer && !self.queue.is_empty() {
            let leases = self.queue.drain(..).map(|grant| grant.lease).collect();
            self.send(WorkerFrame::Released { leases });
        }
    }

    /// Starts waiting attempts while slots are free.
    pub(crate) fn fill_slots(&mut self, now: Millis) {
        while self.running.len() < self.slots as usize {
            let Some(grant) = self.queue.pop_front() else {
                return;
            };
            let deadline = Some(now + grant.deadline_ms);
            self.effects.push(Effect::Run(grant.clone()));
            let lease = grant.lease;
            let run = Running { grant, deadline, stopping: None, losses: 0, seen: Seen::default() };
            self.running.insert(lease, run);
        }
    }

    pub(crate) fn stop(&mut self, lease: LeaseRef, why: Stopping) {
        let Some(run) = self.running.get_mut(&lease) else {
            return;
        };
        if run.stopping.is_none() {
            // Nobody waits for what these would still say.
            let grace_ms = match why {
                Stopping::Deadline { .. } | Stopping::Drained => run.grant.grace_ms,
                Stopping::Cancelled | Stopping::Twin(_) | Stopping::Raced => 0,
            };
            run.stopping = Some(why);
            self.effects.push(Effect::Stop { lease, grace_ms });
        }
    }

    pub(crate) fn enforce_deadlines(&mut self, now: Millis) {
        let late: Vec<(LeaseRef, f64)> = self
            .running
            .iter()
            .filter(|(_, run)| run.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(lease, run)| (*lease, run.grant.deadline_ms as f64 / 1000.0))
            .collect();
        for (lease, seconds) in late {
            self.stop(lease, Stopping::Deadline { seconds });
        }
        if self.drain_until.is_some_and(|until| until <= now) {
            let running: Vec<LeaseRef> = self.running.keys().copied().collect();
            for lease in running {
                self.stop(lease, Stopping::Drained);
            }
        }
    }

    /// The same matrix and model as an earlier experiment: its folds are already known.
    pub(crate) fn matrix(&mut self, lease: LeaseRef, hash: String) {
        let Some(run) = self.running.get(&lease) else {
            return;
        };
        let key = (run.grant.study.clone(), run.grant.block, hash);
        let first = self.twins.entry(key).or_insert(lease.experiment);
        // The one that was planned first is the original, whichever came here first: else two workers
        // could end two experiments as duplicates of each other.
        *first = lease.experiment.min(*first);
        if run.grant.race.is_none() && self.raced_out.contains(first) {
            // What is never raced needs a score of all its folds, which its twin does not have.
            *first = lease.experiment;
        }
        if *first != lease.experiment {
            let first = *first;
            self.stop(lease, Stopping::Twin(first));
        }
    }

    /// One more fold is scored. One that is out of order is not taken, so that no race is judged over a gap; nor is
    /// one that comes while the process is being stopped, so that what is told of a race is how it was lost.
    pub(crate) fn fold(&mut self, lease: LeaseRef, fold: u32, score: f64, seconds: f64) {
        let next = |run: &&mut Running| run.stopping.is_none() && run.seen.folds.len() == fold as usize;
        let Some(run) = self.running.get_mut(&lease).filter(next) else {
            return;
        };
        run.seen.folds.push(score);
        if seconds.is_finite() {
            run.seen.seconds += seconds.max(0.0);
        }
        if run.grant.race.as_ref().is_some_and(|race| race.is_lost(&run.seen.folds)) {
            self.stop(lease, Stopping::Raced);
        }
    }

    /// The same attempt starts again, a few times: the server that held it died, and whether this
    /// attempt or a neighbour brought it down is not known.
    pub(crate) fn lost(&mut self, lease: LeaseRef, why: &str, now: Millis) {
        let Some(run) = self.running.get_mut(&lease) else {
            return;
        };
        run.losses += 1;
        if run.stopping.is_none() && run.losses < LOSSES_TO_CRASH {
            run.deadline = Some(now + run.grant.deadline_ms);
            run.seen = Seen::default();
            let grant = run.grant.clone();
            self.effects.push(Effect::Run(grant));
        } else {
            let reason = format!("{why}, {} times while this ran", run.losses);
            self.ended(lease, Outcome::Crashed { reason });
        }
    }

    /// The time of an attempt begins, or it is not known yet when it will.
    pub(crate) fn time(&mut self, lease: LeaseRef, begins: Option<Millis>) {
        if let Some(run) = self.running.get_mut(&lease) {
            run.deadline = begins.map(|now| now + run.grant.deadline_ms);
        }
    }

    /// An attempt found that its study cannot be worked on here any more: it and all that waits for the same study is given
    /// back. What runs goes on, and is judged by what it finds at its end.
    pub(crate) fn unready(&mut self, lease: LeaseRef, why: String) {
        let Some(run) = self.running.remove(&lease) else {
            return;
        };
        let study = run.grant.study;
        self.studies.insert(study.clone(), Preparation::Failed { why });
        // Told first, so that what is given back does not come straight back.
        self.tell_preparation(&study);
        let mut leases: Vec<LeaseRef> =
            if run.stopping == Some(Stopping::Cancelled) { Vec::new() } else { vec![lease] };
        leases.extend(self.queue.iter().filter(|grant| grant.study == study).map(|grant| grant.lease));
        self.queue.retain(|grant| grant.study != study);
        if !leases.is_empty() {
            self.send(WorkerFrame::Released { leases });
        }
    }

    /// An attempt did not begin, for want of space that other workers may have.
    pub(crate) fn no_space(&mut self, lease: LeaseRef) {
        let run = self.running.remove(&lease);
        if run.is_some_and(|run| run.stopping != Some(Stopping::Cancelled)) {
            self.send(WorkerFrame::Released { leases: vec![lease] });
        }
    }

    pub(crate) fn ended(&mut self, lease: LeaseRef, outcome: Outcome) {
        let Some(run) = self.running.remove(&lease) else {
            return;
        };
        // A result that arrived before the stop took hold is a result: the work is done.
        let done = matches!(outcome, Outcome::Done(_));
        match run.stopping {
            Some(Stopping::Twin(experiment)) => self.keep(lease, Outcome::DuplicateOf { experiment }),
            Some(Stopping::Cancelled) => {}
            Some(Stopping::Drained) if !done => self.send(WorkerFrame::Released { leases: vec![lease] }),
            Some(Stopping::Raced) if !done => {
                let Seen { folds, seconds } = run.seen;
                self.raced_out.insert(lease.experiment);
                let rule = run.grant.race.map(|race| race.rule).unwrap_or_default();
                self.keep(lease, Outcome::StoppedEarly { folds, seconds, rule });
            }
            Some(Stopping::Deadline { seconds }) if !done => self.keep(lease, Outcome::TimedOut { seconds }),
            _ => self.keep(lease, outcome),
        }
    }
}
