//! How configurations are chosen after the base.

use serde::{Deserialize, Serialize};

/// How configurations are chosen after the base. The verdict is the same under all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// [`Sampler::Grid`] for a space of at most [`Sampler::FEW`] combinations, [`Sampler::Gp`] for a larger one.
    #[default]
    Auto,
    /// Four modes on a Gaussian process.
    Gp,
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Every combination; in a drawn order where the budget does not reach all.
    Grid,
    /// Combinations drawn uniformly, none twice.
    Random,
}

impl Sampler {
    /// Combinations up to which all are tried.
    pub const FEW: u64 = 20;

    /// All of them by their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("gp", Self::Gp),
        ("tpe", Self::Tpe),
        ("grid", Self::Grid),
        ("random", Self::Random),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, sampler)| *sampler == self).map_or("auto", |(name, _)| name)
    }
}

impl std::str::FromStr for Sampler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known
            .map(|(_, sampler)| *sampler)
            .ok_or_else(|| format!("no sampler is named `{text}`; there are auto, gp, tpe, grid and random"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_is_read_as_it_is_named() {
        for (name, sampler) in Sampler::ALL {
            assert_eq!(name.parse(), Ok(sampler));
            assert_eq!(sampler.name(), name);
            assert_eq!(serde_json::to_string(&sampler).unwrap(), format!("\"{name}\""));
        }
        assert!("bayes".parse::<Sampler>().unwrap_err().contains("gp"));
    }
}
