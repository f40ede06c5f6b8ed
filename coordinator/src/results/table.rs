//! `results.tsv`: one line per experiment, for spreadsheets and `cut`.

use std::collections::BTreeSet;
use std::fmt::Write;

use ar_common::{Config, Fate};

use super::report::{ExperimentPart, Report};
use super::repository::Commits;

/// Digits of a commit that are shown, as git does.
const SHORT: usize = 7;
/// The figure with the memory that a run's GPUs held, MiB.
const GPU_MEMORY: &str = "gpu_peak_memory_mb";
/// The columns after the first five.
const AFTER: &str = "outcome\tmode\tround\tblock\tfolds\tseconds\treason\tpredict_ms\tfeasible";

/// The table as text. The first five columns are those of Karpathy's autoresearch, with the metric's own name in place of
/// `val_bpb`. Of a training study the first is the commit, and the experiment's number is the last; a table has no commits.
pub(super) fn tsv(report: &Report, commits: &Commits) -> String {
    let metric = &report.study.metric;
    let (first, last) =
        if report.study.is_training() { ("commit", "\texperiment") } else { ("experiment", "") };
    let mut text = format!("{first}\t{metric}\tmemory_gb\tstatus\tdescription\t{AFTER}{last}\n");
    let kept: BTreeSet<u64> = kept(report).iter().map(|experiment| experiment.id).collect();
    for experiment in &report.experiments {
        let row = row(experiment, kept.contains(&experiment.id));
        let id = experiment.id;
        // Writing to a String has no way to fail.
        let _ = match report.study.is_training() {
            true => {
                let commit = commits.get(&id).and_then(|commit| commit.get(..SHORT)).unwrap_or_default();
                writeln!(text, "{commit}\t{row}\t{id}")
            }
            false => writeln!(text, "{id}\t{row}"),
        };
    }
    text
}

/// What was kept, in order. Of a table's study: the experiments that were the best so far when they were planned. Of a
/// training study: the base, and the first run of each configuration that replaced the one before it by pairs of runs.
pub(super) fn kept(report: &Report) -> Vec<&ExperimentPart> {
    if report.study.is_training() {
        return decided(report);
    }
    let refused = report.refused();
    let mut best: Option<f64> = None;
    let mut kept = Vec::new();
    for experiment in report.experiments.iter().filter(|experiment| !experiment.breaks(&refused)) {
        if is_better(experiment, best, report.minimizes()) {
            best = experiment.score;
            kept.push(experiment);
        }
    }
    kept
}

fn decided(report: &Report) -> Vec<&ExperimentPart> {
    let first = |config: &Config| {
        let mut runs = report.experiments.iter().filter(|e| e.block == ar_common::Block::FIRST);
        runs.find(|e| e.config == *config && e.score.is_some())
    };
    let base = report.experiments.first().filter(|base| base.score.is_some());
    let decisions = report.verdict.iter().flat_map(|verdict| &verdict.decisions);
    let kept = decisions.filter(|decision| decision.fate == Fate::Kept);
    base.into_iter().chain(kept.filter_map(|decision| first(&decision.challenger))).collect()
}

/// Whether it was the best so far when it was planned, in the order of planning.
pub(super) fn is_better(experiment: &ExperimentPart, best: Option<f64>, minimizes: bool) -> bool {
    // The weights of an ensemble were chosen on the rows of its score.
    let counts = experiment.block == ar_common::Block::FIRST && experiment.members.is_empty();
    let Some(score) = experiment.score.filter(|_| counts) else {
        return false;
    };
    best.is_none_or(|best| if minimizes { score < best } else { score > best })
}

/// All but the first column.
fn row(experiment: &ExperimentPart, kept: bool) -> String {
    let status = match (experiment.outcome.as_str(), kept) {
        ("done", true) => "keep",
        ("done" | "duplicate" | "stopped early" | "waiting" | "running" | "cancelled", _) => "discard",
        _ => "crash",
    };
    let number = |value: Option<f64>| value.map(|value| format!("{value:.6}")).unwrap_or_default();
    // As in Karpathy's table the GPU's, where there is one.
    let of_gpu = experiment.figures.get(GPU_MEMORY).map(|mib| mib * f64::from(1 << 20));
    let memory = of_gpu.or(experiment.peak_memory.map(|bytes| bytes as f64));
    let memory = memory.map(|bytes| format!("{:.2}", bytes / 1e9)).unwrap_or_default();
    let folds: Vec<String> = experiment.folds.iter().map(|fold| format!("{fold:.6}")).collect();
    let block = match experiment.block {
        ar_common::Block::Cv { repeat } => format!("cv{repeat}"),
        ar_common::Block::Sealed => "sealed".to_owned(),
        ar_common::Block::Refit => "refit".to_owned(),
        ar_common::Block::Warm { from } => format!("warm{from}"),
    };
    format!(
        "{}\t{memory}\t{status}\t{}\t{}\t{}\t{}\t{block}\t{}\t{}\t{}\t{}\t{}",
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
    )
}

/// Text without what would end a cell or a line.
fn cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}
