//! What is predicted and how it is judged.

use ar_common::{Metric, Task};

use super::Request;
use super::collect::Stats;
use super::error::{DataError, near, show};
use super::table::Pass;

/// Names by which a target is known when none is given, the surest first.
const USUAL_NAMES: [&str; 4] = ["target", "label", "class", "y"];

/// More different numbers than this are a quantity, not classes.
const MOST_INTEGER_CLASSES: usize = 20;

/// The same where some numbers are no integers.
const MOST_FRACTION_CLASSES: usize = 10;

/// Fewer rows per different number than this make it a quantity, too.
const ROWS_PER_CLASS: usize = 5;

/// More classes than this are an identifier or free text.
const MOST_CLASSES: usize = 200;

/// Above this share of the largest class, in percent, accuracy says little.
const IMBALANCED_PERCENT: usize = 80;

/// Which columns have a part of their own.
pub(super) struct Roles {
    pub(super) target: usize,
    /// How the target was chosen, for people.
    pub(super) target_reason: String,
    pub(super) group: Option<usize>,
    pub(super) time: Option<usize>,
    /// Per column, whether it is left out on request.
    pub(super) dropped: Vec<bool>,
}

impl Roles {
    /// Finds the columns that the request names, and the target if it names none.
    pub(super) fn find(names: &[String], request: &Request<'_>) -> Result<Self, DataError> {
        let find = |option: &'static str, wanted: Option<&str>| -> Result<Option<usize>, DataError> {
            let Some(wanted) = wanted else { return Ok(None) };
            if let Some(index) = names.iter().position(|name| name == wanted.trim()) {
                return Ok(Some(index));
            }
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let (column, hint) = (show(wanted), near(wanted, &known));
            Err(DataError::UnknownColumn { path: request.path.to_owned(), option, column, hint })
        };
        let given = find("--target", request.target)?;
        let group = find("--group", request.group)?;
        let time = find("--time", request.time)?;
        let mut dropped = vec![false; names.len()];
        for name in request.drop {
            if let Some(flag) = find("--drop", Some(name))?.and_then(|index| dropped.get_mut(index)) {
                *flag = true;
            }
        }
        let named = [("--target", given), ("--group", group), ("--time", time)];
        let named: Vec<(&str, usize)> = named.into_iter().filter_map(|(o, i)| Some((o, i?))).collect();
        refuse_clashes(names, &named, &dropped)?;
        let free = |index: usize| !dropped[index] && group != Some(index) && time != Some(index);
        let (target, target_reason) = match given {
            Some(index) => (index, "as given".to_owned()),
            None => guess(names, free).ok_or_else(|| DataError::NothingToLearn {
                path: request.path.to_owned(),
                why: "every column is dropped or has another part".to_owned(),
            })?,
        };
        Ok(Self { target, target_reason, group, time, dropped })
    }
}

fn refuse_clashes(
    names: &[String],
    named: &[(&'static str, usize)],
    dropped: &[bool],
) -> Result<(), DataError> {
    for (position, &(first, index)) in named.iter().enumerate() {
        let other = named.iter().skip(position + 1).find(|other| other.1 == index).map(|other| other.0);
        if let Some(second) = other.or(dropped[index].then_some("--drop")) {
            return Err(DataError::RoleClash { column: show(&names[index]), first, second });
        }
    }
    Ok(())
}

fn guess(names: &[String], free: impl Fn(usize) -> bool) -> Option<(usize, String)> {
    for usual in USUAL_NAMES {
        let found = (0..names.len()).find(|&i| free(i) && names[i].eq_ignore_ascii_case(usual));
        if let Some(index) = found {
            return Some((index, "chosen by its name".to_owned()));
        }
    }
    let last = (0..names.len()).rev().find(|&i| free(i))?;
    Some((last, "chosen because it is the last column".to_owned()))
}

/// The metric that the request names, with its task. Case and hyphens do not matter.
pub(super) fn wanted_metric(name: Option<&str>) -> Result<Option<(Metric, Task)>, DataError> {
    let Some(name) = name else { return Ok(None) };
    let plain = name.trim().to_lowercase().replace(['-', ' '], "_");
    let unknown = || {
        let hint = near(&plain, &Metric::tabular_names(None));
        DataError::UnknownMetric { name: show(name), hint }
    };
    Metric::tabular(&plain).ok_or_else(unknown).map(Some)
}

/// What is predicted and how it is judged.
pub(super) struct Goal {
    pub(super) target: String,
    pub(super) task: Task,
    pub(super) task_reason: String,
    pub(super) metric: Metric,
    /// Why this metric, if it is not the usual one.
    pub(super) metric_reason: Option<String>,
    /// Whether a quantity could also be predicted as classes.
    pub(super) could_be_classes: bool,
    /// Classes with their counts, the most frequent first; empty for regression.
    pub(super) classes: Vec<(String, usize)>,
}

/// Decides task and metric from the target's values and the metric that was asked for.
pub(super) fn decide(
    request: &Request<'_>,
    names: &[String],
    roles: &Roles,
    pass: &Pass,
    wanted: Option<(Metric, Task)>,
) -> Result<Goal, DataError> {
    let target = names[roles.target].clone();
    let stats = &pass.stats[roles.target];
    refuse_unusable(request, &target, stats)?;
    let (natural, reason) = natural_task(stats, pass.rows);
    let task = wanted.as_ref().map_or(natural, |wanted| wanted.1);
    if let Some((metric, _)) = &wanted {
        refuse_unsuitable(metric, task, &target, stats, pass.rows)?;
    }
    let task_reason = match &wanted {
        Some((metric, _)) if task != natural => format!("{} is asked for, although {reason}", metric.name),
        _ => reason,
    };
    if task == Task::Regression {
        let metric = wanted.map(|wanted| wanted.0).or_else(|| named("rmse"));
        let metric = metric.ok_or_else(no_default)?;
        let integers = stats.numbers.all_integers;
        let could_be_classes = !too_many(stats.distinct.count(), pass.rows, integers);
        let classes = Vec::new();
        return Ok(Goal {
            target,
            task,
            task_reason,
            metric,
            metric_reason: None,
            could_be_classes,
            classes,
        });
    }
    refuse_too_many(request, &target, stats, pass)?;
    let classes = pass.classes.ranked();
    let (metric, metric_reason) = match wanted {
        Some((metric, _)) => (Some(metric), None),
        None => default_metric(&classes, pass.rows),
    };
    let metric = metric.ok_or_else(no_default)?;
    Ok(Goal { target, task, task_reason, metric, metric_reason, could_be_classes: true, classes })
}

fn named(name: &str) -> Option<Metric> {
    Metric::tabular(name).map(|known| known.0)
}

/// A default metric that `common` does not know would be a fault of this build.
fn no_default() -> DataError {
    DataError::UnknownMetric { name: "`default`".to_owned(), hint: "name one with --metric".to_owned() }
}

fn default_metric(classes: &[(String, usize)], rows: usize) -> (Option<Metric>, Option<String>) {
    let largest = classes.first().map_or(0, |class| class.1);
    if largest * 100 <= IMBALANCED_PERCENT * rows {
        return (named("accuracy"), None);
    }
    let label = classes.first().map(|class| show(&class.0)).unwrap_or_default();
    let share = largest * 100 / rows.max(1);
    let why = format!(
        "{share} % of the rows are {label}, so plain accuracy would reward always saying so: balanced_accuracy is used"
    );
    (named("balanced_accuracy"), Some(why))
}

fn count(stats: &Stats) -> String {
    let n = stats.distinct.count();
    if stats.distinct.is_capped() { format!("at least {n}") } else { n.to_string() }
}

/// The task that the values themselves suggest.
fn natural_task(stats: &Stats, rows: usize) -> (Task, String) {
    let distinct = stats.distinct.count();
    let shown = count(stats);
    if !stats.is_numeric() {
        return (Task::Classification, format!("the target is text with {shown} distinct values"));
    }
    let integers = stats.numbers.all_integers;
    let what = if integers { "integers" } else { "numbers" };
    let most = if integers { MOST_INTEGER_CLASSES } else { MOST_FRACTION_CLASSES };
    if distinct > most {
        (Task::Regression, format!("the target has {shown} distinct {what}"))
    } else if distinct > 2 && distinct * ROWS_PER_CLASS > rows {
        (Task::Regression, format!("the target has {shown} distinct {what} in {rows} rows only"))
    } else {
        (Task::Classification, format!("the target has {shown} distinct values"))
    }
}

fn refuse_unusable(request: &Request<'_>, target: &str, stats: &Stats) -> Result<(), DataError> {
    let (path, column) = (request.path.to_owned(), show(target));
    if stats.is_comma_numeric()
        && let Some(first) = &stats.first_comma
    {
        return Err(DataError::CommaNumbers { path, column, example: show(&first.cell), line: first.line });
    }
    if stats.texts() == 0
        && let Some(first) = &stats.first_not_finite
    {
        return Err(DataError::InfiniteTarget { path, column, value: show(&first.cell), line: first.line });
    }
    if stats.distinct.count() < 2 {
        let first = stats.first_text.as_ref().map(|first| show(&first.cell));
        let value = first.unwrap_or_else(|| show(&stats.numbers.min.to_string()));
        return Err(DataError::OneClass { path, column, value });
    }
    if stats.is_almost_numeric()
        && stats.distinct.count() > MOST_INTEGER_CLASSES
        && let Some(first) = &stats.first_text
    {
        let (others, rows, example, line) = (stats.texts(), stats.filled, show(&first.cell), first.line);
        return Err(DataError::AlmostNumericTarget { path, column, others, rows, example, line });
    }
    Ok(())
}

fn refuse_unsuitable(
    metric: &Metric,
    task: Task,
    target: &str,
    stats: &Stats,
    rows: usize,
) -> Result<(), DataError> {
    let distinct = stats.distinct.count();
    let (why, other) = match task {
        Task::Regression if !stats.is_numeric() => {
            let example = stats.first_text.as_ref().map(|first| show(&first.cell)).unwrap_or_default();
            (format!("it needs numbers and the target is text ({example})"), Task::Classification)
        }
        Task::Classification
            if stats.is_numeric() && too_many(distinct, rows, stats.numbers.all_integers) =>
        {
            (
                format!("it needs classes and the target has {} distinct numbers", count(stats)),
                Task::Regression,
            )
        }
        _ => return Ok(()),
    };
    let alternatives = Metric::tabular_names(Some(other)).join(", ");
    Err(DataError::MetricTask { metric: metric.name.clone(), column: show(target), why, alternatives })
}

fn too_many(distinct: usize, rows: usize, integers: bool) -> bool {
    distinct > MOST_CLASSES || distinct * 2 > rows || (!integers && distinct > MOST_INTEGER_CLASSES)
}

fn refuse_too_many(request: &Request<'_>, target: &str, stats: &Stats, pass: &Pass) -> Result<(), DataError> {
    let classes = pass.classes.len();
    // With few rows and few classes the count of rows is what is wrong, which `splits` says.
    let identifies = classes * 2 > pass.rows && pass.rows >= 2 * request.folds as usize;
    if classes > MOST_CLASSES || identifies || pass.classes.is_overfull() {
        let (column, classes) = (show(target), count(stats));
        return Err(DataError::TooManyClasses { column, classes, rows: pass.rows });
    }
    Ok(())
}
