//! The shell of the core, without a shell: time, the journal, connections, and a recorder of effects.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::frames::CoordinatorFrame;
use ar_common::{Digest, Epoch, ExperimentId, Millis, Seq, StudyId, StudySpec};
use ar_core::{Core, Effect, Experiment, Finish, Input, Phase, Planned, PlannedExperiment, Record};
use ar_core::{SessionId, State, Study, TimeLeft, Timing, step};

use super::Ledger;

/// A plan that the core asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    pub(crate) study: StudyId,
    pub(crate) want: usize,
    pub(crate) as_of: Seq,
    pub(crate) time: TimeLeft,
}

/// A core with its journal, and the effects that nobody has looked at yet.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) ledger: Ledger,
    pub(crate) now: Millis,
    /// The process dies in its next step, before the records of that step are durable.
    pub(crate) dies_in_next_step: bool,
    /// How often it did.
    pub(crate) crashes: u32,
    effects: Vec<Effect>,
    open: BTreeMap<SessionId, Said>,
    sessions: u64,
}

/// What a worker said on its connection about what it can take.
#[derive(Debug, Default)]
struct Said {
    ready: BTreeSet<StudyId>,
    draining: bool,
}

impl World {
    /// A new store under its first coordinator.
    pub(crate) fn new() -> Self {
        let mut ledger = Ledger::default();
        ledger.append(&Record::StoreMade { format: Record::FORMAT, incarnation: 0xfeed });
        ledger.append(&Record::Elected { epoch: Epoch(1) });
        let now = Millis(1_000);
        let core = Core::new(ledger.state.clone(), Timing::default(), now);
        let (effects, open) = (Vec::new(), BTreeMap::new());
        Self { core, ledger, now, dies_in_next_step: false, crashes: 0, effects, open, sessions: 0 }
    }

    /// One step: its records become durable, its effects wait to be looked at.
    pub(crate) fn give(&mut self, input: Input) -> Vec<Record> {
        let sent = match &input {
            Input::Completed { lease, digest, .. } => Some((*lease, *digest)),
            _ => None,
        };
        self.hear(&input);
        let output = step(&mut self.core, input, self.now);
        if std::mem::take(&mut self.dies_in_next_step) {
            self.crashes += 1;
            self.come_back();
            return vec![];
        }
        self.ledger.take(&self.core, &output, sent);
        for effect in output.effects {
            match effect {
                Effect::Send { session, ref frame } => {
                    let Some(said) = self.open.get(&session) else {
                        panic!("{frame:?} to {session:?}, which ended")
                    };
                    if let CoordinatorFrame::Grant(grant) = frame {
                        assert!(
                            said.ready.contains(&grant.study),
                            "{grant:?} to {session:?}, which is not ready"
                        );
                        assert!(!said.draining, "{grant:?} to {session:?}, which drains");
                    }
                    self.effects.push(effect);
                }
                Effect::Close { session, .. } => {
                    self.open.remove(&session);
                    self.effects.push(effect);
                }
                Effect::Plan { .. } => self.effects.push(effect),
            }
        }
        output.records
    }

    fn hear(&mut self, input: &Input) {
        let (Input::Ready { session, .. }
        | Input::NotReady { session, .. }
        | Input::Heartbeat { session, .. }) = input
        else {
            return;
        };
        let Some(said) = self.open.get_mut(session) else {
            return;
        };
        match input {
            Input::Ready { study, .. } => {
                said.ready.insert(study.clone());
            }
            Input::NotReady { study, .. } => {
                said.ready.remove(study);
            }
            Input::Heartbeat { draining, .. } => said.draining = *draining,
            _ => {}
        }
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Record> {
        self.now = self.now + ms;
        self.give(Input::Tick)
    }

    /// The coordinator ends and another begins over the same journal. Connections and what was
    /// never looked at are gone.
    pub(crate) fn restart(&mut self) {
        self.ledger.check_hash(&self.core);
        self.come_back();
    }

    fn come_back(&mut self) {
        let epoch = Epoch(self.ledger.state.epoch.0 + 1);
        self.ledger.append(&Record::Elected { epoch });
        self.core = Core::new(self.ledger.state.clone(), Timing::default(), self.now);
        self.effects.clear();
        self.open.clear();
    }

    /// Submits, or extends.
    pub(crate) fn submit(&mut self, spec: &StudySpec) -> StudyId {
        self.give(Input::Submit { spec: Box::new(spec.clone()), tree: Digest::of(b"tree") });
        spec.id()
    }

    /// A new connection, open from now on.
    pub(crate) fn open_session(&mut self) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.open.insert(session, Said::default());
        session
    }

    /// Whether a connection is open.
    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// The worker's side of a connection is gone, with whatever was under way to it.
    pub(crate) fn close_session(&mut self, session: SessionId) -> Vec<Record> {
        self.open.remove(&session);
        self.take_frames(session);
        self.give(Input::Disconnected { session })
    }

    /// The frames for a connection that nobody has read yet.
    pub(crate) fn take_frames(&mut self, session: SessionId) -> Vec<CoordinatorFrame> {
        let is_for = |effect: &mut Effect| matches!(effect, Effect::Send { session: s, .. } if *s == session);
        let frames = self.effects.extract_if(.., is_for).filter_map(|effect| match effect {
            Effect::Send { frame, .. } => Some(frame),
            _ => None,
        });
        frames.collect()
    }

    /// Why the core closed a connection.
    #[track_caller]
    pub(crate) fn take_close(&mut self, session: SessionId) -> String {
        let is_it = |effect: &Effect| matches!(effect, Effect::Close { session: s, .. } if *s == session);
        let Some(position) = self.effects.iter().position(is_it) else {
            panic!("{session:?} was not closed: {:?}", self.effects);
        };
        let Effect::Close { why, .. } = self.effects.remove(position) else { unreachable!() };
        why
    }

    /// Forgets that connections were closed.
    pub(crate) fn ignore_closes(&mut self) {
        self.effects.retain(|effect| !matches!(effect, Effect::Close { .. }));
    }

    /// The plans that the core asked for since the last look.
    pub(crate) fn take_asks(&mut self) -> Vec<Ask> {
        let is_ask = |effect: &mut Effect| matches!(effect, Effect::Plan { .. });
        let asks = self.effects.extract_if(.., is_ask).filter_map(|effect| match effect {
            Effect::Plan { study, want, as_of, time } => Some(Ask { study, want, as_of, time }),
            _ => None,
        });
        asks.collect()
    }

    /// The one plan that the core asked for since the last look.
    #[track_caller]
    pub(crate) fn take_ask(&mut self) -> Ask {
        let mut asks = self.take_asks();
        assert_eq!(asks.len(), 1, "expected one plan to be asked for: {asks:?}");
        asks.remove(0)
    }

    /// The search answers.
    pub(crate) fn answer(&mut self, ask: &Ask, plan: Planned) -> Vec<Record> {
        self.give(Input::Planned { study: ask.study.clone(), as_of: ask.as_of, plan })
    }

    /// The search answers the one plan that was asked for with these experiments.
    #[track_caller]
    pub(crate) fn plan<const N: usize>(&mut self, experiments: [PlannedExperiment; N]) -> Vec<Record> {
        let ask = self.take_ask();
        self.answer(&ask, Planned::Experiments(experiments.into()))
    }

    /// What the journal says.
    pub(crate) fn state(&self) -> &State {
        &self.core.state
    }

    /// A study as the journal has it.
    #[track_caller]
    pub(crate) fn study(&self, id: &StudyId) -> &Study {
        &self.core.state.studies[id]
    }

    /// An experiment as the journal has it.
    #[track_caller]
    pub(crate) fn experiment(&self, id: u64) -> &Experiment {
        let Some(experiment) = self.core.state.experiment(ExperimentId(id)) else {
            panic!("no experiment {id}")
        };
        experiment
    }

    /// How a study ended, if it has.
    pub(crate) fn finish_of(&self, id: &StudyId) -> Option<Finish> {
        match self.study(id).phase {
            Phase::Finished(how) => Some(how),
            _ => None,
        }
    }

    /// The last line of a scenario: nothing happened that it did not look at, and the journal is sound.
    #[track_caller]
    pub(crate) fn nothing_left(self) {
        assert_eq!(self.effects, vec![], "effects that nobody looked at");
        self.ledger.check_hash(&self.core);
        self.ledger.audit();
    }
}
