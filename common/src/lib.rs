//! The words of the system as types, shared by every other crate.
//!
//! *Architecture Invariant:* nothing here does I/O, reads a clock or draws randomness, and nothing
//! here knows Python, gRPC or a database. What two rooms must agree on lives here; what only one
//! room needs does not.

pub mod budget;
pub mod config;
pub mod constraints;
pub mod data;
pub mod digest;
pub mod ensemble;
pub mod experiment;
pub mod frames;
pub mod ids;
pub mod knob;
pub mod metric;
pub mod mode;
pub mod outcome;
pub mod racing;
pub mod sampler;
pub mod sharing;
pub mod space;
pub mod spec;
pub mod time;
pub mod tree;
pub mod verdict;
pub mod workload;

pub use budget::Budget;
pub use config::Config;
pub use constraints::Constraints;
pub use data::{DataRef, Fingerprint};
pub use digest::Digest;
pub use ensemble::Member;
pub use experiment::{Block, ExperimentKey};
pub use ids::{Attempt, Epoch, ExperimentId, LeaseSeq, Seq, StudyId, WorkerId};
pub use knob::{Knob, Scale};
pub use metric::{Direction, Metric, Task};
pub use mode::Mode;
pub use outcome::{Artifact, CHECKPOINT, Course, Device, Measures, Outcome, SealedScore};
pub use racing::{Race, Rule};
pub use sampler::Sampler;
pub use sharing::{Needs, Share};
pub use space::{Choice, Dimension, OptionSpec, Space, SpaceError};
pub use spec::{Limits, SearchSpec, Splits, StudySpec, TabularSpec, WarmStart};
pub use time::Millis;
pub use tree::{EntryKind, Tree, TreeEntry};
pub use verdict::{Compared, Decision, Fate, Verdict};
pub use workload::{BudgetBy, Pin, Site, Tabular, Training, Variants, Workload};
