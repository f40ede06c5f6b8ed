//! What coordinators of a world are told, and what they want.

use ar_common::Digest;
use ar_common::frames::WorkerFrame;
use ar_core::{Input, Status};

use super::agenda::{Event, HeadId, LinkId};
use super::faults::Mutant;
use super::head::{self, Head, Wish};
use super::ledger::Asked;
use super::link::{Link, Way};
use super::search::search;
use super::world::World;

impl World {
    pub(crate) fn give_head(&mut self, id: HeadId, input: Input) {
        let now = self.now;
        self.with_head(id, |head| head.step(input, now));
    }

    pub(crate) fn with_head(&mut self, id: HeadId, act: impl FnOnce(&mut Head)) {
        let Some(head) = self.heads.get_mut(&id).filter(|head| head.leads) else {
            return;
        };
        act(head);
        assert_eq!(ar_core::check(&head.core), vec![], "I2, I3 in the core of coordinator {id}");
        let wishes = head.flush(self.now, &mut self.agenda, &mut self.dice, &mut self.batches);
        self.grant_wishes(id, wishes);
    }

    pub(crate) fn grant_wishes(&mut self, id: HeadId, wishes: Vec<Wish>) {
        let epoch = self.heads[&id].epoch();
        for wish in wishes {
            match wish {
                Wish::Send(link, frame) => {
                    self.ledger.leaves(&frame, &mut self.met);
                    let (link, now, mut way) = self.way(link);
                    link.carry_to_machine(now, epoch, frame, &mut way);
                }
                Wish::Close(link) => {
                    self.met.closed += 1;
                    self.met.closed_alive +=
                        u32::from(self.listener(link).is_some_and(|_| !self.links[&link].is_deaf()));
                    self.links.get_mut(&link).unwrap().close(self.now, &mut self.agenda, &mut self.dice);
                }
                Wish::Plan { study, want, as_of, time } => {
                    // The state may be ahead of `as_of` by now, as it may be in the actor.
                    let state = &self.heads[&id].core.state;
                    let plan = search(state, &study, want, time);
                    let asked = Asked {
                        by: id,
                        seen: state.seq,
                        study: study.clone(),
                        want,
                        time,
                        plan: plan.clone(),
                    };
                    self.ledger.asked(asked);
                    let (rarely, dice) = (self.dice.once_in(20), &mut self.dice);
                    let ms = if rarely { dice.between(1_000, 60_000) } else { dice.between(1, 100) };
                    self.agenda.put(self.now + ms, Event::Planned { head: id, study, as_of, plan });
                }
                Wish::Write => self.send_write(id),
            }
        }
    }

    /// A connection, and the network under it.
    pub(crate) fn way(&mut self, link: LinkId) -> (&mut Link, u64, Way<'_>) {
        let rough = self.rough_until > self.now;
        let way = Way { agenda: &mut self.agenda, dice: &mut self.dice, met: &mut self.met, rough };
        (self.links.get_mut(&link).unwrap(), self.now, way)
    }

    pub(crate) fn at_head(&mut self, link: LinkId, frame: WorkerFrame) {
        let (head, machine, session) =
            (self.links[&link].head, self.links[&link].machine, head::session(link));
        if self.heads.get(&head).is_none_or(|head| !head.links.contains(&link)) {
            self.met.dropped += 1;
            return;
        }
        let newest = &mut self.machines[machine].heard_on;
        self.met.reordered += u32::from(link < *newest);
        *newest = link.max(*newest);
        let frame = self.mistaken(head, frame);
        let input = match frame {
            WorkerFrame::Hello(hello) => Input::Hello { session, hello },
            WorkerFrame::Preparing { .. } | WorkerFrame::Progress { .. } => return,
            WorkerFrame::Ready { study, unavailable, .. } => Input::Ready { session, study, unavailable },
            WorkerFrame::NotReady { study, why } => Input::NotReady { session, study, why },
            WorkerFrame::Heartbeat { leases, draining, slots, why_fewer, .. } => {
                Input::Heartbeat { session, leases, draining, slots, why_fewer }
            }
            WorkerFrame::Started { lease } => Input::Started { session, lease },
            WorkerFrame::Released { leases } => Input::Released { session, leases },
            WorkerFrame::Completed { lease, outcome, digest } => {
                Input::Completed { session, lease, outcome, digest }
            }
        };
        self.give_head(head, input);
    }

    /// What a coordinator makes of a frame that looks at no token.
    fn mistaken(&self, head: HeadId, frame: WorkerFrame) -> WorkerFrame {
        let WorkerFrame::Completed { mut lease, outcome, digest } = frame else { return frame };
        let experiment = self.heads[&head].core.state.experiment(lease.experiment);
        let goes_on = experiment.filter(|e| !matches!(e.status, Status::Done { .. }));
        if let (Some(Mutant::AnyLease), Some(newest)) = (self.mutant, goes_on.and_then(|e| e.newest_lease)) {
            lease.lease = newest;
        }
        WorkerFrame::Completed { lease, outcome, digest }
    }

    /// A person submits to whoever leads, or believes so.
    pub(crate) fn submit(&mut self, study: usize) {
        let awake = |head: &&Head| head.leads && head.paused_until <= self.now;
        let believes = || self.heads.values().find(awake).map(|head| head.id);
        let ruler = self.ruler().filter(|id| self.heads.get(id).is_some_and(|head| awake(&head)));
        let Some(id) = ruler.or_else(believes) else { return };
        let spec = Box::new(self.specs[study].clone());
        self.give_head(id, Input::Submit { spec, tree: Digest::of(b"tree") });
    }
}
