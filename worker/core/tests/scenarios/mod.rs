//! One promise per test.

mod attempts;
mod capacity;
mod draining;
mod races;
mod results;
mod sessions;
mod stops;
mod studies;
mod twins;
