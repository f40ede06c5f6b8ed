//! What each column is, and how it is treated.

use std::path::Path;

use ar_common::Task;

use super::collect::Stats;
use super::error::{DataError, counted, show, show_all};
use super::profile::{Column, ColumnKind};
use super::table::Pass;
use super::target::Roles;

/// Share of different values from which an identifier by name is one in fact.
const ID_SHARE: f64 = 0.95;

/// Last words of names that identify rows.
const ID_WORDS: [&str; 6] = ["id", "ids", "uuid", "guid", "key", "identifier"];

/// Whole names that number rows.
const ID_NAMES: [&str; 10] =
    ["index", "idx", "row", "rowid", "rownum", "rownumber", "pk", "nr", "unnamed: 0", "#"];

/// A text has more different values than this, half of them with several words.
const TEXT_DISTINCT: usize = 20;

/// From this mean length and number of values, repeated texts are texts too.
const LONG_CHARS: f64 = 50.0;
const LONG_DISTINCT: usize = 100;

/// Decides the kind of every column.
pub(super) fn decide(
    path: &Path,
    names: &[String],
    roles: &Roles,
    pass: &Pass,
    task: Task,
) -> Result<Vec<Column>, DataError> {
    let mut columns = Vec::with_capacity(names.len());
    for (index, (name, stats)) in names.iter().zip(&pass.stats).enumerate() {
        let (kind, treatment) = if index == roles.target {
            (ColumnKind::Target, format!("predicted ({task})"))
        } else if roles.group == Some(index) {
            (ColumnKind::Group, "its equal values stay in one fold; not a feature".to_owned())
        } else if roles.time == Some(index) {
            check_time(path, name, stats)?;
            (ColumnKind::Time, "orders the rows; not a feature".to_owned())
        } else if roles.dropped[index] {
            (ColumnKind::Dropped, "left out, as asked for".to_owned())
        } else {
            refuse_commas(path, name, stats)?;
            feature(name, stats, pass.rows)
        };
        columns.push(column(name, stats, kind, treatment));
    }
    restore_numbers(&mut columns, pass);
    if !columns.iter().any(|column| column.kind.is_feature()) {
        return Err(DataError::NothingToLearn { path: path.to_owned(), why: why_nothing(&columns) });
    }
    Ok(columns)
}

fn column(name: &str, stats: &Stats, kind: ColumnKind, treatment: String) -> Column {
    let as_number = stats.is_numeric() || stats.is_void();
    Column {
        name: name.to_owned(),
        kind,
        missing: stats.missing + if as_number { stats.not_finite } else { 0 },
        infinite: if as_number { stats.not_finite } else { 0 },
        distinct: stats.distinct.count(),
        distinct_capped: stats.distinct.is_capped(),
        least: (stats.numbers.count > 0).then_some(stats.numbers.min),
        suspicious_zeros: if kind == ColumnKind::Numeric { suspicious_zeros(stats) } else { 0 },
        treatment,
    }
}

/// The kind of a column without a part of its own.
fn feature(name: &str, stats: &Stats, rows: usize) -> (ColumnKind, String) {
    let mostly_filled = stats.filled * 2 >= rows;
    let unique = mostly_filled && stats.distinct.all_differ();
    let same = stats.distinct.count() == 1 && stats.not_finite == 0;
    let (kind, treatment) = if stats.is_void() {
        (ColumnKind::Constant, "left out: every cell is missing")
    } else if same && stats.missing == 0 {
        (ColumnKind::Constant, "left out: every row has the same value")
    } else if same {
        // Whether it is there at all may be what matters.
        (ColumnKind::Categorical, "present or missing")
    } else if stats.forms.is_date() && stats.forms.is_readable() {
        (ColumnKind::Date, "date: year, month, day, weekday, hour and days since 1970")
    } else if stats.forms.is_date() {
        (ColumnKind::Dropped, "left out: dates with the day first; write them as YYYY-MM-DD")
    } else if is_id(name, stats, mostly_filled) {
        (ColumnKind::Id, "left out: looks like an identifier")
    } else if stats.is_numeric() && stats.missing == 0 && numbers_rows(stats) {
        (ColumnKind::Id, ROW_NUMBER)
    } else if stats.is_numeric() {
        (ColumnKind::Numeric, "number")
    } else if unique && stats.wordy == 0 && stats.numbers.count == 0 {
        (ColumnKind::Id, "left out: a different value in every row")
    } else if is_text(stats) {
        (ColumnKind::Text, "text: words are counted")
    } else {
        (ColumnKind::Categorical, "category")
    };
    (kind, treatment.to_owned())
}

const ROW_NUMBER: &str = "left out: numbers the rows";

/// Whether the name says identifier and nearly every row has another one.
fn is_id(name: &str, stats: &Stats, mostly_filled: bool) -> bool {
    let discrete = !stats.is_numeric() || stats.numbers.all_integers;
    mostly_filled && discrete && stats.distinct.share() >= ID_SHARE && is_id_name(name)
}

/// Whether a name is one that identifiers have: `id`, `user_id`, `customerID`, `Order Key`, `index`.
pub(super) fn is_id_name(name: &str) -> bool {
    if ID_NAMES.contains(&name.to_lowercase().as_str()) {
        return true;
    }
    // A capital after a small letter begins a word: PassengerId.
    let after_small = |(before, c): (char, char)| before.is_lowercase() && c.is_uppercase();
    let pairs = name.char_indices().zip(name.chars().skip(1));
    let hump = pairs
        .filter(|((_, before), c)| after_small((*before, *c)))
        .map(|((i, b), _)| i + b.len_utf8())
        .last();
    let tail = name.get(hump.unwrap_or(0)..).unwrap_or(name);
    let last = tail.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(tail).to_lowercase();
    ID_WORDS.contains(&last.as_str())
}

/// Whether the numbers count the rows; a run of years does not.
fn numbers_rows(stats: &Stats) -> bool {
    let n = &stats.numbers;
    let years = n.min >= 1500.0 && n.max <= 2200.0;
    n.all_integers && n.consecutive && stats.not_finite == 0 && !years
}

/// Whether cells are written in words that differ from row to row.
fn is_text(stats: &Stats) -> bool {
    let (distinct, texts) = (stats.distinct.count(), stats.texts());
    let wordy = stats.wordy * 2 >= texts;
    let varied = distinct > TEXT_DISTINCT && stats.distinct.share() >= 0.5;
    let long = distinct > LONG_DISTINCT && stats.mean_chars() >= LONG_CHARS;
    stats.numbers.count * 2 < stats.filled && wordy && (varied || long)
}

/// Zeros that stand far from all other values, as where 0 was written for "unknown": the gap above
/// them is several times the mean distance between values.
fn suspicious_zeros(stats: &Stats) -> usize {
    let n = &stats.numbers;
    let others = stats.distinct.count().saturating_sub(1);
    if n.zeros == 0 || n.min < 0.0 || others < 20 {
        return 0;
    }
    let mean_distance = (n.max - n.least_positive) / (others - 1) as f64;
    if n.least_positive >= 3.0 * mean_distance { n.zeros } else { 0 }
}

fn refuse_commas(path: &Path, name: &str, stats: &Stats) -> Result<(), DataError> {
    match &stats.first_comma {
        Some(first) if stats.is_comma_numeric() => Err(DataError::CommaNumbers {
            path: path.to_owned(),
            column: show(name),
            example: show(&first.cell),
            line: first.line,
        }),
        _ => Ok(()),
    }
}

fn check_time(path: &Path, name: &str, stats: &Stats) -> Result<(), DataError> {
    let text = stats.first_undated.as_ref().or(stats.first_text.as_ref());
    let problem = if stats.missing + stats.not_finite > 0 {
        format!("is missing or infinite in {}", counted(stats.missing + stats.not_finite, "row"))
    } else if stats.is_numeric() || (stats.forms.is_date() && stats.forms.is_readable()) {
        return Ok(());
    } else if stats.forms.is_date() {
        "has dates with the day first".to_owned()
    } else {
        let example = text.map(|text| format!("{} on line {}", show(&text.cell), text.line));
        format!("holds text ({})", example.unwrap_or_default())
    };
    Err(DataError::BadTime { path: path.to_owned(), column: show(name), problem })
}

/// A counting column is a feature after all where it is the only thing to learn from, as in a
/// table of `x` and `y`.
fn restore_numbers(columns: &mut [Column], pass: &Pass) {
    if columns.iter().any(|column| column.kind.is_feature()) {
        return;
    }
    for (column, stats) in columns.iter_mut().zip(&pass.stats) {
        if column.kind == ColumnKind::Id && column.treatment == ROW_NUMBER && stats.is_numeric() {
            column.kind = ColumnKind::Numeric;
            column.treatment =
                "number; it counts the rows, but nothing else is there to learn from".to_owned();
        }
    }
}

fn why_nothing(columns: &[Column]) -> String {
    let of = |kinds: &[ColumnKind], what: &str| {
        let names: Vec<&str> =
            columns.iter().filter(|c| kinds.contains(&c.kind)).map(|c| c.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{what}: {}", show_all(names.into_iter(), 4)))
    };
    let reasons = [
        of(&[ColumnKind::Constant], "constant"),
        of(&[ColumnKind::Id], "identifiers"),
        of(&[ColumnKind::Dropped], "left out"),
        of(&[ColumnKind::Group, ColumnKind::Time], "only for splitting"),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() { "the target is the only column".to_owned() } else { reasons.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_identifiers() {
        let yes = [
            "id",
            "ID",
            "PassengerId",
            "customerID",
            "user_id",
            "Order Key",
            "uuid",
            "Unnamed: 0",
            "index",
            "größenId",
        ];
        let no = ["paid", "humid", "keyboard", "price_index", "width", "idea", "turkey", "", "é"];
        for name in yes {
            assert!(is_id_name(name), "{name}");
        }
        for name in no {
            assert!(!is_id_name(name), "{name}");
        }
    }
}
