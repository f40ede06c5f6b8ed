//! Whole studies, run against made-up scores.

mod acceptance;
mod constraints;
mod contenders;
mod curves;
mod ensembles;
pub(crate) mod fixtures;
mod properties;
mod racing;
mod samplers;
mod simulation;
mod studies;
mod warm;
