//! What the session asks for, done: frames and files handed over, results kept, studies prepared, attempts started.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{Grant, WorkerFrame};
use ar_common::{Outcome, StudyId};
use ar_net::transfer;
use ar_proto::v1::WorkerMessage;
use ar_worker_core::{Effect, Input, SpoolEntry};
use tokio::sync::mpsc;

use super::{ATTEMPTS, FULL_PATIENCE, STUDIES, Shell, WorkerError};
use crate::attempt::{self, StopOrder, Surroundings};
use crate::cache::{self, Source};
use crate::capacity::Need;
use crate::connection::Line;
use crate::studies::Entry;
use crate::study::{Preparing, Runner, Study};
use crate::{environment, training};

/// After how long a result is offered again whose files could not be handed over.
const OFFER_AGAIN: Duration = Duration::from_secs(5);

/// How long a study that was let go may take to be ready again.
const AWAKE: Duration = Duration::from_secs(1800);

impl Shell {
    /// Does one thing; what takes long goes on by itself and comes back as an input.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.send(frame),
            Effect::Prepare { study, tree } => self.prepare(study, tree),
            Effect::Run(grant) => self.start(grant),
            Effect::Stop { lease, grace_ms } => {
                if let Some(attempt) = self.attempts.get(&lease) {
                    // An attempt that has just ended needs no stop.
                    let _ = attempt.send(Duration::from_millis(grace_ms));
                }
            }
            Effect::Spool(entry) => self.keep(entry),
            Effect::Unspool(lease) => {
                if self.results.remove(&lease).is_some() {
                    cache::tidy(&self.cache);
                }
                if let Err(error) = self.spool.forget(&lease) {
                    tracing::warn!(%error, "an answered result stays in the spool and will be offered again");
                }
            }
            Effect::Reconnect { why } => {
                tracing::warn!(why, "dropping the connection");
                self.line = None;
            }
            Effect::Exit => self.left = true,
        }
    }

    /// Makes a result durable, and offers it then.
    fn keep(&mut self, entry: SpoolEntry) {
        let (spool, inputs, faults) = (self.spool.clone(), self.inputs.clone(), self.faults.clone());
        let (folder, capacity) = (self.config.folder.clone(), Arc::clone(&self.capacity));
        self.attempts.remove(&entry.lease);
        self.results.insert(entry.lease, cache::pin_results(&self.cache, &entry.outcome));
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let mut wait = Duration::from_millis(100);
            while let Err(error) = spool.keep(&entry) {
                // A full disk may be freed; the result is offered only once it is durable.
                tracing::error!(%error, experiment = %entry.lease.experiment, "cannot spool a result; trying again");
                if began.elapsed() > FULL_PATIENCE && capacity.lacks(Need::Disk) {
                    // Nothing new comes, so it is kept in memory, and lost only where the worker's end would lose it anyway.
                    break;
                }
                if began.elapsed() > FULL_PATIENCE {
                    let _ = faults.send(WorkerError::Full { folder, why: error.to_string() });
                    return;
                }
                std::thread::sleep(wait);
                wait = (wait * 2).min(Duration::from_secs(5));
            }
            let _ = inputs.send(Input::Spooled { lease: entry.lease });
        });
    }

    /// Queues a frame for the next message. A result's files go first, so that it never names a blob
    /// that the coordinator lacks.
    fn send(&mut self, frame: WorkerFrame) {
        let (lease, digests) = match &frame {
            WorkerFrame::Completed { lease, outcome: Outcome::Done(measures), .. }
                if !measures.artifacts.is_empty() =>
            {
                (*lease, measures.artifacts.iter().map(|artifact| artifact.digest).collect::<Vec<_>>())
            }
            _ => return self.outbox.push(frame),
        };
        let Some(Line { mut client, outbound }) = self.line.clone() else {
            return;
        };
        let (cache, header, inputs) = (self.cache.clone(), self.config.token.header(), self.inputs.clone());
        let mut message = ar_proto::worker_message([&frame]);
        self.traces.stamp(&mut message);
        tokio::spawn(async move {
            let authorize = |metadata: &mut tonic::metadata::MetadataMap| {
                if let Ok(value) = header.parse() {
                    metadata.insert(ar_proto::AUTHORIZATION, value);
                }
            };
            for digest in digests {
                if let Err(error) = transfer::send(&mut client, cache.store(), digest, authorize).await {
                    tracing::warn!(%error, "cannot hand over a result's file; the result is offered again later");
                    tokio::time::sleep(OFFER_AGAIN).await;
                    // The session offers what is in the spool; by then it may have been answered.
                    let _ = inputs.send(Input::Spooled { lease });
                    return;
                }
            }
            // A stream that is gone was replaced: the result is offered on the new one.
            let _ = outbound.send(message).await;
        });
    }

    pub(super) async fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        let mut message: WorkerMessage = ar_proto::worker_message(&self.outbox);
        self.traces.stamp(&mut message);
        self.outbox.clear();
        if let Some(line) = &self.line {
            let _ = line.outbound.send(message).await;
        }
    }

    fn prepare(&self, study: StudyId, tree: ar_common::Digest) {
        let inputs = self.inputs.clone();
        let folder = self.config.folder.join(STUDIES).join(study.short());
        let home = self.config.folder.join("cache");
        let cache = self.config.cache.clone().or_else(environment::default_cache);
        let (source, python) = (self.source(), self.config.python.clone());
        let studies = Arc::clone(&self.studies);
        tokio::spawn(async move {
            let preparing =
                Preparing { study: study.clone(), tree, folder, cache: cache.unwrap_or(home), python };
            let progress = |text| {
                let _ = inputs.send(Input::Preparing { study: study.clone(), text });
            };
            let input = match studies.prepare(preparing, &source, progress).await {
                Ok(prepared) => {
                    let (unavailable, facts) = (prepared.unavailable.clone(), prepared.facts.clone());
                    Input::Prepared { study, unavailable, facts }
                }
                Err(error) => Input::PrepareFailed { study, why: error.to_string() },
            };
            cache::tidy(&source.cache);
            let _ = inputs.send(input);
        });
    }

    fn source(&self) -> Source {
        let client = self.line.as_ref().map(|line| line.client.clone());
        Source { cache: self.cache.clone(), client, authorization: self.config.token.header() }
    }

    fn start(&mut self, grant: Grant) {
        let (sender, mut stops) = mpsc::unbounded_channel();
        self.attempts.insert(grant.lease, sender);
        let folder = self.config.folder.join(ATTEMPTS).join(grant.lease.lease.seq.to_string());
        let (blobs, inputs, memory) = (self.cache.store().clone(), self.inputs.clone(), self.memory_per_slot);
        let (studies, supervisor) = (Arc::clone(&self.studies), self.config.supervisor.clone());
        let (leave, faults) = (self.config.leave.clone(), self.faults.clone());
        let kept = self.config.keep_failed.clone().map(|folder| training::Kept { folder, leave });
        let (capacity, gpus) = (Arc::clone(&self.capacity), Arc::clone(&self.gpus));
        let source = self.source();
        tokio::spawn(async move {
            let study = match studies.find(&grant.study) {
                Some(entry) => match needed(&entry, &grant, &source, &inputs, &mut stops).await {
                    Some(study) => Some(study),
                    None => return,
                },
                None => None,
            };
            let server = match study.as_ref().map(|study| &study.runner) {
                Some(Runner::Forks(forks)) => forks.server().await.map_err(|error| error.to_string()),
                Some(Runner::Commands(project)) => {
                    let project = Arc::clone(project);
                    let surroundings = training::Surroundings {
                        project,
                        folder,
                        blobs,
                        memory,
                        supervisor,
                        capacity,
                        gpus,
                        source,
                        kept,
                        inputs,
                        faults,
                    };
                    return training::run(grant, surroundings, stops).await;
                }
                None => Err("its study is not prepared".to_owned()),
            };
            match server {
                Ok(server) => {
                    let surroundings = Surroundings { server, folder, blobs, memory, inputs };
                    attempt::run(grant, surroundings, stops).await;
                }
                Err(why) => {
                    let _ = inputs.send(Input::Lost { lease: grant.lease, why });
                }
            }
        });
    }
}

/// The study of an attempt. If it was let go it is made ready first; that takes none of the attempt's time. Nothing comes of an attempt
/// for which it cannot be, or that is stopped before it is.
async fn needed(
    entry: &Entry,
    grant: &Grant,
    source: &Source,
    inputs: &mpsc::UnboundedSender<Input>,
    stops: &mut mpsc::UnboundedReceiver<StopOrder>,
) -> Option<Arc<Study>> {
    if let Some(study) = entry.standing() {
        return Some(study);
    }
    let lease = grant.lease;
    let _ = inputs.send(Input::Waits { lease });
    let instead = tokio::select! {
        awake = tokio::time::timeout(AWAKE, entry.awake(source)) => match awake {
            Ok(Ok(study)) => {
                let _ = inputs.send(Input::Begins { lease });
                return Some(study);
            }
            Ok(Err(error)) => Input::Unready { lease, why: error.to_string() },
            Err(_) => Input::Unready { lease, why: format!("it could not be made ready again within {AWAKE:?}") },
        },
        _ = stops.recv() => {
            let reason = "it was stopped before it began".to_owned();
            Input::Ended { lease, outcome: Outcome::Crashed { reason } }
        }
    };
    let _ = inputs.send(instead);
    None
}
