//! The catalog of tabular options, and what of it suits a table: options that cannot be used or cannot
//! differ on this data are left out before the search, each with a reason.

use std::collections::BTreeMap;

use ar_common::space::BASE;
use ar_common::{Dimension, OptionSpec, Space, SpaceError, Task};
use serde::Deserialize;

/// What of a table decides which options suit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What is predicted.
    pub task: Task,
    /// Rows that have a target.
    pub rows: u64,
    /// Columns that are used.
    pub columns: u64,
    /// Number of classes; 0 for regression.
    pub classes: u64,
    /// Whether a used column has missing cells.
    pub missing: bool,
    /// Numeric columns.
    pub numeric: u64,
    /// Categorical columns.
    pub categorical: u64,
    /// Date columns.
    pub date: u64,
    /// Text columns.
    pub text: u64,
    /// Whether a categorical column has many levels.
    pub high_cardinality: bool,
    /// Whether a numeric column has few values.
    pub discrete: bool,
    /// Numeric columns without a value below zero.
    pub nonnegative: u64,
    /// Whether the target is a number that is never below zero.
    pub nonnegative_target: bool,
    /// Whether a numeric column has zeros that look like missing values.
    pub zeros: bool,
}

/// An option that was left out before the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its dimension.
    pub dimension: String,
    /// Its name.
    pub option: String,
    /// Why.
    pub reason: String,
}

/// The catalog is not what this version understands. A fault of ours: it travels in the binary.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not readable.
    #[error("the option catalog in this binary cannot be read: {0}")]
    Parse(#[from] toml::de::Error),
    /// Not a valid space.
    #[error("the option catalog in this binary is not valid: {0}")]
    Space(#[from] SpaceError),
    /// It asks for a property of the data that this version does not know.
    #[error("the option catalog in this binary wants `{0}`, which this version does not know")]
    UnknownNeed(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalog {
    #[expect(dead_code, reason = "checked by being there")]
    version: u32,
    slot: Vec<Slot>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers of the catalog")]
    about: String,
    #[serde(default)]
    inactive_under: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    needs: Vec<String>,
    option: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    family: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers of the catalog")]
    title: String,
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    needs: Vec<String>,
    max_rows: Option<u64>,
    min_rows: Option<u64>,
    max_columns: Option<u64>,
    max_classes: Option<u64>,
    #[serde(default)]
    floor: bool,
    #[serde(default)]
    inactive_under: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    only_with: BTreeMap<String, Vec<String>>,
}

/// The space for a table, and what was left out of it. Options of the other task are not mentioned:
/// nobody would expect them.
///
/// # Errors
/// When the catalog in this binary is not sound.
pub fn space(catalog: &str, facts: &Facts) -> Result<(Space, Vec<LeftOut>), CatalogError> {
    let catalog: Catalog = toml::from_str(catalog)?;
    let mut left_out = Vec::new();
    let mut dimensions = Vec::new();
    for slot in catalog.slot {
        if !suits(&slot.tasks, facts.task) {
            continue;
        }
        let missing_need = unmet(&slot.needs, facts)?;
        let mut options = Vec::new();
        for entry in slot.option {
            if entry.name != BASE && !suits(&entry.tasks, facts.task) {
                continue;
            }
            let reason = match &missing_need {
                Some(need) => Some(need.clone()),
                None => unsuitable(&entry, facts)?,
            };
            match reason {
                Some(reason) if entry.name != BASE => {
                    left_out.push(LeftOut { dimension: slot.name.clone(), option: entry.name, reason });
                }
                _ => options.push(OptionSpec {
                    name: entry.name,
                    family: entry.family,
                    floor: entry.floor,
                    inactive_under: entry.inactive_under,
                    only_with: entry.only_with,
                    value: None,
                }),
            }
        }
        dimensions.push(Dimension {
            name: slot.name,
            options,
            inactive_under: slot.inactive_under,
            scale: None,
        });
    }
    let space = Space { dimensions, ..Space::default() };
    space.validate()?;
    Ok((space, left_out))
}

fn suits(tasks: &[Task], task: Task) -> bool {
    tasks.is_empty() || tasks.contains(&task)
}

fn unsuitable(entry: &Entry, facts: &Facts) -> Result<Option<String>, CatalogError> {
    let above = |limit: Option<u64>, value: u64| limit.filter(|limit| value > *limit);
    if let Some(limit) = above(entry.max_rows, facts.rows) {
        return Ok(Some(format!("too slow above {limit} rows (there are {})", facts.rows)));
    }
    if let Some(limit) = above(entry.max_columns, facts.columns) {
        return Ok(Some(format!("too slow above {limit} columns (there are {})", facts.columns)));
    }
    if let Some(limit) = above(entry.max_classes, facts.classes) {
        return Ok(Some(format!("for at most {limit} classes (there are {})", facts.classes)));
    }
    if let Some(limit) = entry.min_rows.filter(|limit| facts.rows < *limit) {
        return Ok(Some(format!("needs {limit} rows (there are {})", facts.rows)));
    }
    unmet(&entry.needs, facts)
}

/// The first need that the data do not meet.
fn unmet(needs: &[String], facts: &Facts) -> Result<Option<String>, CatalogError> {
    for need in needs {
        let (met, reason) = match need.as_str() {
            "missing" => (facts.missing, "no cell is missing"),
            "numeric" => (facts.numeric > 0, "there is no numeric column"),
            "numeric2" => (facts.numeric > 1, "there are fewer than two numeric columns"),
            "categorical" => (facts.categorical > 0, "there is no categorical column"),
            "high_cardinality" => (facts.high_cardinality, "no categorical column has many levels"),
            "date" => (facts.date > 0, "there is no date column"),
            "text" => (facts.text > 0, "there is no text column"),
            "discrete" => (facts.discrete, "no numeric column has 3 to 10 values"),
            "nonnegative" => (facts.nonnegative > 1, "fewer than two numeric columns are never below zero"),
            "nonnegative_target" => (facts.nonnegative_target, "the target goes below zero"),
            "zeros" => (facts.zeros, "no numeric column has zeros that could mean missing"),
            other => return Err(CatalogError::UnknownNeed(other.to_owned())),
        };
        if !met {
            return Ok(Some(reason.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            task: Task::Classification,
            rows: 270,
            columns: 13,
            classes: 2,
            missing: false,
            numeric: 13,
            categorical: 0,
            date: 0,
            text: 0,
            high_cardinality: false,
            discrete: false,
            nonnegative: 13,
            nonnegative_target: false,
            zeros: false,
        }
    }

    #[test]
    fn the_catalog_in_this_binary_is_sound_for_every_kind_of_table() {
        for task in [Task::Classification, Task::Regression] {
            for categorical in [0, 5] {
                for rows in [50, 1_000_000] {
                    let (missing, zeros, discrete) = (rows > 50, rows > 50, rows > 50);
                    let facts = Facts { task, categorical, rows, missing, zeros, discrete, ..facts() };
                    let (space, _) = space(ar_runner::CATALOG, &facts).unwrap();
                    assert!(space.combinations() > 20);
                    assert_eq!(space.floors().len(), 1, "one dummy model is the floor");
                }
            }
        }
    }

    #[test]
    fn encoders_without_categorical_columns_are_left_out_with_a_reason() {
        let (space, left_out) = space(ar_runner::CATALOG, &facts()).unwrap();
        assert_eq!(space.dimension("encode").map(|d| d.options.len()), Some(1));
        assert!(left_out.iter().any(|o| o.dimension == "encode" && o.reason.contains("no categorical")));
    }

    #[test]
    fn quadratic_models_are_left_out_of_large_tables() {
        let facts = Facts { rows: 50_000, ..facts() };
        let (_, left_out) = space(ar_runner::CATALOG, &facts).unwrap();
        assert!(left_out.iter().any(|o| o.dimension == "build_model" && o.reason.contains("rows")));
    }
}
