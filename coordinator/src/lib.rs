//! The coordinator: the shell around the pure core and the pure search.
//!
//! ```text
//! rpc / timer / plan -> Input -> core.step -> records, and effects that are held back
//!       batch of records -> journal.append (durable) -> its effects run, in order
//! ```
//!
//! *Architecture Invariant:* no frame, ack or answer leaves before the records that it rests on are
//! durable. `core` and `search` do not know each other; [`planner`] joins them. The worker library is
//! linked in one place, [`local`].

pub mod actor;
mod archive;
pub mod blobs;
pub mod catalog;
pub mod cli;
pub mod commands;
mod compaction;
pub mod data;
pub mod election;
pub mod etcd;
pub mod exit;
pub mod http;
pub mod intake;
pub mod journal;
pub mod listener;
mod live;
pub mod local;
pub mod measured;
pub mod metrics;
pub mod planner;
mod progress;
mod publish;
pub mod results;
pub mod rpc;
pub mod standing;
pub mod studies;
pub mod summary;
pub mod telemetry;
pub mod text;
pub mod traces;
