//! The world: who is connected to whom, what breaks, and what must hold when all has healed.

use std::collections::BTreeMap;

use ar_common::StudySpec;
use ar_core::{Input, Record};
use ar_worker_core::Input as WorkerInput;

use super::agenda::{Agenda, Dice, Event, HeadId, LinkId};
use super::faults::{Fault, Setup};
use super::head::{self, Head};
use super::ledger::Ledger;
use super::link::Link;
use super::machine::Machine;
use super::met::Met;
use super::search::spec;

/// After the last fault everything heals; a day is enough for anything.
pub(crate) const DAY: u64 = 24 * 3_600_000;
/// More events than any run needs.
const EVENTS: u32 = 400_000;

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) seed: u64,
    pub(crate) quick: bool,
    pub(crate) agenda: Agenda,
    pub(crate) dice: Dice,
    pub(crate) ledger: Ledger,
    pub(crate) met: Met,
    /// Coordinators that live; the newest one that lives rules unless it was killed.
    pub(crate) heads: BTreeMap<HeadId, Head>,
    pub(crate) ruler: Option<HeadId>,
    pub(crate) head_count: HeadId,
    pub(crate) machines: Vec<Machine>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) specs: Vec<StudySpec>,
    pub(crate) heals_at: u64,
    pub(crate) healed: bool,
}

impl World {
    pub(crate) fn new(setup: &Setup, faults: &[(u64, Fault)]) -> Self {
        let mut agenda = Agenda::default();
        let last = faults.iter().map(|(at, _)| *at).max().unwrap_or(0);
        for (at, fault) in faults {
            agenda.put(*at, Event::Fault(*fault));
        }
        let heals_at = last + 1;
        agenda.put(heals_at, Event::Heal);
        let machines: Vec<Machine> =
            setup.slots.iter().enumerate().map(|(id, slots)| Machine::new(id, *slots)).collect();
        let mut world = Self {
            now: 0,
            seed: setup.seed,
            quick: setup.quick,
            agenda,
            dice: Dice(setup.seed),
            ledger: Ledger::default(),
            met: Met::default(),
            heads: BTreeMap::new(),
            ruler: None,
            head_count: 0,
            machines,
            links: BTreeMap::new(),
            specs: (0..setup.studies).map(spec).collect(),
            heals_at,
            healed: false,
        };
        let made = Record::StoreMade { format: Record::FORMAT, incarnation: 0xfeed };
        world.ledger.append(&made, &mut world.met);
        world.head_starts();
        for study in 0..world.specs.len() {
            world.submit(study);
        }
        for machine in 0..world.machines.len() {
            world.machine_starts(machine);
        }
        world
    }

    /// Runs to the end. The journal, and what happened on the way.
    pub(crate) fn run(mut self) -> (Vec<Record>, Met) {
        for count in 0.. {
            if self.is_over() {
                break;
            }
            let Some((at, event)) = self.agenda.next() else { panic!("I8: nothing happens any more") };
            let stuck = at > self.heals_at + DAY || count > EVENTS;
            assert!(
                !stuck,
                "I8: not all ended by {at} ms ({count} events): {:#?}",
                self.ledger.state.experiments
            );
            self.now = at;
            self.happens(event);
        }
        (self.ledger.audit(), self.met)
    }

    fn is_over(&self) -> bool {
        let ruler = self.ruler.and_then(|id| self.heads.get(&id));
        self.healed
            && self.ledger.state.studies.len() == self.specs.len()
            && self.ledger.state.studies.values().all(|study| study.is_finished())
            && self.machines.iter().all(Machine::is_idle)
            && ruler
                .is_some_and(|head| head.core.live.leases.is_empty() && head.not_durable().next().is_none())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::AtHead { link, frame } => self.at_head(link, frame),
            Event::HeadSeesEnd { link } => {
                if let Some(head) = self.links.get(&link).map(|link| link.head) {
                    self.heads.get_mut(&head).map(|head| head.links.remove(&link));
                    self.give_head(head, Input::Disconnected { session: head::session(link) });
                }
            }
            Event::AtMachine { link, epoch, frame } => {
                if let Some(machine) = self.listener(link).filter(|_| !self.links[&link].is_deaf()) {
                    self.give_machine(machine, WorkerInput::Frame { epoch, frame });
                }
            }
            Event::MachineSeesEnd { link } => {
                if let Some(machine) = self.listener(link) {
                    self.leave(machine);
                    self.give_machine(machine, WorkerInput::Disconnected);
                    let (boot, at) = (self.machines[machine].boot, self.now + self.dice.between(25, 10_000));
                    self.agenda.put(at, Event::Connect { machine, boot });
                }
            }
            Event::Connect { machine, boot } if self.lives(machine, boot) => self.connect(machine),
            Event::Wake { machine, boot } if self.lives(machine, boot) => {
                self.with_machine(machine, |machine, world| machine.woken(world));
                self.machines[machine].check_deadlines(self.now);
            }
            Event::Prepared { machine, boot, study, stands } if self.lives(machine, boot) => {
                self.give_machine(
                    machine,
                    if stands {
                        WorkerInput::Prepared { study, unavailable: vec![], facts: String::new() }
                    } else {
                        WorkerInput::PrepareFailed { study, why: "no network".into() }
                    },
                );
            }
            Event::Process { machine, boot, run, what } if self.lives(machine, boot) => {
                self.with_machine(machine, |machine, world| machine.happens(run, what, world));
            }
            Event::Spooled { machine, boot, lease } if self.lives(machine, boot) => {
                self.with_machine(machine, |machine, world| machine.spooled(lease, world));
            }
            Event::MachineStarts { machine } => self.machine_starts(machine),
            Event::Appended { head } => self.appended(head),
            Event::Tick { head } => {
                let now = self.now;
                self.with_head(head, |head| head.tick(now));
            }
            Event::Planned { head, study, as_of, plan } => {
                self.give_head(head, Input::Planned { study, as_of, plan });
            }
            Event::HeadStarts if self.ruler.is_none() => self.head_starts(),
            Event::HeadEnds { head } if self.ruler != Some(head) => self.head_ends(head, false),
            Event::Fault(fault) => self.breaks(fault),
            Event::Heal => self.heals(),
            _ => {}
        }
    }
}
