//! One promise per test.

mod attempts;
mod draining;
mod results;
mod sessions;
mod stops;
mod studies;
mod twins;
