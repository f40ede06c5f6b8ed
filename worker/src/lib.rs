//! The worker: a session with the coordinator, a fork server per study, a child per attempt.
//!
//! *Architecture Invariant:* it never imports the coordinator, never writes in the user's tree, and
//! decides nothing about a lease: that is `ar-worker-core`, which this shell obeys.

mod attempt;
mod cache;
mod capacity;
pub mod cli;
mod connection;
mod disk;
pub mod environment;
mod folder;
mod forks;
mod gpu;
pub mod hardware;
pub mod output;
mod process;
mod runner_frames;
mod server;
mod session;
mod spool;
mod studies;
mod study;
mod supervise;
mod traces;
mod training;

pub use gpu::{LIBRARY as NVML_LIBRARY, TooFewGpus, training_slots};
pub use session::{KEEP_WARM, WorkerConfig, WorkerError, run};
pub use supervise::supervise;
pub use training::{JOB, Job};
