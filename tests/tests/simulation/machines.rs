//! The worker machines of a world.

use ar_worker_core::Input;

use super::agenda::{Event, HeadId, LinkId, MachineId};
use super::link::{Link, Sees};
use super::machine::{Machine, Shared, Wish};
use super::world::World;

impl World {
    pub(crate) fn lives(&self, machine: MachineId, boot: u64) -> bool {
        self.machines[machine].boot == boot && self.machines[machine].worker.is_some()
    }

    /// The worker on the other end of a connection, if it is still that one.
    pub(crate) fn listener(&self, link: LinkId) -> Option<MachineId> {
        let Link { machine, boot, .. } = *self.links.get(&link)?;
        (self.lives(machine, boot) && self.machines[machine].link == Some(link)).then_some(machine)
    }

    pub(crate) fn machine_starts(&mut self, machine: MachineId) {
        if self.machines[machine].worker.is_none() {
            self.with_machine(machine, |machine, world| {
                machine.start(world);
                vec![]
            });
        }
    }

    pub(crate) fn connect(&mut self, machine: MachineId) {
        let (boot, at) = (self.machines[machine].boot, self.now + self.dice.between(50, 10_000));
        if self.machines[machine].link.is_some() {
            return;
        }
        // One that stands by sends it on.
        let lives: Vec<HeadId> = self.heads.values().filter(|head| head.leads).map(|head| head.id).collect();
        if self.machines[machine].cut_off_until > self.now || lives.is_empty() {
            self.met.cut_off += u32::from(!lives.is_empty());
            return self.agenda.put(at, Event::Connect { machine, boot });
        }
        // An old address may lead to a deposed coordinator.
        let head = lives[usize::try_from(self.dice.between(0, lives.len() as u64)).unwrap()];
        let link = self.links.len() as LinkId + 1;
        self.links.insert(link, Link::new(link, machine, boot, head));
        self.heads.get_mut(&head).unwrap().links.insert(link);
        self.machines[machine].link = Some(link);
        self.give_machine(machine, Input::Connected);
        if let Some(late) = self.machines[machine].late_hello.take().filter(|_| !self.healed) {
            self.cut(machine, Sees { machine: 100, head: late, late: Some(late) });
        }
    }

    pub(crate) fn give_machine(&mut self, machine: MachineId, input: Input) {
        self.with_machine(machine, |machine, world| machine.step(input, world));
    }

    pub(crate) fn with_machine(
        &mut self,
        id: MachineId,
        act: impl FnOnce(&mut Machine, &mut Shared<'_>) -> Vec<Wish>,
    ) {
        let mut shared = Shared {
            now: self.now,
            seed: self.seed,
            quick: self.quick,
            healed: self.healed,
            mutant: self.mutant,
            agenda: &mut self.agenda,
            dice: &mut self.dice,
            ledger: &mut self.ledger,
            met: &mut self.met,
        };
        let wishes = act(&mut self.machines[id], &mut shared);
        for wish in wishes {
            match wish {
                Wish::Send(frame) => {
                    if let Some(link) = self.machines[id].link {
                        let (link, now, mut way) = self.way(link);
                        link.carry_to_head(now, *frame, &mut way);
                    }
                }
                Wish::Leave => {
                    if let Some(link) = self.machines[id].link {
                        let link = self.links.get_mut(&link).unwrap();
                        link.leave(self.now, &mut self.agenda, &mut self.dice);
                        link.close(self.now, &mut self.agenda, &mut self.dice);
                    }
                }
                Wish::Exit if self.machines[id].worker.is_some() => {
                    self.met.exits += 1;
                    self.machines[id].check_exit();
                    self.machine_ends(id, 5_000);
                }
                Wish::Exit => {}
            }
        }
    }

    /// The worker's side of its connection is gone.
    pub(crate) fn leave(&mut self, machine: MachineId) {
        if let Some(link) = self.machines[machine].link.take() {
            let link = self.links.get_mut(&link).unwrap();
            link.leave(self.now, &mut self.agenda, &mut self.dice);
        }
    }

    pub(crate) fn machine_ends(&mut self, machine: MachineId, down: u64) {
        self.leave(machine);
        self.with_machine(machine, |machine, world| {
            machine.stop(world);
            vec![]
        });
        self.agenda.put(self.now + down, Event::MachineStarts { machine });
    }
}
