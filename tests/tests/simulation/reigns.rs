//! Coordinators of a world come and go, are elected, and write to the journal.

use std::rc::Rc;

use ar_core::Input;

use super::agenda::{BatchId, Event, HeadId, HostId};
use super::clock::Clock;
use super::faults::{Death, Mutant};
use super::head::Head;
use super::link::Sees;
use super::store::{ANSWER, Answer, LEADER_TTL, LeaderKey, PATIENCE, Store, Write};
use super::world::World;

impl World {
    /// The coordinator that may write, if it has begun to.
    pub(crate) fn ruler(&self) -> Option<HeadId> {
        match &self.store {
            Store::Own(_) => self.heads.values().find(|head| head.leads).map(|head| head.id),
            Store::Shared(cluster) => {
                let holder = cluster.leader(self.now)?.holder;
                self.heads.get(&holder).filter(|head| head.leads).map(|head| head.id)
            }
        }
    }

    pub(crate) fn head_starts(&mut self, host: HostId) {
        if self.heads.values().any(|head| head.host == host) {
            return;
        }
        self.head_count += 1;
        let id = self.head_count;
        let mut head = Head::start(id, host, Clock::new(self.now), self.mutant);
        match &mut self.store {
            Store::Own(disk) => {
                self.met.torn_batches += u32::from(std::mem::take(&mut disk.torn));
                let Some(found) = disk.open(self.mutant) else {
                    assert!(disk.lied, "an honest disk is said to have lost records");
                    self.met.losses_noticed += 1;
                    self.over = true;
                    return;
                };
                self.ledger.reopened(found);
                self.batches += 1;
                head.opens(self.ledger.read(), self.batches);
                self.heads.insert(id, head);
                self.send_write(id);
            }
            Store::Shared(_) => {
                self.heads.insert(id, head);
                self.agenda.put(self.now + 1, Event::Campaign { head: id });
            }
        }
    }

    /// Whether a request of this coordinator reaches the shared store, and is answered.
    fn reaches_store(&mut self, host: HostId) -> bool {
        if self.store_cut[host] > self.now {
            self.met.store_cut_off += 1;
            return false;
        }
        true
    }

    fn store_is_rough(&self) -> bool {
        self.rough_store_until > self.now
    }

    pub(crate) fn campaign(&mut self, id: HeadId) {
        let Some(host) = self.heads.get(&id).map(|head| head.host) else { return };
        let again = self.now + self.dice.between(100, 2_000);
        let reaches = self.reaches_store(host);
        let (now, Store::Shared(cluster)) = (self.now, &mut self.store) else { return };
        let Some(LeaderKey { created, .. }) = reaches.then(|| cluster.elect(id, now)).flatten() else {
            return self.agenda.put(again, Event::Campaign { head: id });
        };
        let revision = cluster.head();
        self.batches += 1;
        let head = self.heads.get_mut(&id).unwrap();
        (head.created, head.revision, head.heard) = (created, revision, now);
        head.opens(self.ledger.read(), self.batches);
        self.met.elections += 1;
        self.agenda.put(now + LEADER_TTL / 3, Event::KeepAlive { head: id });
        self.send_write(id);
    }

    pub(crate) fn keep_alive(&mut self, id: HeadId) {
        let Some((host, created, heard)) =
            self.heads.get(&id).map(|head| (head.host, head.created, head.heard))
        else {
            return;
        };
        let now = self.now;
        if !self.reaches_store(host) {
            if now - heard >= PATIENCE {
                self.met.gave_up += 1;
                return self.steps_down(id);
            }
            return self.agenda.put(now + LEADER_TTL / 3, Event::KeepAlive { head: id });
        }
        let Store::Shared(cluster) = &mut self.store else { return };
        let alive = cluster.keep(created, now);
        let slow = self.store_is_rough() && self.dice.once_in(2);
        let ms = if slow { self.dice.between(100, 5_000) } else { self.dice.between(1, 50) };
        self.agenda.put(now + ms, Event::KeptAlive { head: id, alive });
    }

    pub(crate) fn kept_alive(&mut self, id: HeadId, alive: bool) {
        if !alive {
            self.met.found_deposed += 1;
            return self.steps_down(id);
        }
        if let Some(head) = self.heads.get_mut(&id) {
            head.heard = self.now;
            self.agenda.put(self.now + LEADER_TTL / 3, Event::KeepAlive { head: id });
        }
    }

    /// It has lost the right to lead, ends, and is started again by whoever supervises it.
    fn steps_down(&mut self, id: HeadId) {
        let Some(host) = self.heads.get(&id).map(|head| head.host) else { return };
        self.head_ends(id, None);
        self.agenda.put(self.now + self.dice.between(500, 5_000), Event::HeadStarts { host });
    }

    /// Sends what a coordinator is writing.
    pub(crate) fn send_write(&mut self, id: HeadId) {
        let Some(head) = self.heads.get_mut(&id) else { return };
        let Some(writing) = &head.writing else { return };
        let (batch, host) = (writing.id, head.host);
        let mut ms = self.dice.between(0, 6) + std::mem::take(&mut head.slow);
        if let Store::Own(_) = self.store {
            return self.agenda.put(self.now + ms, Event::OnDisk { head: id, batch });
        }
        let write = Write {
            head: id,
            id: batch,
            first: writing.first,
            records: Rc::clone(&writing.records),
            epoch: head.created,
            revision: head.revision,
        };
        self.agenda.put(self.now + ANSWER, Event::AskAgain { head: id, batch });
        if !self.reaches_store(host) {
            return;
        }
        if self.store_is_rough() {
            match self.dice.between(0, 6) {
                0 => return self.met.requests_lost += 1,
                // Held somewhere, and there when everybody has gone on.
                1 => {
                    self.met.requests_held += 1;
                    ms += self.dice.between(ANSWER, 20 * ANSWER);
                }
                2 => {
                    self.met.requests_twice += 1;
                    let at = self.now + ms + self.dice.between(0, 5_000);
                    self.agenda.put(at, Event::AtStore { write: write.clone() });
                }
                _ => {}
            }
        }
        self.agenda.put(self.now + ms, Event::AtStore { write });
    }

    pub(crate) fn ask_again(&mut self, id: HeadId, batch: BatchId) {
        if self
            .heads
            .get(&id)
            .and_then(|head| head.writing.as_ref())
            .is_some_and(|writing| writing.id == batch)
        {
            self.met.asked_again += 1;
            self.send_write(id);
        }
    }

    /// A batch arrives at the shared store, whoever sent it and whenever.
    pub(crate) fn at_store(&mut self, write: &Write) {
        let Write { head, id: batch, ref records, .. } = *write;
        let (now, Store::Shared(cluster)) = (self.now, &mut self.store) else { return };
        if self.never.contains(&batch) {
            return;
        }
        let holder = cluster.leader(now).map(|key| key.holder);
        let (answer, committed) = cluster.write(write, now, self.mutant);
        if committed {
            assert_eq!(holder, Some(head), "I4: coordinator {head} wrote, and another one leads");
            self.ledger.append(write.first, records, head, &mut self.met);
        } else if matches!(answer, Answer::Written(_)) {
            self.met.known_by_batch += 1;
        }
        let Some(host) = self.heads.get(&head).map(|head| head.host) else {
            self.met.batches_without_effects += u32::from(committed);
            return;
        };
        if !self.reaches_store(host) {
            return;
        }
        if self.store_is_rough() && self.dice.once_in(4) {
            return self.met.answers_lost += 1;
        }
        self.agenda.put(now + self.dice.between(0, 3), Event::Answered { head, batch, answer });
    }

    pub(crate) fn answered(&mut self, id: HeadId, batch: BatchId, answer: Answer) {
        let waits = |head: &&mut Head| head.writing.as_ref().is_some_and(|writing| writing.id == batch);
        let Some(head) = self.heads.get_mut(&id).filter(waits) else {
            return self.met.answers_late += 1;
        };
        match answer {
            Answer::Written(revision) => {
                head.revision = revision;
                self.appended(id);
            }
            Answer::NotLeader => {
                self.met.batches_fenced += 1;
                self.steps_down(id);
            }
            Answer::Moved => panic!("I4: the journal's head was moved by another than its leader {id}"),
        }
    }

    pub(crate) fn on_disk(&mut self, id: HeadId, batch: BatchId) {
        let waits = |head: &&Head| head.writing.as_ref().is_some_and(|writing| writing.id == batch);
        let writing = self.heads.get(&id).filter(waits).and_then(|head| head.writing.as_ref());
        let (Some(writing), Store::Own(disk)) = (writing, &mut self.store) else { return };
        disk.write(writing.records.len() as u64, self.mutant != Some(Mutant::NoSync));
        disk.acknowledge();
        self.ledger.append(writing.first, &writing.records, id, &mut self.met);
        self.appended(id);
    }

    /// A coordinator knows that what it was writing is durable.
    fn appended(&mut self, id: HeadId) {
        let head = self.heads.get_mut(&id).unwrap();
        let Some(writing) = head.writing.take() else { return };
        head.durable += writing.records.len() as u64;
        if !head.leads {
            head.begins(self.now);
            self.give_head(id, Input::Tick);
            // A person who submitted to a coordinator that died before it answered submits again.
            return (0..self.specs.len()).for_each(|study| self.submit(study));
        }
        self.ledger.check(head, false);
        self.grant_wishes(id, writing.done());
        self.with_head(id, |_| {});
    }

    /// A coordinator's process ends. What it was writing may be durable all the same.
    pub(crate) fn head_ends(&mut self, id: HeadId, death: Option<Death>) {
        let ruled = self.ruler() == Some(id);
        let Some(mut head) = self.heads.remove(&id) else { return };
        if ruled {
            self.ledger.check(&head, true);
        }
        if let (Some(writing), Some(death)) = (head.writing.take(), death) {
            match (&mut self.store, death.last_batch_survives) {
                (Store::Own(disk), false) => {
                    self.met.batches_lost += 1;
                    disk.torn = death.power;
                }
                (Store::Own(disk), true) => {
                    disk.write(writing.records.len() as u64, true);
                    self.ledger.append(writing.first, &writing.records, id, &mut self.met);
                    self.met.batches_without_effects += 1;
                }
                // It is on its way.
                (Store::Shared(_), true) => {}
                (Store::Shared(cluster), false) => {
                    self.met.batches_lost += u32::from(cluster.last_batch() != writing.id);
                    self.never.insert(writing.id);
                }
            }
        }
        if let (Store::Own(disk), true) = (&mut self.store, death.is_some_and(|death| death.power)) {
            self.met.power_cuts += 1;
            disk.lose_power();
        }
        for link in head.links {
            let sees = Sees { machine: self.dice.between(0, 2_000), head: 0, late: None };
            self.links.get_mut(&link).unwrap().cut(self.now, sees, &mut self.agenda, &mut self.met);
        }
    }

    pub(crate) fn head_dies(&mut self, id: HeadId, death: Death) {
        if let Some(host) = self.heads.get(&id).map(|head| head.host) {
            self.head_ends(id, Some(death));
            self.agenda.put(self.now + death.down, Event::HeadStarts { host });
        }
    }
}
