//! What a worker's session promises, through its public interface only.
//!
//! `scenarios` say one promise each, in a few lines; `properties` run the session in a shell without
//! processes, disk or network, in which everything that can happen does.

mod properties;
mod scenarios;
mod support;
