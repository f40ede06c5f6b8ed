//! Evaluation blocks, and what tells experiments apart: a configuration with a block.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::ensemble::Member;
use crate::ids::ExperimentId;

/// On what a configuration is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Block {
    /// Cross-validation; repeat 0 is the study's own split, the others are fresh splits of the same rows.
    Cv {
        /// Which split.
        repeat: u32,
    },
    /// The sealed rows, once, against the base.
    Sealed,
    /// All rows: makes the model that is handed over. It has no score.
    Refit,
    /// A training run with the study's own seed that goes on from what another one left. It trained longer than any run that
    /// did not, so its score compares with none of theirs.
    Warm {
        /// The experiment whose checkpoint it starts from.
        from: ExperimentId,
    },
}

impl Block {
    /// The study's own split.
    pub const FIRST: Self = Self::Cv { repeat: 0 };

    /// Whether it counts towards the budget: the opening of the sealed rows and the final fit do not.
    pub fn counts(self) -> bool {
        matches!(self, Self::Cv { .. } | Self::Warm { .. })
    }

    /// The seed, or the split, of which it is, by its distance from the study's own.
    pub fn repeat(self) -> Option<u32> {
        match self {
            Self::Cv { repeat } => Some(repeat),
            _ => None,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cv { repeat } => write!(f, "cv{repeat}"),
            Self::Sealed => f.write_str("sealed"),
            Self::Refit => f.write_str("refit"),
            Self::Warm { from } => write!(f, "warm from {from}"),
        }
    }
}

/// What makes two experiments of a study the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExperimentKey {
    /// The configuration, canonical for its space.
    pub config: Config,
    /// On what it is evaluated.
    pub block: Block,
    /// Those who vote, of an ensemble; its `config` is the space's base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

impl ExperimentKey {
    /// One configuration on a block.
    pub fn single(config: Config, block: Block) -> Self {
        Self { config, block, members: Vec::new() }
    }

    /// 128 bits by which it is told from all others: of a billion keys the chance that any two agree is below 10^-20. It is for
    /// one process: another version may make other bits of the same key.
    pub fn fingerprint(&self) -> u128 {
        let mut hasher = Fingerprint(blake3::Hasher::new());
        self.hash(&mut hasher);
        let mut bits = [0; 16];
        hasher.0.finalize_xof().fill(&mut bits);
        u128::from_le_bytes(bits)
    }
}

/// A hasher of all bits that it is given.
struct Fingerprint(blake3::Hasher);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut bits = [0; 8];
        self.0.finalize_xof().fill(&mut bits);
        u64::from_le_bytes(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_journaled_as_a_named_map() {
        let text = serde_json::to_string(&Block::Cv { repeat: 2 }).unwrap();
        assert_eq!(text, r#"{"kind":"cv","repeat":2}"#);
        let text = serde_json::to_string(&Block::Warm { from: ExperimentId(7) }).unwrap();
        assert_eq!(text, r#"{"kind":"warm","from":7}"#);
    }
}
