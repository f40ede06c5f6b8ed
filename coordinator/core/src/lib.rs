//! The coordinator's state machine.
//!
//! [`step()`] takes the core, one [`Input`] and the time, and returns the [`Record`]s to journal and the
//! [`Effect`]s to run once those records are durable. Records are applied to `state` at once; the
//! shell holds the effects back. `state` is the fold of the journal; `live` is what a restart
//! forgets and the workers tell again.
//!
//! *Architecture Invariant:* no I/O, no clock, no randomness; nothing of search, gRPC or Python.

mod apply;
mod archive;
mod checkpoints;
mod completion;
mod experiments;
mod holding;
mod input;
mod invariants;
mod lease;
mod live;
mod pairs;
mod placement;
mod planning;
mod record;
mod references;
mod sharing;
mod snapshot;
mod state;
mod steering;
mod step;

pub use archive::{Archive, ArchiveError, Archived, blobs_of};
pub use experiments::Experiments;
pub use holding::Hold;
pub use input::{Effect, Input, Planned, PlannedExperiment, SessionId, TimeLeft};
pub use invariants::{Audit, Violation, check};
pub use live::{Live, LiveLease, LiveWorker, Planning, Timing};
pub use record::{Loss, Record};
pub use snapshot::SnapshotError;
pub use state::{Experiment, Finish, Keys, Phase, State, Status, Study};
pub use step::{Core, Output, settle, step, take};
