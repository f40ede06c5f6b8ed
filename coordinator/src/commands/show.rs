//! What `run` shows before it starts: the machine, the data, the task, the space.

use ar_common::frames::Hardware;
use ar_common::{BudgetBy, Constraints, DataRef, StudySpec, Tabular, Task, Training, Workload};

use super::output::Console;
use crate::data::ColumnKind;
use crate::intake::{Intake, Project, Subject, Table};
use crate::summary::columns;
use crate::text;

/// Options named of those left out for one reason, before "and n more".
const NAMED: usize = 6;
/// Characters shown of a class label.
const LONGEST: usize = 40;

/// What runs at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    /// Experiments.
    pub(crate) count: u32,
    /// GPUs of each, as the user said.
    pub(crate) gpus: Option<u32>,
}

/// Shows a study that is about to run.
pub(crate) fn study(console: Console, hardware: &Hardware, slots: Slots, intake: &Intake) {
    // Labels, names and paths are the user's; each line is one line.
    for line in lines(hardware, slots, intake) {
        console.line(&text::plain(&line));
    }
}

fn lines(hardware: &Hardware, slots: Slots, intake: &Intake) -> Vec<String> {
    let mut lines = vec![format!(
        "machine   {}, {} cores, {:.1} GiB ({}); {} experiments at once, {}",
        hardware.cpu,
        hardware.cores,
        gib(hardware.memory),
        hardware.platform,
        slots.count,
        pinning(hardware, slots, intake),
    )];
    if intake.spec.training().is_some() && !hardware.gpus.is_empty() {
        lines.push(gpus(hardware));
    }
    match (&intake.subject, &intake.spec.workload) {
        (Subject::Table(table), Workload::Tabular(tabular)) => {
            lines.push(data(table, tabular));
            lines.extend(task(table, tabular, &intake.spec));
            lines.extend(table.profile.notes.iter().map(|note| format!("          {note}")));
            lines.extend(space(&intake.spec));
            lines.extend(left_out(table));
        }
        (Subject::Project(project), Workload::Training(training)) => {
            lines.extend(script(project, training, &intake.spec));
            lines.extend(knobs(project));
            let value = |knob: &ar_source::Knobbed| knob.constant.text.trim().replace('_', "").parse().ok();
            let constants = project
                .knobs
                .iter()
                .filter_map(|(_, knob)| Some((knob.constant.name.as_str(), value(knob)?)));
            lines.extend(super::suggest::line(&hardware.gpus, constants));
            lines.extend(space(&intake.spec));
        }
        (Subject::Stored(stored), Workload::Training(training)) => {
            lines.push(format!("promoted  {}", stored.winner));
            lines.push(format!(
                "time      {} s to train; {} runs in all, in pairs with the base",
                training.budget_seconds,
                intake.spec.budget.total()
            ));
        }
        _ => {}
    }
    lines
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Which GPUs an experiment may use.
fn pinning(hardware: &Hardware, slots: Slots, intake: &Intake) -> String {
    if intake.spec.training().is_none() {
        return "no GPU is used".to_owned();
    }
    match (hardware.gpus.len(), slots.gpus) {
        (0, _) => hardware.accelerator.clone(),
        (_, Some(0)) => "not pinned to a GPU".to_owned(),
        (count, each) => format!("each on {} of {count} GPUs of its own", each.unwrap_or(1)),
    }
}

/// Equal GPUs are counted.
fn gpus(hardware: &Hardware) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for gpu in &hardware.gpus {
        let memory = if gpu.memory == 0 { String::new() } else { format!(" ({:.1} GiB)", gib(gpu.memory)) };
        let kind = format!("{}{memory}", gpu.name);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    format!("gpus      {}; {}", kinds.join(", "), hardware.accelerator)
}

fn script(project: &Project, training: &Training, spec: &StudySpec) -> Vec<String> {
    let by = match &training.budget_by {
        BudgetBy::Variable(name) => format!("in the variable {name}"),
        BudgetBy::Constant { file, .. } => format!("as the constant TIME_BUDGET of {file}"),
    };
    let protected = match training.protect.is_empty() {
        true => String::new(),
        false => format!("; no run may change {}", training.protect.join(", ")),
    };
    let mut lines = vec![format!("project   {}: {} files{protected}", training.path, project.files())];
    lines.extend(training.data.iter().map(|data| referred(data, &project.left_out)));
    lines.extend([
        format!("command   {}", training.command),
        format!(
            "time      {} s to train, told {by}, and {} s beyond to start and evaluate; then it is ended",
            training.budget_seconds, training.startup_seconds
        ),
        format!(
            "metric    {} ({}), {}; seed {}",
            spec.metric.name,
            better(spec),
            said_by(training),
            spec.seed
        ),
    ]);
    lines
}

/// Data that runs read where they lie.
fn referred(data: &DataRef, left_out: &[String]) -> String {
    let DataRef { name, path, fingerprint } = data;
    let told = if fingerprint.sampled { "names, sizes and samples of its content" } else { "its content" };
    let instead = match left_out.contains(name) {
        true => "; what the project has there is left out",
        false => "",
    };
    format!(
        "data      {name} -> {path}: {} files, {:.3} GiB, known by {told}{instead}",
        fingerprint.files,
        gib(fingerprint.bytes)
    )
}

fn said_by(training: &Training) -> String {
    match &training.evaluate {
        Some(command) => format!("as `{command}` measures it on what the run left"),
        None => "as the script prints it (self-reported)".to_owned(),
    }
}

fn better(spec: &StudySpec) -> &'static str {
    match spec.metric.direction {
        ar_common::Direction::Maximize => "higher is better",
        ar_common::Direction::Minimize => "lower is better",
    }
}

/// What is searched, and what is not.
fn knobs(project: &Project) -> Vec<String> {
    let mut rows = vec![["  constant", "now", "searched"].map(str::to_owned).to_vec()];
    let row = |(file, knob): &(String, ar_source::Knobbed)| {
        let (name, now) = (&knob.constant.name, text::cut(&knob.constant.text, LONGEST));
        vec![format!("  {file}:{} {name}", knob.constant.line), now, knob.why.clone()]
    };
    rows.extend(project.knobs.iter().map(row));
    let mut lines =
        vec!["knobs     what is searched; --knob NAME=RANGE and --no-knob NAME change it".to_owned()];
    lines.extend(columns(&rows));
    for (variants, _) in &project.variants {
        let options: Vec<&str> = variants.options.keys().map(String::as_str).collect();
        lines.push(format!(
            "slot      {} ({}): base, {}",
            variants.dimension,
            variants.file,
            options.join(", ")
        ));
    }
    for (file, constant) in &project.unsearched {
        lines.push(format!("left out  {file}:{} {}: {}", constant.line, constant.name, constant.why));
    }
    lines
}

fn data(table: &Table, tabular: &Tabular) -> String {
    let profile = &table.profile;
    let kinds = [
        (ColumnKind::Numeric, "numeric"),
        (ColumnKind::Categorical, "categorical"),
        (ColumnKind::Date, "date"),
        (ColumnKind::Text, "text"),
    ];
    let counts: Vec<String> = kinds
        .iter()
        .filter(|(kind, _)| profile.has(*kind))
        .map(|(kind, word)| format!("{} {word}", profile.count(*kind)))
        .collect();
    format!(
        "data      {}: {} rows, {} columns ({}), {} missing cells",
        tabular.data.path,
        profile.rows,
        profile.columns.len(),
        counts.join(", "),
        profile.missing_cells
    )
}

fn task(table: &Table, tabular: &Tabular, spec: &StudySpec) -> Vec<String> {
    let profile = &table.profile;
    let classes = match profile.task {
        Task::Classification => {
            let label = |(class, count): &(String, usize)| format!("{} {count}", text::cut(class, LONGEST));
            let shown: Vec<String> = profile.classes.iter().take(8).map(label).collect();
            let more = if profile.classes.len() > 8 { ", ..." } else { "" };
            format!("; classes: {}{more}", shown.join(", "))
        }
        Task::Regression => String::new(),
    };
    vec![
        format!("task      {} of `{}` ({}){classes}", profile.task, profile.target, profile.task_reason),
        format!("metric    {} ({}); change it with --metric", spec.metric.name, better(spec)),
        format!("splits    {} folds, seed {}; {}", tabular.splits.folds, spec.seed, profile.holdout_reason),
    ]
}

fn space(spec: &StudySpec) -> Vec<String> {
    let sizes: Vec<String> =
        spec.space.dimensions.iter().map(|d| format!("{} {}", d.name, d.searched().count())).collect();
    let kept = match spec.training() {
        None => {
            format!("{} of them kept for confirming the best against the base", spec.budget.confirmation())
        }
        Some(_) if spec.budget.decisions() == 0 => {
            "too few to decide whether the best beats the base".to_owned()
        }
        Some(_) => format!("{} of them kept for deciding what beats the base", spec.budget.decisions()),
    };
    let mut lines = vec![
        format!("space     {} = {} combinations", sizes.join(" x "), spec.space.combinations()),
        format!(
            "budget    {} rounds of {} = {} experiments, {kept}",
            spec.budget.rounds,
            spec.budget.per_round,
            spec.budget.total(),
        ),
    ];
    lines.extend(constraints(&spec.limits.constraints));
    lines
}

/// Options that were left out for one reason stand on one line.
fn left_out(table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for option in &table.left_out {
        let name = format!("{}={}", option.dimension, option.option);
        match reasons.iter_mut().find(|(reason, _)| *reason == option.reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((&option.reason, vec![name])),
        }
    }
    for (reason, names) in reasons {
        let more = names.len().saturating_sub(NAMED);
        let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("left out  {shown}{more}: {reason}"));
    }
    lines
}

/// What the answer must keep to.
fn constraints(constraints: &Constraints) -> Option<String> {
    let slow =
        constraints.predict_ms_per_1000_rows.map(|ms| format!("predicts 1,000 rows in {ms} ms at most"));
    let large = constraints.memory.map(|bytes| format!("takes {} MiB at most", bytes >> 20));
    let all: Vec<String> = slow.into_iter().chain(large).collect();
    (!all.is_empty())
        .then(|| format!("answer    {}; what breaks that only teaches the search", all.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_told_in_words_if_there_are_any() {
        assert_eq!(constraints(&Constraints { rows: Some(9), ..Constraints::default() }), None);
        let both = Constraints { predict_ms_per_1000_rows: Some(2.5), memory: Some(1 << 30), rows: None };
        let text = constraints(&both).unwrap();
        assert!(text.contains("in 2.5 ms at most and takes 1024 MiB at most"), "{text}");
    }
}
