//! What breaks in a world, and how it heals.

use ar_core::Input;
use ar_worker_core::Input as WorkerInput;

use super::agenda::{Event, HeadId, MachineId};
use super::faults::Fault;
use super::link::Sees;
use super::world::{DAY, World};

impl World {
    pub(crate) fn breaks(&mut self, fault: Fault) {
        let of = |machine: usize| machine % self.machines.len();
        match fault {
            Fault::Cut { machine, machine_sees, head_sees, late } => {
                self.cut(of(machine), Sees { machine: machine_sees, head: head_sees, late });
            }
            Fault::CutHello { machine, late } => {
                let machine = of(machine);
                self.machines[machine].late_hello = Some(late);
                self.cut(machine, Sees { machine: 100, head: 100, late: None });
            }
            Fault::Partition { machine, ms } => {
                let machine = of(machine);
                self.machines[machine].cut_off_until = self.now + ms;
                self.cut(machine, Sees { machine: 100, head: 30_000, late: None });
            }
            Fault::KillMachine { machine, down, disk_too } => {
                let machine = of(machine);
                if self.machines[machine].worker.is_some() {
                    // Its machine may end without a word.
                    let head = if disk_too { 30_000 } else { 10 };
                    self.cut(machine, Sees { machine: DAY, head, late: None });
                    self.machine_ends(machine, down);
                }
                if disk_too {
                    self.machines[machine].lose_disk();
                }
            }
            Fault::LoseProcesses { machine } => {
                self.with_machine(of(machine), |machine, world| machine.lose_processes(world));
            }
            Fault::Drain { machine, grace } => {
                self.give_machine(of(machine), WorkerInput::Drain { grace_ms: grace });
            }
            Fault::FailPrepare { machine } => {
                let machine = of(machine);
                self.machines[machine].fail_prepare = true;
            }
            Fault::Deadly { machine, times } => {
                let machine = of(machine);
                self.machines[machine].deadly = times;
            }
            Fault::KillHead(death) => {
                if let Some(ruler) = self.ruler {
                    self.head_ends(ruler, death.last_batch_survives);
                    self.agenda.put(self.now + death.down, Event::HeadStarts);
                }
            }
            Fault::KillWritingHead(death) => {
                if let Some(head) = self.ruler.and_then(|id| self.heads.get_mut(&id)) {
                    head.doom = Some(death);
                }
            }
            Fault::Depose { lives_on } => {
                if let Some(head) = self.ruler {
                    self.agenda.put(self.now + lives_on, Event::HeadEnds { head });
                }
                self.head_starts();
            }
            Fault::SlowJournal { ms } => {
                if let Some(head) = self.ruler.and_then(|id| self.heads.get_mut(&id)) {
                    head.slow = ms;
                }
            }
            Fault::SearchTimeOver { study } => self.time(study, |study| Input::SearchTimeOver { study }),
            Fault::TimeOver { study } => self.time(study, |study| Input::TimeOver { study }),
            Fault::Extend { study } => {
                let study = study % self.specs.len();
                let budget = &mut self.specs[study].budget;
                budget.rounds = (budget.rounds + 1).min(3);
                self.submit(study);
            }
        }
    }

    pub(crate) fn time(&mut self, study: usize, input: impl FnOnce(ar_common::StudyId) -> Input) {
        if let Some(ruler) = self.ruler {
            let study = self.specs[study % self.specs.len()].id();
            self.give_head(ruler, input(study));
        }
    }

    pub(crate) fn cut(&mut self, machine: MachineId, sees: Sees) {
        if let Some(link) = self.machines[machine].link {
            self.links.get_mut(&link).unwrap().cut(self.now, sees, &mut self.agenda);
        }
    }

    pub(crate) fn heals(&mut self) {
        self.healed = true;
        self.heads.values_mut().for_each(|head| head.doom = None);
        if self.ruler.is_none() {
            self.head_starts();
        }
        let deposed: Vec<HeadId> = self.heads.keys().copied().filter(|id| self.ruler != Some(*id)).collect();
        for head in deposed {
            self.head_ends(head, false);
        }
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
