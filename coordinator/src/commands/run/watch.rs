//! Watching a study to its end: folds the coordinator's events, shows progress, keeps the local worker
//! up, and tells the core when the study's time is over.

use std::time::Duration;

use ar_common::{Budget, Limits, StudyId, StudySpec};
use ar_core::{Input, State};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{Coordinator, RunError};
use crate::actor::{Ended, Event, unseen};
use crate::commands::output::Console;
use crate::local::{LocalWorker, RunningWorker, WorkerEnd};
use crate::progress::Progress;
use crate::publish::Publisher;

/// Share of the time limit that is for searching; the rest is for confirming and the last fit.
const SEARCH_SHARE: f64 = 0.8;
/// How often the local worker may end without a result in between before the run gives up.
const RESTARTS: u32 = 5;

/// How watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    Interrupted,
}

pub(super) struct Watch {
    study: StudyId,
    /// What is asked for; a study that ended with less is about to be reopened.
    asked: (Budget, Limits),
    state: State,
    progress: Progress,
    limit: Option<Duration>,
    /// When searching ends, and when all ends; set once the environment stands.
    search_over: Option<Instant>,
    all_over: Option<Instant>,
    restarts: u32,
    publisher: Publisher,
}

/// What interrupts a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(RunError::Start);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Watch {
    pub(super) fn new(
        console: Console,
        state: State,
        spec: &StudySpec,
        slots: u32,
        publisher: Publisher,
    ) -> Self {
        let (study, asked) = (spec.id(), (spec.budget, spec.limits.clone()));
        let limit = spec.limits.study_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let progress = Progress::new(console, &state, study.clone(), slots);
        let (search_over, all_over) = (None, None);
        Self { study, asked, state, progress, limit, search_over, all_over, restarts: 0, publisher }
    }

    /// The durable state as far as it was seen.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Runs until the study has ended or somebody interrupts; the worker is gone on return.
    pub(super) async fn follow(
        &mut self,
        coordinator: &Coordinator,
        mut events: Receiver<Event>,
        worker: &LocalWorker,
    ) -> Result<Ending, RunError> {
        let mut signals = Signals::new()?;
        let mut child = worker.start().map_err(RunError::Start)?;
        let ended = self.watch(coordinator, &mut events, worker, &mut child, &mut signals).await;
        self.progress.end();
        self.publisher.settle().await;
        tokio::select! {
            () = child.leave() => {}
            // A second one: at once. The worker is killed as its handle is dropped.
            () = signals.recv() => return Ok(Ending::Interrupted),
        }
        // What the worker handed over as it left counts.
        while let Ok(event) = events.try_recv() {
            self.take(event)?;
        }
        ended
    }

    async fn watch(
        &mut self,
        coordinator: &Coordinator,
        events: &mut Receiver<Event>,
        worker: &LocalWorker,
        child: &mut RunningWorker,
        signals: &mut Signals,
    ) -> Result<Ending, RunError> {
        let handle = &coordinator.handle;
        let mut redraw = tokio::time::interval(Duration::from_millis(250));
        while !self.is_finished() {
            let study = self.study.clone();
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.take(event)?,
                    Err(RecvError::Lagged(_)) => (self.state, *events) = handle.watch().await?,
                    Err(RecvError::Closed) => return Err(Ended.into()),
                },
                end = child.ended() => *child = self.restart(worker, end)?,
                () = at(self.search_over) => {
                    self.search_over = None;
                    self.progress.note("the time for searching is over; confirming the best against the base");
                    handle.input(Input::SearchTimeOver { study }).await?;
                }
                () = at(self.all_over) => {
                    self.all_over = None;
                    handle.input(Input::TimeOver { study }).await?;
                }
                _ = redraw.tick() => {
                    self.progress.tick();
                    self.publisher.offer(&self.state).await;
                }
                () = signals.recv() => {
                    self.progress.note("stopping; press Ctrl-C again to stop at once");
                    return Ok(Ending::Interrupted);
                }
            }
        }
        Ok(Ending::Finished)
    }

    fn is_finished(&self) -> bool {
        let study = self.state.studies.get(&self.study);
        let (budget, limits) = &self.asked;
        study.is_some_and(|study| study.is_finished() && !study.reopens(budget, limits))
    }

    fn take(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Records(first, records) => {
                for record in unseen(&self.state, first, &records) {
                    self.state.apply(record);
                    self.progress.record(&self.state, record);
                    if matches!(record, ar_core::Record::Done { .. }) {
                        self.restarts = 0;
                    }
                }
            }
            Event::Preparing { study, text, .. } if study == self.study => self.progress.preparing(&text),
            Event::Ready { study, facts, .. } if study == self.study => {
                self.progress.ready(&facts);
                self.start_clock();
            }
            Event::NotReady { study, why, .. } if study == self.study => return Err(RunError::NotReady(why)),
            Event::Notice { text, .. } => self.progress.note(&text),
            Event::Started(experiment) => self.progress.started(&self.state, experiment),
            Event::Progress(experiment, figures) => self.progress.figures(experiment, figures),
            _ => {}
        }
        Ok(())
    }

    /// Making the environment does not count towards the time limit.
    fn start_clock(&mut self) {
        if let Some(limit) = self.limit.take() {
            let now = Instant::now();
            self.search_over = Some(now + limit.mul_f64(SEARCH_SHARE));
            self.all_over = Some(now + limit);
        }
    }

    fn restart(&mut self, worker: &LocalWorker, end: WorkerEnd) -> Result<RunningWorker, RunError> {
        self.restarts += 1;
        let WorkerEnd { is_folder, last } = end;
        tracing::warn!(last, times = self.restarts, "the local worker ended");
        if let Some(why) = last.clone().filter(|_| is_folder) {
            return Err(RunError::WorkerFolder(why));
        }
        if self.restarts >= RESTARTS {
            let said = last.map(|last| format!("; it last said: {last}")).unwrap_or_default();
            return Err(RunError::Worker {
                times: self.restarts,
                said,
                log: worker.folder.join("worker.log"),
            });
        }
        self.progress.note("the local worker ended; starting another");
        worker.start().map_err(RunError::Start)
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
