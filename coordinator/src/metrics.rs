//! What Prometheus reads: how the coordinator stands, in its text format (version 0.0.4).

use std::fmt::Write;

use ar_core::{Live, State, Status};

use crate::measured::{BOUNDS, Figures};
use crate::standing;

/// The page.
pub fn page(state: &State, live: &Live, measured: &Figures) -> String {
    let mut page = Page::default();
    page.one("ar_coordinator_epoch", "gauge", "The reign that the journal is in.", state.epoch.0 as f64);
    page.one("ar_journal_records_total", "counter", "Records in the journal.", state.seq.0 as f64);
    page.one(
        "ar_results_refused_total",
        "counter",
        "Results that came under a stale lease, or contradicted one.",
        state.refused as f64,
    );
    page.one("ar_workers", "gauge", "Workers that are connected.", live.workers.len() as f64);
    let held_back = live.workers.values().filter(|worker| worker.held_back).count();
    page.one("ar_workers_held_back", "gauge", "Workers that are given no more.", held_back as f64);
    let slots: u32 = live.workers.values().map(|worker| worker.slots).sum();
    page.one("ar_worker_slots", "gauge", "Experiments that they run at once.", f64::from(slots));
    let held: usize = live.workers.values().map(|worker| worker.held.len()).sum();
    page.one("ar_worker_leases", "gauge", "Leases that they hold.", held as f64);
    page.one(
        "ar_leases",
        "gauge",
        "Leases that are out, of connected workers and others.",
        live.leases.len() as f64,
    );
    let queued: usize = live.queues.values().map(std::collections::VecDeque::len).sum();
    page.one("ar_queue_length", "gauge", "Experiments that wait for a worker.", queued as f64);
    let lost = |experiment: &ar_core::Experiment| u64::from(experiment.attempt.0.saturating_sub(1));
    let archived = || state.studies.values().filter_map(|study| study.archived.as_deref());
    let lost: u64 = state.experiments.iter().map(lost).sum::<u64>()
        + archived().map(|archived| archived.lost).sum::<u64>();
    page.one(
        "ar_leases_lost_total",
        "counter",
        "Leases that lapsed, were given back or forgotten.",
        lost as f64,
    );
    page.head("ar_experiments_total", "counter", "Experiments that have ended, by outcome.");
    let mut outcomes = std::collections::BTreeMap::<&str, u64>::new();
    for experiment in &state.experiments {
        if let Status::Done { outcome, .. } = &experiment.status {
            *outcomes.entry(outcome.word()).or_default() += 1;
        }
    }
    for (outcome, count) in archived().flat_map(|archived| &archived.outcomes) {
        *outcomes.entry(outcome).or_default() += count;
    }
    for (outcome, count) in outcomes {
        page.sample("ar_experiments_total", &[("outcome", outcome)], count as f64);
    }
    measurements(&mut page, measured);
    studies(&mut page, state, live);
    page.0
}

/// What is counted since the coordinator started.
fn measurements(page: &mut Page, measured: &Figures) {
    let name = "ar_journal_append_seconds";
    page.head(name, "histogram", "How long a batch of records took to become durable.");
    let mut within = 0;
    for (bound, count) in BOUNDS.iter().zip(measured.appends.buckets) {
        within += count;
        page.sample("ar_journal_append_seconds_bucket", &[("le", &bound.to_string())], within as f64);
    }
    let (count, sum) = (measured.appends.count as f64, measured.appends.sum);
    page.sample("ar_journal_append_seconds_bucket", &[("le", "+Inf")], count);
    page.sample("ar_journal_append_seconds_sum", &[], sum);
    page.sample("ar_journal_append_seconds_count", &[], count);
    let name = "ar_leases_requeued_total";
    page.head(
        name,
        "counter",
        "Leases that ended without a result since this coordinator started: lapsed in silence, given back, forgotten.",
    );
    for cause in ["lapsed", "released", "forgotten"] {
        let count = measured.requeued.get(cause).copied().unwrap_or_default();
        page.sample(name, &[("cause", cause)], count as f64);
    }
    let name = "ar_gpu_idle_seconds_total";
    page.head(
        name,
        "counter",
        "GPU seconds of connected workers in which no experiment's process ran, while experiments waited, and while none did.",
    );
    for (worker, idle) in &measured.idle {
        page.sample(name, &[("worker", worker), ("work", "waiting")], idle.waiting);
        page.sample(name, &[("worker", worker), ("work", "none")], idle.none);
    }
}

fn studies(page: &mut Page, state: &State, live: &Live) {
    let all = standing::studies(state, live);
    let mut each = |name: &str, help: &str, of: &dyn Fn(&standing::StudyLine) -> Option<f64>| {
        page.head(name, "gauge", help);
        for line in &all {
            if let Some(value) = of(line) {
                let id = line.id.get(..8).unwrap_or(&line.id);
                page.sample(name, &[("study", &line.name), ("id", id), ("state", &line.state)], value);
            }
        }
    };
    each("ar_study_evaluations", "Full evaluations of a study that were spent, or are planned.", &|line| {
        Some(line.spent)
    });
    each("ar_study_budget", "Full evaluations of a study in all.", &|line| Some(f64::from(line.budget)));
    each("ar_study_running", "Experiments of a study that run.", &|line| Some(line.running as f64));
    each("ar_study_waiting", "Experiments of a study that wait for a worker.", &|line| {
        Some(line.waiting as f64)
    });
    each("ar_study_ended", "Experiments of a study that have ended.", &|line| Some(line.ended as f64));
    each("ar_study_best", "The best score of a study's own split, in units of its metric.", &|line| {
        line.best
    });
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text has no way to fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_studies_cannot_break_the_page() {
        let mut page = Page::default();
        page.sample("m", &[("study", "a\"b\\c\nd")], 1.5);
        assert_eq!(page.0, "m{study=\"a\\\"b\\\\c\\nd\"} 1.5\n");
    }

    #[test]
    fn each_figure_has_a_help_text_and_a_type() {
        let page = page(&State::default(), &Live::default(), &Figures::default());
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes = ["_bucket", "_sum", "_count"];
            let name = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(
                page.contains(&format!("# HELP {name} ")) && page.contains(&format!("# TYPE {name} ")),
                "{name}"
            );
        }
        assert!(page.contains("ar_workers 0\n"));
    }
}
