//! The actor: the one task that owns the core. Everything else sends it messages.
//!
//! Group commit: while one batch of records is being made durable, the next gathers. A batch's effects
//! run after it is durable, in order. A failed append ends the actor: what was not acknowledged
//! does not exist.

mod effects;
mod handle;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ar_common::{Epoch, Millis, Seq};
use ar_core::{Core, Input, Output, Record, SessionId, State, Timing};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::compaction::Compaction;
use crate::journal::{Journal, JournalError};
use crate::measured::Measured;
use crate::planner::{Planner, SearchPlanner};
use crate::traces::Traces;

use handle::{Answer, Message};
pub use handle::{Ended, Event, Handle, Outgoing, Said, after, unseen};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(200);
/// Most records in one batch.
const BATCH: usize = 4096;
/// Events that a slow watcher may be behind.
const EVENTS: usize = 65_536;

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
}
