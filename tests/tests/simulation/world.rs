//! The world: who is connected to whom, what breaks, and what must hold when all has healed.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::StudySpec;
use ar_core::{Input, Record};
use ar_worker_core::Input as WorkerInput;

use super::agenda::{Agenda, BatchId, Dice, Event, For, HeadId, HostId, LinkId};
use super::faults::{At, Mutant, Setup};
use super::head::{self, Head};
use super::ledger::Ledger;
use super::link::Link;
use super::machine::Machine;
use super::met::Met;
use super::search::spec;
use super::store::{Cluster, Disk, Store};

/// After the last fault everything heals; a day is enough for anything.
pub(crate) const DAY: u64 = 24 * 3_600_000;
/// More events than any run needs.
const EVENTS: u32 = 400_000;

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) seed: u64,
    pub(crate) quick: bool,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) agenda: Agenda,
    pub(crate) dice: Dice,
    pub(crate) ledger: Ledger,
    pub(crate) met: Met,
    /// How often each kind of fault has found something to break.
    pub(crate) fired: BTreeMap<String, u32>,
    pub(crate) store: Store,
    /// Until when each host is cut off from the shared store.
    pub(crate) store_cut: [u64; 2],
    pub(crate) rough_store_until: u64,
    /// Batches that never reach it.
    pub(crate) never: BTreeSet<BatchId>,
    pub(crate) batches: BatchId,
    /// Coordinators that live.
    pub(crate) heads: BTreeMap<HeadId, Head>,
    pub(crate) head_count: HeadId,
    pub(crate) machines: Vec<Machine>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) rough_until: u64,
    pub(crate) specs: Vec<StudySpec>,
    pub(crate) heals_at: u64,
    pub(crate) healed: bool,
    /// It ends here: what a journal has lost for good was noticed.
    pub(crate) over: bool,
}

/// What a world came to.
pub(crate) struct End {
    pub(crate) journal: Vec<Record>,
    pub(crate) met: Met,
    pub(crate) fired: BTreeMap<String, u32>,
}

impl World {
    pub(crate) fn new(setup: &Setup, faults: &[At]) -> Self {
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
            mutant: setup.mutant,
            agenda,
            dice: Dice(setup.seed),
            ledger: Ledger::default(),
            met: Met::default(),
            fired: BTreeMap::new(),
            store: if setup.shared { Store::Shared(Cluster::default()) } else { Store::Own(Disk::made()) },
            store_cut: [0; 2],
            rough_store_until: 0,
            never: BTreeSet::new(),
            batches: 0,
            heads: BTreeMap::new(),
            head_count: 0,
            machines,
            links: BTreeMap::new(),
            rough_until: 0,
            specs: (0..setup.studies).map(spec).collect(),
            heals_at,
            healed: false,
            over: false,
        };
        let made = Record::StoreMade { format: Record::FORMAT, incarnation: 0xfeed };
        world.ledger.append(1, &[made], 0, &mut world.met);
        (0..world.hosts()).for_each(|host| world.head_starts(host));
        (0..world.machines.len()).for_each(|machine| world.machine_starts(machine));
        world
    }

    /// How many machines there are for coordinators.
    pub(crate) fn hosts(&self) -> HostId {
        match self.store {
            Store::Own(_) => 1,
            Store::Shared(_) => 2,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> End {
        for count in 0.. {
            if self.is_over() {
                break;
            }
            let Some((key, event)) = self.agenda.next() else { panic!("I8: nothing happens any more") };
            let stuck = key.0 > self.heals_at + DAY || count > EVENTS;
            assert!(!stuck, "I8: not all ended by {} ms ({count} events): {}", key.0, self.pending());
            self.now = key.0;
            match self.sleeps_until(&event) {
                Some(until) => self.agenda.put_off(key, until, event),
                None => self.happens(event),
            }
            self.machines.iter().for_each(|machine| machine.check_deadlines(self.now));
        }
        let journal = self.ledger.audit(self.over, &mut self.met);
        End { journal, met: self.met, fired: self.fired }
    }

    /// What has not ended.
    fn pending(&self) -> String {
        let state = &self.ledger.state;
        let studies = state.studies.iter().map(|(id, study)| (id, study.phase)).collect::<Vec<_>>();
        let pending = state.experiments.iter().filter(|e| e.is_pending());
        let pending: Vec<_> = pending.map(|e| (e.id, e.attempt, &e.status)).collect();
        format!("{studies:?}, {pending:?}")
    }

    fn is_over(&self) -> bool {
        let ruler = self.ruler().and_then(|id| self.heads.get(&id));
        let ended = self.healed
            && self.ledger.state.studies.len() == self.specs.len()
            && self.ledger.state.studies.values().all(|study| study.is_finished())
            && self.machines.iter().all(Machine::is_idle)
            && ruler
                .is_some_and(|head| head.core.live.leases.is_empty() && head.not_durable().next().is_none());
        ended || self.over
    }

    /// Until when an event waits, because it is for a process that is stopped.
    fn sleeps_until(&mut self, event: &Event) -> Option<u64> {
        let (head, machine) = match event.is_for() {
            For::Head(head) => (Some(head), None),
            For::HeadOf(link) => (self.links.get(&link).map(|link| link.head), None),
            For::Machine(machine) => (None, Some(machine % self.machines.len())),
            For::MachineOf(link) => (None, self.links.get(&link).map(|link| link.machine)),
            For::World => (None, None),
        };
        let head = head.and_then(|id| self.heads.get(&id)).map_or(0, |head| head.paused_until);
        let machine = machine.map_or(0, |machine| self.machines[machine].paused_until);
        self.met.head_slept += u32::from(head > self.now);
        self.met.machine_slept += u32::from(machine > self.now);
        Some(head.max(machine)).filter(|until| *until > self.now)
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
            Event::OnDisk { head, batch } => self.on_disk(head, batch),
            Event::AtStore { write } => self.at_store(&write),
            Event::Answered { head, batch, answer } => self.answered(head, batch, answer),
            Event::AskAgain { head, batch } => self.ask_again(head, batch),
            Event::Campaign { head } => self.campaign(head),
            Event::KeepAlive { head } => self.keep_alive(head),
            Event::KeptAlive { head, alive } => self.kept_alive(head, alive),
            Event::Tick { head } => {
                let now = self.now;
                self.with_head(head, |head| head.tick(now));
            }
            Event::Planned { head, study, as_of, plan } => {
                self.give_head(head, Input::Planned { study, as_of, plan });
            }
            Event::HeadStarts { host } => self.head_starts(host),
            Event::HeadDies { head, death } => self.head_dies(head, death),
            Event::Woke { head } => {
                let deposed =
                    self.heads.get(&head).is_some_and(|head| head.leads) && self.ruler() != Some(head);
                self.met.woke_deposed += u32::from(deposed);
            }
            Event::Fault(fault) => self.breaks(fault),
            Event::Heal => self.heals(),
            event => self.happens_to_machine(event),
        }
    }

    fn happens_to_machine(&mut self, event: Event) {
        match event {
            Event::AtMachine { link, epoch, frame } => {
                match self.listener(link).filter(|_| !self.links[&link].is_deaf()) {
                    Some(machine) => self.give_machine(machine, WorkerInput::Frame { epoch, frame }),
                    None => self.met.dropped += 1,
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
            }
            Event::Prepared { machine, boot, study, stands } if self.lives(machine, boot) => {
                self.give_machine(
                    machine,
                    if stands || self.healed {
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
            Event::SaysSpooled { machine, boot, lease } if self.lives(machine, boot) => {
                self.give_machine(machine, WorkerInput::Spooled { lease });
            }
            Event::MachineStarts { machine } => self.machine_starts(machine),
            _ => {}
        }
    }
}
