//! One connection: in order each way, and nothing more is promised.

use super::agenda::{Agenda, Boot, Dice, Event, HeadId, LinkId, MachineId};
use super::met::Met;
use ar_common::Epoch;
use ar_common::frames::{CoordinatorFrame, WorkerFrame};

/// One connection between one start of a worker and one start of a coordinator.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) machine: MachineId,
    pub(crate) boot: Boot,
    pub(crate) head: HeadId,
    /// Frames to the coordinator that are sent from then on get lost.
    cut: Option<u64>,
    /// Frames to the worker get lost.
    deaf: bool,
    last_at_head: u64,
    last_at_machine: u64,
}

impl Link {
    pub(crate) fn new(id: LinkId, machine: MachineId, boot: Boot, head: HeadId) -> Self {
        Self { id, machine, boot, head, cut: None, deaf: false, last_at_head: 0, last_at_machine: 0 }
    }

    pub(crate) fn carry_to_head(&mut self, now: u64, frame: WorkerFrame, way: &mut Way<'_>) {
        if self.cut.is_some_and(|cut| cut <= now) {
            return way.met.dropped += 1;
        }
        self.last_at_head = self.last_at_head.max(now + way.latency());
        // A second Hello on one connection ends it, as no worker says one.
        if !matches!(frame, WorkerFrame::Hello(_)) && way.repeats() {
            way.agenda.put(self.last_at_head, Event::AtHead { link: self.id, frame: frame.clone() });
        }
        way.agenda.put(self.last_at_head, Event::AtHead { link: self.id, frame });
    }

    pub(crate) fn carry_to_machine(
        &mut self,
        now: u64,
        epoch: Epoch,
        frame: CoordinatorFrame,
        way: &mut Way<'_>,
    ) {
        if self.deaf {
            return way.met.dropped += 1;
        }
        self.last_at_machine = self.last_at_machine.max(now + way.latency());
        if way.repeats() {
            let again = Event::AtMachine { link: self.id, epoch, frame: frame.clone() };
            way.agenda.put(self.last_at_machine, again);
        }
        way.agenda.put(self.last_at_machine, Event::AtMachine { link: self.id, epoch, frame });
    }

    /// Whether a frame that arrives at the worker now is still received.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// The coordinator ends it after all that it has said.
    pub(crate) fn close(&mut self, now: u64, agenda: &mut Agenda, dice: &mut Dice) {
        self.last_at_machine = self.last_at_machine.max(now + latency(dice));
        agenda.put(self.last_at_machine, Event::MachineSeesEnd { link: self.id });
    }

    /// The worker ends it after all that it has said.
    pub(crate) fn leave(&mut self, now: u64, agenda: &mut Agenda, dice: &mut Dice) {
        if self.cut.is_none() {
            self.cut = Some(now);
            self.last_at_head = self.last_at_head.max(now + latency(dice));
            agenda.put(self.last_at_head, Event::HeadSeesEnd { link: self.id });
        }
    }

    /// It breaks. What was on its way to the worker is lost; what was on its way to the coordinator
    /// comes, and may come late.
    pub(crate) fn cut(&mut self, now: u64, sees: Sees, agenda: &mut Agenda, met: &mut Met) {
        if self.cut.is_some() {
            return;
        }
        (self.cut, self.deaf) = (Some(now), true);
        if let Some(last) = sees.late.and_then(|ms| agenda.delay(self.id, ms)) {
            met.delayed += 1;
            self.last_at_head = last;
        }
        agenda.put(now + sees.machine, Event::MachineSeesEnd { link: self.id });
        agenda.put(self.last_at_head.max(now + sees.head), Event::HeadSeesEnd { link: self.id });
    }
}

/// When each side sees that a connection is broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sees {
    pub(crate) machine: u64,
    pub(crate) head: u64,
    /// How much later what was on its way to the coordinator arrives.
    pub(crate) late: Option<u64>,
}

/// The network as it is now.
pub(crate) struct Way<'a> {
    pub(crate) agenda: &'a mut Agenda,
    pub(crate) dice: &'a mut Dice,
    pub(crate) met: &'a mut Met,
    /// It delays much, and brings some frames twice.
    pub(crate) rough: bool,
}

impl Way<'_> {
    fn latency(&mut self) -> u64 {
        match self.rough {
            true if self.dice.once_in(3) => {
                self.met.slowed += 1;
                self.dice.between(100, 20_000)
            }
            _ => latency(self.dice),
        }
    }

    fn repeats(&mut self) -> bool {
        let repeats = self.rough && self.dice.once_in(4);
        self.met.duplicated += u32::from(repeats);
        repeats
    }
}

fn latency(dice: &mut Dice) -> u64 {
    if dice.once_in(50) { dice.between(100, 3_000) } else { dice.between(1, 20) }
}
