//! What coordinator and worker say to each other, as plain types. `ar-proto` puts them on the wire.
//!
//! Only durations travel, never wall-clock times: the two clocks need not agree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::digest::Digest;
use crate::ensemble::Member;
use crate::experiment::Block;
use crate::ids::{Attempt, Epoch, ExperimentId, LeaseSeq, StudyId, WorkerId};
use crate::outcome::Outcome;
use crate::racing::Race;

/// Oldest protocol version this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Newest protocol version this build speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// The version both sides speak, or `None` if their ranges do not meet.
pub fn negotiate(min: u32, max: u32) -> Option<u32> {
    let version = max.min(PROTOCOL_MAX);
    (version >= min.max(PROTOCOL_MIN)).then_some(version)
}

/// One lease, named by its experiment and its fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeaseRef {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The token.
    pub lease: LeaseSeq,
}

/// Where on a worker a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseStage {
    /// Waiting for a slot.
    Queued,
    /// Its process runs.
    Running,
    /// Ended; its result is on its way.
    Uploading,
}

/// A lease that a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Which.
    pub lease: LeaseRef,
    /// Where it is.
    pub stage: LeaseStage,
}

/// What a worker's machine has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hardware {
    /// Host name.
    pub host: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Processor model.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: u32,
    /// Bytes of memory this process may use (the cgroup's limit if that is lower).
    pub memory: u64,
    /// How attempts are kept apart and ended on this machine.
    pub isolation: String,
    /// The GPUs that attempts are pinned to, in the driver's order; empty where there is none that can be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    /// What is known of the machine's GPUs beside that, one line: the driver, or why there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub accelerator: String,
}

/// A GPU, or an instance of one that is partitioned (MIG).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gpu {
    /// Its model, e.g. `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// The driver's name of this one piece, e.g. `GPU-8932f937-d72c-4106-c12f-20bd9faed9f6`.
    pub uuid: String,
    /// Bytes of memory; 0 where it is not known.
    pub memory: u64,
    /// The driver's version; empty where it is not known.
    pub driver: String,
    /// Whether it is a MIG instance.
    pub mig: bool,
}

/// An option that cannot be used on a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// Its dimension.
    pub dimension: String,
    /// Its name.
    pub option: String,
    /// One line.
    pub reason: String,
}

/// A worker's first words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its stable name.
    pub worker: WorkerId,
    /// Drawn at each start: another boot has none of the former one's processes.
    pub boot: u64,
    /// Oldest protocol it speaks.
    pub protocol_min: u32,
    /// Newest protocol it speaks.
    pub protocol_max: u32,
    /// Its machine.
    pub hardware: Hardware,
    /// How many experiments it runs at once.
    pub slots: u32,
    /// Leases it holds from before.
    pub leases: Vec<HeldLease>,
    /// Results it keeps and will offer again.
    pub spooled: Vec<LeaseRef>,
    /// What whoever started it says of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The right to run one attempt, and all that is needed to do so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Which experiment, under which token.
    pub lease: LeaseRef,
    /// Which execution of it.
    pub attempt: Attempt,
    /// Its study, which the worker has prepared.
    pub study: StudyId,
    /// The configuration.
    pub config: Config,
    /// On what it is evaluated.
    pub block: Block,
    /// The base configuration, with which a sealed block compares.
    pub reference: Config,
    /// Hard deadline from its start, milliseconds.
    pub deadline_ms: u64,
    /// Time between asking a process to end and ending it, milliseconds.
    pub grace_ms: u64,
    /// Bytes of memory it may take beyond what its server holds.
    pub memory: Option<u64>,
    /// Those who vote, of an ensemble; then `config` is of no account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Against whom it runs; it runs to its end if against nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Box<Race>>,
    /// UUIDs of the GPUs on which it is best run, as pairs that are compared should share one. A wish: those that are not
    /// free are replaced by others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// What it starts from and when what it leaves is kept; absent where checkpoints are nobody's business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<CheckpointOrder>>,
}

/// What a training run starts from, and when what it leaves is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointOrder {
    /// The blob that it starts from; it starts anew if absent.
    pub from: Option<Digest>,
    /// What it leaves is kept, and sent with its result, if its score is better than this; in any case if absent.
    pub better_than: Option<f64>,
}

/// How far a training run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Seconds since it began to train.
    pub seconds: f64,
    /// The loss that it told last.
    pub loss: Option<f64>,
    /// Share of its time to train that has passed, 0 to 1.
    pub share: Option<f64>,
}

/// From worker to coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkerFrame {
    /// Opens the session.
    Hello(Hello),
    /// What preparing a study is doing, for a person.
    Preparing {
        /// Which study.
        study: StudyId,
        /// One line.
        text: String,
    },
    /// The study's environment stands; leases may come.
    Ready {
        /// Which study.
        study: StudyId,
        /// Options that do not work here.
        unavailable: Vec<Unavailable>,
        /// Facts about the loaded data for a person, one line.
        facts: String,
    },
    /// The study's environment cannot be made here.
    NotReady {
        /// Which study.
        study: StudyId,
        /// What is wrong and what to do.
        why: String,
    },
    /// Renews every lease listed; all leases held are listed.
    Heartbeat {
        /// Every lease held.
        leases: Vec<HeldLease>,
        /// Whether the worker takes no more.
        draining: bool,
        /// How many experiments it runs at once by now, if it says so: fewer than at its start when a GPU has failed.
        slots: Option<u32>,
        /// What a person should know, one line; empty if there is nothing new.
        notice: String,
        /// Why it runs fewer at once than it usually does, one line, as long as it does; else empty.
        why_fewer: String,
    },
    /// The process of a lease has started.
    Started {
        /// Which.
        lease: LeaseRef,
    },
    /// How far a run is, for whoever watches; decides nothing, and the next one replaces it.
    Progress {
        /// Which.
        lease: LeaseRef,
        /// What is known by now.
        figures: Figures,
    },
    /// Leases given back unrun.
    Released {
        /// Which.
        leases: Vec<LeaseRef>,
    },
    /// An attempt ended; the result is kept by the worker until it is answered.
    Completed {
        /// Which.
        lease: LeaseRef,
        /// How.
        outcome: Outcome,
        /// Digest of the outcome, by which a repeat is told from another result.
        digest: Digest,
    },
}

/// From coordinator to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CoordinatorFrame {
    /// Accepts the session.
    Welcome {
        /// The store's incarnation, as a name of the cluster.
        cluster: u64,
        /// The reign; a worker refuses frames of a lower one.
        epoch: Epoch,
        /// How long a lease lives without a heartbeat, milliseconds.
        lease_ttl_ms: u64,
        /// How often to send one, milliseconds.
        heartbeat_ms: u64,
        /// The protocol version spoken.
        protocol: u32,
    },
    /// Make a study's environment and load its data.
    Prepare {
        /// Which study.
        study: StudyId,
        /// The blob that lists its files.
        tree: Digest,
    },
    /// Run an attempt.
    Grant(Grant),
    /// Give back a lease if it has not started.
    Revoke {
        /// Which.
        lease: LeaseRef,
    },
    /// End a lease, started or not.
    Cancel {
        /// Which.
        lease: LeaseRef,
        /// One line.
        why: String,
    },
    /// The result is durable; the worker may forget it.
    Ack {
        /// Which.
        lease: LeaseRef,
    },
    /// The result is not wanted and never will be; the worker may forget it.
    Refused {
        /// Which.
        lease: LeaseRef,
        /// One line.
        why: String,
    },
    /// No more work: finish what fits the grace, release the rest, and leave.
    Drain,
}

/// The digest that travels with an outcome.
pub fn outcome_digest(outcome: &Outcome) -> Digest {
    // Serialising plain data to memory has no way to fail; floats are written exactly.
    Digest::of(&serde_json::to_vec(outcome).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_meet_or_they_do_not() {
        assert_eq!(negotiate(1, 1), Some(1));
        assert_eq!(negotiate(1, 9), Some(1));
        assert_eq!(negotiate(2, 9), None);
        assert_eq!(negotiate(0, 0), None);
    }
}
