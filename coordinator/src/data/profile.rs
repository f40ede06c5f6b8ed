//! What is known of a file, and the form in which the Python runner is told.

use ar_common::{Digest, Metric, Splits, TabularSpec, Task};
use serde::Serialize;

use super::Request;
use super::content::{Content, Encoding};
use super::notes;
use super::splits::Split;
use super::table::Pass;
use super::target::{Goal, Roles};

/// What a column is. The names in JSON are those of `study.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Numbers, codes among them.
    Numeric,
    /// Names of categories, yes and no among them.
    Categorical,
    /// Dates, with or without a time of day.
    Date,
    /// Sentences and other words that differ from row to row.
    Text,
    /// Tells rows apart; left out.
    Id,
    /// One value, or none at all; left out.
    Constant,
    /// What is predicted.
    Target,
    /// Its equal values stay in one fold.
    Group,
    /// Orders the rows.
    Time,
    /// Left out on request, or because it cannot be read ([`Column::treatment`] says which).
    Dropped,
}

impl ColumnKind {
    /// Whether a model may look at it.
    pub fn is_feature(self) -> bool {
        matches!(self, Self::Numeric | Self::Categorical | Self::Date | Self::Text)
    }
}

/// A column of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name, blanks around it cut off.
    pub name: String,
    /// What it is.
    pub kind: ColumnKind,
    /// Cells that are missing, infinite numbers included, in rows that have a target.
    pub missing: usize,
    /// Cells that read as infinite or "not a number", in a column of numbers.
    pub infinite: usize,
    /// How many different values it has, missing not counted; counting stops at
    /// [`DISTINCT_CAP`](super::DISTINCT_CAP).
    pub distinct: usize,
    /// Whether counting stopped, so that there may be more.
    pub distinct_capped: bool,
    /// Its smallest number, if it has any.
    pub least: Option<f64>,
    /// Zeros that stand far from all other values and may mean "unknown"; 0 if there are none such.
    pub suspicious_zeros: usize,
    /// How it is used, in a few words for people.
    pub treatment: String,
}

/// What is known of a file, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Digest of the file, byte for byte.
    pub content: Digest,
    /// How its bytes become text.
    pub encoding: Encoding,
    /// What separates its cells.
    pub delimiter: char,
    /// Rows that have a target.
    pub rows: usize,
    /// Rows that have none, which are left out.
    pub dropped_rows: usize,
    /// Every column in the file's order, the target included.
    pub columns: Vec<Column>,
    /// Name of the column that is predicted.
    pub target: String,
    /// What kind of prediction.
    pub task: Task,
    /// Why this task, e.g. "the target has 2 distinct values".
    pub task_reason: String,
    /// How it is judged.
    pub metric: Metric,
    /// Classes with their counts, the most frequent first; empty for regression.
    pub classes: Vec<(String, usize)>,
    /// Missing cells in the columns that a model looks at, infinite numbers included.
    pub missing_cells: usize,
    /// Folds of cross-validation.
    pub folds: u32,
    /// Splits that one run on a fresh split covers.
    pub repeats: u32,
    /// Fraction of the rows that is sealed until the end.
    pub holdout: Option<f64>,
    /// Why this much, or why nothing.
    pub holdout_reason: String,
    /// Column whose equal values stay in one fold.
    pub group: Option<String>,
    /// Column that orders the rows.
    pub time: Option<String>,
    /// Columns left out on request, in the file's order.
    pub drop: Vec<String>,
    /// What was done with the data, one sentence each, for people.
    pub notes: Vec<String>,
}

impl Profile {
    /// The columns that a model looks at.
    pub fn features(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind.is_feature())
    }

    /// How many columns are of a kind.
    pub fn count(&self, kind: ColumnKind) -> usize {
        self.columns.iter().filter(|column| column.kind == kind).count()
    }

    /// Whether any column is of a kind.
    pub fn has(&self, kind: ColumnKind) -> bool {
        self.count(kind) > 0
    }

    /// Whether a cell that a model looks at is missing.
    pub fn has_missing(&self) -> bool {
        self.missing_cells > 0
    }

    /// Whether a column of numbers has zeros that may mean "unknown".
    pub fn has_suspicious_zeros(&self) -> bool {
        self.features().any(|column| column.suspicious_zeros > 0)
    }

    /// Whether a column of numbers has few values, as grades and codes have.
    pub fn has_discrete_numbers(&self) -> bool {
        let mut numbers = self.features().filter(|column| column.kind == ColumnKind::Numeric);
        numbers.any(|column| (3..=10).contains(&column.distinct))
    }

    /// How many columns of numbers have none below zero.
    pub fn nonnegative_numbers(&self) -> usize {
        let numbers = self.features().filter(|column| column.kind == ColumnKind::Numeric);
        numbers.filter(|column| column.least.is_some_and(|least| least >= 0.0)).count()
    }

    /// Whether the target is a number that is never below zero.
    pub fn has_nonnegative_target(&self) -> bool {
        let mut target = self.columns.iter().filter(|column| column.kind == ColumnKind::Target);
        self.task == Task::Regression && target.any(|column| column.least.is_some_and(|least| least >= 0.0))
    }

    /// Most different values in one categorical column; 0 without any.
    pub fn max_cardinality(&self) -> usize {
        let categorical = self.columns.iter().filter(|column| column.kind == ColumnKind::Categorical);
        categorical.map(|column| column.distinct).max().unwrap_or(0)
    }

    /// How many columns the matrix starts with: a date gives six numbers.
    pub fn matrix_columns(&self) -> usize {
        self.features().map(|column| if column.kind == ColumnKind::Date { 6 } else { 1 }).sum()
    }

    /// How many columns of the matrix are numbers, the parts of dates included.
    pub fn matrix_numbers(&self) -> usize {
        self.count(ColumnKind::Numeric) + 6 * self.count(ColumnKind::Date)
    }

    /// The part of a [`StudySpec`](ar_common::StudySpec) about the table. `path` is kept for people.
    pub fn tabular_spec(&self, path: &std::path::Path) -> TabularSpec {
        TabularSpec {
            path: path.display().to_string(),
            content: self.content,
            target: self.target.clone(),
            task: self.task,
            drop: self.drop.clone(),
            delimiter: self.delimiter,
        }
    }

    /// The part of a [`StudySpec`](ar_common::StudySpec) about the splits.
    pub fn splits(&self) -> Splits {
        let (group, time) = (self.group.clone(), self.time.clone());
        Splits { folds: self.folds, holdout: self.holdout, group, time, repeats: self.repeats }
    }
}

/// The text of `study.json`, as `worker/runner/README.md` describes it. The runner gives columns
/// their names by position, so blanks around names in the file do not matter.
pub fn study_json(profile: &Profile, seed: u64) -> serde_json::Value {
    let column = |column: &Column| serde_json::json!({"name": column.name, "kind": column.kind});
    serde_json::json!({
        "version": 1,
        "data": {"path": "data.csv", "delimiter": profile.delimiter, "header_rows": 1},
        "target": profile.target,
        "task": profile.task,
        "metric": profile.metric.name,
        "columns": profile.columns.iter().map(column).collect::<Vec<_>>(),
        "folds": profile.folds,
        "repeats": profile.repeats,
        "holdout": profile.holdout,
        "group": profile.group,
        "time": profile.time,
        "seed": seed,
    })
}

/// What the passes and the decisions found, put together.
pub(super) struct Findings {
    pub(super) content: Content,
    pub(super) delimiter: u8,
    pub(super) roles: Roles,
    pub(super) pass: Pass,
    pub(super) goal: Goal,
    pub(super) columns: Vec<Column>,
    pub(super) split: Split,
}

pub(super) fn assemble(request: &Request<'_>, findings: Findings) -> Profile {
    let notes = notes::write(&findings);
    let Findings { content, delimiter, roles, pass, goal, columns, split } = findings;
    let name =
        |index: Option<usize>| index.and_then(|index| columns.get(index)).map(|column| column.name.clone());
    let dropped = columns.iter().zip(&roles.dropped).filter(|(_, dropped)| **dropped);
    let features = columns.iter().filter(|column| column.kind.is_feature());
    let open = pass.rows as f64 * (1.0 - split.holdout.unwrap_or(0.0));
    Profile {
        content: content.digest,
        encoding: content.encoding,
        delimiter: char::from(delimiter),
        rows: pass.rows,
        dropped_rows: pass.dropped_rows,
        target: goal.target,
        task: goal.task,
        task_reason: goal.task_reason,
        metric: goal.metric,
        classes: goal.classes,
        missing_cells: features.map(|column| column.missing).sum(),
        folds: request.folds,
        repeats: request.repeats.unwrap_or_else(|| Splits::repeats_for(open as u64)),
        holdout: split.holdout,
        holdout_reason: split.reason,
        group: name(roles.group),
        time: name(roles.time),
        drop: dropped.map(|(column, _)| column.name.clone()).collect(),
        notes,
        columns,
    }
}
