//! `telemetry.jsonl` in a study's folder: one line for each round, each attempt that was lost, and each experiment that ended, with
//! when and how long. It is for whoever asks where the time went; it never leaves this machine (`results --fetch` leaves it out),
//! and `AUTORESEARCH_TELEMETRY=0` stops it. docs/results.md lists the fields.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ar_common::{ExperimentId, Outcome, StudyId};
use ar_core::{Finish, Record, State};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::actor::{Ended, Event, Handle, after};
use crate::measured::word;
use crate::results;

/// Name of the file.
pub const FILE: &str = "telemetry.jsonl";
/// Name of what was it before it grew too large.
pub const FORMER: &str = "telemetry.1.jsonl";
/// The variable that stops it.
const VARIABLE: &str = "AUTORESEARCH_TELEMETRY";
/// Bytes after which a new file is begun; with the former one it takes twice as much.
const LIMIT: u64 = 16 << 20;
/// How often lines are written.
const EVERY: Duration = Duration::from_secs(1);

/// Writes it until the coordinator ends; nothing if somebody does not want it.
pub(crate) async fn start(handle: &Handle, out: &Path) -> Result<Option<JoinHandle<()>>, Ended> {
    if std::env::var(VARIABLE).is_ok_and(|value| value == "0") {
        return Ok(None);
    }
    let (state, mut events) = handle.watch().await?;
    let (mut book, seen) = (Book::new(out, &state), state.seq);
    drop(state);
    let writing = async move {
        let mut due = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(Event::Records(first, records)) => {
                        let records = after(seen, first, &records);
                        records.iter().for_each(|record| book.record(record));
                    }
                    Ok(Event::Started(experiment)) => book.started(experiment),
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => book.missed(missed),
                    Err(RecvError::Closed) => break,
                },
                _ = due.tick() => book = written(book).await,
            }
        }
        written(book).await;
    };
    Ok(Some(tokio::spawn(writing)))
}

/// Writes what has gathered, where waiting for a disk holds nobody up.
async fn written(mut book: Book) -> Book {
    if book.lines.is_empty() {
        return book;
    }
    let lines = std::mem::take(&mut book.lines);
    let folders: HashMap<StudyId, PathBuf> =
        lines.keys().filter_map(|study| Some((study.clone(), book.folder(study)?))).collect();
    let writing = tokio::task::spawn_blocking(move || {
        lines.iter().find_map(|(study, lines)| append(folders.get(study)?, lines, LIMIT).err())
    });
    if let Ok(Some(error)) = writing.await
        && !std::mem::replace(&mut book.has_failed, true)
    {
        tracing::warn!(%error, "cannot write {FILE}; it will have gaps");
    }
    book
}

/// Appends lines, and begins a new file where the old one is full.
fn append(folder: &Path, lines: &str, limit: u64) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    if std::fs::metadata(&path).is_ok_and(|file| file.len() + lines.len() as u64 > limit) {
        std::fs::rename(&path, folder.join(FORMER))?;
    }
    File::options().create(true).append(true).open(path)?.write_all(lines.as_bytes())
}

/// What is known of the experiments that have not ended.
struct Book {
    out: PathBuf,
    began: Instant,
    epoch: u64,
    names: HashMap<StudyId, String>,
    rounds: HashMap<StudyId, u64>,
    experiments: HashMap<ExperimentId, Life>,
    /// Lines that are not written yet.
    lines: HashMap<StudyId, String>,
    has_failed: bool,
}

/// The life of an experiment so far.
struct Life {
    study: StudyId,
    mode: String,
    planned: Option<Instant>,
    granted: Option<Instant>,
    started: Option<Instant>,
    attempt: u32,
    worker: Option<String>,
}

impl Book {
    fn new(out: &Path, state: &State) -> Self {
        let names = state.studies.iter().map(|(id, study)| (id.clone(), study.spec.name.clone())).collect();
        let pending = state.studies.iter().flat_map(|(id, study)| {
            let all = state.experiments_of(study).filter(|experiment| experiment.is_pending());
            all.map(|experiment| (experiment.id, Life::new(id, experiment.mode.to_string(), None)))
        });
        Self {
            out: out.to_owned(),
            began: Instant::now(),
            epoch: state.epoch.0,
            names,
            rounds: HashMap::new(),
            experiments: pending.collect(),
            lines: HashMap::new(),
            has_failed: false,
        }
    }

    fn folder(&self, study: &StudyId) -> Option<PathBuf> {
        Some(self.out.join(results::name(self.names.get(study)?, &study.0)))
    }

    /// A line, with when it was written, in seconds since this coordinator began.
    fn line(&mut self, study: &StudyId, event: &str, more: Value) {
        let mut line = json!({ "event": event, "epoch": self.epoch, "at": rounded(self.began.elapsed()) });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        let lines = self.lines.entry(study.clone()).or_default();
        lines.push_str(&line.to_string());
        lines.push('\n');
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Submitted { study, spec, .. } => {
                self.names.insert(study.clone(), spec.name.clone());
            }
            Record::Planned { study, experiments, .. } => {
                let round = self.rounds.entry(study.clone()).or_default();
                *round += 1;
                let round = *round;
                let mut modes = HashMap::<String, u64>::new();
                for planned in experiments {
                    let mode = planned.mode.to_string();
                    *modes.entry(mode.clone()).or_default() += 1;
                    self.experiments.insert(planned.id, Life::new(study, mode, Some(Instant::now())));
                }
                self.line(
                    study,
                    "round",
                    json!({ "round": round, "experiments": experiments.len(), "modes": modes }),
                );
            }
            Record::Granted { experiment, attempt, worker, .. } => {
                if let Some(life) = self.experiments.get_mut(experiment) {
                    life.granted = Some(Instant::now());
                    life.started = None;
                    life.attempt = attempt.0;
                    life.worker = Some(worker.0.clone());
                }
            }
            Record::Requeued { experiment, cause, running, .. } => {
                let Some(life) = self.experiments.get_mut(experiment) else { return };
                let (study, granted) = (life.study.clone(), life.granted.take());
                let more = json!({
                    "experiment": experiment.0,
                    "attempt": life.attempt,
                    "worker": life.worker.take(),
                    "cause": word(*cause),
                    "running": running,
                    "leased_seconds": granted.map(|granted| rounded(granted.elapsed())),
                });
                self.line(&study, "lost", more);
            }
            Record::Done { experiment, outcome, .. } => self.ended(*experiment, outcome),
            Record::Finished { study, how } => {
                let how = match how {
                    Finish::Concluded => "finished",
                    Finish::Failed => "failed",
                    Finish::Cancelled => "cancelled",
                };
                self.line(study, "end", json!({ "how": how }));
            }
            _ => {}
        }
    }

    fn started(&mut self, experiment: ExperimentId) {
        if let Some(life) = self.experiments.get_mut(&experiment) {
            life.started = Some(Instant::now());
        }
    }

    fn ended(&mut self, experiment: ExperimentId, outcome: &Outcome) {
        let Some(life) = self.experiments.remove(&experiment) else { return };
        let now = Instant::now();
        let between =
            |from: Option<Instant>, to: Option<Instant>| Some(rounded(to?.saturating_duration_since(from?)));
        let more = json!({
            "experiment": experiment.0,
            "mode": life.mode,
            "outcome": outcome.word(),
            "attempt": life.attempt,
            "worker": life.worker,
            "queued_seconds": between(life.planned, life.granted),
            "prepare_seconds": between(life.granted, life.started),
            "run_seconds": between(life.started, Some(now)),
            "measured_seconds": outcome.measures().map(|measures| measures.seconds),
        });
        self.line(&life.study, "experiment", more);
    }

    /// More happened than could be followed.
    fn missed(&mut self, count: u64) {
        let open: Vec<StudyId> = self.experiments.values().map(|life| life.study.clone()).collect();
        for study in open.into_iter().collect::<std::collections::BTreeSet<_>>() {
            self.line(&study, "gap", json!({ "events": count }));
        }
    }
}

impl Life {
    fn new(study: &StudyId, mode: String, planned: Option<Instant>) -> Self {
        Self { study: study.clone(), mode, planned, granted: None, started: None, attempt: 0, worker: None }
    }
}

/// Seconds to the millisecond.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_full_is_followed_by_a_new_one_and_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            append(folder.path(), line, 4).unwrap();
        }
        assert_eq!((text(FORMER).as_str(), text(FILE).as_str()), ("c\nd\n", "e\n"));
    }
}
