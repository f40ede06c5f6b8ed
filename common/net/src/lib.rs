//! What both shells need: durable files, content-addressed blobs and their transfer, tokens, logs.

pub mod blobs;
pub mod data;
pub mod durable;
pub mod logs;
pub mod token;
pub mod transfer;

pub use blobs::{BlobError, BlobStore, digest_of_file};
pub use data::DataError;
pub use token::{Token, TokenError};
