//! Folding one record into the state. Total: a record that was durable is applied as it stands.

use std::sync::Arc;

use ar_common::{Attempt, LeaseSeq, Outcome, Seq};

use crate::holding::Hold;
use crate::input::PlannedExperiment;
use crate::record::Record;
use crate::state::{Experiment, Keys, Phase, State, Status, Study};

impl State {
    /// Folds the next record in. The caller has checked that it is the next one.
    pub fn apply(&mut self, record: &Record) {
        self.seq = self.seq.next();
        let seq = self.seq;
        match record {
            Record::StoreMade { incarnation, .. } => self.incarnation = *incarnation,
            Record::Elected { epoch } => self.epoch = *epoch,
            Record::Submitted { study, spec, tree } => {
                self.studies.entry(study.clone()).or_insert_with(|| {
                    Arc::new(Study {
                        space: spec.space.clone(),
                        spec: (**spec).clone(),
                        removed: Vec::new(),
                        tree: *tree,
                        phase: Phase::Searching,
                        experiments: Vec::new(),
                        spent: 0,
                        folds_saved: 0,
                        keys: Keys::default(),
                        verdict: None,
                        sealed_openings: 0,
                        last_done: Seq(0),
                        paused: false,
                        archived: None,
                    })
                });
            }
            Record::Planned { study, experiments, .. } => self.apply_planned(study, experiments),
            Record::Granted { experiment, attempt, worker, boot, deadline_ms } => {
                let lease = LeaseSeq { incarnation: self.incarnation, seq };
                if let Some(experiment) = self.experiment_mut(*experiment) {
                    experiment.attempt = *attempt;
                    experiment.newest_lease = Some(lease);
                    experiment.status = Status::Leased {
                        lease,
                        worker: worker.clone(),
                        boot: *boot,
                        deadline_ms: *deadline_ms,
                    };
                }
            }
            Record::Requeued { experiment, running, .. } => {
                if let Some(experiment) = self.experiment_mut(*experiment) {
                    experiment.attempt = experiment.attempt.next();
                    experiment.losses_running += u32::from(*running);
                    experiment.status = Status::Queued;
                }
            }
            Record::Done { experiment, lease, digest, outcome } => {
                let Some(experiment) = self.experiment_mut(*experiment) else {
                    return;
                };
                experiment.race = None;
                experiment.status = Status::Done { lease: *lease, digest: *digest, outcome: outcome.clone() };
                let study = experiment.study.clone();
                let given_back = matches!(outcome, Outcome::DuplicateOf { .. } | Outcome::Cancelled { .. });
                let refund = if given_back { experiment.cost() } else { 0 };
                let counts = experiment.block.counts();
                if let Some(study) = self.study_mut(&study) {
                    study.last_done = seq;
                    study.spent -= refund;
                    study.folds_saved += if counts { study.saved_by(outcome) } else { 0 };
                }
            }
            Record::Refused { .. } => self.refused += 1,
            Record::Held { worker, boot, why } => {
                let (worker, hold) = (worker.clone(), Hold { boot: *boot, why: why.clone() });
                self.holds.insert(worker, hold);
            }
            Record::Readmitted { worker } => drop(self.holds.remove(worker)),
            Record::Archived { study, archive } => self.apply_archived(study, *archive),
            Record::Recalled { study, experiments, last } => self.take_back(study, experiments, *last),
            Record::Extended { .. }
            | Record::OptionRemoved { .. }
            | Record::Concluded { .. }
            | Record::SealedOpened { .. }
            | Record::Paused { .. }
            | Record::Finished { .. } => self.apply_to_study(record),
        }
    }

    fn apply_planned(&mut self, study: &ar_common::StudyId, experiments: &[PlannedExperiment]) {
        // The map's own text of it, which all its experiments share.
        let Some(study) = self.studies.get_key_value(study).map(|(known, _)| known.clone()) else {
            return;
        };
        let Some(entry) = self.studies.get_mut(&study).map(Arc::make_mut) else {
            return;
        };
        for planned in experiments {
            entry.experiments.push(planned.id);
            entry.spent += planned.cost();
            entry.keys.insert(&planned.key());
            self.experiments.push(Experiment {
                id: planned.id,
                study: study.clone(),
                config: planned.config.clone(),
                block: planned.block,
                mode: planned.mode,
                round: planned.round,
                reason: planned.reason.as_str().into(),
                attempt: Attempt(1),
                newest_lease: None,
                losses_running: 0,
                status: Status::Queued,
                members: planned.members.as_slice().into(),
                race: planned.race.clone(),
                expected_gain: planned.expected_gain,
            });
        }
    }

    fn apply_to_study(&mut self, record: &Record) {
        let (Record::Extended { study, .. }
        | Record::OptionRemoved { study, .. }
        | Record::Concluded { study, .. }
        | Record::SealedOpened { study }
        | Record::Paused { study, .. }
        | Record::Finished { study, .. }) = record
        else {
            return;
        };
        let seq = self.seq;
        let Some(entry) = self.study_mut(study) else {
            return;
        };
        match record {
            Record::Extended { budget, limits, search, .. } => {
                if entry.reopens(budget, limits) {
                    entry.phase = Phase::Searching;
                    entry.verdict = None;
                    entry.paused = false;
                }
                entry.spec.budget = *budget;
                entry.spec.limits = limits.clone();
                entry.spec.search.clone_from(search);
            }
            Record::OptionRemoved { dimension, option, reason, .. }
                if entry.space.remove(dimension, option).is_ok() =>
            {
                entry.removed.push((dimension.clone(), option.clone(), reason.clone()));
                // A plan drawn over the larger space has not seen it.
                entry.last_done = seq;
            }
            Record::Concluded { verdict, .. } => {
                entry.verdict = Some(verdict.clone());
                entry.phase = Phase::Closing;
            }
            Record::Paused { paused, .. } => entry.paused = *paused,
            Record::SealedOpened { .. } => entry.sealed_openings += 1,
            Record::Finished { how, .. } => entry.phase = Phase::Finished(*how),
            _ => {}
        }
    }
}
