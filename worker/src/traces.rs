//! The worker's part of an experiment's trace: what an attempt does here, below the span of its lease, whose context came with the
//! grant; the context of the last part goes back with the result.
//!
//! ```text
//! attempt     the grant has come .. the result is answered
//!   queue     .. there is a slot
//!   prepare   .. its process runs
//!   run       .. nothing of it is left
//!   upload    .. the result is durable, handed over and answered
//! ```

use std::collections::HashMap;
use std::time::SystemTime;

use ar_common::frames::{CoordinatorFrame, LeaseRef, WorkerFrame};
use ar_net::traces::{Open, Parent, Spans};
use ar_proto::v1::{self, coordinator_frame, worker_frame};
use ar_worker_core::{Effect, Input};

/// The traces of attempts that are here.
pub(crate) struct Traces(Option<Inner>);

struct Inner {
    spans: Spans,
    attempts: HashMap<(u64, u64), Attempt>,
}

struct Attempt {
    whole: Open,
    stage: Open,
}

/// The contexts that came with the grants of a message.
pub(crate) type Contexts = Vec<(u64, String)>;

/// Reads the contexts of grants, by the numbers of their experiments.
pub(crate) fn contexts(message: &v1::CoordinatorMessage) -> Contexts {
    let grants = message.frames.iter().filter_map(|frame| match &frame.frame {
        Some(coordinator_frame::Frame::Grant(grant)) if !grant.traceparent.is_empty() => Some(grant),
        _ => None,
    });
    grants.filter_map(|grant| Some((grant.lease?.experiment, grant.traceparent.clone()))).collect()
}

impl Traces {
    /// Of this process, if traces are handed over.
    pub(crate) fn start() -> Self {
        Self(Spans::start().map(|spans| Inner { spans, attempts: HashMap::new() }))
    }

    /// A frame has come.
    pub(crate) fn came(&mut self, frame: &CoordinatorFrame, contexts: &Contexts) {
        let Some(inner) = &mut self.0 else { return };
        match frame {
            CoordinatorFrame::Grant(grant) => {
                let sent = contexts.iter().find(|(experiment, _)| *experiment == grant.lease.experiment.0);
                let Some(parent) = sent.and_then(|(_, context)| Open::elsewhere(context)) else { return };
                let now = SystemTime::now();
                let whole = inner.spans.open("attempt", Parent::Span(&parent), now, []);
                let stage = inner.spans.open("queue", Parent::Span(&whole), now, []);
                inner.attempts.insert(key(&grant.lease), Attempt { whole, stage });
            }
            CoordinatorFrame::Ack { lease } => inner.end(lease, None),
            CoordinatorFrame::Refused { lease, why } => inner.end(lease, Some(why)),
            _ => {}
        }
    }

    /// Something happened to an attempt.
    pub(crate) fn happened(&mut self, input: &Input) {
        let Some(inner) = &mut self.0 else { return };
        match input {
            Input::Started { lease } => inner.stage(lease, "run"),
            Input::Ended { lease, outcome } => {
                if let Some(attempt) = inner.attempts.get(&key(lease)) {
                    attempt.whole.say("autoresearch.outcome", outcome.word());
                }
                inner.stage(lease, "upload");
            }
            Input::Lost { lease, why } | Input::Unready { lease, why } => inner.end(lease, Some(why)),
            _ => {}
        }
    }

    /// Something is to be done.
    pub(crate) fn asked(&mut self, effect: &Effect) {
        let Some(inner) = &mut self.0 else { return };
        match effect {
            Effect::Run(grant) => inner.stage(&grant.lease, "prepare"),
            Effect::Send(WorkerFrame::Released { leases }) => {
                leases.iter().for_each(|lease| inner.end(lease, Some("released")));
            }
            _ => {}
        }
    }

    /// Puts the contexts into results that go out.
    pub(crate) fn stamp(&self, message: &mut v1::WorkerMessage) {
        let Some(inner) = &self.0 else { return };
        for frame in &mut message.frames {
            let Some(worker_frame::Frame::Completed(completed)) = &mut frame.frame else { continue };
            let key = completed.lease.map(|lease| (lease.experiment, lease.seq));
            if let Some(attempt) = key.and_then(|key| inner.attempts.get(&key)) {
                completed.traceparent = attempt.stage.traceparent();
            }
        }
    }
}

/// A lease as a key: its experiment and its position.
fn key(lease: &LeaseRef) -> (u64, u64) {
    (lease.experiment.0, lease.lease.seq.0)
}

impl Inner {
    fn stage(&mut self, lease: &LeaseRef, name: &'static str) {
        if let Some(attempt) = self.attempts.get_mut(&key(lease)) {
            attempt.stage.end();
            attempt.stage = self.spans.open(name, Parent::Span(&attempt.whole), SystemTime::now(), []);
        }
    }

    fn end(&mut self, lease: &LeaseRef, why: Option<&str>) {
        if let Some(attempt) = self.attempts.remove(&key(lease)) {
            if let Some(why) = why {
                attempt.whole.failed(why);
            }
            attempt.stage.end();
            attempt.whole.end();
        }
    }
}
