//! What happens when: a queue of events, and the dice that say how long things take.

use std::collections::BTreeMap;

use ar_common::frames::{CoordinatorFrame, LeaseRef, WorkerFrame};
use ar_common::{Epoch, Outcome, Seq, StudyId};
use ar_core::Planned;

use super::faults::{Death, Fault};
use super::store::{Answer, Write};

/// One connection, and the session that the coordinator knows it as.
pub(crate) type LinkId = u64;
/// One start of a coordinator.
pub(crate) type HeadId = u64;
/// A machine for coordinators; it stays while their processes come and go.
pub(crate) type HostId = usize;
/// One batch of records.
pub(crate) type BatchId = u64;
/// One worker machine; it stays while its process comes and goes.
pub(crate) type MachineId = usize;
/// One start of a worker's process.
pub(crate) type Boot = u64;

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A frame arrives at a coordinator.
    AtHead { link: LinkId, frame: WorkerFrame },
    /// A coordinator sees the end of a connection.
    HeadSeesEnd { link: LinkId },
    /// A frame arrives at a worker.
    AtMachine { link: LinkId, epoch: Epoch, frame: CoordinatorFrame },
    /// A worker sees the end of a connection.
    MachineSeesEnd { link: LinkId },
    /// A worker tries to connect.
    Connect { machine: MachineId, boot: Boot },
    /// A worker wants to be woken.
    Wake { machine: MachineId, boot: Boot },
    /// A study's environment stands, or cannot be made.
    Prepared { machine: MachineId, boot: Boot, study: StudyId, stands: bool },
    /// Something happens to a process.
    Process { machine: MachineId, boot: Boot, run: u64, what: Moment },
    /// A result has reached a worker's disk.
    Spooled { machine: MachineId, boot: Boot, lease: LeaseRef },
    /// A worker believes that a result has reached its disk.
    SaysSpooled { machine: MachineId, boot: Boot, lease: LeaseRef },
    /// A worker's process starts, if none runs.
    MachineStarts { machine: MachineId },
    /// A coordinator's batch is on its own disk.
    OnDisk { head: HeadId, batch: BatchId },
    /// A coordinator's batch arrives at the shared store.
    AtStore { write: Write },
    /// The shared store's answer arrives.
    Answered { head: HeadId, batch: BatchId, answer: Answer },
    /// A coordinator has waited long enough for an answer, if there was none.
    AskAgain { head: HeadId, batch: BatchId },
    /// A coordinator that stands by tries to lead.
    Campaign { head: HeadId },
    /// A leader keeps its right to lead alive.
    KeepAlive { head: HeadId },
    /// It hears whether it still had that right.
    KeptAlive { head: HeadId, alive: bool },
    /// A coordinator looks at its clock.
    Tick { head: HeadId },
    /// A search has answered.
    Planned { head: HeadId, study: StudyId, as_of: Seq, plan: Planned },
    /// A coordinator starts, if none runs there.
    HeadStarts { host: HostId },
    /// A coordinator that was stopped goes on.
    Woke { head: HeadId },
    /// This one dies.
    HeadDies { head: HeadId, death: Death },
    /// Something breaks.
    Fault(Fault),
    /// Everything heals.
    Heal,
}

/// Whose shell an event is for: it waits for one that is paused.
pub(crate) enum For {
    Head(HeadId),
    HeadOf(LinkId),
    Machine(MachineId),
    MachineOf(LinkId),
    World,
}

impl Event {
    pub(crate) fn is_for(&self) -> For {
        match self {
            Self::AtHead { link, .. } | Self::HeadSeesEnd { link } => For::HeadOf(*link),
            Self::AtMachine { link, .. } | Self::MachineSeesEnd { link } => For::MachineOf(*link),
            Self::Connect { machine, .. }
            | Self::Wake { machine, .. }
            | Self::Prepared { machine, .. }
            | Self::Process { machine, .. }
            | Self::Spooled { machine, .. } => For::Machine(*machine),
            Self::OnDisk { head, .. }
            | Self::Answered { head, .. }
            | Self::AskAgain { head, .. }
            | Self::Campaign { head }
            | Self::KeepAlive { head }
            | Self::KeptAlive { head, .. }
            | Self::Tick { head }
            | Self::Planned { head, .. } => For::Head(*head),
            Self::Fault(Fault::LoseProcesses { machine } | Fault::Drain { machine, .. }) => {
                For::Machine(*machine)
            }
            _ => For::World,
        }
    }
}

/// What happens to a process.
#[derive(Debug, Clone)]
pub(crate) enum Moment {
    Started,
    Matrix(String),
    Fold { fold: u32, score: f64 },
    Ended(Outcome),
}

/// Events in order of time; those of one time in the order in which they were put in.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    pub(crate) fn next(&mut self) -> Option<((u64, u64), Event)> {
        self.events.pop_first()
    }

    /// Puts what was next off until `at`, in its place among what waits for then: what comes over one connection stays
    /// in its order.
    pub(crate) fn put_off(&mut self, (_, count): (u64, u64), at: u64, event: Event) {
        self.events.insert((at, count), event);
    }

    /// Delays all frames that are on their way to a coordinator over this connection, in their order.
    /// When the last of them arrives.
    pub(crate) fn delay(&mut self, link: LinkId, ms: u64) -> Option<u64> {
        let is_on_it = |event: &Event| matches!(event, Event::AtHead { link: l, .. } if *l == link);
        let late: Vec<(u64, u64)> =
            self.events.iter().filter(|(_, event)| is_on_it(event)).map(|(key, _)| *key).collect();
        for key in &late {
            if let Some(event) = self.events.remove(key) {
                self.put(key.0 + ms, event);
            }
        }
        late.last().map(|(at, _)| at + ms)
    }
}

/// Draws that depend on nothing but the seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least `low`, and less than `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low)
    }

    /// One of so many.
    pub(crate) fn index(&mut self, of: u64) -> usize {
        usize::try_from(self.between(0, of)).unwrap_or(0)
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.draw().is_multiple_of(n)
    }
}
