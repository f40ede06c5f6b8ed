//! What others hold of the actor: what they send it, and what it tells them.

use std::sync::Arc;

use ar_common::frames::{CoordinatorFrame, Figures, Hello};
use ar_common::{Epoch, Seq, StudyId, WorkerId};
use ar_core::{Input, Live, Record, SessionId, State};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::journal::{JournalError, Pointer};
use crate::measured::Measured;
use crate::traces::Traces;

/// Frames that may wait for one worker before it counts as stuck.
const SESSION_QUEUE: usize = 1024;

/// What can be sent to the actor.
pub(super) enum Message {
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
pub(super) type Answer = Box<dyn FnOnce() + Send>;

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

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
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

/// Talks to the actor.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) sessions: Arc<std::sync::atomic::AtomicU64>,
    pub(super) traces: Traces,
    pub(super) measured: Measured,
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
