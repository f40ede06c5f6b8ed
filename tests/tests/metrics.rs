//! What a coordinator that serves measures: its page of metrics, and `telemetry.jsonl` in the folders of results.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ar_tests::processes;
use ar_tests::project::Project;
use ar_tests::run;
use ar_tests::service::{Head, SLOW, ended, experiments, http, submitted};
use serde_json::Value;

/// A page of metrics in the text format of Prometheus.
struct Page {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Page {
    /// Reads one, and looks whether each sample is said what it is.
    fn of(head: &Head) -> Self {
        let token = fs::read_to_string(head.token("submit")).unwrap();
        let answer = http(head.address(), "/metrics", Some(token.trim()));
        let (above, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(above.starts_with("HTTP/1.1 200") && above.contains("text/plain; version=0.0.4"), "{above}");
        let (mut helps, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        let mut samples = Vec::new();
        for line in body.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                assert!(helps.insert(name, help).is_none(), "{name} is explained twice");
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                kinds.insert(name, kind);
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
                let pair = |label: &str| {
                    label.trim_end_matches('"').split_once("=\"").map(|(a, b)| (a.into(), b.into()))
                };
                samples.push((
                    name.to_owned(),
                    labels.map(|label| pair(label).unwrap()).collect(),
                    value.parse().unwrap(),
                ));
            }
        }
        for (name, ..) in &samples {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.filter(|family| kinds.get(family) == Some(&"histogram")).unwrap_or(name);
            assert!(
                kinds.contains_key(family) && helps.get(family).is_some_and(|help| help.len() > 10),
                "{name}"
            );
            assert!(kinds[family] != "counter" || name.ends_with("_total"), "{name}");
        }
        Self { samples }
    }

    /// The value of a sample with these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is = |sample: &&(String, BTreeMap<String, String>, f64)| {
            sample.0 == name
                && labels.iter().all(|(label, value)| sample.1.get(*label).is_some_and(|v| v == value))
        };
        self.samples.iter().find(is).unwrap_or_else(|| panic!("{name} {labels:?}")).2
    }
}

#[test]
fn every_figure_is_explained_and_true() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::start(home.path(), &["--lease-ttl", "1s"]);
    let empty = Page::of(&head);
    for name in ["ar_workers", "ar_worker_slots", "ar_queue_length", "ar_leases", "ar_results_refused_total"]
    {
        assert_eq!(empty.value(name, &[]), 0.0, "{name}");
    }
    assert_eq!(empty.value("ar_coordinator_epoch", &[]), 1.0);
    let mut killed = head.worker("killed", &["--slots", "2"]);
    let study = submitted(&head, &Project::new(SLOW), &["--budget", "8", "--rounds", "1"]);
    let mut busy = Page::of(&head);
    processes::wait_until("two run", || {
        busy = Page::of(&head);
        busy.value("ar_leases", &[]) >= 2.0
    });
    assert_eq!(busy.value("ar_workers", &[]), 1.0);
    assert_eq!(busy.value("ar_worker_slots", &[]), 2.0);
    assert!(busy.value("ar_study_running", &[("study", "project")]) >= 1.0);
    killed.kill_9();
    head.until(&study, |line| line["running"] == 0);
    let lapsed = Page::of(&head);
    let count = lapsed.value("ar_leases_requeued_total", &[("cause", "lapsed")]);
    assert!(count >= 1.0, "its leases lapsed: {count}");
    assert_eq!(lapsed.value("ar_workers", &[]), 0.0);
    assert!(lapsed.value("ar_queue_length", &[]) >= count);
    assert!(lapsed.value("ar_study_waiting", &[("study", "project")]) >= count);
    let _worker = head.worker("other", &["--slots", "2"]);
    head.until(&study, ended);
    let after = Page::of(&head);
    let all = experiments(&head, &study).len() as f64;
    assert_eq!(after.value("ar_experiments_total", &[("outcome", "done")]), all);
    assert_eq!(after.value("ar_study_ended", &[("study", "project"), ("state", "finished")]), all);
    assert_eq!(after.value("ar_study_budget", &[("study", "project")]), 8.0);
    assert_eq!(after.value("ar_study_evaluations", &[("study", "project")]), 8.0);
    assert_eq!(after.value("ar_queue_length", &[]), 0.0);
    assert!(after.value("ar_study_best", &[("study", "project")]) > 0.0);
    assert!(after.value("ar_leases_lost_total", &[]) >= count);
    // Each batch was durable within some time, the buckets add up, and there are no more batches than records.
    let name = "ar_journal_append_seconds";
    let buckets: Vec<f64> = after
        .samples
        .iter()
        .filter(|(n, ..)| n.strip_suffix("_bucket") == Some(name))
        .map(|(.., v)| *v)
        .collect();
    let batches = after.value(&format!("{name}_count"), &[]);
    assert!(buckets.is_sorted() && buckets.last() == Some(&batches), "{buckets:?}");
    assert!(batches >= all && batches <= after.value("ar_journal_records_total", &[]), "{batches}");
    let sum = after.value(&format!("{name}_sum"), &[]);
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
}

/// The lines of a study's telemetry.
fn lines(out: &Path) -> Option<Vec<Value>> {
    let folders = fs::read_dir(out).ok()?.flatten().map(|entry| entry.path());
    let text = folders.filter_map(|folder| fs::read_to_string(folder.join("telemetry.jsonl")).ok()).next()?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn the_life_of_each_experiment_is_a_line_that_stays_on_the_machine() {
    let home = tempfile::tempdir().unwrap();
    let mut head = Head::start(home.path(), &["--lease-ttl", "1s"]);
    let mut killed = head.worker("killed", &["--slots", "1"]);
    let study = submitted(&head, &Project::new(SLOW), &["--budget", "6", "--rounds", "1"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(1) && line["running"] == 1);
    killed.kill_9();
    head.until(&study, |line| line["running"] == 0);
    let mut worker = head.worker("other", &["--slots", "2"]);
    head.until(&study, ended);
    let all = experiments(&head, &study);
    let there = home.path().join("there");
    let fetch = || head.ask(&["results", &study, "--fetch", "--out", there.to_str().unwrap()]);
    processes::wait_until("its results are written", || fetch().status.success());
    assert_eq!(worker.leave(), Some(0));
    assert_eq!(head.end().0, Some(0));
    let lines = lines(&head.out()).unwrap();
    assert!(lines.iter().all(|line| line["at"].as_f64() >= Some(0.0) && line["epoch"] == 1), "{lines:?}");
    let at: Vec<f64> = lines.iter().map(|line| line["at"].as_f64().unwrap()).collect();
    assert!(at.is_sorted(), "{at:?}");
    let rounds = of(&lines, "round");
    assert!(!rounds.is_empty() && rounds[0]["round"] == 1);
    let planned: u64 = rounds.iter().map(|round| round["experiments"].as_u64().unwrap()).sum();
    assert_eq!(planned, all.len() as u64);
    let lives = of(&lines, "experiment");
    assert_eq!(lives.len(), all.len());
    for life in &lives {
        assert!(life["outcome"] == "done" && life["mode"].is_string(), "{life}");
        assert!(["killed", "other"].contains(&life["worker"].as_str().unwrap()), "{life}");
        assert!(life["queued_seconds"].is_f64() && life["prepare_seconds"].is_f64(), "{life}");
        // The script sleeps for 0.3 s.
        assert!(life["run_seconds"].as_f64() >= Some(0.25), "{life}");
    }
    let lost = of(&lines, "lost");
    assert!(
        lost.iter()
            .any(|line| line["cause"] == "lapsed" && line["worker"] == "killed" && line["running"] == true),
        "{lost:?}"
    );
    assert!(lives.iter().any(|life| life["attempt"] == 2 && life["worker"] == "other"));
    assert_eq!(of(&lines, "end").len(), 1);
    // Whoever asks for the results does not get it.
    let fetched = fs::read_dir(&there).unwrap().flatten().next().unwrap().path();
    assert!(fetched.join("results.json").is_file() && !fetched.join("telemetry.jsonl").exists());
}

#[test]
fn a_run_writes_it_too_unless_somebody_does_not_want_it() {
    let home = tempfile::tempdir().unwrap();
    let ran = |variable: Option<&str>, name: &str| {
        let project = Project::new(SLOW);
        let out = home.path().join(name);
        let root = project.root();
        let fixed =
            ["run", root.to_str().unwrap(), "--train", "sh train.sh", "--sampler", "random", "--budget", "4"];
        let mut command = run::command(&fixed);
        command.args(["--rounds", "1", "--budget-variable", "TIME_BUDGET", "--out"]).arg(&out);
        command.envs(variable.map(|value| ("AUTORESEARCH_TELEMETRY", value)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", run::stderr(&output));
        lines(&out)
    };
    let written = ran(None, "with").unwrap();
    assert!(of(&written, "experiment").len() >= 4 && of(&written, "end").len() == 1);
    assert_eq!(ran(Some("0"), "without"), None);
}
