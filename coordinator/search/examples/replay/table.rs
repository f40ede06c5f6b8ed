//! Complete tables: every combination of a space, evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ar_common::{Config, Dimension, OptionSpec, Space};
use serde::Deserialize;

/// Folds of one combination; `None` where it has no score.
type Folds = Option<Vec<f64>>;

/// What is searched in the bench: a space with the answer known.
pub struct Table {
    pub name: String,
    pub space: Space,
    /// Scores by configuration.
    pub scores: Scores,
    /// What each combination of a file takes.
    pub seconds: BTreeMap<Config, f64>,
    /// Experiments at once.
    pub pending: usize,
    best: f64,
    median: f64,
    /// The lowest score of the best hundredth.
    top: f64,
}

/// Where scores come from.
pub enum Scores {
    /// A file of all of them.
    Folds(BTreeMap<Config, Folds>),
    /// A function of the configuration, noise of a standard deviation, and in how many folds a score comes.
    Function { truth: Box<dyn Fn(&Config) -> f64 + Send + Sync>, noise: f64, folds: usize },
}

/// One line of a file.
#[derive(Deserialize)]
struct Entry {
    config: serde_json::Map<String, serde_json::Value>,
    folds: Vec<f64>,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

impl Table {
    /// `all` are the true scores of all configurations that have one.
    pub fn new(
        name: String,
        space: Space,
        scores: Scores,
        pending: usize,
        mut all: Vec<f64>,
    ) -> Result<Self, String> {
        all.sort_by(f64::total_cmp);
        let (Some(best), true) = (all.last().copied(), all.len() > 1) else {
            return Err(format!("{name}: fewer than two combinations have a score"));
        };
        let median = all[all.len() / 2];
        if best <= median {
            return Err(format!(
                "{name}: half of all combinations share the best score; there is nothing to find"
            ));
        }
        let top = all[all.len() - all.len().div_ceil(100)];
        Ok(Self { name, space, scores, seconds: BTreeMap::new(), pending, best, median, top })
    }

    /// The true score; `None` where there is none.
    pub fn truth(&self, config: &Config) -> Option<f64> {
        match &self.scores {
            Scores::Folds(folds) => folds.get(config)?.as_deref().map(mean),
            Scores::Function { truth, .. } => Some(truth(config)),
        }
    }

    /// The folds of a file's combination.
    pub fn folds(&self, config: &Config) -> Option<&[f64]> {
        match &self.scores {
            Scores::Folds(folds) => folds.get(config)?.as_deref(),
            Scores::Function { .. } => None,
        }
    }

    /// The best combination of a file.
    pub fn best_config(&self) -> Option<&Config> {
        let Scores::Folds(folds) = &self.scores else {
            return None;
        };
        let scored = folds.iter().filter_map(|(config, folds)| Some((mean(folds.as_deref()?), config)));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, config)| config)
    }

    /// Whether `config` is among the best hundredth.
    pub fn is_top(&self, truth: f64) -> bool {
        truth >= self.top
    }

    /// (best - found) / (best - median); 1 is what a coin finds, and a run that found nothing has 2 at most.
    pub fn regret(&self, found: Option<f64>) -> f64 {
        found.map_or(2.0, |found| ((self.best - found) / (self.best - self.median)).min(2.0))
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Every `*.json` of a folder, in order of their names.
pub fn load(folder: &Path) -> Result<Vec<Table>, String> {
    let listing = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: no *.json in it; see --help for what a table is", folder.display()));
    }
    paths.iter().map(|path| read(path).map_err(|why| format!("{}: {why}", path.display()))).collect()
}

fn read(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| format!("no table: {error}"))?;
    let mut slots: Vec<(String, Vec<String>)> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 && entry.config.len() != slots.len() {
            return Err(format!("entry {i} has {} slots, the first one {}", entry.config.len(), slots.len()));
        }
        for (slot, option) in &entry.config {
            let option = option.as_str().ok_or_else(|| format!("entry {i}: `{slot}` is no text"))?;
            match slots.iter_mut().find(|(name, _)| name == slot) {
                Some((_, options)) if options.iter().any(|o| o == option) => {}
                Some((_, options)) => options.push(option.to_owned()),
                None if i == 0 => slots.push((slot.clone(), vec![option.to_owned()])),
                None => return Err(format!("entry {i} has a slot `{slot}` that the first one lacks")),
            }
        }
    }
    let combinations = slots.iter().try_fold(1_usize, |n, (_, options)| n.checked_mul(options.len()));
    if combinations != Some(entries.len()) {
        return Err(format!(
            "it has {} entries, but its slots make another number of combinations",
            entries.len()
        ));
    }
    let most = entries.iter().map(|e| e.folds.len()).max().unwrap_or(0);
    let mut folds: BTreeMap<Config, Folds> = BTreeMap::new();
    let mut seconds: BTreeMap<Config, f64> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let failed = entry.error.as_ref().is_some_and(|error| !error.is_null()) || entry.folds.is_empty();
        if !failed && (entry.folds.len() != most || entry.folds.iter().any(|f| !f.is_finite())) {
            return Err(format!("entry {i} has {} folds, others {most}", entry.folds.len()));
        }
        let config = slots.iter().map(|(slot, options)| {
            let option = entry.config.get(slot).and_then(|o| o.as_str()).unwrap_or_default();
            (slot.clone(), renamed(options, option))
        });
        let config: Config = config.collect();
        seconds.extend(entry.seconds.map(|seconds| (config.clone(), seconds)));
        if folds.insert(config, (!failed).then(|| entry.folds.clone())).is_some() {
            return Err(format!("entry {i} repeats an earlier one"));
        }
    }
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let all = folds.values().flatten().map(|f| mean(f)).collect();
    let table = Table::new(name, space(&slots)?, Scores::Folds(folds), 1, all)?;
    Ok(Table { seconds, ..table })
}

/// The first option of a slot is its base.
fn renamed(options: &[String], option: &str) -> String {
    if options.first().is_some_and(|base| base == option) { "base".to_owned() } else { option.to_owned() }
}

/// A space whose options are of one family if their names are the same up to the first underscore.
pub fn space(slots: &[(String, Vec<String>)]) -> Result<Space, String> {
    let dimension = |(slot, options): &(String, Vec<String>)| Dimension {
        name: slot.clone(),
        options: options
            .iter()
            .map(|option| OptionSpec {
                name: renamed(options, option),
                family: format!("{slot}/{}", option.split('_').next().unwrap_or(option)),
                ..OptionSpec::default()
            })
            .collect(),
        ..Dimension::default()
    };
    let names: BTreeSet<&String> = slots.iter().flat_map(|(_, options)| &options[1..]).collect();
    if names.iter().any(|name| *name == "base") {
        return Err("an option is named `base` and is not the first of its slot".to_owned());
    }
    let space = Space { dimensions: slots.iter().map(dimension).collect(), ..Space::default() };
    space.validate().map_err(|error| error.to_string())?;
    Ok(space)
}
