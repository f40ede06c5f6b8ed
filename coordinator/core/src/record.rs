//! What the journal holds: the only truth. A record says what has happened, never what to do.

use ar_common::{
    Attempt, Budget, Digest, Epoch, ExperimentId, LeaseSeq, Limits, Outcome, SearchSpec, Seq, StudyId,
};
use ar_common::{StudySpec, Verdict, WorkerId};
use serde::{Deserialize, Serialize};

use crate::input::PlannedExperiment;
use crate::state::{Experiment, Finish};

/// One fact. Journaled as a MessagePack map with names; a kind or field is never renamed, only added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Record {
    /// The store was made (or restored, or migrated): the first record.
    StoreMade {
        /// Version of the record format.
        format: u32,
        /// Drawn at random; part of every lease's fencing token.
        incarnation: u64,
    },
    /// A coordinator began its reign.
    Elected {
        /// Its epoch, above every earlier one.
        epoch: Epoch,
    },
    /// A study was submitted.
    Submitted {
        /// Its identity.
        study: StudyId,
        /// What it is.
        spec: Box<StudySpec>,
        /// The blob that lists the files its attempts need.
        tree: Digest,
    },
    /// A study that was there got a larger budget or other limits.
    Extended {
        /// Which.
        study: StudyId,
        /// From now on.
        budget: Budget,
        /// From now on.
        limits: Limits,
        /// From now on.
        #[serde(default, skip_serializing_if = "SearchSpec::is_default")]
        search: SearchSpec,
    },
    /// An option was taken out of a study's space.
    OptionRemoved {
        /// Which study.
        study: StudyId,
        /// Its dimension.
        dimension: String,
        /// Its name.
        option: String,
        /// Why.
        reason: String,
    },
    /// Experiments were planned.
    Planned {
        /// Of which study.
        study: StudyId,
        /// The journal position that the plan saw.
        as_of: Seq,
        /// Which.
        experiments: Vec<PlannedExperiment>,
    },
    /// A lease was granted; its token is this record's position with the store's incarnation.
    Granted {
        /// Which experiment.
        experiment: ExperimentId,
        /// Which execution of it.
        attempt: Attempt,
        /// To whom.
        worker: WorkerId,
        /// To which start of that worker.
        boot: u64,
        /// Hard deadline from its start, milliseconds.
        deadline_ms: u64,
    },
    /// A lease ended without a result, and the experiment waits for its next attempt.
    Requeued {
        /// Which experiment.
        experiment: ExperimentId,
        /// The lease that ended.
        lease: LeaseSeq,
        /// How it was lost.
        cause: Loss,
        /// Whether its process was running; three of these quarantine the experiment.
        running: bool,
    },
    /// An experiment ended, once and for ever.
    Done {
        /// Which.
        experiment: ExperimentId,
        /// Under which lease; none if it ended without running.
        lease: Option<LeaseSeq>,
        /// Digest of the outcome as the worker sent it.
        digest: Digest,
        /// How.
        outcome: Outcome,
    },
    /// A result was refused; kept for audit, never a result.
    Refused {
        /// Of which experiment.
        experiment: ExperimentId,
        /// The lease it came under.
        lease: LeaseSeq,
        /// Why.
        why: String,
    },
    /// The search ended with a verdict.
    Concluded {
        /// Of which study.
        study: StudyId,
        /// The answer.
        verdict: Verdict,
    },
    /// The sealed rows of a study were opened.
    SealedOpened {
        /// Of which study.
        study: StudyId,
    },
    /// A study waits, or goes on.
    Paused {
        /// Which.
        study: StudyId,
        /// Whether it waits.
        paused: bool,
    },
    /// A study ended.
    Finished {
        /// Which.
        study: StudyId,
        /// How.
        how: Finish,
    },
    /// The experiments of a study that has ended are in an archive, and here no more.
    Archived {
        /// Which.
        study: StudyId,
        /// The blob that holds them.
        archive: Digest,
    },
    /// Experiments came back from an archive, as they were.
    Recalled {
        /// Of which study.
        study: StudyId,
        /// Some of them.
        experiments: Vec<Experiment>,
        /// Whether these are the last.
        last: bool,
    },
    /// A worker gets nothing more.
    Held {
        /// Which.
        worker: WorkerId,
        /// Which start of it; every one if none is named.
        boot: Option<u64>,
        /// Why.
        why: String,
    },
    /// A worker gets experiments again.
    Readmitted {
        /// Which.
        worker: WorkerId,
    },
}

/// How a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// No heartbeat listed it for a whole ttl.
    Lapsed,
    /// The worker gave it back unrun.
    Released,
    /// The worker came back without it.
    Forgotten,
}

impl Record {
    /// Version of the record format that this code writes.
    pub const FORMAT: u32 = 1;
}
