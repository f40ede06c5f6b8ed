//! Placement: which waiting experiment goes to which worker.

use ar_common::frames::{CoordinatorFrame, Grant, LeaseRef};
use ar_common::{Block, ExperimentId, LeaseSeq, StudyId};

use crate::input::{Effect, SessionId};
use crate::live::{LiveLease, LiveWorker};
use crate::record::Record;
use crate::sharing::Turns;
use crate::state::{Experiment, Phase, State, Study};
use crate::step::Turn;

/// Seconds that one experiment may take before the base's own time is known.
const DEADLINE_BEFORE_BASE_S: f64 = 3600.0;
/// Least seconds that one experiment may take, and how many times the base it may take.
const DEADLINE_FLOOR_S: f64 = 60.0;
const DEADLINE_TIMES_BASE: f64 = 20.0;
/// Granting ahead hides the round trip of a grant (a durable commit and two frames, about 3 ms
/// here); a queue worth this many seconds per slot is enough, and a longer one only makes plans older.
const AHEAD_SECONDS: f64 = 0.05;
/// Most grants ahead per slot.
const AHEAD_MAX: u32 = 16;

impl Turn<'_> {
    /// Asks workers to prepare the studies that have work.
    pub(crate) fn prepare_workers(&mut self) {
        let State { studies, .. } = &self.core.state;
        let open: Vec<(&StudyId, &Study)> =
            studies.iter().filter(|(_, s)| !s.is_finished()).map(|(id, study)| (id, &**study)).collect();
        for (session, worker) in &mut self.core.live.workers {
            for (id, study) in &open {
                // One that can run nothing may be short of room, and what it fetched would take more of it.
                let idle = worker.draining || worker.slots == 0;
                if idle || worker.asked.contains(*id) || !study.takes(&worker.hello) {
                    continue;
                }
                worker.asked.insert((*id).clone());
                let frame = CoordinatorFrame::Prepare { study: (*id).clone(), tree: study.tree };
                self.output.effects.push(Effect::Send { session: *session, frame });
            }
        }
    }

    pub(crate) fn ready(
        &mut self,
        session: SessionId,
        study: &StudyId,
        unavailable: Vec<ar_common::frames::Unavailable>,
    ) {
        let Some(worker) = self.core.live.workers.get_mut(&session) else {
            return;
        };
        worker.ready.insert(study.clone());
        worker.not_ready.remove(study);
        for option in unavailable {
            let Some(entry) = self.core.state.studies.get(study) else {
                return;
            };
            let there = entry.space.dimension(&option.dimension).and_then(|d| d.option(&option.option));
            if there.is_some() && option.option != ar_common::space::BASE {
                self.record(Record::OptionRemoved {
                    study: study.clone(),
                    dimension: option.dimension,
                    option: option.option,
                    reason: option.reason,
                });
            }
        }
    }

    /// Grants waiting experiments while workers have room.
    pub(crate) fn place(&mut self) {
        let mut turns = Turns::new(&self.core.state, &self.core.live);
        if turns.is_empty() {
            return;
        }
        // Round by round, so that one worker's queue is not filled before another's slot.
        let mut sessions: Vec<SessionId> = self.core.live.workers.keys().copied().collect();
        while !sessions.is_empty() {
            // Who could take nothing can take nothing more once others have taken something.
            sessions.retain(|session| {
                let Some((study, experiment)) = self.next_for(*session, &turns) else { return false };
                self.grant(*session, experiment);
                turns.took(&study);
                true
            });
        }
    }

    fn next_for(&self, session: SessionId, turns: &Turns) -> Option<(StudyId, ExperimentId)> {
        let worker = self.core.live.workers.get(&session)?;
        if !worker.takes_more() {
            return None;
        }
        turns.in_order().find_map(|(id, ahead)| {
            if !worker.ready.contains(id) || room(worker, ahead) == 0 {
                return None;
            }
            let (study, queue) = (self.core.state.studies.get(id)?, self.core.live.queues.get(id)?);
            // What it needs may have been changed since it was prepared.
            if !study.takes(&worker.hello) {
                return None;
            }
            let mut queue = queue.iter().copied();
            let next = queue.find(|e| self.may_start(study, *e) && self.is_at_home(session, study, *e));
            next.map(|experiment| (id.clone(), experiment))
        })
    }

    /// Nothing but the base, which is planned first, starts before the base has ended: its time sets
    /// everyone's deadline.
    fn may_start(&self, study: &Study, experiment: ExperimentId) -> bool {
        study.experiments.first() == Some(&experiment) || base_has_ended(&self.core.state, study)
    }

    fn grant(&mut self, session: SessionId, experiment: ExperimentId) {
        let Some(worker) = self.core.live.workers.get(&session) else {
            return;
        };
        let (name, boot) = (worker.worker.clone(), worker.boot);
        let Some(entry) = self.core.state.experiment(experiment) else {
            return;
        };
        let Some(study) = self.core.state.studies.get(&entry.study) else {
            return;
        };
        let deadline_ms = deadline_ms(&self.core.state, study, entry);
        let seq = self.core.state.seq.next();
        let lease =
            LeaseRef { experiment, lease: LeaseSeq { incarnation: self.core.state.incarnation, seq } };
        let frame = CoordinatorFrame::Grant(Grant {
            lease,
            attempt: entry.attempt,
            study: entry.study.clone(),
            config: entry.config.clone(),
            block: entry.block,
            reference: study.base(),
            deadline_ms,
            grace_ms: self.core.live.timing.grace_ms,
            memory: study.spec.limits.experiment_memory,
            members: entry.members.to_vec(),
            race: entry.race.clone(),
            devices: crate::pairs::devices(&self.core.state, study, experiment),
            checkpoint: crate::checkpoints::order(&self.core.state, study, entry),
        });
        let is_compared = study.spec.training().is_some() && crate::pairs::is_compared(entry.block);
        let home = name.clone();
        let (study, attempt) = (entry.study.clone(), entry.attempt);
        self.record(Record::Granted { experiment, attempt, worker: name, boot, deadline_ms });
        self.core.live.dequeue(&study, experiment);
        let lapses = self.now + self.core.live.timing.lease_ttl_ms;
        self.core.live.leases.insert(experiment, LiveLease { lapses, running: false, holder: Some(session) });
        if is_compared {
            self.core.live.ran_on.insert(experiment, home);
        }
        if let Some(worker) = self.core.live.workers.get_mut(&session) {
            worker.held.insert(experiment);
        }
        self.send(session, frame);
    }

    /// How many more experiments of a study the connected workers could take now.
    pub(crate) fn free_capacity(&self, id: &StudyId, study: &Study) -> usize {
        let ahead = ahead(&self.core.state, study);
        let fits = |w: &&LiveWorker| w.takes_more() && w.ready.contains(id) && study.takes(&w.hello);
        let ready = self.core.live.workers.values().filter(fits);
        ready.map(|worker| room(worker, ahead)).fold(0, usize::saturating_add)
    }
}

/// How many more experiments a worker could take, with so many ahead per slot. The number of slots
/// is the worker's word, so no arithmetic on it may overflow.
pub(crate) fn room(worker: &LiveWorker, ahead: u32) -> usize {
    let room = worker.slots.saturating_mul(ahead.saturating_add(1));
    (room as usize).saturating_sub(worker.held.len())
}

fn base_has_ended(state: &State, study: &Study) -> bool {
    study.phase != Phase::Searching
        || study
            .experiments
            .first()
            .is_none_or(|first| state.experiment(*first).is_none_or(|experiment| !experiment.is_pending()))
}

/// Grants ahead per slot, from the mean duration of what has ended.
pub(crate) fn ahead(state: &State, study: &Study) -> u32 {
    let recent = study.experiments.iter().rev().filter_map(|id| state.experiment(*id));
    let seconds: Vec<f64> =
        recent.filter_map(|experiment| Some(experiment.outcome()?.measures()?.seconds)).take(32).collect();
    if seconds.is_empty() {
        return 0;
    }
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    if mean >= 1.0 {
        return 0;
    }
    // Truncation is meant: a fraction of an experiment cannot be granted.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=16 before")]
    let ahead = (AHEAD_SECONDS / mean.max(1e-6)).ceil().clamp(1.0, f64::from(AHEAD_MAX)) as u32;
    ahead
}

/// The hard deadline of an attempt: what the study says, else max(60 s, 20 x the base). The sealed
/// block fits two configurations and the refit all rows, so they may take as long again; a run on a fresh split has the
/// limit for each split that it covers; an ensemble fits its members
/// one after another.
fn deadline_ms(state: &State, study: &Study, experiment: &Experiment) -> u64 {
    let measured = |id: &ExperimentId| state.experiment(*id)?.outcome()?.measures().map(|m| m.seconds);
    let base_seconds = study.experiments.first().and_then(measured);
    let seconds = study.spec.limits.experiment_seconds.unwrap_or_else(|| match base_seconds {
        Some(base) => (base * DEADLINE_TIMES_BASE).max(DEADLINE_FLOOR_S),
        None if base_has_ended(state, study) => DEADLINE_FLOOR_S,
        None => DEADLINE_BEFORE_BASE_S,
    });
    let passes = match experiment.block {
        Block::FIRST | Block::Warm { .. } => 1.0,
        Block::Cv { .. } => f64::from(study.spec.repeats()),
        Block::Sealed | Block::Refit => 2.0,
    };
    let factor = passes * f64::from(ar_common::ensemble::cost(&experiment.members));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and bounded by a year"
    )]
    let ms = (seconds * factor * 1000.0).clamp(1.0, 3.2e10) as u64;
    ms
}
