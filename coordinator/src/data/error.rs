//! Why a file cannot be used, in one line that also says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::{plain, push_plain};

/// Why the data cannot be used as requested.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the message shows of them")]
pub enum DataError {
    /// Nothing is at the path.
    #[error("there is no file `{}`; check the path", at(.path))]
    NotFound { path: PathBuf },
    /// The path is a folder.
    #[error("`{}` is a directory; give the csv file inside it", at(.path))]
    Directory { path: PathBuf },
    /// The path is a pipe, socket or device, which cannot be read twice.
    #[error("`{}` is not a regular file; save its content as a csv file and give that", at(.path))]
    NotAFile { path: PathBuf },
    /// The operating system refuses to read.
    #[error("cannot read `{}`: {source}; check its permissions and the disk", at(.path))]
    Unreadable { path: PathBuf, source: io::Error },
    /// No content at all.
    #[error("`{}` is empty; give a csv file with a header line and rows", at(.path))]
    Empty { path: PathBuf },
    /// Another format, told by its first bytes.
    #[error("`{}` is {format}, not csv; {advice}", at(.path))]
    NotCsv { path: PathBuf, format: &'static str, advice: &'static str },
    /// NUL bytes or many control characters.
    #[error("`{}` is binary, not text: {what}; export the table as a csv file in utf-8", at(.path))]
    Binary { path: PathBuf, what: String },
    /// A quoted cell that never ends.
    #[error("a quote opened on line {line} of `{}` is never closed; close it, or double it if it belongs to the text", at(.path))]
    UnterminatedQuote { path: PathBuf, line: u64 },
    /// A carriage return alone, which the runner's reader takes for the end of a line only sometimes.
    #[error("line {line} of `{}` has a carriage return without a line feed; save it with unix or windows line ends, or quote the cell that holds it", at(.path))]
    LoneReturn { path: PathBuf, line: u64 },
    /// Names but no rows.
    #[error("`{}` has a header line but no rows; add the rows", at(.path))]
    HeaderOnly { path: PathBuf },
    /// One column only.
    #[error("`{}` has a single column {column}; a table needs a target and at least one feature, separated by `,` `;` `|` or tabs", at(.path))]
    SingleColumn { path: PathBuf, column: String },
    /// Lines above the header: a title, a comment, or `sep=;` as Excel writes it.
    #[error("`{}` begins with {line}, which is no header; remove the lines above the names of the columns", at(.path))]
    Preamble { path: PathBuf, line: String },
    /// The first line holds numbers.
    #[error("the first line of `{}` looks like data, not names ({example}); add a header line that names each column", at(.path))]
    NoHeader { path: PathBuf, example: String },
    /// Two columns of one name.
    #[error("`{}` has two columns named {column} (columns {first} and {second}); rename one, or add the header line if it is missing", at(.path))]
    DuplicateColumn { path: PathBuf, column: String, first: usize, second: usize },
    /// A column without a name.
    #[error("column {position} of `{}` has no name; name it in the header line or remove it (pandas writes one unless `index=False`; a delimiter at the end of a line makes one)", at(.path))]
    UnnamedColumn { path: PathBuf, position: usize },
    /// A row with another number of cells than the header.
    #[error("line {line} of `{}` has {}, the header has {expected}; correct that line, or quote the cell that holds the delimiter", at(.path), counted(*.cells, "cell"))]
    Ragged { path: PathBuf, line: u64, cells: usize, expected: usize },
    /// Numbers written with commas, which would be read as hundreds of categories.
    #[error("column {column} of `{}` writes numbers with commas ({example} on line {line}); write decimal points and no thousands separators, or leave it out with --drop", at(.path))]
    CommaNumbers { path: PathBuf, column: String, example: String, line: u64 },
    /// An option names a column that is not there.
    #[error("{option} names {column}, but `{}` has no such column; {hint}", at(.path))]
    UnknownColumn { path: PathBuf, option: &'static str, column: String, hint: String },
    /// One column in two roles.
    #[error("column {column} is given to both {first} and {second}; give it to one of them")]
    RoleClash { column: String, first: &'static str, second: &'static str },
    /// No row has a target.
    #[error("target {column} of `{}` is missing in every row; choose another column with --target", at(.path))]
    TargetMissing { path: PathBuf, column: String },
    /// One value in all rows.
    #[error("target {column} of `{}` has one value only ({value}); choose another column with --target, or add rows with other values", at(.path))]
    OneClass { path: PathBuf, column: String, value: String },
    /// A target that is a number in name only.
    #[error("target {column} of `{}` is {value} on line {line}, which is no finite number; correct or remove that row", at(.path))]
    InfiniteTarget { path: PathBuf, column: String, value: String, line: u64 },
    /// Numbers with a few words among them.
    #[error("target {column} of `{}` is a number in all but {others} of {rows} rows ({example} on line {line}); correct those rows, or leave the cell empty to have the row dropped", at(.path))]
    AlmostNumericTarget {
        path: PathBuf,
        column: String,
        others: usize,
        rows: usize,
        example: String,
        line: u64,
    },
    /// No such metric.
    #[error("there is no metric {name}; {hint}")]
    UnknownMetric { name: String, hint: String },
    /// A metric of the other task.
    #[error("metric {metric} does not suit target {column}: {why}; use one of {alternatives}")]
    MetricTask { metric: String, column: String, why: String, alternatives: String },
    /// A target that tells rows apart rather than classes.
    #[error(
        "target {column} has {classes} classes in {rows} rows and looks like an identifier or free text; choose another column with --target"
    )]
    TooManyClasses { column: String, classes: String, rows: usize },
    /// A class that cannot be in every fold.
    #[error(
        "class {class} of target {column} has {}{others}, {folds} folds need at least {folds} of each class; remove the rows of such a class, merge it with another, or give more rows",
        counted(*.rows, "row")
    )]
    RareClass { column: String, class: String, rows: usize, others: String, folds: u32 },
    /// Too few rows for the folds.
    #[error("`{}` has {} with a target, {folds} folds need at least {needed}; give more rows", at(.path), counted(*.rows, "row"))]
    FewRows { path: PathBuf, rows: usize, folds: u32, needed: usize },
    /// Too few rows once some are sealed.
    #[error(
        "with --holdout {holdout} only {left} of {what} are left for {folds} folds, which need {needed}; lower --holdout or give more rows"
    )]
    FewAfterHoldout { holdout: f64, left: usize, what: String, folds: u32, needed: usize },
    /// A fraction out of range.
    #[error("holdout {value} is out of range; give a fraction from 0.05 to 0.5, or none")]
    BadHoldout { value: f64 },
    /// Too few or too many folds.
    #[error("{folds} folds cannot be made; give 2 to 100")]
    BadFolds { folds: u32 },
    /// Too few or too many splits in one run.
    #[error("a run cannot cover {repeats} splits; give 1 to 100")]
    BadRepeats { repeats: u32 },
    /// Fewer groups than folds.
    #[error(
        "group column {column} has {}, {folds} folds need at least {needed}; give more groups or another --group",
        counted(*.groups, "group")
    )]
    FewGroups { column: String, groups: usize, folds: u32, needed: usize },
    /// A time column that does not order every row.
    #[error("time column {column} of `{}` {problem}; --time needs a number or a date (YYYY-MM-DD) in every row", at(.path))]
    BadTime { path: PathBuf, column: String, problem: String },
    /// No usable feature.
    #[error("`{}` leaves nothing to learn from: {why}; give columns that say something about the target", at(.path))]
    NothingToLearn { path: PathBuf, why: String },
}

impl DataError {
    /// The error for what the operating system said about `path`.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound { path },
            io::ErrorKind::IsADirectory => Self::Directory { path },
            _ => Self::Unreadable { path, source },
        }
    }
}

/// A name or cell of the user's file as it is shown: in backticks, on one line, not too long.
pub(super) fn show(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::with_capacity(text.len().min(LONGEST) + 2);
    shown.push('`');
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            shown.push('…');
            break;
        }
        push_plain(&mut shown, c);
    }
    shown.push('`');
    shown
}

/// A count with its noun.
pub(super) fn counted(count: usize, what: &str) -> String {
    let ending = match count {
        1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {what}{ending}")
}

/// A path as it is shown: whole, on one line.
fn at(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// Names as they are shown: at most `most`, then a count.
pub(super) fn show_all<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let count = names.len();
    // One name more takes no more room than "and 1 more".
    let shown = if count == most + 1 { count } else { count.min(most) };
    let text: Vec<String> = names.take(shown).map(show).collect();
    let text = text.join(", ");
    if count > shown { format!("{text} and {} more", count - shown) } else { text }
}

/// What to say about a name that is not among `known`: near ones, else what there is.
pub(super) fn near(name: &str, known: &[&str]) -> String {
    let name = name.trim().to_lowercase();
    let mut ranked: Vec<(f64, &str)> =
        known.iter().map(|&k| (strsim::jaro_winkler(&name, &k.trim().to_lowercase()), k)).collect();
    ranked.retain(|&(likeness, _)| likeness >= 0.8);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = ranked.iter().take(3).map(|&(_, k)| show(k)).collect();
    if near.is_empty() {
        format!("choose one of {}", show_all(known.iter().copied(), 12))
    } else {
        format!("did you mean {}?", near.join(" or "))
    }
}
