//! Profiling of the user's CSV file, before any Python exists.
//!
//! One pass hashes the file and judges its text ([`content`]), a second one streams its rows and
//! gathers bounded facts per column ([`table`], [`collect`]). From those facts follow the kind of
//! every column, the task, the metric and the splits. Nothing holds the whole table, nothing is
//! guessed silently: every treatment is a sentence in [`Profile::notes`], every refusal a
//! [`DataError`] that says what to do.

mod collect;
mod columns;
mod content;
mod dates;
mod dialect;
mod error;
mod notes;
mod profile;
mod splits;
mod table;
mod target;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use content::Encoding;
pub use error::DataError;
pub use profile::{Column, ColumnKind, Profile, study_json};

/// The cells that mean "missing", compared after the blanks around a cell are cut off. The Python
/// runner has the same list (`MISSING` in `ar_runner/load.py`).
pub const MISSING: [&str; 17] = [
    "", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a",
    "nan", "null", "?",
];

/// How many distinct values of a column are counted before counting stops; fewer in files of more
/// than 400 columns, so that memory stays bounded.
pub const DISTINCT_CAP: usize = 10_000;

/// How many rows are sealed until the end of the search.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Holdout {
    /// A fifth where that is at least 200 rows, else none.
    #[default]
    Auto,
    /// This fraction, 0.05 to 0.5.
    Fraction(f64),
    /// None.
    None,
}

/// What the user said about the file. Everything but the path may be left open.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The file.
    pub path: &'a Path,
    /// Column to predict.
    pub target: Option<&'a str>,
    /// Name of the metric.
    pub metric: Option<&'a str>,
    /// Folds of cross-validation.
    pub folds: u32,
    /// Splits that one run on a fresh split covers; by the number of rows if that is left open.
    pub repeats: Option<u32>,
    /// How many rows are sealed.
    pub holdout: Holdout,
    /// Column whose equal values stay in one fold.
    pub group: Option<&'a str>,
    /// Column that orders the rows.
    pub time: Option<&'a str>,
    /// Columns to leave out.
    pub drop: &'a [String],
}

impl<'a> Request<'a> {
    /// A request that leaves everything open: 5 folds, automatic holdout.
    pub fn new(path: &'a Path) -> Self {
        let (target, metric, group, time) = (None, None, None, None);
        Self { path, target, metric, folds: 5, repeats: None, holdout: Holdout::Auto, group, time, drop: &[] }
    }
}

/// Reads the file and decides what every column is, what is predicted, how it is judged and how the
/// rows are split.
///
/// # Errors
/// When the file cannot be read as a table, or nothing can be learned from it as requested.
pub fn profile(request: &Request<'_>) -> Result<Profile, DataError> {
    splits::check_request(request)?;
    let wanted = target::wanted_metric(request.metric)?;
    let path = request.path;
    let head = content::head(path)?;
    let delimiter = dialect::detect(&head);
    // A file without a delimiter may also be binary or broken by a quote; that is the better answer.
    let content = content::scan(path, delimiter.unwrap_or(b','))?;
    let Some(delimiter) = delimiter else {
        return Err(dialect::no_delimiter(path, &head, content.encoding));
    };
    let mut source = table::Source::open(path, delimiter, &content)?;
    let names = source.header(&head)?;
    let roles = target::Roles::find(&names, request)?;
    let pass = source.rows(&names, &roles)?;
    let goal = target::decide(request, &names, &roles, &pass, wanted)?;
    let columns = columns::decide(path, &names, &roles, &pass, goal.task)?;
    let split = splits::decide(request, &roles, &pass, &goal)?;
    let findings = profile::Findings { content, delimiter, roles, pass, goal, columns, split };
    Ok(profile::assemble(request, findings))
}
