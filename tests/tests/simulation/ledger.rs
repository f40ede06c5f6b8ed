//! The journal, and everything that must hold of it: a second opinion, kept apart from the core.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::frames::{CoordinatorFrame, LeaseRef};
use ar_common::{Block, Epoch, ExperimentId, LeaseSeq, Outcome, Seq, StudyId, WorkerId};
use ar_core::{Audit, Core, Loss, Record, State, Status, check};

use super::met::Met;

/// The journal that coordinators write to, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every durable record, in order.
    pub(crate) journal: Vec<Record>,
    /// Their fold.
    pub(crate) state: State,
    audit: Audit,
    /// Results that a worker made and kept, by the lease they were made under.
    made: BTreeMap<LeaseRef, Outcome>,
    /// Results whose acknowledgement has left a coordinator.
    acked: BTreeMap<ExperimentId, LeaseSeq>,
    losses: BTreeMap<ExperimentId, u32>,
    /// The newest attempt of each experiment, and its lease.
    granted: BTreeMap<ExperimentId, (u32, LeaseSeq)>,
    /// What a start of a worker gave back as it left.
    given_back: BTreeSet<(ExperimentId, WorkerId, u64)>,
    lapsed: Vec<LeaseSeq>,
}

impl Ledger {
    pub(crate) fn append(&mut self, record: &Record, met: &mut Met) {
        self.audit.record(record);
        self.check_lease(record);
        self.state.apply(record);
        self.journal.push(record.clone());
        match record {
            Record::Elected { .. } => met.reigns += 1,
            Record::Extended { .. } => met.extended += 1,
            Record::Refused { .. } => met.refused += 1,
            Record::Requeued { experiment, lease, cause, running } => {
                met.requeued += 1;
                match cause {
                    Loss::Lapsed => met.lapsed += 1,
                    Loss::Forgotten => met.forgotten += 1,
                    Loss::Released => met.released += 1,
                }
                self.lapsed.extend((*cause == Loss::Lapsed).then_some(*lease));
                if *running {
                    met.lost_running += 1;
                    let losses = self.losses.entry(*experiment).or_default();
                    *losses += 1;
                    assert!(
                        *losses < 3,
                        "experiment {experiment} was lost {losses} times while it ran and goes on"
                    );
                }
            }
            Record::Done { experiment, lease, outcome, .. } => self.ended(*experiment, *lease, outcome, met),
            _ => {}
        }
    }

    /// What a record says about a lease, against what the journal said before.
    fn check_lease(&mut self, record: &Record) {
        let status = |id: &ExperimentId| self.state.experiment(*id).map(|e| &e.status);
        match record {
            Record::Granted { experiment, attempt, worker, boot, .. } => {
                let to = (*experiment, worker.clone(), *boot);
                assert!(
                    !self.given_back.contains(&to),
                    "{to:?} gave it back as it left, and is granted it again"
                );
                let before = self.granted.get(experiment).map_or(0, |(attempt, _)| *attempt);
                assert_eq!(attempt.0, before + 1, "experiment {experiment}: attempts are counted one by one");
                let lease = LeaseSeq { incarnation: self.state.incarnation, seq: self.state.seq.next() };
                self.granted.insert(*experiment, (attempt.0, lease));
            }
            Record::Requeued { experiment, cause: Loss::Released, .. } => {
                let Some(Status::Leased { worker, boot, .. }) = status(experiment) else { return };
                self.given_back.insert((*experiment, worker.clone(), *boot));
            }
            Record::Done { experiment, lease, .. } => {
                let newest = self.granted.get(experiment).map(|(_, lease)| *lease);
                assert!(
                    lease.is_none() || *lease == newest,
                    "experiment {experiment} ended under an older lease"
                );
            }
            _ => {}
        }
    }

    fn ended(&self, experiment: ExperimentId, lease: Option<LeaseSeq>, outcome: &Outcome, met: &mut Met) {
        match outcome {
            Outcome::Cancelled { .. } => return met.cancelled += 1,
            Outcome::Crashed { reason } if reason.starts_with("quarantined") => {
                assert_eq!(self.losses.get(&experiment), Some(&2), "experiment {experiment} was quarantined");
                return met.quarantined += 1;
            }
            Outcome::TimedOut { .. } => met.timed_out += 1,
            Outcome::StoppedEarly { .. } => met.raced_out += 1,
            Outcome::DuplicateOf { experiment: first } => {
                met.duplicates += 1;
                assert!(*first < experiment, "experiment {experiment} is no duplicate of {first}");
            }
            _ => {}
        }
        let Some(lease) = lease else { panic!("experiment {experiment} ended without a lease: {outcome:?}") };
        met.late += u32::from(self.lapsed.contains(&lease));
        let made = self.made.get(&LeaseRef { experiment, lease });
        assert_eq!(made, Some(outcome), "the result of experiment {experiment} is not what its worker made");
    }

    /// A worker has a result.
    pub(crate) fn made(&mut self, lease: LeaseRef, outcome: &Outcome) {
        assert!(self.made.insert(lease, outcome.clone()).is_none(), "{lease:?} has two results");
    }

    /// A frame leaves a coordinator: what it rests on must be durable.
    pub(crate) fn leaves(&mut self, frame: &CoordinatorFrame, met: &mut Met) {
        match frame {
            CoordinatorFrame::Ack { lease } => {
                let kept = self.end_of(lease.experiment);
                assert_eq!(
                    kept,
                    Some(Some(lease.lease)),
                    "I1: {lease:?} was acknowledged and is not in the journal"
                );
                met.repeats += u32::from(self.acked.insert(lease.experiment, lease.lease).is_some());
            }
            CoordinatorFrame::Grant(grant) => {
                let position = usize::try_from(grant.lease.lease.seq.0).unwrap() - 1;
                let durable = matches!(self.journal.get(position), Some(Record::Granted { experiment, .. })
                    if *experiment == grant.lease.experiment);
                assert!(durable, "the grant {:?} is not in the journal", grant.lease);
            }
            _ => {}
        }
    }

    /// A process starts under a lease: the journal granted it, while its experiment had not ended.
    pub(crate) fn starts(&self, lease: LeaseRef) {
        let end = self.journal.iter().position(
            |record| matches!(record, Record::Done { experiment, .. } if *experiment == lease.experiment),
        );
        let after = end.is_some_and(|end| lease.lease.seq > Seq(end as u64 + 1));
        assert!(!after, "{lease:?} was granted after its experiment had ended");
    }

    fn end_of(&self, experiment: ExperimentId) -> Option<Option<LeaseSeq>> {
        match self.state.experiment(experiment).map(|e| &e.status) {
            Some(Status::Done { lease, .. }) => Some(*lease),
            _ => None,
        }
    }

    /// What must hold of a live core that holds `more` records which are not durable yet.
    pub(crate) fn check<'a>(&self, core: &Core, more: impl Iterator<Item = &'a Record>) {
        assert_eq!(check(core), vec![]);
        let mut state = self.state.clone();
        more.for_each(|record| state.apply(record));
        assert_eq!(state, core.state, "I6: the live state is not the fold of the journal");
        assert_eq!(state.hash(), core.state.hash(), "I6: equal states, other hashes");
    }

    pub(crate) fn next_epoch(&self) -> Epoch {
        Epoch(self.state.epoch.0 + 1)
    }

    /// The journal from its start.
    pub(crate) fn audit(self) -> Vec<Record> {
        let (found, replayed) = self.audit.finish();
        assert_eq!(found, vec![]);
        assert_eq!(replayed.hash(), self.state.hash());
        let mut ends: BTreeMap<ExperimentId, u32> = BTreeMap::new();
        let mut best: BTreeMap<StudyId, (f64, ExperimentId)> = BTreeMap::new();
        for record in &self.journal {
            let Record::Done { experiment, outcome, .. } = record else {
                continue;
            };
            *ends.entry(*experiment).or_default() += 1;
            let entry = self.state.experiment(*experiment).unwrap();
            if let (Block::FIRST, Some(score)) = (entry.block, outcome.score()) {
                let known = best.entry(entry.study.clone()).or_insert((score, *experiment));
                if score > known.0 || (score.total_cmp(&known.0).is_eq() && *experiment < known.1) {
                    *known = (score, *experiment);
                }
            }
        }
        for experiment in &self.state.experiments {
            assert_eq!(ends.get(&experiment.id), Some(&1), "I2, I8: {experiment:?}");
        }
        for (experiment, lease) in &self.acked {
            let end = self.state.experiment(*experiment).map(|e| &e.status);
            let kept = matches!(end, Some(Status::Done { lease: Some(kept), .. }) if kept == lease);
            assert!(kept, "I1: experiment {experiment} was acknowledged under {lease} and is {end:?}");
        }
        for (id, study) in &self.state.studies {
            assert!(study.is_finished(), "I8: study {id} is {:?}", study.phase);
            assert!(study.keeps_to(&study.budget()), "study {id} spent too much");
            let found = self.state.best(study).map(|(experiment, score)| (score, experiment.id));
            assert_eq!(found, best.get(id).copied(), "I5: best is not the fold of the Done records");
        }
        self.journal
    }
}
