//! The actor: the one task that owns the core. Everything else sends it messages.
//!
//! Group commit: while one batch of records is being made durable, the next gathers. A batch's effects
//! run after it is durable, in order. A failed append ends the actor: what was not acknowledged
//! does not exist.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::frames::{CoordinatorFrame, Figures, Hello};
use ar_common::{Epoch, Millis, Seq, StudyId, WorkerId};
use ar_core::{Core, Effect, Input, Live, Output, Record, SessionId, State, Timing};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::compaction::Compaction;
use crate::journal::{Journal, JournalError, Pointer};
use crate::measured::Measured;
use crate::planner::{self, Planner, SearchPlanner};
use crate::traces::Traces;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(200);
/// Most records in one batch.
const BATCH: usize = 4096;
/// Frames that may wait for one worker before it counts as stuck.
const SESSION_QUEUE: usize = 1024;
/// Events that a slow watcher may be behind.
const EVENTS: usize = 65_536;

/// What can be sent to the actor.
enum Message {
    Input(Box<Input>),
    Said(Vec<Said>),
    Open {
        session: SessionId,
        sender: mpsc::Sender<Outgoing>,
    },
    Watch(oneshot::Sender<(State, broadcast::Receiver<Event>)>),
    Ask(Question),
    PlanFailed(String),
    /// A snapshot was written, or could not be.
    Snapshot(Result<Pointer, JournalError>),
    Stop(oneshot::Sender<()>),
}

/// What a worker said, in order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "they are moved in a list")]
pub enum Said {
    /// To the core.
    Input(Input),
    /// To whoever watches.
    Event(Event),
}

/// What is to be known of the state, and of what only this process knows. It is answered at once, and the answer is told once the
/// state that it rests on is durable.
type Question = Box<dyn FnOnce(&State, &Live) -> Answer + Send>;
type Answer = Box<dyn FnOnce() + Send>;

/// What a session sends to its worker.
#[derive(Debug)]
pub enum Outgoing {
    /// Frames, from this reign.
    Frames(Epoch, Vec<CoordinatorFrame>),
    /// The end of the session.
    Close {
        /// Why.
        why: String,
        /// Whether the worker need not try again.
        for_good: bool,
    },
}

/// What happened, for whoever watches.
#[derive(Debug, Clone)]
pub enum Event {
    /// Records became durable; the first stands at this position. Some may be in the state already that a watcher was given: see
    /// [`unseen`].
    Records(Seq, Arc<[Record]>),
    /// A worker connected.
    Worker(Arc<Hello>),
    /// A worker says what preparing a study is doing.
    Preparing {
        /// Who.
        worker: WorkerId,
        /// Which study.
        study: StudyId,
        /// What, one line.
        text: String,
    },
    /// A worker can work on a study.
    Ready {
        /// Who.
        worker: WorkerId,
        /// Which study.
        study: StudyId,
        /// Facts about the loaded data.
        facts: String,
    },
    /// A worker cannot.
    NotReady {
        /// Who.
        worker: WorkerId,
        /// Which study.
        study: StudyId,
        /// Why and what to do.
        why: String,
    },
    /// A worker has something to say to a person.
    Notice {
        /// Who.
        worker: WorkerId,
        /// What, one line.
        text: String,
    },
    /// A process of an experiment started.
    Started(ar_common::ExperimentId),
    /// How far a run of an experiment is.
    Progress(ar_common::ExperimentId, Figures),
}

/// Talks to the actor.
#[derive(Debug, Clone)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
    sessions: Arc<std::sync::atomic::AtomicU64>,
    traces: Traces,
    measured: Measured,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

/// Why an actor ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// What it must write down cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The search failed on what the journal holds; it would again.
    #[error("the search failed ({0}); this is a bug, please report it with the folder of the store")]
    Plan(String),
}

/// Of records that became durable, those that a state has not seen; the first of them stands at `first`.
pub fn unseen<'r>(state: &State, first: Seq, records: &'r [Record]) -> &'r [Record] {
    after(state.seq, first, records)
}

/// Of records that became durable, those after a position; the first of them stands at `first`.
pub fn after(seen: Seq, first: Seq, records: &[Record]) -> &[Record] {
    let seen = usize::try_from(seen.next().0.saturating_sub(first.0)).unwrap_or(usize::MAX);
    records.get(seen..).unwrap_or_default()
}

/// The actor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is ending")]
pub struct Ended;

impl Handle {
    /// The traces of its experiments.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// What this coordinator measures of itself.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }

    /// Hands the core an input.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn input(&self, input: Input) -> Result<(), Ended> {
        self.messages.send(Message::Input(Box::new(input))).await.map_err(|_| Ended)
    }

    /// Passes on what a worker said in one message.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn said(&self, said: Vec<Said>) -> Result<(), Ended> {
        self.messages.send(Message::Said(said)).await.map_err(|_| Ended)
    }

    /// Opens a session. What is to be sent to the worker arrives on the channel.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn open(&self) -> Result<(SessionId, mpsc::Receiver<Outgoing>), Ended> {
        let session = SessionId(self.sessions.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(SESSION_QUEUE);
        self.messages.send(Message::Open { session, sender }).await.map_err(|_| Ended)?;
        Ok((session, receiver))
    }

    /// The state as it is now, durable by the time it is told, and every event after it.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn watch(&self) -> Result<(State, broadcast::Receiver<Event>), Ended> {
        let (sender, receiver) = oneshot::channel();
        self.messages.send(Message::Watch(sender)).await.map_err(|_| Ended)?;
        receiver.await.map_err(|_| Ended)
    }

    /// The answer to a question about the durable state, and about what only this process knows. It is asked on the actor's own
    /// task, so it is to be a short one.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State, &Live) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (sender, receiver) = oneshot::channel();
        let question = Box::new(|state: &State, live: &Live| -> Answer {
            let answer = question(state, live);
            // Whoever asked may have gone.
            Box::new(|| drop(sender.send(answer)))
        });
        self.messages.send(Message::Ask(question)).await.map_err(|_| Ended)?;
        receiver.await.map_err(|_| Ended)
    }

    /// Waits until what was sent before this is durable.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn settle(&self) -> Result<(), Ended> {
        self.ask(|_, _| ()).await
    }

    /// Ends the actor after all it was sent before is durable.
    pub async fn stop(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.messages.send(Message::Stop(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

struct Actor {
    core: Core,
    began: Instant,
    sessions: HashMap<SessionId, mpsc::Sender<Outgoing>>,
    events: broadcast::Sender<Event>,
    /// How far the state is durable: behind `core.state` by what is in flight and gathering.
    durable: Seq,
    gathering: Output,
    /// Who waits until a position is durable.
    waiting: Vec<(Seq, Answer)>,
    planner: Arc<dyn Planner>,
    plan_failed: Option<String>,
    compaction: Compaction,
    messages: mpsc::Sender<Message>,
    traces: Traces,
    measured: Measured,
}

/// Opens the reign: replays the journal, writes `StoreMade` if it is new, and `Elected`.
///
/// # Errors
/// When the journal cannot be read or written.
pub async fn start(
    journal: Box<dyn Journal>,
    timing: Timing,
) -> Result<(Handle, tokio::task::JoinHandle<Result<(), ActorError>>), JournalError> {
    start_with(journal, timing, Arc::new(SearchPlanner::default())).await
}

/// As [`start`], with plans of another make.
///
/// # Errors
/// When the journal cannot be read or written.
pub async fn start_with(
    mut journal: Box<dyn Journal>,
    timing: Timing,
    planner: Arc<dyn Planner>,
) -> Result<(Handle, tokio::task::JoinHandle<Result<(), ActorError>>), JournalError> {
    let mut state = journal.replay().await?;
    let mut records = Vec::new();
    if state.seq == Seq(0) {
        records.push(Record::StoreMade { format: Record::FORMAT, incarnation: rand::random() });
    } else if journal.is_restored() {
        tracing::warn!(
            "the store is a copy, from a backup or another place; leases of its former life count no more"
        );
        let incarnation = State::next_incarnation(state.incarnation, rand::random());
        records.push(Record::StoreMade { format: Record::FORMAT, incarnation });
    }
    // Where coordinators are elected, the store names the epoch; one that came from another store may be
    // behind it. Either way it rises: no two reigns have their `Elected` after the same records.
    let epoch = Epoch(state.epoch.0 + 1).max(journal.epoch().unwrap_or_default());
    records.push(Record::Elected { epoch });
    journal.append(state.seq.next(), records.clone()).await?;
    records.iter().for_each(|record| state.apply(record));

    let (sender, receiver) = mpsc::channel(4096);
    let (events, _) = broadcast::channel(EVENTS);
    let (traces, measured) = (Traces::start(), Measured::default());
    let actor = Actor {
        durable: state.seq,
        core: Core::new(state, timing, Millis(0)),
        began: Instant::now(),
        sessions: HashMap::new(),
        events,
        gathering: Output::default(),
        waiting: Vec::new(),
        planner,
        plan_failed: None,
        compaction: Compaction::new(&*journal),
        messages: sender.clone(),
        traces: traces.clone(),
        measured: measured.clone(),
    };
    let handle = Handle { messages: sender, sessions: Arc::default(), traces, measured };
    Ok((handle, tokio::spawn(actor.run(journal, receiver))))
}

impl Actor {
    async fn run(
        mut self,
        mut journal: Box<dyn Journal>,
        mut messages: mpsc::Receiver<Message>,
    ) -> Result<(), ActorError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.step(Input::Tick);
        let mut stopping: Option<oneshot::Sender<()>> = None;
        loop {
            self.tell_waiting();
            self.compaction.go_on(&mut *journal, self.durable).await?;
            self.measured.look(&self.core.live, Instant::now());
            let batch = std::mem::take(&mut self.gathering);
            // The state is that of the end of this batch now.
            self.snapshot();
            if batch.records.is_empty() {
                self.perform(batch.effects);
                if let Some(why) = self.plan_failed {
                    return Err(ActorError::Plan(why));
                }
                if let Some(stopped) = stopping {
                    let _ = stopped.send(());
                    return Ok(());
                }
                tokio::select! {
                    message = messages.recv() => stopping = self.take_all(message, &mut messages),
                    _ = tick.tick() => self.step(Input::Tick),
                    // What is left to be done is done between all else.
                    () = tokio::task::yield_now(), if self.compaction.has_work(self.durable) => {}
                }
                continue;
            }
            let (first, began) = (self.durable.next(), Instant::now());
            let mut append = journal.append(first, batch.records.clone());
            // While this batch is made durable, the next one gathers.
            loop {
                let full = self.gathering.records.len() >= BATCH || stopping.is_some();
                tokio::select! {
                    appended = &mut append => {
                        appended?;
                        break;
                    }
                    message = messages.recv(), if !full => stopping = self.take_all(message, &mut messages),
                }
            }
            drop(append);
            self.durable = Seq(self.durable.0 + batch.records.len() as u64);
            self.measured.durable(began.elapsed(), &batch.records);
            self.traces.durable(&batch.records);
            // Nobody need be watching.
            let _ = self.events.send(Event::Records(first, batch.records.into()));
            self.perform(batch.effects);
        }
    }

    /// Begins a snapshot if one is due. The copy of the state shares what does not change; it is written beside everything else.
    fn snapshot(&mut self) {
        let Some(snapshots) = self.compaction.begin(&self.core.state) else { return };
        let (state, messages) = (self.core.state.clone(), self.messages.clone());
        let writing = tokio::task::spawn_blocking(move || snapshots.keep(&state));
        tokio::spawn(async move {
            // A panic in there is told as any other reason why there is none.
            let failed = |error: tokio::task::JoinError| JournalError::Snapshot {
                file: "the next one".into(),
                what: error.to_string(),
            };
            let kept = writing.await.unwrap_or_else(|error| Err(failed(error)));
            let _ = messages.send(Message::Snapshot(kept)).await;
        });
    }

    /// Takes a message and all that are waiting behind it.
    fn take_all(
        &mut self,
        message: Option<Message>,
        messages: &mut mpsc::Receiver<Message>,
    ) -> Option<oneshot::Sender<()>> {
        let mut next = message;
        let mut stopping = None;
        while let Some(message) = next {
            match message {
                Message::Input(input) => self.take(*input),
                Message::Said(said) => said.into_iter().for_each(|said| match said {
                    Said::Input(input) => self.take(input),
                    Said::Event(event) => drop(self.events.send(event)),
                }),
                Message::Open { session, sender } => {
                    self.sessions.insert(session, sender);
                }
                Message::Watch(reply) => {
                    let (state, events) = (self.core.state.clone(), self.events.subscribe());
                    // A watcher that has gone away needs no answer.
                    let answer = Box::new(|| drop(reply.send((state, events))));
                    self.waiting.push((self.core.state.seq, answer));
                }
                Message::Ask(question) => {
                    let answer = question(&self.core.state, &self.core.live);
                    self.waiting.push((self.core.state.seq, answer));
                }
                Message::PlanFailed(why) => self.plan_failed = Some(why),
                Message::Snapshot(kept) => self.compaction.kept(kept),
                Message::Stop(stopped) => {
                    stopping = Some(stopped);
                    break;
                }
            }
            if self.gathering.records.len() >= BATCH {
                break;
            }
            next = messages.try_recv().ok();
        }
        // What follows from all of them is looked for once.
        self.gather(ar_core::settle);
        stopping
    }

    fn tell_waiting(&mut self) {
        let durable = self.durable;
        for (_, answer) in self.waiting.extract_if(.., |(seq, _)| *seq <= durable) {
            answer();
        }
    }

    fn step(&mut self, input: Input) {
        self.take(input);
        self.gather(ar_core::settle);
    }

    fn take(&mut self, input: Input) {
        tracing::trace!(?input, "input");
        if let Input::Disconnected { session } = &input {
            self.sessions.remove(session);
        }
        self.gather(|core, now| ar_core::take(core, input, now));
    }

    /// Lets the core work, and gathers what comes of it.
    fn gather(&mut self, work: impl FnOnce(&mut Core, Millis) -> Output) {
        let now = Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let Output { records, effects } = work(&mut self.core, now);
        if cfg!(debug_assertions) {
            let violations = ar_core::check(&self.core);
            debug_assert!(violations.is_empty(), "{violations:?}");
        }
        self.traces.made(&records);
        self.gathering.records.extend(records);
        self.gathering.effects.extend(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        let epoch = self.core.state.epoch;
        let mut frames: HashMap<SessionId, Vec<CoordinatorFrame>> = HashMap::new();
        for effect in effects {
            match effect {
                Effect::Send { session, frame } => {
                    match &frame {
                        CoordinatorFrame::Grant(grant) => self.traces.sent(grant.lease.experiment),
                        CoordinatorFrame::Ack { lease } => self.traces.answered(lease, None),
                        CoordinatorFrame::Refused { lease, why } => self.traces.answered(lease, Some(why)),
                        _ => {}
                    }
                    frames.entry(session).or_default().push(frame);
                }
                Effect::Close { session, why, for_good } => {
                    self.hand_over(session, Outgoing::Close { why, for_good });
                }
                Effect::Plan { study, want, as_of, time } => {
                    let Some(entry) = self.core.state.studies.get(&study) else {
                        continue;
                    };
                    self.traces.asked(&study);
                    let slots = self.core.live.workers.values().map(|worker| worker.slots).sum();
                    // The core's state may be ahead of `as_of`; the core revalidates what comes back.
                    let ask = planner::Ask { want, time, slots };
                    let make = self.planner.prepare(&self.core.state, &study, entry, ask);
                    let messages = self.messages.clone();
                    let planning = tokio::task::spawn_blocking(make);
                    tokio::spawn(async move {
                        let message = match planning.await {
                            Ok(plan) => Message::Input(Box::new(Input::Planned { study, as_of, plan })),
                            Err(error) => Message::PlanFailed(error.to_string()),
                        };
                        // The actor may have ended meanwhile; then nobody waits for the plan.
                        let _ = messages.send(message).await;
                    });
                }
            }
        }
        for (session, frames) in frames {
            self.hand_over(session, Outgoing::Frames(epoch, frames));
        }
    }

    fn hand_over(&mut self, session: SessionId, outgoing: Outgoing) {
        let Some(sender) = self.sessions.get(&session) else {
            return;
        };
        if let Err(error) = sender.try_send(outgoing) {
            // A worker that takes nothing is as good as gone; its leases lapse by themselves.
            tracing::warn!(session = session.0, %error, "a session is stuck; closing it");
            self.sessions.remove(&session);
        }
    }
}
