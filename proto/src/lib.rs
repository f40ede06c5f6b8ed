//! The wire: protocol buffers, the code generated from them, and conversions to and from the words
//! of `ar-common`. What does not convert is refused with the field's name; nothing is guessed.

mod convert_coordinator;
mod convert_worker;
mod fields;
#[cfg(test)]
mod hostile;

pub use convert_coordinator::{coordinator_message, read_coordinator_message};
pub use convert_worker::{read_worker_message, worker_message};
pub use fields::WireError;

/// Generated from `proto/autoresearch.proto`.
#[expect(missing_docs, clippy::all, reason = "generated")]
#[allow(unreachable_pub, rust_2018_idioms, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("autoresearch.v1");
}

/// Largest message either side accepts, bytes. A grant is a few hundred, a batch stays far below.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;
/// Largest document, bytes: a study that is submitted, a report.
pub const DOCUMENT_LIMIT: usize = 256 * 1024 * 1024;
/// Bytes of a blob in one chunk.
pub const CHUNK: usize = 256 * 1024;
/// Metadata key of the bearer token.
pub const AUTHORIZATION: &str = "authorization";
