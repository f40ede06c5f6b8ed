//! `results.tsv`: one line per experiment, for spreadsheets and `cut`.

use std::fmt::Write;

use super::report::{ExperimentPart, Report};

/// The columns; the first five are those of Karpathy's autoresearch, with the experiment's number in
/// place of the commit and the metric's own name in place of `val_bpb`.
const AFTER: &str = "outcome\tmode\tround\tblock\tfolds\tseconds\treason\tpredict_ms\tfeasible";

/// The table as text.
pub(super) fn tsv(report: &Report) -> String {
    let mut text = format!("experiment\t{}\tmemory_gb\tstatus\tdescription\t{AFTER}\n", report.study.metric);
    let refused = report.refused();
    let mut best: Option<f64> = None;
    for experiment in &report.experiments {
        let allowed = !experiment.breaks(&refused);
        let kept = allowed && is_better(experiment, best, report.minimizes());
        if kept {
            best = experiment.score;
        }
        line(&mut text, experiment, kept);
    }
    text
}

/// Whether it was the best so far when it was planned, in the order of planning.
fn is_better(experiment: &ExperimentPart, best: Option<f64>, minimizes: bool) -> bool {
    // The weights of an ensemble were chosen on the rows of its score.
    let counts = experiment.block == ar_common::Block::FIRST && experiment.members.is_empty();
    let Some(score) = experiment.score.filter(|_| counts) else {
        return false;
    };
    best.is_none_or(|best| if minimizes { score < best } else { score > best })
}

fn line(text: &mut String, experiment: &ExperimentPart, kept: bool) {
    let status = match (experiment.outcome.as_str(), kept) {
        ("done", true) => "keep",
        ("done" | "duplicate" | "stopped early" | "waiting" | "running" | "cancelled", _) => "discard",
        _ => "crash",
    };
    let number = |value: Option<f64>| value.map(|value| format!("{value:.6}")).unwrap_or_default();
    let memory = experiment.peak_memory.map(|bytes| format!("{:.2}", bytes as f64 / 1e9)).unwrap_or_default();
    let folds: Vec<String> = experiment.folds.iter().map(|fold| format!("{fold:.6}")).collect();
    let block = match experiment.block {
        ar_common::Block::Cv { repeat } => format!("cv{repeat}"),
        ar_common::Block::Sealed => "sealed".to_owned(),
        ar_common::Block::Refit => "refit".to_owned(),
    };
    // Writing to a String has no way to fail.
    let _ = writeln!(
        text,
        "{}\t{}\t{memory}\t{status}\t{}\t{}\t{}\t{}\t{block}\t{}\t{}\t{}\t{}\t{}",
        experiment.id,
        number(experiment.score),
        cell(&experiment.label),
        experiment.outcome,
        experiment.mode,
        experiment.round,
        folds.join(" "),
        number(experiment.seconds),
        cell(experiment.reason.as_deref().unwrap_or_default()),
        number(experiment.predict_ms),
        experiment.feasible.map_or("", |feasible| if feasible { "yes" } else { "no" }),
    );
}

/// Text without what would end a cell or a line.
fn cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}
