//! Whole studies, run against made-up scores.

mod constraints;
mod contenders;
mod ensembles;
pub(crate) mod fixtures;
mod properties;
mod racing;
mod samplers;
mod simulation;
mod studies;
