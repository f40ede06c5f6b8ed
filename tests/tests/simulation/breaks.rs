//! What breaks in a world, and how it heals.

use ar_core::Input;
use ar_worker_core::Input as WorkerInput;

use super::agenda::{Event, HeadId, MachineId};
use super::faults::{Death, Fault};
use super::link::Sees;
use super::store::Store;
use super::world::{DAY, World};

/// A side that says nothing for so long is taken for dead by the other one, milliseconds.
const KEEP_ALIVE: u64 = 20_000;

impl World {
    /// Makes a fault happen. One that finds nothing to break has not happened.
    pub(crate) fn breaks(&mut self, fault: Fault) {
        let of = |machine: usize| machine % self.machines.len();
        let happened = match fault {
            Fault::Cut { machine, machine_sees, head_sees, late } => {
                self.cut(of(machine), Sees { machine: machine_sees, head: head_sees, late })
            }
            Fault::CutHello { machine, late } => {
                let machine = of(machine);
                self.machines[machine].late_hello = Some(late);
                self.cut(machine, Sees { machine: 100, head: 100, late: None })
            }
            Fault::Partition { machine, ms } => {
                let machine = of(machine);
                self.machines[machine].cut_off_until = self.now + ms;
                self.cut(machine, Sees { machine: 100, head: 30_000, late: None })
            }
            Fault::RoughNetwork { ms } => {
                self.rough_until = self.now + ms;
                true
            }
            Fault::KillMachine { machine, down, disk_too } => self.kill_machine(of(machine), down, disk_too),
            Fault::PauseMachine { machine, ms } => self.pause_machine(of(machine), ms),
            Fault::JumpMachine { machine, ms } => {
                let machine = of(machine);
                self.with_machine(machine, |machine, world| {
                    machine.jump(ms, world);
                    vec![]
                });
                self.machines[machine].worker.is_some()
            }
            Fault::LoseProcesses { machine } => {
                let machine = of(machine);
                let runs = self.machines[machine].runs_any();
                self.with_machine(machine, |machine, world| machine.lose_processes(world));
                runs
            }
            Fault::Drain { machine, grace } => {
                let machine = of(machine);
                self.give_machine(machine, WorkerInput::Drain { grace_ms: grace });
                self.machines[machine].boot > 0
            }
            Fault::FailPrepare { machine } => {
                let machine = of(machine);
                self.machines[machine].fail_prepare = true;
                true
            }
            Fault::Deadly { machine, times } => {
                let machine = of(machine);
                self.machines[machine].deadly = times;
                true
            }
            Fault::SearchTimeOver { study } => self.time(study, |study| Input::SearchTimeOver { study }),
            Fault::TimeOver { study } => self.time(study, |study| Input::TimeOver { study }),
            Fault::Extend { study } => {
                let study = study % self.specs.len();
                let budget = &mut self.specs[study].budget;
                budget.rounds = (budget.rounds + 1).min(3);
                self.submit(study);
                true
            }
            at_heads => self.breaks_heads(at_heads),
        };
        if happened {
            *self.fired.entry(fault.kind()).or_default() += 1;
        }
    }

    fn breaks_heads(&mut self, fault: Fault) -> bool {
        let ruler = self.ruler();
        match fault {
            Fault::KillHead(death) => {
                ruler.into_iter().for_each(|head| self.head_dies(head, death));
                ruler.is_some()
            }
            Fault::KillWritingHead(death) => {
                let head = ruler.and_then(|id| self.heads.get_mut(&id));
                head.map(|head| head.doom = Some(death)).is_some()
            }
            Fault::KillStandby(death) => {
                let standby = self.heads.keys().copied().find(|head| Some(*head) != ruler);
                standby.map(|head| self.head_dies(head, death)).is_some()
            }
            Fault::PauseHead { ms } => ruler.map(|head| self.pause_head(head, ms)).is_some(),
            Fault::JumpHead { ms } => {
                let Some(head) = ruler.and_then(|id| self.heads.get_mut(&id)) else { return false };
                head.clock.jump(ms);
                self.agenda.put(self.now, Event::Tick { head: head.id });
                true
            }
            Fault::SlowJournal { ms } => {
                let head = ruler.and_then(|id| self.heads.get_mut(&id));
                head.map(|head| head.slow = ms).is_some()
            }
            Fault::LoseEnd { records } => {
                let Some(head) = ruler.filter(|_| matches!(self.store, Store::Own(_))) else { return false };
                self.head_dies(head, Death { down: 1_000, last_batch_survives: false, power: false });
                let Store::Own(disk) = &mut self.store else { return false };
                disk.lose_end(records) > 0
            }
            Fault::Depose | Fault::CutStore { .. } | Fault::RoughStore { .. } => {
                let (now, Store::Shared(cluster)) = (self.now, &mut self.store) else { return false };
                match fault {
                    Fault::CutStore { host, ms } => self.store_cut[host] = now + ms,
                    Fault::RoughStore { ms } => self.rough_store_until = now + ms,
                    _ => cluster.depose(),
                }
                !matches!(fault, Fault::Depose) || ruler.is_some()
            }
            _ => false,
        }
    }

    fn kill_machine(&mut self, machine: MachineId, down: u64, disk_too: bool) -> bool {
        let lives = self.machines[machine].worker.is_some();
        if lives {
            // Its machine may end without a word.
            let head = if disk_too { 30_000 } else { 10 };
            self.cut(machine, Sees { machine: DAY, head, late: None });
            self.machine_ends(machine, down);
        }
        if disk_too {
            self.machines[machine].lose_disk();
        }
        lives
    }

    fn pause_machine(&mut self, machine: MachineId, ms: u64) -> bool {
        self.machines[machine].sleep(self.now + ms);
        if ms > KEEP_ALIVE {
            self.cut(machine, Sees { machine: 0, head: KEEP_ALIVE, late: None });
        }
        self.machines[machine].worker.is_some()
    }

    fn pause_head(&mut self, id: HeadId, ms: u64) {
        let until = self.now + ms;
        let head = self.heads.get_mut(&id).unwrap();
        head.paused_until = head.paused_until.max(until);
        if ms > KEEP_ALIVE {
            for link in head.links.clone() {
                let sees = Sees { machine: KEEP_ALIVE, head: 0, late: None };
                self.links.get_mut(&link).unwrap().cut(self.now, sees, &mut self.agenda, &mut self.met);
            }
        }
        self.agenda.put(until + 1, Event::Woke { head: id });
    }

    pub(crate) fn time(&mut self, study: usize, input: impl FnOnce(ar_common::StudyId) -> Input) -> bool {
        let awake = |id: &HeadId| self.heads.get(id).is_some_and(|head| head.paused_until <= self.now);
        let Some(ruler) = self.ruler().filter(awake) else { return false };
        let study = self.specs[study % self.specs.len()].id();
        self.give_head(ruler, input(study));
        true
    }

    pub(crate) fn cut(&mut self, machine: MachineId, sees: Sees) -> bool {
        let link = self.machines[machine].link.and_then(|link| self.links.get_mut(&link));
        link.map(|link| link.cut(self.now, sees, &mut self.agenda, &mut self.met)).is_some()
    }

    pub(crate) fn heals(&mut self) {
        self.healed = true;
        (self.rough_until, self.rough_store_until, self.store_cut) = (0, 0, [0; 2]);
        self.heads.values_mut().for_each(|head| head.doom = None);
        (0..self.hosts()).for_each(|host| self.head_starts(host));
        for machine in 0..self.machines.len() {
            (self.machines[machine].cut_off_until, self.machines[machine].deadly) = (0, 0);
            self.machine_starts(machine);
            // A worker that could not make an environment is asked again when it comes again.
            self.cut(machine, Sees { machine: 0, head: 0, late: None });
        }
        for study in 0..self.specs.len() {
            self.submit(study);
        }
    }
}
