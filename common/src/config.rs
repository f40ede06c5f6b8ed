//! Configurations: what an experiment runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What ends each name in a configuration.
const END: char = '\0';

/// One option for every dimension of a space, by name, in the order of the dimensions' names.
///
/// A store keeps hundreds of thousands of them, so it is one text that its copies share: `dimension`, NUL, `option`, NUL, and so
/// on. NUL is below every other character, so that texts compare as maps of names would; no name has one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Config(Arc<str>);

impl Config {
    /// The option chosen for `dimension`.
    pub fn get(&self, dimension: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == dimension).map(|(_, option)| option)
    }

    /// Dimensions with their options, by the dimensions' names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut names = self.0.split_terminator(END);
        std::iter::from_fn(move || Some((names.next()?, names.next()?)))
    }

    /// The names of its dimensions.
    pub fn dimensions(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(dimension, _)| dimension)
    }

    /// The options, by the names of their dimensions.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(_, option)| option)
    }

    /// How many dimensions it has.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This configuration with one dimension changed.
    #[must_use]
    pub fn with(&self, dimension: &str, option: &str) -> Self {
        let mut changed: BTreeMap<&str, &str> = self.iter().collect();
        changed.insert(dimension, option);
        changed.into_iter().collect()
    }

    /// The dimensions in which this configuration differs from `other`, with its options.
    pub fn differs_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter(|(dimension, option)| other.get(dimension) != Some(option))
    }
}

/// What differs from `base`, e.g. `build_model=xgb_deep scale=none`, or `base`.
pub fn describe(config: &Config, base: &Config) -> String {
    let changes: Vec<String> = config.differs_from(base).map(|(d, o)| format!("{d}={o}")).collect();
    if changes.is_empty() { "base".to_owned() } else { changes.join(" ") }
}

/// Of two options for one dimension the later one counts. A NUL in a name is left out.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Config {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let plain = |name: &str| name.replace(END, "");
        let names: BTreeMap<String, String> =
            pairs.into_iter().map(|(k, v)| (plain(k.as_ref()), plain(v.as_ref()))).collect();
        let mut text = String::with_capacity(names.iter().map(|(k, v)| k.len() + v.len() + 2).sum());
        for name in names.iter().flat_map(|(dimension, option)| [dimension, option]) {
            text.push_str(name);
            text.push(END);
        }
        Self(text.into())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As a map of names.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from dimensions to options")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        while let Some((dimension, option)) = map.next_entry::<String, String>()? {
            if dimension.contains(END) || option.contains(END) {
                return Err(A::Error::custom("a name in a configuration has a NUL"));
            }
            pairs.push((dimension, option));
        }
        Ok(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_configuration_is_described_by_what_it_changes() {
        let base = config(&[("scale", "base"), ("build_model", "base")]);
        assert_eq!(describe(&base, &base), "base");
        assert_eq!(describe(&base.with("scale", "none"), &base), "scale=none");
    }

    #[test]
    fn it_is_a_map_of_names_in_their_order() {
        let made = config(&[("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(made.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!((made.len(), made.get("c"), made.get("d")), (3, Some(""), None));
        assert_eq!(made.with("a", "9").get("a"), Some("9"));
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(text, r#"{"a":"1","b":"3","c":""}"#);
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), made);
        assert!(Config::default().is_empty() && Config::default().iter().next().is_none());
    }

    #[test]
    fn it_compares_as_a_map_does() {
        let made: Vec<Vec<(&str, &str)>> = vec![
            vec![],
            vec![("a", "")],
            vec![("a", "b")],
            vec![("a", "b"), ("c", "d")],
            vec![("a", "b\u{1}")],
            vec![("a", "ba"), ("b", "")],
            vec![("a\u{1}", "")],
            vec![("ab", "a")],
            vec![("ä", "b")],
        ];
        for one in &made {
            for other in &made {
                let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
                    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
                };
                assert_eq!(config(one).cmp(&config(other)), map(one).cmp(&map(other)), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_name_with_a_nul_makes_no_other_configuration() {
        assert!(serde_json::from_str::<Config>(r#"{"a":"1\u00002"}"#).is_err());
        assert_eq!(config(&[("a", "x\0b\0y")]).len(), 1);
    }
}
