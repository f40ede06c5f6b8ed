//! Folds and sealed rows: whether there are rows enough for them.

use ar_common::Task;

use super::error::{DataError, counted, show};
use super::table::Pass;
use super::target::{Goal, Roles};
use super::{Holdout, Request};

/// The fraction that is sealed when nothing else is said, and the rows that it must give.
const AUTO_FRACTION: f64 = 0.2;
const AUTO_ROWS: usize = 200;

/// How the rows are split.
pub(super) struct Split {
    pub(super) holdout: Option<f64>,
    pub(super) reason: String,
}

/// Refuses numbers that no file could satisfy, before the file is read.
pub(super) fn check_request(request: &Request<'_>) -> Result<(), DataError> {
    if !(2..=100).contains(&request.folds) {
        return Err(DataError::BadFolds { folds: request.folds });
    }
    if let Some(repeats) = request.repeats.filter(|repeats| !(1..=100).contains(repeats)) {
        return Err(DataError::BadRepeats { repeats });
    }
    match request.holdout {
        // Written so that NaN is out of range too.
        Holdout::Fraction(value) if !(0.05..=0.5).contains(&value) => Err(DataError::BadHoldout { value }),
        _ => Ok(()),
    }
}

/// A part of the data that must be in every fold.
struct Part {
    what: String,
    count: usize,
    needed: usize,
}

/// Decides the holdout, and refuses data that cannot fill the folds.
pub(super) fn decide(
    request: &Request<'_>,
    roles: &Roles,
    pass: &Pass,
    goal: &Goal,
) -> Result<Split, DataError> {
    let parts = parts(request, roles, pass, goal)?;
    let short = |fraction: f64| {
        parts
            .iter()
            .map(|part| (part, part.count - sealed(part.count, fraction)))
            .find(|(p, left)| *left < p.needed)
    };
    let rows = pass.rows;
    match request.holdout {
        Holdout::None => Ok(Split { holdout: None, reason: "no rows are sealed, as asked for".to_owned() }),
        Holdout::Fraction(holdout) => match short(holdout) {
            Some((part, left)) => {
                let (what, folds, needed) = (part.what.clone(), request.folds, part.needed);
                Err(DataError::FewAfterHoldout { holdout, left, what, folds, needed })
            }
            None => {
                let sealed = sealed(rows, holdout);
                let wide = if sealed < AUTO_ROWS { ", few enough to make its interval wide" } else { "" };
                let reason = format!("{sealed} of {rows} rows are sealed until the end, as asked for{wide}");
                Ok(Split { holdout: Some(holdout), reason })
            }
        },
        Holdout::Auto => Ok(auto(rows, short(AUTO_FRACTION))),
    }
}

fn auto(rows: usize, short: Option<(&Part, usize)>) -> Split {
    let sealed = sealed(rows, AUTO_FRACTION);
    if sealed < AUTO_ROWS {
        let reason = format!(
            "no rows are sealed: a fifth would be {sealed}, and fewer than {AUTO_ROWS} say too little"
        );
        return Split { holdout: None, reason };
    }
    if let Some((part, left)) = short {
        let reason = format!("no rows are sealed: only {left} of {} would be left for the folds", part.what);
        return Split { holdout: None, reason };
    }
    Split {
        holdout: Some(AUTO_FRACTION),
        reason: format!("a fifth of the rows, {sealed}, is sealed until the end of the search"),
    }
}

/// How many of `count` the runner seals.
fn sealed(count: usize, fraction: f64) -> usize {
    // Fractions are at most a half, so the product fits.
    (count as f64 * fraction).round_ties_even() as usize
}

/// What every fold needs, checked against all rows.
fn parts(request: &Request<'_>, roles: &Roles, pass: &Pass, goal: &Goal) -> Result<Vec<Part>, DataError> {
    let folds = request.folds as usize;
    let needed = 2 * folds;
    if pass.rows < needed {
        let (path, rows, folds) = (request.path.to_owned(), pass.rows, request.folds);
        return Err(DataError::FewRows { path, rows, folds, needed });
    }
    let mut parts = vec![Part { what: format!("{} rows", pass.rows), count: pass.rows, needed }];
    if let Some((label, count)) = goal.classes.last()
        && goal.task == Task::Classification
    {
        let rare = goal.classes.iter().filter(|class| class.1 < folds).count();
        if rare > 0 {
            let others = if rare > 1 {
                format!(" (and {} with too few)", counted(rare - 1, "other class"))
            } else {
                String::new()
            };
            let (class, column) = (show(label), show(&goal.target));
            return Err(DataError::RareClass { column, class, rows: *count, others, folds: request.folds });
        }
        let what = format!("the {count} rows of class {}", show(label));
        parts.push(Part { what, count: *count, needed: folds });
    }
    if let Some((group, name)) = roles.group.zip(request.group) {
        // Folds by time train on what came before the first of them, so they need a group more.
        let needed = folds + usize::from(roles.time.is_some());
        let stats = &pass.stats[group];
        let groups = stats.distinct.count() + usize::from(stats.missing > 0);
        if groups < needed {
            return Err(DataError::FewGroups { column: show(name), groups, folds: request.folds, needed });
        }
        if !stats.distinct.is_capped() {
            parts.push(Part { what: format!("{groups} groups of {}", show(name)), count: groups, needed });
        }
    }
    Ok(parts)
}
