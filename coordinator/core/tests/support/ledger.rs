//! The journal, and everything that must hold of it: a second opinion, kept apart from the core.

use std::collections::BTreeMap;

use ar_common::frames::{CoordinatorFrame, Grant, LeaseRef};
use ar_common::{Block, Digest, ExperimentId, LeaseSeq, Metric, Outcome, StudyId};
use ar_core::{Audit, Core, Effect, Loss, Output, Record, State, check};

/// What the ledger counts for one study, from its records alone.
#[derive(Debug)]
struct Account {
    metric: Metric,
    total: u32,
    /// Folds of one evaluation: five, or 32 points of a training run's curve.
    folds: u64,
    /// Folds.
    spent: u64,
    first: Option<ExperimentId>,
    best: Option<(ExperimentId, f64)>,
}

/// How an experiment ended.
#[derive(Debug)]
struct End {
    lease: Option<LeaseSeq>,
    digest: Digest,
}

/// The journal with an independent account of it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every durable record, in order.
    pub(crate) journal: Vec<Record>,
    /// Their fold, as another coordinator would make it.
    pub(crate) state: State,
    audit: Audit,
    accounts: BTreeMap<StudyId, Account>,
    /// With the members of each, if it is an ensemble.
    planned: BTreeMap<ExperimentId, (StudyId, Block, usize)>,
    ends: BTreeMap<ExperimentId, End>,
    /// Losses of a running process.
    losses: BTreeMap<ExperimentId, u32>,
}

impl Ledger {
    /// Makes a record durable. It goes through its journal form, so what that loses is noticed.
    pub(crate) fn append(&mut self, record: &Record) {
        let Ok(bytes) = rmp_serde::to_vec_named(record) else { panic!("{record:?} cannot be written") };
        let Ok(read) = rmp_serde::from_slice::<Record>(&bytes) else {
            panic!("{record:?} cannot be read back")
        };
        assert_eq!(&read, record, "a record changed on its way through the journal");
        self.audit.record(&read);
        self.account(&read);
        self.state.apply(&read);
        self.journal.push(read);
    }

    /// Takes what a step gave and checks all that must hold between two steps. `sent` is the result
    /// that the step answered, if it answered one.
    pub(crate) fn take(&mut self, core: &Core, output: &Output, sent: Option<(LeaseRef, Digest)>) {
        for record in &output.records {
            self.append(record);
        }
        for effect in &output.effects {
            self.check_effect(effect, output, sent);
        }
        assert_eq!(check(core), vec![], "after {output:?}");
        assert_eq!(core.state.seq, self.state.seq, "the core counts another number of records");
        for (id, account) in &self.accounts {
            let (spent, total, folds) = (account.spent, account.total, account.folds);
            assert!(
                spent <= folds * u64::from(total),
                "study {id} spent {spent} folds of {total} evaluations"
            );
            assert_eq!(
                core.state.studies[id].folds_spent(),
                spent,
                "the core counts another number of folds"
            );
            let study = &core.state.studies[id];
            let best = match &study.archived {
                Some(archived) => archived.best.as_ref().map(|(id, _, score)| (*id, *score)),
                None => core.state.best(study).map(|(experiment, score)| (experiment.id, score)),
            };
            assert_eq!(best, account.best, "I5: best is not the fold of the Done records");
        }
        if self.journal.len().is_multiple_of(8) {
            self.check_hash(core);
        }
    }

    /// I6: the fold of the journal is the live state, bit for bit.
    pub(crate) fn check_hash(&self, core: &Core) {
        assert_eq!(core.state.hash(), self.state.hash(), "I6: the live state is not the fold of the journal");
    }

    /// The journal from its start: one end per experiment, one lease at a time, rising tokens and epochs.
    pub(crate) fn audit(self) {
        let (found, _) = self.audit.finish();
        assert_eq!(found, vec![]);
    }

    /// How many records end `experiment`; more than one is a broken promise.
    pub(crate) fn ends_of(&self, experiment: ExperimentId) -> usize {
        let ends =
            |record: &&Record| matches!(record, Record::Done { experiment: e, .. } if *e == experiment);
        self.journal.iter().filter(ends).count()
    }

    fn account(&mut self, record: &Record) {
        match record {
            Record::Submitted { study, spec, .. } => {
                let (metric, total) = (spec.metric.clone(), spec.budget.total());
                let folds = if spec.training().is_some() { 32 } else { 5 };
                let account = Account { metric, total, folds, spent: 0, first: None, best: None };
                assert!(
                    self.accounts.insert(study.clone(), account).is_none(),
                    "study {study} was submitted twice"
                );
            }
            Record::Extended { study, budget, .. } => {
                let Some(account) = self.accounts.get_mut(study) else { panic!("unknown study {study}") };
                // A smaller budget takes nothing back.
                account.total = budget.total().max(account.spent.div_ceil(account.folds) as u32);
            }
            Record::Planned { study, experiments, .. } => {
                let Some(account) = self.accounts.get_mut(study) else { panic!("unknown study {study}") };
                for planned in experiments {
                    assert_eq!(
                        planned.id.0,
                        self.planned.len() as u64 + 1,
                        "experiments are numbered in order"
                    );
                    let members = planned.members.len();
                    self.planned.insert(planned.id, (study.clone(), planned.block, members));
                    account.first.get_or_insert(planned.id);
                    account.spent += account.folds * u64::from(cost(planned.block, members));
                }
            }
            Record::Done { experiment, lease, digest, outcome } => {
                if let Outcome::DuplicateOf { experiment: first } = outcome {
                    let of_a_kind = self.planned.get(first) == self.planned.get(experiment);
                    assert!(first < experiment && of_a_kind, "{experiment} ended as a duplicate of {first}");
                }
                let quarantined =
                    matches!(outcome, Outcome::Crashed { reason } if reason.starts_with("quarantined"));
                let losses = self.losses.get(experiment).copied().unwrap_or(0);
                assert!(!quarantined || losses == 2, "{experiment} was quarantined at loss {}", losses + 1);
                self.ends.insert(*experiment, End { lease: *lease, digest: *digest });
                let Some((study, block, members)) = self.planned.get(experiment) else {
                    panic!("unknown {experiment}")
                };
                if let Some(account) = self.accounts.get_mut(study) {
                    account.end(*experiment, (*block, *members), outcome);
                }
            }
            Record::Requeued { experiment, cause, running, .. } => {
                assert!(!running || *cause != Loss::Released, "what was given back is no loss");
                let losses = self.losses.entry(*experiment).or_default();
                *losses += u32::from(*running);
                assert!(*losses < 3, "{experiment} was lost {losses} times while it ran, and goes on");
            }
            _ => {}
        }
    }

    fn check_effect(&self, effect: &Effect, output: &Output, sent: Option<(LeaseRef, Digest)>) {
        let Effect::Send { frame, .. } = effect else {
            return;
        };
        match frame {
            CoordinatorFrame::Ack { lease } => {
                let Some((sent, digest)) = sent else { panic!("an Ack without a result: {lease:?}") };
                let end = self.ends.get(&lease.experiment);
                let kept = end.is_some_and(|end| end.lease == Some(sent.lease) && end.digest == digest);
                assert!(kept && *lease == sent, "I1: {lease:?} was acknowledged and is not in the journal");
            }
            CoordinatorFrame::Refused { lease, .. } => {
                let audited = |record: &Record| {
                    matches!(record, Record::Refused { experiment, lease: token, .. }
                    if *experiment == lease.experiment && *token == lease.lease)
                };
                assert!(output.records.iter().any(audited), "{lease:?} was refused without a record");
            }
            CoordinatorFrame::Grant(grant) => self.check_grant(grant),
            _ => {}
        }
    }

    fn check_grant(&self, grant: &Grant) {
        let position = grant.lease.lease.seq.0 - 1;
        let record = usize::try_from(position).ok().and_then(|position| self.journal.get(position));
        let durable = matches!(record, Some(Record::Granted { experiment, attempt, deadline_ms, .. })
            if *experiment == grant.lease.experiment && *attempt == grant.attempt && *deadline_ms == grant.deadline_ms);
        assert!(durable, "the frame of {:?} rests on {record:?}", grant.lease);
        let first = self.accounts[&grant.study].first;
        let alone =
            first == Some(grant.lease.experiment) || first.is_some_and(|base| self.ends.contains_key(&base));
        assert!(alone, "{:?} goes before the base has ended", grant.lease);
    }
}

/// What an experiment takes from the budget.
fn cost(block: Block, members: usize) -> u32 {
    if block.counts() { (members as u32).max(1) } else { 0 }
}

impl Account {
    fn end(&mut self, experiment: ExperimentId, (block, members): (Block, usize), outcome: &Outcome) {
        if matches!(outcome, Outcome::DuplicateOf { .. } | Outcome::Cancelled { .. }) {
            self.spent -= self.folds * u64::from(cost(block, members));
        }
        if let Outcome::StoppedEarly { folds, .. } = outcome {
            assert!(
                (2..self.folds as usize).contains(&folds.len()),
                "{experiment} was stopped early after {folds:?}"
            );
            self.spent -= self.folds - folds.len() as u64;
        }
        let (Block::FIRST, 0, Outcome::Done(measures)) = (block, members, outcome) else {
            return;
        };
        let Some(score) = measures.score else { return };
        let better = self.best.is_none_or(|(best, known)| {
            let gain = self.metric.gain(score, known);
            gain > 0.0 || (gain == 0.0 && experiment < best)
        });
        if better {
            self.best = Some((experiment, score));
        }
    }
}
