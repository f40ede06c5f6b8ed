//! What comes into a worker and what it asks for.

use ar_common::frames::{CoordinatorFrame, Figures, Grant, LeaseRef, Unavailable, WorkerFrame};
use ar_common::{Digest, Epoch, Outcome, StudyId};

/// A result that is kept until the coordinator has answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpoolEntry {
    /// Under which lease.
    pub lease: LeaseRef,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// Digest of the outcome.
    pub digest: Digest,
}

/// What can happen to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A stream to the coordinator is open.
    Connected,
    /// The stream is gone.
    Disconnected,
    /// The coordinator spoke.
    Frame {
        /// The reign it speaks from.
        epoch: Epoch,
        /// What it said.
        frame: CoordinatorFrame,
    },
    /// Preparing a study goes on.
    Preparing {
        /// Which.
        study: StudyId,
        /// What it is doing, one line.
        text: String,
    },
    /// A study's environment stands.
    Prepared {
        /// Which.
        study: StudyId,
        /// Options that do not work here.
        unavailable: Vec<Unavailable>,
        /// Facts for a person, one line.
        facts: String,
    },
    /// A study's environment cannot be made.
    PrepareFailed {
        /// Which.
        study: StudyId,
        /// Why, and what to do.
        why: String,
    },
    /// The process of an attempt runs.
    Started {
        /// Which.
        lease: LeaseRef,
    },
    /// An attempt's training matrix is known, before the costly part of it.
    Matrix {
        /// Which.
        lease: LeaseRef,
        /// Hash of matrix and model.
        hash: String,
    },
    /// An attempt has a score on one more fold.
    Fold {
        /// Which attempt.
        lease: LeaseRef,
        /// Which fold, from 0.
        fold: u32,
        /// Its score.
        score: f64,
        /// Seconds of fitting and predicting it.
        seconds: f64,
    },
    /// How far an attempt is, for whoever watches.
    Progress {
        /// Which attempt.
        lease: LeaseRef,
        /// What is known by now.
        figures: Figures,
    },
    /// An attempt does not begin yet: what its study needs is made ready again. Its deadline waits.
    Waits {
        /// Which attempt.
        lease: LeaseRef,
    },
    /// An attempt that waited begins; its time counts from now on.
    Begins {
        /// Which attempt.
        lease: LeaseRef,
    },
    /// An attempt did not begin: what its study needs is no longer on this worker.
    Unready {
        /// Which attempt.
        lease: LeaseRef,
        /// What is missing, and what to do.
        why: String,
    },
    /// An attempt did not begin: this worker has no space for it, and was told to run nothing.
    NoSpace {
        /// Which attempt.
        lease: LeaseRef,
    },
    /// An attempt's process is gone, with all its descendants.
    Ended {
        /// Which.
        lease: LeaseRef,
        /// How, as far as its supervisor can tell.
        outcome: Outcome,
    },
    /// An attempt's process is gone through no fault of its own, e.g. with the server that held it.
    Lost {
        /// Which.
        lease: LeaseRef,
        /// What happened, one line.
        why: String,
    },
    /// A result is durable in the spool, or cannot be and would be lost if it were not offered.
    Spooled {
        /// Which.
        lease: LeaseRef,
    },
    /// What attempts need has become less, or is there again: a GPU failed or recovered, the disk got full or was freed.
    Capacity {
        /// How many experiments may run at once from now on; those that run go on.
        slots: u32,
        /// What happened, one line for a person; empty if that is known.
        what: String,
        /// Why these are fewer than usual, one line for a person; empty if they are not.
        why_fewer: String,
    },
    /// Finish what fits and leave.
    Drain {
        /// How long running attempts may go on, milliseconds.
        grace_ms: u64,
    },
    /// Time passed.
    Tick,
}

/// What the shell is asked to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a frame; if the stream is gone, drop it: what matters is said again after the next Welcome.
    Send(WorkerFrame),
    /// Make a study's environment and load its data.
    Prepare {
        /// Which.
        study: StudyId,
        /// The blob that lists its files.
        tree: Digest,
    },
    /// Start an attempt.
    Run(Grant),
    /// End an attempt's whole process tree: ask, wait the grace, then kill.
    Stop {
        /// Which.
        lease: LeaseRef,
        /// Between asking and killing, milliseconds.
        grace_ms: u64,
    },
    /// Make a result durable and come back with [`Input::Spooled`].
    Spool(SpoolEntry),
    /// Forget a spooled result.
    Unspool(LeaseRef),
    /// Drop this stream and open another one.
    Reconnect {
        /// Why.
        why: String,
    },
    /// Nothing is left to do: end the process.
    Exit,
}
