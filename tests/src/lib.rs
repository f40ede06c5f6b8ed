//! What crosses crates: whole runs with real processes, faults, and the benches. This library holds
//! what those share.

pub mod alone;
pub mod boxes;
pub mod cluster;
pub mod cuts;
pub mod disk;
pub mod etcd;
pub mod figures;
pub mod network;
pub mod processes;
pub mod project;
pub mod python;
pub mod run;
pub mod service;
pub mod store;
pub mod units;
