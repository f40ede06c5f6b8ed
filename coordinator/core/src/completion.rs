//! Results: which are accepted, which are repeats, which are refused.

use ar_common::frames::{CoordinatorFrame, LeaseRef};
use ar_common::{Digest, Outcome};

use crate::input::SessionId;
use crate::record::Record;
use crate::state::{Experiment, State, Status};
use crate::step::Turn;

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
    pub(crate) fn completed(&mut self, session: SessionId, lease: LeaseRef, outcome: Outcome, digest: Digest) {
        match judge(&self.core.state, &lease, &outcome, digest) {
            Judgement::Accept => {
                let experiment = lease.experiment;
                self.core.live.forget_lease(experiment);
                if let Some(study) = self.core.state.experiment(experiment).map(|e| e.study.clone()) {
                    self.core.live.dequeue(&study, experiment);
                }
                self.record(Record::Done { experiment, lease: Some(lease.lease), digest, outcome });
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

fn judge(state: &State, lease: &LeaseRef, outcome: &Outcome, digest: Digest) -> Judgement {
    let Some(experiment) = state.experiment(lease.experiment) else {
        return Judgement::Refuse(format!("there is no experiment {}", lease.experiment));
    };
    if let Status::Done { lease: ended, digest: known, .. } = &experiment.status {
        return if *ended == Some(lease.lease) && *known == digest {
            Judgement::Repeat
        } else {
            Judgement::Refuse("the experiment has ended with another result".to_owned())
        };
    }
    if experiment.newest_lease != Some(lease.lease) {
        return Judgement::Refuse(match experiment.newest_lease {
            Some(newest) => format!("lease {} was followed by lease {newest}", lease.lease),
            None => format!("lease {} was never granted", lease.lease),
        });
    }
    match fits(state, experiment, outcome) {
        Some(why) => Judgement::Refuse(why),
        None => Judgement::Accept,
    }
}

/// Why an outcome cannot be one of this experiment. The worker checks metrics; this is the last gate
/// before a number becomes truth.
fn fits(state: &State, experiment: &Experiment, outcome: &Outcome) -> Option<String> {
    let measures = outcome.measures()?;
    let metric = &state.studies.get(&experiment.study)?.spec.metric;
    if experiment.block.counts() && measures.score.is_none() {
        return Some("it says done and has no score".to_owned());
    }
    measures.score.iter().chain(&measures.folds).find_map(|value| metric.refuse(*value))
}
