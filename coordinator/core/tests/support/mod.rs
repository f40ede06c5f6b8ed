//! A tiny world around the core: time, a journal, connections, workers and a search. All fake, all
//! in memory, nothing waits.

mod ledger;
mod search;
mod study;
mod worker;
mod world;

pub(crate) use ledger::Ledger;
pub(crate) use search::{search, verdict};
pub(crate) use study::{config, cv, done, planned, quick, spec, training};
pub(crate) use worker::Worker;
pub(crate) use world::{Ask, World};
