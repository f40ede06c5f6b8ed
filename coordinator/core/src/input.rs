//! What comes into the core and what it asks for.

use ar_common::frames::{CoordinatorFrame, HeldLease, Hello, LeaseRef, Unavailable};
use ar_common::{
    Block, Config, Digest, ExperimentId, ExperimentKey, Member, Mode, Outcome, Race, Seq, StudyId, StudySpec,
    Verdict, WorkerId,
};
use serde::{Deserialize, Serialize};

use crate::archive::Archive;

/// One connection of one worker; never reused by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What can happen to the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A study was submitted; an extension if it is there already.
    Submit {
        /// What it is.
        spec: Box<StudySpec>,
        /// The blob that lists its files.
        tree: Digest,
    },
    /// A worker opened a session.
    Hello {
        /// Its connection.
        session: SessionId,
        /// What it said.
        hello: Hello,
    },
    /// A worker's environment for a study stands.
    Ready {
        /// Whose.
        session: SessionId,
        /// Which study.
        study: StudyId,
        /// Options that do not work there.
        unavailable: Vec<Unavailable>,
    },
    /// A worker cannot make a study's environment.
    NotReady {
        /// Whose.
        session: SessionId,
        /// Which study.
        study: StudyId,
        /// Why.
        why: String,
    },
    /// A worker lists every lease it holds.
    Heartbeat {
        /// Whose.
        session: SessionId,
        /// All of them.
        leases: Vec<HeldLease>,
        /// Whether it takes no more.
        draining: bool,
        /// How many experiments it runs at once by now, if it says so.
        slots: Option<u32>,
        /// Why these are fewer than usual; empty if they are not.
        why_fewer: String,
    },
    /// A lease's process started.
    Started {
        /// Whose.
        session: SessionId,
        /// Which.
        lease: LeaseRef,
    },
    /// Leases given back unrun.
    Released {
        /// Whose.
        session: SessionId,
        /// Which.
        leases: Vec<LeaseRef>,
    },
    /// A result; its blobs are already here.
    Completed {
        /// Whose.
        session: SessionId,
        /// Under which lease.
        lease: LeaseRef,
        /// How the attempt ended.
        outcome: Outcome,
        /// Digest of the outcome.
        digest: Digest,
    },
    /// A connection ended. Its leases live on until they lapse.
    Disconnected {
        /// Whose.
        session: SessionId,
    },
    /// The answer to [`Effect::Plan`].
    Planned {
        /// Of which study.
        study: StudyId,
        /// The position the plan saw.
        as_of: Seq,
        /// The answer.
        plan: Planned,
    },
    /// The time for searching is over: the study goes on to its confirmation.
    SearchTimeOver {
        /// Which study.
        study: StudyId,
    },
    /// All of a study's time is over: what runs is called off and the verdict is drawn.
    TimeOver {
        /// Which study.
        study: StudyId,
    },
    /// Somebody wants a study to wait, or to go on. What runs is finished.
    Pause {
        /// Which study.
        study: StudyId,
        /// Whether it is to wait.
        paused: bool,
    },
    /// Somebody wants a study to end: what runs is called off, and there is no verdict.
    Cancel {
        /// Which study.
        study: StudyId,
    },
    /// The experiments of a study that has ended are in this archive.
    Archive {
        /// Which study.
        study: StudyId,
        /// The blob.
        archive: Digest,
        /// The position of the state that it was made of.
        as_of: Seq,
    },
    /// Experiments of a study, from its archive.
    Recall(Archive),
    /// Somebody wants a worker to finish what it runs and get nothing more.
    Hold {
        /// Which.
        worker: WorkerId,
        /// Why, for people.
        why: String,
    },
    /// Somebody wants a worker to get experiments again.
    Readmit {
        /// Which.
        worker: WorkerId,
    },
    /// Time passed.
    Tick,
}

/// What the search answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// Experiments to run.
    Experiments(Vec<PlannedExperiment>),
    /// Nothing to suggest until a pending experiment ends.
    Wait,
    /// The search is over.
    Conclude(Verdict),
    /// Nothing has a score and nothing is left to try.
    Failed,
}

/// An experiment as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedExperiment {
    /// Its number; the core gives it, a plan's own is ignored.
    pub id: ExperimentId,
    /// The configuration.
    pub config: Config,
    /// On what it is evaluated.
    pub block: Block,
    /// Why it was chosen.
    pub mode: Mode,
    /// In which round.
    pub round: u32,
    /// Why, in one line for a person.
    pub reason: String,
    /// Those who vote, of an ensemble; its `config` is the space's base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Against whom it runs; to its end if against nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Box<Race>>,
    /// The improvement over the best that the search expected of it, in units of the metric; absent where it expected none
    /// in numbers: first looks, repeats, other samplers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_gain: Option<f64>,
}

impl PlannedExperiment {
    /// By what it is told from the others of its study.
    pub fn key(&self) -> ExperimentKey {
        let (config, members) = (self.config.clone(), self.members.clone());
        ExperimentKey { config, block: self.block, members }
    }

    /// What it takes from the budget, in full evaluations of a configuration.
    pub fn cost(&self) -> u32 {
        if self.block.counts() { ar_common::ensemble::cost(&self.members) } else { 0 }
    }
}

/// How much of a study's time limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TimeLeft {
    /// None: draw the verdict from what is there.
    Nothing,
    /// Only the share that is kept for confirmation.
    Confirmation,
    /// There is no limit, or it is far.
    #[default]
    All,
}

/// What the shell is asked to do once the records of the same step are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a frame on a connection, if it is still there.
    Send {
        /// Which connection.
        session: SessionId,
        /// What.
        frame: CoordinatorFrame,
    },
    /// End a connection.
    Close {
        /// Which.
        session: SessionId,
        /// What to tell the worker.
        why: String,
        /// Whether it need not try again.
        for_good: bool,
    },
    /// Ask the search for experiments and come back with [`Input::Planned`].
    Plan {
        /// For which study.
        study: StudyId,
        /// How many at most.
        want: usize,
        /// The position of the state to plan from.
        as_of: Seq,
        /// How much of the study's time is left.
        time: TimeLeft,
    },
}
