//! Results: which are accepted, which are repeats, which are refused.

use ar_common::frames::{CoordinatorFrame, LeaseRef};
use ar_common::{Digest, ExperimentId, Outcome};

use crate::input::SessionId;
use crate::record::Record;
use crate::state::{Experiment, State, Status};
use crate::step::Turn;

/// What a worker says that does not know ensembles and ran the base instead.
const FOREIGN: &str = "the worker ran no ensemble where one was asked for; upgrade it";

/// What is to be done with a result.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Accept,
    Repeat,
    Refuse(String),
}

impl Turn<'_> {
    /// A result is accepted under the newest lease ever granted for an experiment that has not
    /// ended, even if that lease lapsed meanwhile: the work was done and nobody else has done it.
    pub(crate) fn completed(
        &mut self,
        session: SessionId,
        lease: LeaseRef,
        outcome: Outcome,
        digest: Digest,
    ) {
        match judge(&self.core.state, &lease, digest) {
            Judgement::Accept => {
                let experiment = lease.experiment;
                // The worker checks metrics; this is the last gate before a number becomes truth.
                let outcome = match cannot_be(&self.core.state, experiment, &outcome) {
                    Some(reason) => Outcome::NoMetric { reason },
                    None => outcome,
                };
                self.core.live.forget_lease(experiment);
                let study = self.core.state.experiment(experiment).map(|e| e.study.clone());
                if let Some(study) = &study {
                    self.core.live.dequeue(study, experiment);
                }
                let ended = outcome.clone();
                self.record(Record::Done { experiment, lease: Some(lease.lease), digest, outcome });
                if let Some(study) = study {
                    self.tally(session, &study, &ended);
                }
                self.send(session, CoordinatorFrame::Ack { lease });
            }
            Judgement::Repeat => self.send(session, CoordinatorFrame::Ack { lease }),
            Judgement::Refuse(why) => {
                let (experiment, token) = (lease.experiment, lease.lease);
                self.record(Record::Refused { experiment, lease: token, why: why.clone() });
                self.send(session, CoordinatorFrame::Refused { lease, why });
            }
        }
    }
}

fn judge(state: &State, lease: &LeaseRef, digest: Digest) -> Judgement {
    let Some(experiment) = state.experiment(lease.experiment) else {
        if lease.experiment < state.next_experiment() {
            return Judgement::Refuse("its study has ended and is archived".to_owned());
        }
        return Judgement::Refuse(format!("there is no experiment {}", lease.experiment));
    };
    if let Status::Done { lease: ended, digest: known, .. } = &experiment.status {
        return if *ended == Some(lease.lease) && *known == digest {
            Judgement::Repeat
        } else {
            Judgement::Refuse("the experiment has ended with another result".to_owned())
        };
    }
    match experiment.newest_lease {
        Some(newest) if newest == lease.lease => Judgement::Accept,
        Some(newest) => Judgement::Refuse(format!("lease {} was followed by lease {newest}", lease.lease)),
        None => Judgement::Refuse(format!("lease {} was never granted", lease.lease)),
    }
}

/// Why an outcome cannot be that of this experiment.
fn cannot_be(state: &State, experiment: ExperimentId, outcome: &Outcome) -> Option<String> {
    let experiment = state.experiment(experiment)?;
    let metric = &state.studies.get(&experiment.study)?.spec.metric;
    if let Outcome::DuplicateOf { .. } = outcome
        && !experiment.members.is_empty()
    {
        return Some(FOREIGN.to_owned());
    }
    if let Outcome::DuplicateOf { experiment: first } = outcome {
        // Only ever of an earlier one, so that no two experiments are each other's duplicate.
        let twin = |first: &Experiment| {
            first.id < experiment.id
                && first.study == experiment.study
                && first.block == experiment.block
                && first.members.is_empty()
        };
        return (!state.experiment(*first).is_some_and(twin)).then(|| {
            format!("it is no duplicate of experiment {first}, which is no earlier one of its kind")
        });
    }
    if let Outcome::StoppedEarly { folds, rule, .. } = outcome {
        let metric = experiment.race.as_ref().map_or(metric, |race| &race.metric);
        if let Some(wrong) = folds.iter().find_map(|value| metric.refuse(*value)) {
            return Some(wrong);
        }
        // What it did not run is given back to the budget, so it must have lost by the rule it was granted with.
        let lost = experiment.race.as_ref().is_some_and(|race| race.rule == *rule && race.is_lost(folds));
        return (!lost).then(|| "it was stopped early and had lost no race".to_owned());
    }
    let measures = outcome.measures()?;
    if experiment.block.counts() && measures.score.is_none() {
        return Some(format!("the run ended without a value of {}", metric.name));
    }
    if measures.members.len() != experiment.members.len() {
        return Some(FOREIGN.to_owned());
    }
    if let Some(sealed) = &measures.sealed
        && ![sealed.difference, sealed.low, sealed.high].iter().all(|bound| bound.is_finite())
    {
        return Some("the difference on the sealed rows is not a number that can be compared".to_owned());
    }
    let sealed = measures.sealed.iter().flat_map(|sealed| [&sealed.score, &sealed.base_score]);
    measures.score.iter().chain(&measures.folds).chain(sealed).find_map(|value| metric.refuse(*value))
}
