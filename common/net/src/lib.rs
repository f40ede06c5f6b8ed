//! What both shells need: durable files, content-addressed blobs and their transfer, tokens, logs, configuration.

pub mod access;
pub mod blobs;
pub mod config;
pub mod data;
pub mod descriptors;
pub mod dial;
pub mod durable;
pub mod logs;
pub mod near;
pub mod observe;
pub mod service;
pub mod size;
pub mod token;
pub mod traces;
pub mod transfer;

pub use access::{Access, Denied, Role};
pub use blobs::{BlobError, BlobStore, Cache, Pins, digest_of_file};
pub use config::ConfigArgs;
pub use data::DataError;
pub use dial::{Dial, DialError, is_loopback};
pub use observe::ObserveArgs;
pub use token::{Token, TokenError};
