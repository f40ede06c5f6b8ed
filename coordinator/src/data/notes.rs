//! What was done with the data, in sentences for people.

use std::collections::HashMap;

use ar_common::Task;

use super::collect::Stats;
use super::columns::is_id_name;
use super::content::Encoding;
use super::error::{show, show_all};
use super::profile::{Column, ColumnKind, Findings};

/// More values than this in a categorical column are worth a word.
const MANY_CATEGORIES: usize = 50;

/// How many names a sentence lists.
const LISTED: usize = 6;

/// All notes, what matters most first.
pub(super) fn write(findings: &Findings) -> Vec<String> {
    let mut notes = goal_notes(findings);
    if findings.content.encoding == Encoding::Latin1 {
        notes.push(
            "the file is not utf-8 and is read as latin-1; save it as utf-8 if names or labels look wrong"
                .to_owned(),
        );
    }
    notes.extend(left_out_notes(&findings.columns));
    notes.extend(used_notes(findings));
    notes
}

fn goal_notes(findings: &Findings) -> Vec<String> {
    let (goal, pass) = (&findings.goal, &findings.pass);
    let mut notes = vec![format!(
        "target {}, {}: {} ({})",
        show(&goal.target),
        findings.roles.target_reason,
        goal.task,
        goal.task_reason
    )];
    let numeric = pass.stats.get(findings.roles.target).is_some_and(Stats::is_numeric);
    match goal.task {
        Task::Classification if numeric => {
            notes.push("to predict it as a quantity instead, use --metric rmse".to_owned());
        }
        Task::Regression if goal.could_be_classes => {
            notes.push("to predict it as classes instead, use --metric accuracy".to_owned());
        }
        _ => {}
    }
    notes.extend(alike(&goal.classes));
    notes.extend(goal.metric_reason.clone());
    if pass.dropped_rows > 0 {
        let (rows, verb) = rows(pass.dropped_rows);
        notes.push(format!("{rows} without a target {verb} left out"));
    }
    notes
}

/// Two labels that may well be one class.
fn alike(classes: &[(String, usize)]) -> Option<String> {
    let meaning = |label: &str| match label.parse::<f64>() {
        Ok(number) if number.is_finite() => (number + 0.0).to_string(),
        _ => label.to_lowercase(),
    };
    let mut known = HashMap::new();
    let (first, second) =
        classes.iter().find_map(|(label, _)| Some((known.insert(meaning(label), label)?, label)))?;
    let (first, second) = (show(first), show(second));
    Some(format!("labels {first} and {second} are two classes; if they mean the same, write them alike"))
}

fn rows(count: usize) -> (String, &'static str) {
    if count == 1 { ("1 row".to_owned(), "is") } else { (format!("{count} rows"), "are") }
}

/// One sentence for each reason that columns are left out.
fn left_out_notes(columns: &[Column]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let unused = columns
        .iter()
        .filter(|c| matches!(c.kind, ColumnKind::Id | ColumnKind::Constant | ColumnKind::Dropped));
    for column in unused {
        match reasons.iter_mut().find(|(reason, _)| *reason == column.treatment) {
            Some((_, names)) => names.push(&column.name),
            None => reasons.push((&column.treatment, vec![&column.name])),
        }
    }
    reasons.into_iter().map(|(reason, names)| format!("{} {reason}", subject(&names))).collect()
}

/// The columns as the beginning of a sentence about them.
fn subject(names: &[&str]) -> String {
    let list = show_all(names.iter().copied(), LISTED);
    if names.len() == 1 { format!("column {list}:") } else { format!("columns {list}:") }
}

fn used_notes(findings: &Findings) -> Vec<String> {
    let used: Vec<(&Column, &Stats)> = findings.columns.iter().zip(&findings.pass.stats).collect();
    let mut notes = Vec::new();
    let mut about = |holds: &dyn Fn(&Column, &Stats) -> bool, what: &str| {
        let names: Vec<&str> =
            used.iter().filter(|(c, s)| holds(c, s)).map(|(c, _)| c.name.as_str()).collect();
        if !names.is_empty() {
            notes.push(format!("{} {what}", subject(&names)));
        }
    };
    about(
        &|c, _| c.kind == ColumnKind::Date,
        "date, used as year, month, day, weekday, hour and days since 1970",
    );
    about(
        &|c, s| matches!(c.kind, ColumnKind::Date | ColumnKind::Time) && s.forms.is_ambiguous(),
        "day and month could be confused, read as month/day/year; write YYYY-MM-DD if that is wrong",
    );
    about(&|c, _| c.kind == ColumnKind::Text, "text, whose words are counted");
    about(&|c, _| c.kind.is_feature() && c.infinite > 0, "infinite or undefined numbers count as missing");
    about(
        &|c, _| c.kind == ColumnKind::Categorical && c.distinct > MANY_CATEGORIES,
        "category with many values; rare ones say little",
    );
    about(
        &|c, s| {
            let repeated = !s.is_numeric() || s.numbers.all_integers;
            matches!(c.kind, ColumnKind::Numeric | ColumnKind::Categorical) && is_id_name(&c.name) && repeated
        },
        "named like an identifier but its values repeat; if rows of one value belong together, use --group, else --drop",
    );
    about(&|c, _| c.suspicious_zeros > 0, "zeros far from all other values, which may stand for \"unknown\"");
    about(&|c, s| c.kind == ColumnKind::Group && s.missing > 0, "rows without a group count as one group");
    for (column, stats) in &used {
        notes.extend(almost(column, stats));
    }
    notes
}

/// A column that a few cells keep from being numbers or dates.
fn almost(column: &Column, stats: &Stats) -> Option<String> {
    let (what, others, example) = if !column.kind.is_feature() && column.kind != ColumnKind::Id {
        return None;
    } else if stats.is_almost_numeric() {
        ("a number", stats.texts(), stats.first_text.as_ref()?)
    } else if stats.is_almost_date() {
        ("a date", stats.filled - stats.dates, stats.first_undated.as_ref()?)
    } else {
        return None;
    };
    Some(format!(
        "column {}: {what} in all but {others} of {} cells ({} on line {}), so {}; correct or empty those cells",
        show(&column.name),
        stats.filled,
        show(&example.cell),
        example.line,
        if column.kind == ColumnKind::Id { "left out" } else { "used as categories or text" },
    ))
}
