//! The journal, and everything that must hold of it: a second opinion, kept apart from the core.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::frames::{CoordinatorFrame, LeaseRef};
use ar_common::{Block, ExperimentId, LeaseSeq, Outcome, Seq, StudyId, WorkerId};
use ar_core::{Audit, Loss, Planned, Record, State, Status, TimeLeft};

use super::agenda::HeadId;
use super::head::Head;
use super::met::Met;
use super::search::search;

/// Of so many looks at a live state, one compares all of it with the journal: that costs as much as all the others.
const THOROUGH: u64 = 16;
/// Records between two snapshots.
const SNAPSHOT: usize = 64;
/// Of so many plans, one is made again at the end.
const AGAIN: usize = 4;

/// A plan that was made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) by: HeadId,
    /// The last record that its state had.
    pub(crate) seen: Seq,
    pub(crate) study: StudyId,
    pub(crate) want: usize,
    pub(crate) time: TimeLeft,
    pub(crate) plan: Planned,
}

/// The journal that coordinators write to, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every durable record, in order.
    pub(crate) journal: Vec<Record>,
    /// Who wrote each.
    writers: Vec<HeadId>,
    /// Their fold.
    pub(crate) state: State,
    /// Their fold as it was a while ago, and how many records it had.
    snapshot: Option<(usize, Vec<u8>)>,
    audit: Audit,
    looks: u64,
    asked: Vec<Asked>,
    plans: usize,
    /// The best of each study, by its results as they came.
    best: BTreeMap<StudyId, (f64, ExperimentId)>,
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
    /// A batch is durable.
    pub(crate) fn append(&mut self, first: u64, records: &[Record], writer: HeadId, met: &mut Met) {
        let next = self.journal.len() as u64 + 1;
        assert_eq!(first, next, "I2: a batch is written twice, or over another");
        records.iter().for_each(|record| self.take(record, writer, met));
        if self.snapshot.as_ref().map_or(0, |(taken, _)| *taken) + SNAPSHOT <= self.journal.len() {
            met.snapshots += 1;
            self.snapshot = Some((self.journal.len(), self.state.to_snapshot()));
        }
    }

    /// I6: what a coordinator that starts reads, which is a snapshot and the records after it.
    pub(crate) fn read(&self) -> State {
        let (taken, mut state) = match &self.snapshot {
            Some((taken, bytes)) => (*taken, State::from_snapshot(bytes).unwrap()),
            None => (0, State::default()),
        };
        self.journal[taken..].iter().for_each(|record| state.apply(record));
        assert_eq!(state, self.state, "I6: a snapshot of {taken} records and the rest are not the whole");
        assert_eq!(state.hash(), self.state.hash(), "I6: equal states, other hashes");
        state
    }

    /// A journal is opened that has this many records.
    pub(crate) fn reopened(&self, found: u64) {
        let there = self.journal.len() as u64;
        assert_eq!(found, there, "I1: {there} records were acknowledged, and the journal has {found}");
    }

    fn take(&mut self, record: &Record, writer: HeadId, met: &mut Met) {
        self.audit.record(record);
        assert_eq!(self.audit.found(), [], "of the journal");
        self.check_lease(record);
        self.state.apply(record);
        self.journal.push(record.clone());
        self.writers.push(writer);
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
            Record::Done { experiment, lease, outcome, .. } => {
                self.ended(*experiment, *lease, outcome, met);
                self.score(*experiment, outcome);
            }
            _ => {}
        }
    }

    /// I5, after every result.
    fn score(&mut self, id: ExperimentId, outcome: &Outcome) {
        let entry = self.state.experiment(id).unwrap();
        let study = &self.state.studies[&entry.study];
        if let (Block::FIRST, Some(score)) = (entry.block, outcome.score()) {
            let known = self.best.entry(entry.study.clone()).or_insert((score, id));
            if score > known.0 || (score.total_cmp(&known.0).is_eq() && id < known.1) {
                *known = (score, id);
            }
        }
        let found = self.state.best(study).map(|(experiment, score)| (score, experiment.id));
        let best = self.best.get(&entry.study).copied();
        assert_eq!(found, best, "I5: best is not the fold of the Done records");
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

    /// I6: what a leader holds is the fold of the journal, and of what it has not made durable.
    pub(crate) fn check(&mut self, head: &Head, thorough: bool) {
        self.looks += 1;
        // Another one's `Elected` stands there: this one has been deposed, and what it holds is nobody's truth.
        let deposed = head.epoch() != self.state.epoch;
        if deposed || !(thorough || self.looks.is_multiple_of(THOROUGH)) {
            return;
        }
        let live = &head.core.state;
        let more: Vec<&Record> = head.not_durable().collect();
        // What it writes may be durable, and its answer on the way.
        let ahead = usize::try_from(live.seq.0 - self.state.seq.0).unwrap();
        let mut state = self.state.clone();
        more[more.len() - ahead..].iter().for_each(|record| state.apply(record));
        assert_eq!(state, *live, "I6: the live state is not the fold of the journal");
        assert_eq!(state.hash(), live.hash(), "I6: equal states, other hashes");
    }

    /// A plan was made; it may be made again at the end.
    pub(crate) fn asked(&mut self, asked: Asked) {
        self.plans += 1;
        if self.plans.is_multiple_of(AGAIN) {
            self.asked.push(asked);
        }
    }

    /// I7: a plan is a function of the records that it saw.
    fn plan_again(&mut self, met: &mut Met) {
        let mut asked = std::mem::take(&mut self.asked);
        asked.sort_by_key(|asked| asked.seen);
        let mut state = State::default();
        let mut records = self.journal.iter();
        for Asked { by, seen, study, want, time, plan } in asked {
            // Where the records that it saw last were lost with it, others have their place.
            if seen > self.state.seq || self.writers[usize::try_from(seen.0).unwrap() - 1] != by {
                continue;
            }
            let behind = usize::try_from(seen.0 - state.seq.0).unwrap();
            records.by_ref().take(behind).for_each(|record| state.apply(record));
            met.plans_again += 1;
            assert_eq!(search(&state, &study, want, time), plan, "I7: the plan after record {seen}");
        }
    }

    /// The journal from its start; all has ended, unless it broke off.
    pub(crate) fn audit(mut self, broke_off: bool, met: &mut Met) -> Vec<Record> {
        self.plan_again(met);
        let (_, replayed) = self.audit.finish();
        assert_eq!(replayed.hash(), self.state.hash(), "I6: a replay has another hash");
        for (experiment, lease) in &self.acked {
            let end = self.state.experiment(*experiment).map(|e| &e.status);
            let kept = matches!(end, Some(Status::Done { lease: Some(kept), .. }) if kept == lease);
            assert!(kept, "I1: experiment {experiment} was acknowledged under {lease} and is {end:?}");
        }
        if broke_off {
            return self.journal;
        }
        let mut ends: BTreeMap<ExperimentId, u32> = BTreeMap::new();
        for record in &self.journal {
            if let Record::Done { experiment, .. } = record {
                *ends.entry(*experiment).or_default() += 1;
            }
        }
        for experiment in &self.state.experiments {
            assert_eq!(ends.get(&experiment.id), Some(&1), "I2, I8: {experiment:?}");
        }
        for (id, study) in &self.state.studies {
            assert!(study.is_finished(), "I8: study {id} is {:?}", study.phase);
            assert!(study.keeps_to(&study.budget()), "study {id} spent too much");
        }
        self.journal
    }
}
