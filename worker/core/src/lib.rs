//! A worker's session with its coordinator as a pure state machine.
//!
//! [`Worker::step`] takes an [`Input`] and the time, and returns [`Effect`]s. The shell does what they
//! say: sends frames, starts and stops processes, writes the spool. The simulation runs this same code.
//!
//! *Architecture Invariant:* no I/O, no clock, no randomness, nothing of Python or gRPC.
//!
//! What it keeps to:
//! - a result is offered only after it is durable in the spool, and forgotten only after it was answered;
//! - every lease held is in every heartbeat;
//! - a process that passed its hard deadline is stopped, whether the coordinator is there or not.

mod drain;
mod input;
mod runs;
mod worker;

pub use input::{Effect, Input, SpoolEntry};
pub use worker::{Identity, Worker};
