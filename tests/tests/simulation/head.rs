//! A coordinator's shell: group commit, effects held back until their records are durable, a clock.

use std::collections::BTreeSet;
use std::rc::Rc;

use ar_common::frames::CoordinatorFrame;
use ar_common::{Epoch, Millis, Seq, StudyId};
use ar_core::{Core, Effect, Input, Output, Record, SessionId, TimeLeft, Timing, step};

use super::agenda::{Agenda, BatchId, Dice, Event, HeadId, HostId, LinkId};
use super::clock::Clock;
use super::faults::{Death, Mutant};

/// One start of a coordinator.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: HeadId,
    pub(crate) host: HostId,
    pub(crate) clock: Clock,
    pub(crate) core: Core,
    /// It has been elected, its `Elected` is durable, and it has not heard of its end.
    pub(crate) leads: bool,
    /// Of its leader key.
    pub(crate) created: u64,
    /// The journal's head as it left it.
    pub(crate) revision: u64,
    /// When it last heard from the store that it leads.
    pub(crate) heard: u64,
    /// Connections that it has not seen the end of.
    pub(crate) links: BTreeSet<LinkId>,
    /// How much of the journal it knows to be durable.
    pub(crate) durable: u64,
    gathering: Output,
    pub(crate) writing: Option<Writing>,
    /// When it looks at its clock next.
    next_tick: Option<u64>,
    /// The journal takes the next batch so much later.
    pub(crate) slow: u64,
    /// It dies while it writes its next batch.
    pub(crate) doom: Option<Death>,
    /// Nothing of it runs before.
    pub(crate) paused_until: u64,
    mutant: Option<Mutant>,
}

/// A batch that the journal is taking.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) id: BatchId,
    /// Where in the journal it belongs.
    pub(crate) first: u64,
    pub(crate) records: Rc<[Record]>,
    effects: Vec<Effect>,
}

/// What a coordinator wants from its world.
#[derive(Debug)]
pub(crate) enum Wish {
    Send(LinkId, CoordinatorFrame),
    Close(LinkId),
    Plan {
        study: StudyId,
        want: usize,
        as_of: Seq,
        time: TimeLeft,
    },
    /// Write what it is writing.
    Write,
}

impl Head {
    /// A process that does not lead yet.
    pub(crate) fn start(id: HeadId, host: HostId, clock: Clock, mutant: Option<Mutant>) -> Self {
        Self {
            id,
            host,
            clock,
            core: Core::default(),
            leads: false,
            created: 0,
            revision: 0,
            heard: 0,
            links: BTreeSet::new(),
            durable: 0,
            gathering: Output::default(),
            writing: None,
            next_tick: None,
            slow: 0,
            doom: None,
            paused_until: 0,
            mutant,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.core.state.epoch
    }

    /// It may lead: this is the journal, and it says so there first.
    pub(crate) fn opens(&mut self, mut state: ar_core::State, batch: BatchId) {
        let epoch = Epoch(state.epoch.0 + 1).max(Epoch(self.created));
        let records: Rc<[Record]> = Rc::from([Record::Elected { epoch }]);
        self.durable = state.seq.0;
        records.iter().for_each(|record| state.apply(record));
        self.core.state = state;
        self.writing = Some(Writing { id: batch, first: self.durable + 1, records, effects: Vec::new() });
    }

    /// What it said is durable: it leads.
    pub(crate) fn begins(&mut self, now: u64) {
        let state = std::mem::take(&mut self.core.state);
        self.core = Core::new(state, Timing::default(), Millis(self.clock.read(now)));
        self.leads = true;
    }

    /// Takes an input. What follows waits until it is durable.
    pub(crate) fn step(&mut self, input: Input, now: u64) {
        let Output { records, effects } = step(&mut self.core, input, Millis(self.clock.read(now)));
        self.gathering.records.extend(records);
        self.gathering.effects.extend(effects);
    }

    /// Hands what has gathered to the journal if that is free. What rests on no record is done at once.
    pub(crate) fn flush(
        &mut self,
        now: u64,
        agenda: &mut Agenda,
        dice: &mut Dice,
        batches: &mut BatchId,
    ) -> Vec<Wish> {
        self.plan_tick(now, agenda, dice);
        if self.writing.is_some() {
            return vec![];
        }
        let Output { records, mut effects } = std::mem::take(&mut self.gathering);
        if records.is_empty() {
            return perform(effects);
        }
        if let Some(death) = self.doom.take() {
            agenda.put(now, Event::HeadDies { head: self.id, death });
        }
        let early = match self.mutant {
            Some(Mutant::AckFirst) => std::mem::take(&mut effects),
            _ => vec![],
        };
        *batches += 1;
        self.writing =
            Some(Writing { id: *batches, first: self.durable + 1, records: records.into(), effects });
        let mut wishes = perform(early);
        wishes.push(Wish::Write);
        wishes
    }

    /// Records that its state has and that need not be durable.
    pub(crate) fn not_durable(&self) -> impl Iterator<Item = &Record> {
        self.writing.iter().flat_map(|batch| batch.records.iter()).chain(&self.gathering.records)
    }

    /// Looks at the clock a little after the next lease lapses.
    fn plan_tick(&mut self, now: u64, agenda: &mut Agenda, dice: &mut Dice) {
        let Some(lapse) = self.core.live.leases.values().map(|lease| lease.lapses.0).min() else {
            return;
        };
        if self.next_tick.is_none_or(|tick| tick <= now) {
            let tick = self.clock.when(lapse, now) + dice.between(0, 200);
            self.next_tick = Some(tick);
            agenda.put(tick, Event::Tick { head: self.id });
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        self.next_tick = None;
        self.step(Input::Tick, now);
    }
}

impl Writing {
    /// What is to be done, now that it is durable.
    pub(crate) fn done(self) -> Vec<Wish> {
        perform(self.effects)
    }
}

fn perform(effects: Vec<Effect>) -> Vec<Wish> {
    let wish = |effect| match effect {
        Effect::Send { session, frame } => Wish::Send(session.0, frame),
        Effect::Close { session, .. } => Wish::Close(session.0),
        Effect::Plan { study, want, as_of, time } => Wish::Plan { study, want, as_of, time },
    };
    effects.into_iter().map(wish).collect()
}

/// The session that a coordinator knows a connection as.
pub(crate) fn session(link: LinkId) -> SessionId {
    SessionId(link)
}
