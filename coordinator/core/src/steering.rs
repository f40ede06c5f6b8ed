//! What people want of studies: that they begin, wait, go on, end in time, or end at once.

use ar_common::frames::{CoordinatorFrame, LeaseRef};
use ar_common::{Budget, Digest, ExperimentId, LeaseSeq, StudyId, StudySpec, WorkerId};

use crate::input::{SessionId, TimeLeft};
use crate::record::Record;
use crate::state::{Experiment, Finish, Phase, Status};
use crate::step::Turn;

impl Turn<'_> {
    pub(crate) fn submit(&mut self, spec: Box<StudySpec>, tree: Digest) {
        let study = spec.id();
        match self.core.state.studies.get(&study) {
            None => self.record(Record::Submitted { study, spec, tree }),
            // Its experiments are to be taken back first.
            Some(known) if known.archived.is_some() => {}
            Some(known) => {
                // What a study that has ended has spent is not taken back; one that runs is held to
                // what is asked for now.
                let ended = known.is_finished() && spec.budget.total() <= known.spec.budget.total();
                let budget = match spec.budget {
                    _ if ended => known.spec.budget,
                    asked if known.keeps_to(&asked) => asked,
                    _ => Budget { rounds: 1, per_round: known.evaluations_begun() },
                };
                let other = (budget, &spec.limits, &spec.search)
                    != (known.spec.budget, &known.spec.limits, &known.spec.search);
                let again = known.phase == Phase::Finished(Finish::Cancelled);
                if other || again {
                    self.core.live.planning.remove(&study);
                    self.core.live.time_left.remove(&study);
                    self.record(Record::Extended { study, budget, limits: spec.limits, search: spec.search });
                }
            }
        }
    }

    pub(crate) fn time_over(&mut self, study: &StudyId) {
        self.core.live.planning.remove(study);
        self.core.live.time_left.insert(study.clone(), TimeLeft::Nothing);
        self.cancel_all(study, true, "the time limit of the study was reached");
    }

    /// Lets a study wait: what is granted and has not started comes back, what runs goes on.
    pub(crate) fn pause(&mut self, study: &StudyId, paused: bool) {
        let known = self.core.state.studies.get(study);
        if !known.is_some_and(|known| known.paused != paused && !known.is_finished()) {
            return;
        }
        self.core.live.planning.remove(study);
        self.record(Record::Paused { study: study.clone(), paused });
        if paused {
            self.revoke_unstarted(|experiment, _| experiment.study == *study);
        }
    }

    /// Takes back what was granted, has not started, and is one of these.
    pub(crate) fn revoke_unstarted(&mut self, is_one: impl Fn(&Experiment, &WorkerId) -> bool) {
        let unstarted: Vec<(ExperimentId, LeaseSeq, Option<SessionId>)> = self
            .core
            .live
            .leases
            .iter()
            .filter(|(_, lease)| !lease.running)
            .filter_map(|(id, _)| self.core.state.experiment(*id))
            .filter_map(|experiment| match &experiment.status {
                Status::Leased { lease, worker, boot, .. } if is_one(experiment, worker) => {
                    Some((experiment.id, *lease, self.core.live.session_of(worker, *boot)))
                }
                _ => None,
            })
            .collect();
        for (experiment, lease, session) in unstarted {
            if let Some(session) = session {
                self.send(session, CoordinatorFrame::Revoke { lease: LeaseRef { experiment, lease } });
            }
        }
    }

    /// Ends a study without a verdict.
    pub(crate) fn call_off(&mut self, study: &StudyId) {
        if self.core.state.studies.get(study).is_none_or(|study| study.is_finished()) {
            return;
        }
        self.core.live.planning.remove(study);
        self.cancel_all(study, false, "somebody called the study off");
        self.record(Record::Finished { study: study.clone(), how: Finish::Cancelled });
    }

    /// Ends what has not ended; `evaluations`: only what counts towards the budget, as the rest follows the verdict.
    fn cancel_all(&mut self, study: &StudyId, evaluations: bool, why: &str) {
        let Some(entry) = self.core.state.studies.get(study) else {
            return;
        };
        let ends = |e: &&Experiment| e.is_pending() && (e.block.counts() || !evaluations);
        let pending: Vec<ExperimentId> =
            self.core.state.experiments_of(entry).filter(ends).map(|e| e.id).collect();
        for experiment in pending {
            self.cancel(experiment, why);
        }
    }
}
