//! The coordinator's part of an experiment's trace, from the plan to the answer to its result. Made of what passes the actor, so
//! the core knows nothing of it; where no traces are handed over nothing is kept.
//!
//! ```text
//! experiment
//!   plan      the search was asked .. its plan is taken
//!   queue     .. a lease is granted
//!   lease     .. the result is durable                   (one for each attempt)
//!     grant   .. its record is durable, and it is sent
//!     attempt   the worker's (worker/src/traces.rs), with what it does
//!       ...
//!         completed   the result has come .. it is answered
//!           durable   .. its record is
//!           ack
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ar_common::frames::LeaseRef;
use ar_common::{ExperimentId, StudyId};
use ar_core::Record;
use ar_net::traces::{Open, Parent, Spans};
use ar_proto::v1::{self, coordinator_frame, worker_frame};

use crate::measured::word;

/// The traces of experiments that have not ended.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Mutex<Inner>>>);

#[derive(Debug)]
struct Inner {
    spans: Spans,
    /// When the search was asked.
    asked: HashMap<StudyId, SystemTime>,
    experiments: HashMap<ExperimentId, Trace>,
}

#[derive(Debug)]
struct Trace {
    root: Open,
    /// Where it is: waiting, or leased.
    stage: Open,
    grant: Option<Open>,
    completed: Option<Open>,
    durable: Option<Open>,
    has_ended: bool,
}

impl Traces {
    /// Of this process, if traces are handed over.
    pub fn start() -> Self {
        let inner = |spans| Inner { spans, asked: HashMap::new(), experiments: HashMap::new() };
        Self(Spans::start().map(|spans| Arc::new(Mutex::new(inner(spans)))))
    }

    fn inner(&self) -> Option<MutexGuard<'_, Inner>> {
        // What a thread left that died is some spans more or less.
        self.0.as_ref().map(|inner| inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The search is asked for a plan.
    pub(crate) fn asked(&self, study: &StudyId) {
        if let Some(mut inner) = self.inner() {
            inner.asked.insert(study.clone(), SystemTime::now());
        }
    }

    /// Records were made, and are not durable yet.
    pub(crate) fn made(&self, records: &[Record]) {
        if let Some(mut inner) = self.inner() {
            records.iter().for_each(|record| inner.made(record));
        }
    }

    /// They are durable.
    pub(crate) fn durable(&self, records: &[Record]) {
        let Some(mut inner) = self.inner() else { return };
        for record in records {
            let Record::Done { experiment, .. } = record else { continue };
            let Some(trace) = inner.experiments.get_mut(experiment) else { continue };
            trace.has_ended = true;
            if let Some(durable) = trace.durable.take() {
                durable.end();
            }
            trace.stage.end();
            if trace.completed.is_none() {
                inner.end(*experiment);
            }
        }
    }

    /// A grant is on its way.
    pub(crate) fn sent(&self, experiment: ExperimentId) {
        if let Some(mut inner) = self.inner()
            && let Some(grant) = inner.experiments.get_mut(&experiment).and_then(|trace| trace.grant.take())
        {
            grant.end();
        }
    }

    /// A result is answered.
    pub(crate) fn answered(&self, lease: &LeaseRef, refused: Option<&str>) {
        let Some(mut inner) = self.inner() else { return };
        let Some(trace) = inner.experiments.get_mut(&lease.experiment) else { return };
        let Some(completed) = trace.completed.take() else { return };
        if let Some(why) = refused {
            completed.failed(why);
        }
        let has_ended = trace.has_ended;
        inner.spans.open("ack", Parent::Span(&completed), SystemTime::now(), []).end();
        completed.end();
        if has_ended {
            inner.end(lease.experiment);
        }
    }

    /// Puts the contexts into grants that go out.
    pub(crate) fn stamp(&self, message: &mut v1::CoordinatorMessage) {
        let Some(inner) = self.inner() else { return };
        for frame in &mut message.frames {
            let Some(coordinator_frame::Frame::Grant(grant)) = &mut frame.frame else { continue };
            let experiment = grant.lease.map(|lease| ExperimentId(lease.experiment));
            if let Some(trace) = experiment.and_then(|experiment| inner.experiments.get(&experiment)) {
                grant.traceparent = trace.stage.traceparent();
            }
        }
    }

    /// Reads the contexts of results that come in.
    pub(crate) fn received(&self, message: &v1::WorkerMessage) {
        let Some(mut inner) = self.inner() else { return };
        for frame in &message.frames {
            let Some(worker_frame::Frame::Completed(completed)) = &frame.frame else { continue };
            let Some(lease) = completed.lease else { continue };
            inner.received(ExperimentId(lease.experiment), &completed.traceparent);
        }
    }
}

impl Inner {
    fn made(&mut self, record: &Record) {
        let now = SystemTime::now();
        match record {
            Record::Planned { study, experiments, .. } => {
                let asked = self.asked.remove(study).unwrap_or(now);
                for planned in experiments {
                    let root = self.root(planned.id, asked);
                    root.say("autoresearch.study", study.0.clone());
                    root.say("autoresearch.mode", planned.mode.to_string());
                    self.spans.open("plan", Parent::Span(&root), asked, []).end();
                    let stage = self.spans.open("queue", Parent::Span(&root), now, []);
                    self.experiments.insert(planned.id, Trace::new(root, stage));
                }
            }
            Record::Granted { experiment, attempt, worker, .. } => {
                // One that an earlier coordinator planned begins here.
                let trace = self.experiments.remove(experiment);
                let root = trace.map_or_else(
                    || self.root(*experiment, now),
                    |trace| {
                        trace.stage.end();
                        trace.root
                    },
                );
                let attributes = [
                    ("autoresearch.attempt", i64::from(attempt.0).into()),
                    ("autoresearch.worker", worker.0.clone().into()),
                ];
                let stage = self.spans.open("lease", Parent::Span(&root), now, attributes);
                let grant = self.spans.open("grant", Parent::Span(&stage), now, []);
                self.experiments.insert(*experiment, Trace { grant: Some(grant), ..Trace::new(root, stage) });
            }
            Record::Requeued { experiment, cause, .. } => {
                let Some(trace) = self.experiments.get_mut(experiment) else { return };
                trace.stage.failed(word(*cause));
                trace.stage.end();
                trace.stage = self.spans.open("queue", Parent::Span(&trace.root), now, []);
            }
            Record::Done { experiment, outcome, .. } => {
                let Some(trace) = self.experiments.get_mut(experiment) else { return };
                trace.root.say("autoresearch.outcome", outcome.word());
                let durable = |completed| self.spans.open("durable", Parent::Span(completed), now, []);
                trace.durable = trace.completed.as_ref().map(durable);
            }
            _ => {}
        }
    }

    fn root(&self, experiment: ExperimentId, began: SystemTime) -> Open {
        let number = i64::try_from(experiment.0).unwrap_or(i64::MAX);
        self.spans.open("experiment", Parent::None, began, [("autoresearch.experiment", number.into())])
    }

    /// A result has come; of its worker, where that has traces of its own.
    fn received(&mut self, experiment: ExperimentId, traceparent: &str) {
        let Some(trace) = self.experiments.get_mut(&experiment) else { return };
        let elsewhere = Open::elsewhere(traceparent);
        let parent = Parent::Span(elsewhere.as_ref().unwrap_or(&trace.stage));
        trace.completed = Some(self.spans.open("completed", parent, SystemTime::now(), []));
    }

    fn end(&mut self, experiment: ExperimentId) {
        if let Some(trace) = self.experiments.remove(&experiment) {
            trace.root.end();
        }
    }
}

impl Trace {
    fn new(root: Open, stage: Open) -> Self {
        Self { root, stage, grant: None, completed: None, durable: None, has_ended: false }
    }
}
