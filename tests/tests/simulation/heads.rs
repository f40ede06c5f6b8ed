//! The coordinators of a world.

use ar_common::Digest;
use ar_common::frames::WorkerFrame;
use ar_core::{Input, Record};

use super::agenda::{HeadId, LinkId};
use super::head::{self, Head};
use super::link::Sees;
use super::world::World;

impl World {
    pub(crate) fn head_starts(&mut self) {
        self.head_count += 1;
        let epoch = self.ledger.next_epoch();
        self.ledger.append(&Record::Elected { epoch }, &mut self.met);
        self.heads.insert(self.head_count, Head::start(self.head_count, &self.ledger, self.now));
        self.ruler = Some(self.head_count);
        self.give_head(self.head_count, Input::Tick);
        // A person who submitted to a coordinator that died before it answered submits again.
        for study in 0..self.specs.len() {
            self.submit(study);
        }
    }

    pub(crate) fn head_ends(&mut self, id: HeadId, last_batch_survives: bool) {
        let Some(mut head) = self.heads.remove(&id) else {
            return;
        };
        if self.ruler == Some(id) {
            self.ruler = None;
            self.ledger.check(&head.core, head.not_durable());
            match head.take_writing() {
                Some(batch) if last_batch_survives => {
                    batch.records.iter().for_each(|record| self.ledger.append(record, &mut self.met));
                    self.met.batches_without_effects += 1;
                }
                Some(_) => self.met.batches_lost += 1,
                None => {}
            }
        }
        for link in head.links {
            let sees = Sees { machine: self.dice.between(0, 2_000), head: 0, late: None };
            self.links.get_mut(&link).unwrap().cut(self.now, sees, &mut self.agenda);
        }
    }

    pub(crate) fn appended(&mut self, id: HeadId) {
        let Some(head) = self.heads.get_mut(&id) else {
            return;
        };
        let Some(batch) = head.take_writing() else { return };
        if self.ruler != Some(id) {
            // The journal knows a later epoch: a deposed coordinator ends.
            self.met.batches_fenced += 1;
            return self.head_ends(id, false);
        }
        batch.records.iter().for_each(|record| self.ledger.append(record, &mut self.met));
        self.ledger.check(&head.core, head.not_durable());
        let wishes = head.perform(batch.effects, self.now, &mut self.agenda, &mut self.dice);
        self.grant_wishes(id, wishes);
        self.with_head(id, |_| {});
    }

    pub(crate) fn give_head(&mut self, id: HeadId, input: Input) {
        let now = self.now;
        self.with_head(id, |head| head.step(input, now));
    }

    pub(crate) fn with_head(&mut self, id: HeadId, act: impl FnOnce(&mut Head)) {
        let Some(head) = self.heads.get_mut(&id) else {
            return;
        };
        act(head);
        let wishes = head.flush(self.now, &mut self.agenda, &mut self.dice);
        self.grant_wishes(id, wishes);
    }

    pub(crate) fn grant_wishes(&mut self, id: HeadId, wishes: Vec<head::Wish>) {
        let epoch = self.heads[&id].epoch;
        for wish in wishes {
            match wish {
                head::Wish::Send(link, frame) => {
                    self.ledger.leaves(&frame, &mut self.met);
                    let link = self.links.get_mut(&link).unwrap();
                    link.carry_to_machine(self.now, epoch, frame, &mut self.agenda, &mut self.dice);
                }
                head::Wish::Close(link) => {
                    self.met.closed += 1;
                    self.met.closed_alive +=
                        u32::from(self.listener(link).is_some_and(|_| !self.links[&link].is_deaf()));
                    self.links.get_mut(&link).unwrap().close(self.now, &mut self.agenda, &mut self.dice);
                }
            }
        }
    }

    pub(crate) fn at_head(&mut self, link: LinkId, frame: WorkerFrame) {
        let (head, session) = (self.links[&link].head, head::session(link));
        if self.heads.get(&head).is_none_or(|head| !head.links.contains(&link)) {
            return;
        }
        let input = match frame {
            WorkerFrame::Hello(hello) => Input::Hello { session, hello },
            WorkerFrame::Preparing { .. } | WorkerFrame::Progress { .. } => return,
            WorkerFrame::Ready { study, unavailable, .. } => Input::Ready { session, study, unavailable },
            WorkerFrame::NotReady { study, why } => Input::NotReady { session, study, why },
            WorkerFrame::Heartbeat { leases, draining, slots, .. } => {
                Input::Heartbeat { session, leases, draining, slots }
            }
            WorkerFrame::Started { lease } => Input::Started { session, lease },
            WorkerFrame::Released { leases } => Input::Released { session, leases },
            WorkerFrame::Completed { lease, outcome, digest } => {
                Input::Completed { session, lease, outcome, digest }
            }
        };
        self.give_head(head, input);
    }

    pub(crate) fn submit(&mut self, study: usize) {
        let Some(id) = self.ruler else { return };
        let spec = Box::new(self.specs[study].clone());
        self.give_head(id, Input::Submit { spec, tree: Digest::of(b"tree") });
    }
}
