//! The state as bytes, from which a replay can begin instead of from the first record.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::state::State;

/// By these a file is known; the last byte is the format.
const MAGIC: &[u8; 8] = b"ar-snap\x01";

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They begin otherwise.
    #[error("it does not begin as a snapshot does")]
    Foreign,
    /// They are of a later version.
    #[error("it is of format {0}, known are formats up to {known}", known = MAGIC[7])]
    Newer(u8),
    /// They cannot be read, though they are what was written: a later version may know more.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
}

impl State {
    /// This state as bytes: a MessagePack map with names, so that a later version that knows more fields reads it. Whoever keeps
    /// them keeps a digest beside them.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Writing plain data to memory has no way to fail.
        let _ = rmp_serde::encode::write_named(&mut bytes, self);
        bytes
    }

    /// The state that was made into these bytes.
    ///
    /// # Errors
    /// When they are no snapshot, or one of a later version.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (magic, payload) = bytes.split_first_chunk::<8>().ok_or(SnapshotError::Foreign)?;
        if magic[..7] != MAGIC[..7] {
            return Err(SnapshotError::Foreign);
        }
        if magic[7] > MAGIC[7] {
            return Err(SnapshotError::Newer(magic[7]));
        }
        let mut state: Self =
            rmp_serde::from_slice(payload).map_err(|error| SnapshotError::Unreadable(error.to_string()))?;
        state.index();
        Ok(state)
    }

    /// Makes what follows from the rest and is not written.
    fn index(&mut self) {
        let mut keys = BTreeMap::<_, crate::state::Keys>::new();
        for experiment in &self.experiments {
            keys.entry(experiment.study.clone()).or_default().insert(&experiment.key());
        }
        for (id, keys) in keys {
            if let Some(study) = self.studies.get_mut(&id) {
                Arc::make_mut(study).keys = keys;
            }
        }
    }
}
