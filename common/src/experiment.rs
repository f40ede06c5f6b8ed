//! Configurations and evaluation blocks: the two parts by which experiments are told apart.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::ensemble::Member;
use crate::ids::ExperimentId;

/// One option for every dimension of a space, by name. Ordered, so that equal configurations are
/// equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub BTreeMap<String, String>);

impl Config {
    /// The option chosen for `dimension`.
    pub fn get(&self, dimension: &str) -> Option<&str> {
        self.0.get(dimension).map(String::as_str)
    }

    /// This configuration with one dimension changed.
    #[must_use]
    pub fn with(&self, dimension: &str, option: &str) -> Self {
        let mut changed = self.clone();
        changed.0.insert(dimension.to_owned(), option.to_owned());
        changed
    }

    /// The dimensions in which this configuration differs from `other`.
    pub fn differs_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(|(dimension, option)| other.0.get(*dimension) != Some(option))
            .map(|(dimension, option)| (dimension.as_str(), option.as_str()))
    }
}

/// What differs from `base`, e.g. `build_model=xgb_deep scale=none`, or `base`.
pub fn describe(config: &Config, base: &Config) -> String {
    let changes: Vec<String> = config.differs_from(base).map(|(d, o)| format!("{d}={o}")).collect();
    if changes.is_empty() { "base".to_owned() } else { changes.join(" ") }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Config {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

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
    fn a_configuration_is_described_by_what_it_changes() {
        let base: Config = [("scale", "base"), ("build_model", "base")].into_iter().collect();
        assert_eq!(describe(&base, &base), "base");
        assert_eq!(describe(&base.with("scale", "none"), &base), "scale=none");
    }

    #[test]
    fn a_block_is_journaled_as_a_named_map() {
        let text = serde_json::to_string(&Block::Cv { repeat: 2 }).unwrap();
        assert_eq!(text, r#"{"kind":"cv","repeat":2}"#);
        let text = serde_json::to_string(&Block::Warm { from: ExperimentId(7) }).unwrap();
        assert_eq!(text, r#"{"kind":"warm","from":7}"#);
    }
}
