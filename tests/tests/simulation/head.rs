//! A coordinator's shell: group commit, effects held back until their records are durable, a clock.

use std::collections::BTreeSet;

use ar_common::frames::CoordinatorFrame;
use ar_common::{Epoch, Millis};
use ar_core::{Core, Effect, Input, Output, Record, SessionId, Timing, step};

use super::agenda::{Agenda, Dice, Event, HeadId, LinkId};
use super::faults::{Death, Fault};
use super::ledger::Ledger;
use super::search::search;

/// One start of a coordinator.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: HeadId,
    pub(crate) core: Core,
    pub(crate) epoch: Epoch,
    /// Connections that it has not seen the end of.
    pub(crate) links: BTreeSet<LinkId>,
    gathering: Output,
    writing: Option<Output>,
    next_tick: Option<u64>,
    /// The journal takes the next batch so much later.
    pub(crate) slow: u64,
    /// It dies while it writes its next batch.
    pub(crate) doom: Option<Death>,
}

/// What a coordinator wants from its world.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "they are moved once and live for a moment")]
pub(crate) enum Wish {
    Send(LinkId, CoordinatorFrame),
    Close(LinkId),
}

impl Head {
    /// Begins a reign over the journal, by a record of its own.
    pub(crate) fn start(id: HeadId, ledger: &Ledger, now: u64) -> Self {
        let core = Core::new(ledger.state.clone(), Timing::default(), Millis(now));
        let epoch = ledger.state.epoch;
        let (gathering, links) = (Output::default(), BTreeSet::new());
        Self { id, core, epoch, links, gathering, writing: None, next_tick: None, slow: 0, doom: None }
    }

    /// Takes an input. What follows waits until it is durable.
    pub(crate) fn step(&mut self, input: Input, now: u64) {
        let Output { records, effects } = step(&mut self.core, input, Millis(now));
        self.gathering.records.extend(records);
        self.gathering.effects.extend(effects);
    }

    /// Hands what has gathered to the journal if that is free. What rests on no record is done at once.
    pub(crate) fn flush(&mut self, now: u64, agenda: &mut Agenda, dice: &mut Dice) -> Vec<Wish> {
        self.plan_tick(now, agenda, dice);
        if self.writing.is_some() {
            return vec![];
        }
        let batch = std::mem::take(&mut self.gathering);
        if batch.records.is_empty() {
            return self.perform(batch.effects, now, agenda, dice);
        }
        if let Some(death) = self.doom.take() {
            agenda.put(now, Event::Fault(Fault::KillHead(death)));
        }
        let ms = dice.between(0, 6) + std::mem::take(&mut self.slow);
        agenda.put(now + ms, Event::Appended { head: self.id });
        self.writing = Some(batch);
        vec![]
    }

    /// The batch that the journal is taking, if there is one.
    pub(crate) fn take_writing(&mut self) -> Option<Output> {
        self.writing.take()
    }

    /// Records that are not durable yet.
    pub(crate) fn not_durable(&self) -> impl Iterator<Item = &Record> {
        self.writing.iter().flat_map(|batch| &batch.records).chain(&self.gathering.records)
    }

    /// Runs the effects of what is durable.
    pub(crate) fn perform(
        &self,
        effects: Vec<Effect>,
        now: u64,
        agenda: &mut Agenda,
        dice: &mut Dice,
    ) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { session, frame } => wishes.push(Wish::Send(session.0, frame)),
                Effect::Close { session, .. } => wishes.push(Wish::Close(session.0)),
                Effect::Plan { study, want, as_of, time } => {
                    // The state may be ahead of `as_of` by now, as it may be in the actor.
                    let plan = search(&self.core.state, &study, want, time);
                    let ms =
                        if dice.once_in(20) { dice.between(1_000, 60_000) } else { dice.between(1, 100) };
                    agenda.put(now + ms, Event::Planned { head: self.id, study, as_of, plan });
                }
            }
        }
        wishes
    }

    /// Looks at the clock a little after the next lease lapses.
    fn plan_tick(&mut self, now: u64, agenda: &mut Agenda, dice: &mut Dice) {
        let Some(lapse) = self.core.live.leases.values().map(|lease| lease.lapses.0).min() else {
            return;
        };
        if self.next_tick.is_none_or(|tick| tick <= now) {
            let tick = lapse.max(now) + dice.between(0, 200);
            self.next_tick = Some(tick);
            agenda.put(tick, Event::Tick { head: self.id });
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        self.next_tick = None;
        self.step(Input::Tick, now);
    }
}

/// The session that a coordinator knows a connection as.
pub(crate) fn session(link: LinkId) -> SessionId {
    SessionId(link)
}
