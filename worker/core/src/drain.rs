//! Leaving: give back what waits, finish or stop what runs, deliver what is kept, go.

use ar_common::Millis;
use ar_common::frames::LeaseRef;
use ar_common::frames::WorkerFrame;

use crate::input::Effect;
use crate::worker::Worker;

impl Worker {
    pub(crate) fn drain(&mut self, until: Millis) {
        self.drain_until = Some(self.drain_until.map_or(until, |earlier| earlier.min(until)));
        let waiting: Vec<LeaseRef> = self.queue.drain(..).map(|grant| grant.lease).collect();
        // Told first, so that what is given back does not come straight back.
        self.heartbeat();
        if !waiting.is_empty() {
            self.send(WorkerFrame::Released { leases: waiting });
        }
    }

    /// A drained worker leaves when nothing runs and nothing waits for the disk. A result that was
    /// not answered yet is durable and is offered by the next start, so it does not hold the exit
    /// when the coordinator is gone.
    pub(crate) fn check_drained(&mut self) {
        let writing = self.spool.values().any(|(_, durable)| !durable);
        let unanswered = self.welcomed && !self.spool.is_empty();
        if self.drain_until.is_some() && self.running.is_empty() && !writing && !unanswered {
            self.effects.push(Effect::Exit);
        }
    }
}
