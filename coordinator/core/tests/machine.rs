//! What the coordinator's core promises, through its public interface only.
//!
//! `scenarios` say one promise each, in a few lines; `properties` look for the interleavings that
//! nobody thought of. Both run in the fake world of `support`, whose ledger checks the invariants
//! after every step.

mod properties;
mod scenarios;
mod support;
