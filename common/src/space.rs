//! The search space: dimensions with options, which of them matter when, and the canonical form of
//! a configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::knob::Scale;

/// The name of the untouched option that every slot has.
pub const BASE: &str = "base";

/// Where an option or a dimension does not matter: dimension name to families of that dimension.
pub type Conditions = BTreeMap<String, Vec<String>>;

/// What a study searches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// The axes, in the order in which they are shown.
    pub dimensions: Vec<Dimension>,
    /// Options that may not stand together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<[Choice; 2]>,
}

/// One option of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The dimension's name.
    pub dimension: String,
    /// The option's name.
    pub option: String,
}

/// One axis of the space: a slot, or a knob (see [`Knob`](crate::Knob)).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// Name, unique in the space.
    pub name: String,
    /// Its options; the first is `base`.
    pub options: Vec<OptionSpec>,
    /// The whole dimension does not matter when another dimension's option is of one of these families.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inactive_under: Conditions,
    /// How the numbers of a knob are spaced; absent for a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

/// One choice of a dimension.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpec {
    /// Name, unique in its dimension.
    pub name: String,
    /// Lineage it shares with others of the same dimension.
    pub family: String,
    /// Scored once with everything else at base, as the floor that anything must beat; never searched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub floor: bool,
    /// This option means the same as `base` under these families of other dimensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inactive_under: Conditions,
    /// This option exists only together with these families of other dimensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only_with: Conditions,
    /// The number it stands for, in a knob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// Why a space is not valid; names the culprit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// Nothing to search.
    #[error("the space has no dimensions; give it at least one slot with two options")]
    Empty,
    /// A name that no configuration can hold.
    #[error("the name {0:?} has a NUL; leave it out")]
    Nul(String),
    /// Two dimensions of one name.
    #[error("dimension `{0}` is declared twice; rename one of them")]
    TwiceDimension(String),
    /// Two options of one name.
    #[error("option `{option}` of `{dimension}` is declared twice; rename one of them")]
    TwiceOption {
        /// Where.
        dimension: String,
        /// Which.
        option: String,
    },
    /// The first option is not `base`.
    #[error("the first option of `{0}` must be `base`, the untouched one")]
    NoBase(String),
    /// A family in two dimensions.
    #[error("family `{family}` stands in both `{first}` and `{second}`; a family belongs to one dimension")]
    SharedFamily {
        /// The family.
        family: String,
        /// Where it was first.
        first: String,
        /// Where it is again.
        second: String,
    },
    /// A condition on what is not there.
    #[error("a condition of `{at}` names `{name}`, which is no {what}")]
    UnknownCondition {
        /// Whose condition.
        at: String,
        /// The unknown name.
        name: String,
        /// `dimension` or `family of ...`.
        what: String,
    },
    /// A knob whose options are not numbers that fit its scale.
    #[error("knob `{dimension}`: {reason}")]
    BadKnob {
        /// Which.
        dimension: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A forbidden pair that cannot be forbidden.
    #[error("the forbidden pair {pair}: {reason}")]
    BadPair {
        /// Which.
        pair: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration that does not fit the space.
    #[error("`{0}`")]
    BadConfig(String),
}

impl Dimension {
    /// The option called `name`.
    pub fn option(&self, name: &str) -> Option<&OptionSpec> {
        self.options.iter().find(|option| option.name == name)
    }

    /// Options that the search may choose: all but the floor.
    pub fn searched(&self) -> impl Iterator<Item = &OptionSpec> {
        self.options.iter().filter(|option| !option.floor)
    }

    /// The distinct families that are searched, in order of appearance.
    pub fn families(&self) -> Vec<&str> {
        let mut seen = Vec::new();
        for option in self.searched() {
            if !seen.contains(&option.family.as_str()) {
                seen.push(option.family.as_str());
            }
        }
        seen
    }
}

impl Space {
    /// The dimension called `name`.
    pub fn dimension(&self, name: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| dimension.name == name)
    }

    /// Every dimension at `base`.
    pub fn base(&self) -> Config {
        self.dimensions.iter().map(|dimension| (dimension.name.clone(), BASE.to_owned())).collect()
    }

    /// The floor configurations: one per floor option, everything else at base.
    pub fn floors(&self) -> Vec<Config> {
        let base = self.base();
        let floors = |d: &Dimension| {
            let name = d.name.clone();
            d.options.iter().filter(|o| o.floor).map(|o| base.with(&name, &o.name)).collect::<Vec<_>>()
        };
        self.dimensions.iter().flat_map(floors).collect()
    }

    /// How many combinations there are before conditions make some of them the same.
    pub fn combinations(&self) -> u64 {
        self.dimensions.iter().map(|dimension| dimension.searched().count() as u64).product()
    }

    /// The family of the option that `config` chooses in `dimension`.
    pub fn family_in<'a>(&'a self, config: &Config, dimension: &str) -> Option<&'a str> {
        let option = self.dimension(dimension)?.option(config.get(dimension)?)?;
        Some(&option.family)
    }

    /// The canonical form: what cannot matter is set to `base`, so that two configurations that
    /// mean the same are equal. `None` if a name is unknown or a dimension is missing.
    pub fn canonical(&self, config: &Config) -> Option<Config> {
        if config.len() != self.dimensions.len() {
            return None;
        }
        let mut canonical = config.clone();
        // Setting one dimension to base can switch off another's condition; conditions on few
        // dimensions settle within as many passes as there are dimensions.
        for _ in 0..self.dimensions.len() {
            let before = canonical.clone();
            for dimension in &self.dimensions {
                let option = dimension.option(canonical.get(&dimension.name)?)?;
                if option.name != BASE && self.is_inactive(dimension, option, &before) {
                    canonical = canonical.with(&dimension.name, BASE);
                }
            }
            if canonical == before {
                break;
            }
        }
        Some(canonical)
    }

    fn is_inactive(&self, dimension: &Dimension, option: &OptionSpec, config: &Config) -> bool {
        let meets = |(other, families): (&String, &Vec<String>)| {
            self.family_in(config, other).is_some_and(|family| families.iter().any(|f| f == family))
        };
        dimension.inactive_under.iter().any(meets)
            || option.inactive_under.iter().any(meets)
            || !option.only_with.iter().all(meets)
    }

    /// Takes an option out, e.g. because it cannot be imported. Taking out `base` is refused,
    /// as every comparison rests on it.
    ///
    /// # Errors
    /// When the option is `base`, or there is no such option.
    pub fn remove(&mut self, dimension: &str, option: &str) -> Result<(), SpaceError> {
        let unknown = || SpaceError::BadConfig(format!("there is no option `{option}` in `{dimension}`"));
        let found = self.dimensions.iter_mut().find(|d| d.name == dimension).ok_or_else(unknown)?;
        if option == BASE {
            return Err(SpaceError::NoBase(dimension.to_owned()));
        }
        let before = found.options.len();
        found.options.retain(|o| o.name != option);
        if found.options.len() == before { Err(unknown()) } else { Ok(()) }
    }

    /// Whether two options that may not stand together are both in `config`.
    pub fn forbids(&self, config: &Config) -> bool {
        let has = |choice: &Choice| config.get(&choice.dimension) == Some(choice.option.as_str());
        self.forbidden.iter().any(|pair| pair.iter().all(has))
    }

    /// Checks names, bases, families, conditions, knobs and forbidden pairs.
    ///
    /// # Errors
    /// The first fault found, naming the culprit.
    pub fn validate(&self) -> Result<(), SpaceError> {
        if self.dimensions.is_empty() {
            return Err(SpaceError::Empty);
        }
        let named = |d: &Dimension| {
            d.options.iter().map(|o| &o.name).chain([&d.name]).find(|n| n.contains('\0')).cloned()
        };
        if let Some(name) = self.dimensions.iter().find_map(named) {
            return Err(SpaceError::Nul(name));
        }
        let mut names = BTreeSet::new();
        let mut families: BTreeMap<&str, &str> = BTreeMap::new();
        for dimension in &self.dimensions {
            if !names.insert(&dimension.name) {
                return Err(SpaceError::TwiceDimension(dimension.name.clone()));
            }
            if dimension.options.first().is_none_or(|first| first.name != BASE) {
                return Err(SpaceError::NoBase(dimension.name.clone()));
            }
            let mut options = BTreeSet::new();
            for option in &dimension.options {
                if !options.insert(&option.name) {
                    return Err(SpaceError::TwiceOption {
                        dimension: dimension.name.clone(),
                        option: option.name.clone(),
                    });
                }
                let first = families.entry(&option.family).or_insert(&dimension.name);
                if *first != dimension.name {
                    return Err(SpaceError::SharedFamily {
                        family: option.family.clone(),
                        first: (*first).to_owned(),
                        second: dimension.name.clone(),
                    });
                }
            }
        }
        self.dimensions.iter().try_for_each(|dimension| self.check_conditions(dimension))?;
        self.dimensions.iter().try_for_each(crate::knob::check)?;
        self.forbidden.iter().try_for_each(|pair| self.check_pair(pair))
    }

    fn check_pair(&self, pair: &[Choice; 2]) -> Result<(), SpaceError> {
        let name = |choice: &Choice| format!("{}={}", choice.dimension, choice.option);
        let bad = |reason: String| SpaceError::BadPair {
            pair: format!("{} with {}", name(&pair[0]), name(&pair[1])),
            reason,
        };
        for choice in pair {
            if self.dimension(&choice.dimension).and_then(|d| d.option(&choice.option)).is_none() {
                return Err(bad(format!("there is no {}", name(choice))));
            }
            if choice.option == BASE {
                return Err(bad(format!(
                    "{} is the untouched one, which every comparison needs; forbid another option",
                    name(choice)
                )));
            }
        }
        if pair[0].dimension == pair[1].dimension {
            return Err(bad("both stand in one dimension, so they never meet".to_owned()));
        }
        Ok(())
    }

    fn check_conditions(&self, dimension: &Dimension) -> Result<(), SpaceError> {
        let of_options = dimension.options.iter().flat_map(|option| {
            let at = format!("{}={}", dimension.name, option.name);
            [(at.clone(), &option.inactive_under), (at, &option.only_with)]
        });
        for (at, conditions) in
            std::iter::once((dimension.name.clone(), &dimension.inactive_under)).chain(of_options)
        {
            // A family may be missing: options that do not suit the data are left out, conditions stay.
            for other in conditions.keys() {
                if other == &dimension.name || self.dimension(other).is_none() {
                    return Err(SpaceError::UnknownCondition {
                        at,
                        name: other.clone(),
                        what: "other dimension".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, family: &str) -> OptionSpec {
        OptionSpec { name: name.into(), family: family.into(), ..OptionSpec::default() }
    }

    fn space() -> Space {
        let scale = Dimension {
            name: "scale".into(),
            options: vec![option("base", "standard"), option("none", "unscaled")],
            inactive_under: [("build_model".to_owned(), vec!["forest".to_owned()])].into(),
            scale: None,
        };
        let mut dummy = option("dummy", "dummy");
        dummy.floor = true;
        let model = Dimension {
            name: "build_model".into(),
            options: vec![option("base", "linear"), option("rf", "forest"), dummy],
            ..Dimension::default()
        };
        Space { dimensions: vec![scale, model], ..Space::default() }
    }

    #[test]
    fn scaling_under_trees_is_the_same_configuration() {
        let space = space();
        space.validate().unwrap();
        let forest = space.base().with("build_model", "rf");
        assert_eq!(space.canonical(&forest.with("scale", "none")), Some(forest));
        let linear = space.base().with("scale", "none");
        assert_eq!(space.canonical(&linear), Some(linear.clone()));
        assert_eq!(space.canonical(&linear.with("scale", "unknown")), None);
    }

    #[test]
    fn the_floor_is_neither_searched_nor_counted() {
        let space = space();
        assert_eq!(space.combinations(), 4);
        assert_eq!(space.floors(), vec![space.base().with("build_model", "dummy")]);
        assert_eq!(space.dimensions[1].families(), vec!["linear", "forest"]);
    }

    #[test]
    fn faults_name_their_culprit() {
        let mut shared = space();
        shared.dimensions[0].options[1].family = "linear".into();
        assert!(matches!(shared.validate(), Err(SpaceError::SharedFamily { .. })));
        let mut no_base = space();
        no_base.dimensions[0].options.remove(0);
        assert_eq!(no_base.validate(), Err(SpaceError::NoBase("scale".into())));
        let mut nul = space();
        nul.dimensions[1].options[1].name = "r\0f".into();
        assert_eq!(nul.validate(), Err(SpaceError::Nul("r\0f".into())));
        let mut unknown = space();
        unknown.dimensions[0].inactive_under = [("model".to_owned(), vec![])].into();
        assert!(matches!(unknown.validate(), Err(SpaceError::UnknownCondition { .. })));
        let mut removed = space();
        removed.remove("scale", "none").unwrap();
        assert!(removed.remove("scale", "base").is_err());
        assert_eq!(removed.combinations(), 2);
    }

    #[test]
    fn a_forbidden_pair_is_told_and_a_wrong_one_is_named() {
        let pair = |a: (&str, &str), b: (&str, &str)| {
            [a, b].map(|(dimension, option)| Choice { dimension: dimension.into(), option: option.into() })
        };
        let mut space = space();
        space.forbidden = vec![pair(("scale", "none"), ("build_model", "rf"))];
        space.validate().unwrap();
        let base = space.base();
        assert!(!space.forbids(&base.with("build_model", "rf")));
        assert!(space.forbids(&base.with("build_model", "rf").with("scale", "none")));
        for (wrong, word) in [
            (pair(("scale", "gone"), ("build_model", "rf")), "there is no scale=gone"),
            (pair(("scale", "base"), ("build_model", "rf")), "untouched"),
            (pair(("scale", "none"), ("scale", "none")), "never meet"),
        ] {
            space.forbidden = vec![wrong];
            assert!(space.validate().unwrap_err().to_string().contains(word));
        }
    }
}
