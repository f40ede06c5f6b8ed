//! Whole studies, run against made-up scores.

pub(crate) mod fixtures;
mod properties;
mod samplers;
mod simulation;
mod studies;
