//! What a study runs: cross-validation of pipelines on a table, or a training script with a fixed budget.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::DataRef;
use crate::digest::Digest;
use crate::spec::{Splits, TabularSpec};

/// What the experiments of a study run.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// Pipelines on a table, by cross-validation.
    Tabular(Tabular),
    /// A training script.
    Training(Training),
}

/// Pipelines on a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Tabular {
    /// The table and its target.
    pub data: TabularSpec,
    /// How rows are split.
    pub splits: Splits,
    /// Digest of the pinned requirements of the environment.
    pub environment: Digest,
    /// Digest of the code that evaluates: options, loader, splitter, metrics.
    pub code: Digest,
}

/// A training script with a fixed budget of time, that prints its metric when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Where the project was when the study was made; not part of the identity.
    pub path: String,
    /// Digest of the list of the project's files, as they were then.
    pub project: Digest,
    /// What trains, for a shell, in a copy of the project.
    pub command: String,
    /// The files that are searched, relative to the project.
    pub edit: Vec<String>,
    /// Seconds that one run may train.
    pub budget_seconds: f64,
    /// Seconds that it may take beyond: to start, compile and evaluate. A run that takes longer is ended.
    pub startup_seconds: f64,
    /// How the script learns its budget.
    pub budget_by: BudgetBy,
    /// Whose first group is the metric, where the script prints no summary block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_regex: Option<String>,
    /// What scores the checkpoint that a run left, for a shell, in a process of its own. Without it a score is the script's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<String>,
    /// Files that no run may change, relative to the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<String>,
    /// Where each dimension stands in the files.
    pub sites: Vec<Site>,
    /// Constants that have another value in every run, that of the base included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// Slots whose options are whole files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variants>,
    /// Data that runs read where it lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataRef>,
}

/// A file of the project that others may stand in for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variants {
    /// The slot.
    pub dimension: String,
    /// The file, relative to the project: the option `base`.
    pub file: String,
    /// The file of the project that stands in its place, by option.
    pub options: BTreeMap<String, String>,
}

/// A constant that is set for the whole study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// The file, relative to the project.
    pub file: String,
    /// First byte of the value in the file as it was submitted.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// What replaces it.
    pub text: String,
}

/// How a script learns its budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetBy {
    /// It reads this variable of its environment: seconds.
    Variable(String),
    /// It is a constant in a file, which is rewritten.
    Constant {
        /// The file, relative to the project.
        file: String,
        /// First byte of its value.
        start: usize,
        /// The byte after its value.
        end: usize,
    },
}

/// Where a dimension stands in a file, and what is written there for each of its options. The base leaves the file as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The dimension.
    pub dimension: String,
    /// The file, relative to the project.
    pub file: String,
    /// First byte of the value in the file as it was submitted.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// What replaces it, by option.
    pub texts: BTreeMap<String, String>,
}

impl Training {
    /// What a configuration changes: per file the byte ranges with their new text, pins and budget included, in order of the
    /// file.
    pub fn changes(&self, config: &Config) -> BTreeMap<&str, Vec<(Range<usize>, String)>> {
        let mut changes: BTreeMap<&str, Vec<(Range<usize>, String)>> = BTreeMap::new();
        let replaced = self.replaced(config);
        for site in &self.sites {
            let text = config.get(&site.dimension).and_then(|option| site.texts.get(option));
            if let Some(text) = text {
                changes.entry(&site.file).or_default().push((site.start..site.end, text.clone()));
            }
        }
        for pin in &self.pins {
            changes.entry(&pin.file).or_default().push((pin.start..pin.end, pin.text.clone()));
        }
        if let BudgetBy::Constant { file, start, end } = &self.budget_by {
            changes.entry(file).or_default().push((*start..*end, self.budget_seconds.to_string()));
        }
        // What is written into a file does not fit another one that stands in its place.
        changes.retain(|file, _| !replaced.contains_key(file));
        changes.values_mut().for_each(|of_file| of_file.sort_by_key(|(range, _)| range.start));
        changes
    }

    /// The files in whose place others stand in a configuration, each with that other one.
    pub fn replaced(&self, config: &Config) -> BTreeMap<&str, &str> {
        let pairs = self.variants.iter().filter_map(|variants| {
            let option = config.get(&variants.dimension)?;
            Some((variants.file.as_str(), variants.options.get(option)?.as_str()))
        });
        pairs.collect()
    }

    /// Seconds after which a run is ended, whatever it says.
    pub fn deadline_seconds(&self) -> f64 {
        self.budget_seconds + self.startup_seconds
    }
}

/// A file with byte ranges replaced; `None` where a range does not lie in it, cuts a character or overlaps another.
pub fn spliced(text: &str, changes: &[(Range<usize>, String)]) -> Option<String> {
    let mut made = String::with_capacity(text.len());
    let mut at = 0;
    for (range, new) in changes {
        made.push_str(text.get(at..range.start)?);
        made.push_str(new);
        text.get(range.clone())?;
        at = range.end;
    }
    made.push_str(text.get(at..)?);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training() -> Training {
        let site = |dimension: &str, start, end, text: &str| Site {
            dimension: dimension.into(),
            file: "train.py".into(),
            start,
            end,
            texts: [("other".to_owned(), text.to_owned())].into(),
        };
        Training {
            path: "project".into(),
            project: Digest::of(b"tree"),
            command: "python train.py".into(),
            edit: vec!["train.py".into()],
            budget_seconds: 10.0,
            startup_seconds: 60.0,
            budget_by: BudgetBy::Constant { file: "prepare.py".into(), start: 9, end: 12 },
            metric_regex: None,
            evaluate: None,
            pins: vec![],
            variants: vec![],
            data: vec![],
            protect: vec![],
            sites: vec![site("LR", 12, 15, "0.25"), site("D", 4, 5, "12")],
        }
    }

    #[test]
    fn a_configuration_rewrites_its_places_and_nothing_else() {
        let training = training();
        let config: Config = [("D", "other"), ("LR", "base")].into_iter().collect();
        let changes = training.changes(&config.with("LR", "other"));
        assert_eq!(
            spliced("D = 8\r\nLR = 0.1 # é\r\n", &changes["train.py"]).unwrap(),
            "D = 12\r\nLR = 0.25 # é\r\n"
        );
        assert_eq!(spliced("BUDGET = 300\n", &changes["prepare.py"]).unwrap(), "BUDGET = 10\n");
        let fewer = training.changes(&config);
        assert_eq!(fewer["train.py"], [(4..5, "12".to_owned())]);
    }

    #[test]
    fn a_range_that_does_not_fit_changes_nothing() {
        let change = |range: Range<usize>| (range, "x".to_owned());
        assert_eq!(spliced("abc", &[change(2..4)]), None);
        assert_eq!(spliced("é", &[change(1..2)]), None);
        assert_eq!(spliced("abcdef", &[change(1..4), change(2..5)]), None);
        #[expect(clippy::reversed_empty_ranges, reason = "what another machine may send")]
        let reversed = change(2..1);
        assert_eq!(spliced("abc", &[reversed]), None);
        assert_eq!(spliced("abc", &[]).as_deref(), Some("abc"));
    }
}
