//! A worker machine: the shell of a session, with processes that are entries of a map.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::frames::{Grant, Hardware, LeaseRef, WorkerFrame};
use ar_common::{Epoch, ExperimentId, Millis, Outcome};
use ar_worker_core::{Effect, Identity, Input, SpoolEntry, Worker};

use super::agenda::{Agenda, Boot, Dice, Event, LinkId, MachineId, Moment};
use super::clock::Clock;
use super::faults::{Fault, Mutant};
use super::ledger::Ledger;
use super::met::Met;
use super::search::{FOLDS, fate};

/// A process of an attempt.
#[derive(Debug)]
struct Process {
    run: u64,
    /// When it must be gone.
    must_end: u64,
    /// Between asking it to end and ending it.
    grace: u64,
    stopping: bool,
}

/// A machine; its worker's process may be down.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) slots: u32,
    pub(crate) boot: Boot,
    pub(crate) worker: Option<Worker>,
    pub(crate) link: Option<LinkId>,
    pub(crate) cut_off_until: u64,
    pub(crate) fail_prepare: bool,
    /// Its next Hello comes so much later, over a connection that is gone by then.
    pub(crate) late_hello: Option<u64>,
    /// So many more processes end this machine's worker.
    pub(crate) deadly: u32,
    processes: BTreeMap<LeaseRef, Process>,
    runs: u64,
    /// Results that are not durable yet.
    writing: BTreeMap<LeaseRef, SpoolEntry>,
    disk: BTreeMap<LeaseRef, SpoolEntry>,
    wake: Option<u64>,
    /// What its coordinator has answered to this start of it.
    answered: BTreeSet<ExperimentId>,
    /// The highest that spoke to this start of it.
    epoch: Epoch,
    clock: Clock,
    /// Nothing of its worker runs before; what that started does.
    pub(crate) paused_until: u64,
    /// The newest connection on which it was heard.
    pub(crate) heard_on: LinkId,
}

/// What all machines of a world share.
pub(crate) struct Shared<'a> {
    pub(crate) now: u64,
    pub(crate) seed: u64,
    pub(crate) quick: bool,
    /// Whether everything has healed.
    pub(crate) healed: bool,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) agenda: &'a mut Agenda,
    pub(crate) dice: &'a mut Dice,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) met: &'a mut Met,
}

/// What a worker wants from its world.
#[derive(Debug)]
pub(crate) enum Wish {
    Send(Box<WorkerFrame>),
    /// Leave this connection.
    Leave,
    /// End the process.
    Exit,
}

impl Machine {
    pub(crate) fn new(id: MachineId, slots: u32) -> Self {
        Self {
            id,
            slots,
            boot: 0,
            worker: None,
            link: None,
            cut_off_until: 0,
            fail_prepare: false,
            late_hello: None,
            deadly: 0,
            processes: BTreeMap::new(),
            runs: 0,
            writing: BTreeMap::new(),
            disk: BTreeMap::new(),
            wake: None,
            answered: BTreeSet::new(),
            epoch: Epoch(0),
            clock: Clock::new(0),
            paused_until: 0,
            heard_on: 0,
        }
    }

    /// Its process starts with what is on its disk.
    pub(crate) fn start(&mut self, world: &mut Shared<'_>) {
        self.boot += 1;
        self.clock = Clock::new(world.now);
        self.paused_until = 0;
        let identity = Identity {
            worker: format!("w{}", self.id).as_str().into(),
            boot: self.boot,
            slots: self.slots,
            hardware: Hardware::default(),
            labels: Default::default(),
        };
        self.worker = Some(Worker::new(identity, self.disk.values().cloned().collect()));
        world.agenda.put(
            world.now + world.dice.between(1, 100),
            Event::Connect { machine: self.id, boot: self.boot },
        );
    }

    /// Its process ends with all it ran. What was being written may or may not have reached the disk.
    pub(crate) fn stop(&mut self, world: &mut Shared<'_>) {
        self.worker = None;
        self.wake = None;
        self.link = None;
        self.processes.clear();
        self.answered.clear();
        self.epoch = Epoch(0);
        for (lease, entry) in std::mem::take(&mut self.writing) {
            if world.dice.once_in(2) {
                self.disk.insert(lease, entry);
            } else {
                world.met.spool_lost += 1;
            }
        }
        world.met.spooled_over_a_death += u32::try_from(self.disk.len()).unwrap();
    }

    pub(crate) fn runs_any(&self) -> bool {
        !self.processes.is_empty()
    }

    pub(crate) fn lose_disk(&mut self) {
        self.disk.clear();
    }

    /// Gives the session an input and does what it says, as far as that is this machine's to do.
    pub(crate) fn step(&mut self, input: Input, world: &mut Shared<'_>) -> Vec<Wish> {
        let Some(worker) = &mut self.worker else {
            return vec![];
        };
        if let Input::Frame { frame: ar_common::frames::CoordinatorFrame::Ack { lease }, .. } = &input {
            self.answered.insert(lease.experiment);
        }
        let said = match &input {
            Input::Frame { epoch, .. } => *epoch,
            _ => self.epoch,
        };
        let deposed = said < self.epoch;
        self.epoch = self.epoch.max(said);
        let input = match input {
            Input::Frame { frame, .. } if world.mutant == Some(Mutant::DeafToEpochs) => {
                Input::Frame { epoch: self.epoch, frame }
            }
            input => input,
        };
        let effects = worker.step(input, Millis(self.clock.read(world.now)));
        let refused = matches!(effects[..], [Effect::Reconnect { .. }]);
        assert_eq!(deposed, refused, "I4: a frame of a lower epoch, and no other, is refused: {effects:?}");
        let wishes = effects.into_iter().filter_map(|effect| self.perform(effect, world)).collect();
        assert!(self.processes.len() <= self.slots as usize, "I9: more processes than slots");
        self.plan_wake(world);
        wishes
    }

    fn plan_wake(&mut self, world: &mut Shared<'_>) {
        let wake = self.worker.as_ref().and_then(Worker::next_wake);
        let wake = wake.map(|at| self.clock.when(at.0, world.now));
        if let Some(at) = wake.filter(|at| self.wake.is_none_or(|planned| *at < planned)) {
            self.wake = Some(at);
            world.agenda.put(at, Event::Wake { machine: self.id, boot: self.boot });
        }
    }

    pub(crate) fn woken(&mut self, world: &mut Shared<'_>) -> Vec<Wish> {
        self.wake = None;
        self.step(Input::Tick, world)
    }

    /// Its worker sleeps, and its connection may be taken for dead meanwhile. What it would have stopped goes on.
    pub(crate) fn sleep(&mut self, until: u64) {
        self.paused_until = self.paused_until.max(until);
        for process in self.processes.values_mut() {
            process.must_end = process.must_end.max(until + process.grace);
        }
    }

    /// Its clock jumps.
    pub(crate) fn jump(&mut self, ms: u64, world: &mut Shared<'_>) {
        self.clock.jump(ms);
        world.agenda.put(world.now, Event::Wake { machine: self.id, boot: self.boot });
    }

    fn perform(&mut self, effect: Effect, world: &mut Shared<'_>) -> Option<Wish> {
        match effect {
            Effect::Send(frame) => {
                if let WorkerFrame::Completed { lease, .. } = &frame {
                    assert!(self.disk.contains_key(lease), "I1: {lease:?} was offered before it was durable");
                }
                return Some(Wish::Send(Box::new(frame)));
            }
            Effect::Prepare { study, .. } => {
                let ms = if world.dice.once_in(4) {
                    world.dice.between(1_000, 60_000)
                } else {
                    world.dice.between(1, 100)
                };
                let stands = !std::mem::take(&mut self.fail_prepare) || world.healed;
                world.met.not_ready += u32::from(!stands);
                world.agenda.put(
                    world.now + ms,
                    Event::Prepared { machine: self.id, boot: self.boot, study, stands },
                );
            }
            Effect::Run(grant) => self.run(&grant, world),
            Effect::Stop { lease, grace_ms } => {
                if let Some(process) = self.processes.get_mut(&lease) {
                    process.stopping = true;
                    world.met.called_off += 1;
                    let outcome = Outcome::Crashed { reason: "killed by signal 15 (SIGTERM)".into() };
                    let (run, what) = (process.run, Moment::Ended(outcome));
                    let at = world.now + if grace_ms == 0 { 0 } else { world.dice.between(0, grace_ms + 1) };
                    world.agenda.put(at, Event::Process { machine: self.id, boot: self.boot, run, what });
                }
            }
            Effect::Spool(entry) => {
                let lease = entry.lease;
                world.ledger.made(lease, &entry.outcome);
                self.writing.insert(lease, entry);
                let at = world.now + world.dice.between(0, 50);
                world.agenda.put(at, Event::Spooled { machine: self.id, boot: self.boot, lease });
                if world.mutant == Some(Mutant::SpoolNoSync) {
                    world
                        .agenda
                        .put(world.now, Event::SaysSpooled { machine: self.id, boot: self.boot, lease });
                }
            }
            Effect::Unspool(lease) => {
                assert!(self.disk.remove(&lease).is_some(), "{lease:?} was not on the disk");
            }
            Effect::Reconnect { .. } => {
                world.met.epochs_refused += 1;
                return Some(Wish::Leave);
            }
            Effect::Exit => return Some(Wish::Exit),
        }
        None
    }

    fn run(&mut self, grant: &Grant, world: &mut Shared<'_>) {
        let lease = grant.lease;
        world.ledger.starts(lease);
        assert!(!self.answered.contains(&lease.experiment), "{lease:?} was acknowledged here and runs again");
        self.runs += 1;
        let fate = fate(world.seed, world.quick, &grant.study, &grant.config, grant.block);
        let must_end = world.now + grant.deadline_ms + grant.grace_ms;
        let process = Process { run: self.runs, must_end, grace: grant.grace_ms, stopping: false };
        assert!(self.processes.insert(lease, process).is_none(), "{lease:?} runs twice");
        let startup = world.dice.between(1, 50);
        let mut happens = |after: u64, what| {
            let event = Event::Process { machine: self.id, boot: self.boot, run: self.runs, what };
            world.agenda.put(world.now + startup + after, event);
        };
        happens(0, Moment::Started);
        let ms = fate.ms.unwrap_or(2 * grant.deadline_ms);
        if let Some(hash) = fate.matrix {
            happens(ms / 2, Moment::Matrix(hash));
        }
        let folds = fate.outcome.measures().map(|m| m.folds.clone()).unwrap_or_default();
        for (fold, score) in (0..).zip(folds) {
            happens(ms / 2 + ms / 2 * u64::from(fold) / FOLDS as u64, Moment::Fold { fold, score });
        }
        // One that never ends is ended by its deadline.
        if fate.ms.is_some() {
            happens(ms, Moment::Ended(fate.outcome));
        }
    }

    /// Something happens to a process, if it is still there.
    pub(crate) fn happens(&mut self, run: u64, what: Moment, world: &mut Shared<'_>) -> Vec<Wish> {
        let Some((lease, process)) = self.processes.iter().find(|(_, process)| process.run == run) else {
            return vec![];
        };
        let (lease, must_end) = (*lease, process.must_end);
        assert!(world.now <= must_end, "I10: {lease:?} outlived its deadline and grace");
        let input = match what {
            Moment::Started => {
                if self.deadly > 0 {
                    self.deadly -= 1;
                    let fault = Fault::KillMachine { machine: self.id, down: 50, disk_too: false };
                    world.agenda.put(world.now + world.dice.between(1, 300), Event::Fault(fault));
                }
                Input::Started { lease }
            }
            Moment::Matrix(hash) => Input::Matrix { lease, hash },
            Moment::Fold { fold, score } => Input::Fold { lease, fold, score, seconds: 0.1 },
            Moment::Ended(outcome) => {
                self.processes.remove(&lease);
                Input::Ended { lease, outcome }
            }
        };
        self.step(input, world)
    }

    /// The server that holds its processes dies.
    pub(crate) fn lose_processes(&mut self, world: &mut Shared<'_>) -> Vec<Wish> {
        let lost: Vec<LeaseRef> = std::mem::take(&mut self.processes).into_keys().collect();
        let why = || "the server that held it died".to_owned();
        lost.into_iter().flat_map(|lease| self.step(Input::Lost { lease, why: why() }, world)).collect()
    }

    pub(crate) fn spooled(&mut self, lease: LeaseRef, world: &mut Shared<'_>) -> Vec<Wish> {
        let Some(entry) = self.writing.remove(&lease) else {
            return vec![];
        };
        self.disk.insert(lease, entry);
        self.step(Input::Spooled { lease }, world)
    }

    /// Checks that no process is left behind by a worker that leaves in good order.
    pub(crate) fn check_exit(&self) {
        assert!(self.processes.is_empty() && self.writing.is_empty(), "left too early: {self:?}");
    }

    /// Whether nothing is left to do here.
    pub(crate) fn is_idle(&self) -> bool {
        let counts = self.worker.as_ref().map(Worker::counts);
        counts == Some((0, 0, 0))
            && self.processes.is_empty()
            && self.disk.is_empty()
            && self.writing.is_empty()
    }

    /// Whether a process runs longer than it may.
    pub(crate) fn check_deadlines(&self, now: u64) {
        for (lease, process) in &self.processes {
            let (at, stopping) = (process.must_end, process.stopping);
            assert!(now <= at, "I10: {lease:?} should be gone since {at} (stopping: {stopping})");
        }
    }
}
