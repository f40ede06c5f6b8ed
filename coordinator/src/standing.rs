//! How studies and workers stand, in a form that is short enough to be asked for often.

use std::collections::BTreeMap;
use std::sync::Arc;

use ar_common::StudyId;
use ar_common::config::describe;
use ar_common::frames::Hello;
use ar_core::{Finish, Live, Phase, State, Status, Study};
use serde::{Deserialize, Serialize};

/// One study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyLine {
    /// Its identity.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// `running`, `paused`, `finished`, `failed` or `cancelled`.
    pub state: String,
    /// Full evaluations that were spent, or are planned.
    pub spent: f64,
    /// Full evaluations in all.
    pub budget: u32,
    /// Experiments that have ended.
    pub ended: usize,
    /// Experiments that run.
    pub running: usize,
    /// Experiments that wait for a worker.
    pub waiting: usize,
    /// Name of the metric.
    pub metric: String,
    /// The best score of the study's own split.
    pub best: Option<f64>,
    /// What has it.
    pub best_label: Option<String>,
    /// The answer in a sentence, once there is one.
    pub verdict: Option<String>,
    /// Why nothing runs, where a person has to do something about it.
    pub why_not: Option<String>,
}

/// One worker that is connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerLine {
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Processor, cores, memory in bytes.
    pub cpu: String,
    /// Cores that it may use.
    pub cores: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Its GPUs, by model.
    pub gpus: Vec<String>,
    /// What is said of it.
    pub labels: BTreeMap<String, String>,
    /// Experiments at once.
    pub slots: u32,
    /// Why these are fewer than usual.
    #[serde(default)]
    pub why_fewer: Option<String>,
    /// Experiments that it holds.
    pub held: usize,
    /// Studies whose environment stands there.
    pub ready: Vec<String>,
    /// Whether it takes no more, by its own word.
    pub draining: bool,
    /// Why it is given no more, where somebody or its failures said so.
    #[serde(default)]
    pub held_back: Option<String>,
    /// Why studies cannot be run there, by their names.
    #[serde(default)]
    pub not_ready: BTreeMap<String, String>,
}

/// All studies, by name.
pub fn studies(state: &State, live: &Live) -> Vec<StudyLine> {
    let mut all: Vec<StudyLine> =
        state.studies.values().map(|study| study_line(state, live, study)).collect();
    all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    all
}

/// One study.
pub fn study_line(state: &State, live: &Live, study: &Study) -> StudyLine {
    let (mut ended, mut running, mut waiting) = (0, 0, 0);
    for experiment in state.experiments_of(study) {
        match experiment.status {
            Status::Queued => waiting += 1,
            Status::Leased { .. } => running += 1,
            Status::Done { .. } => ended += 1,
        }
    }
    let archived = study.archived.as_deref();
    ended += archived.map_or(0, |archived| archived.experiments);
    let best = match archived {
        Some(archived) => archived.best.as_ref().map(|(_, config, score)| (config, *score)),
        None => state.best(study).map(|(experiment, score)| (&experiment.config, score)),
    };
    StudyLine {
        id: study.spec.id().to_string(),
        name: study.spec.name.clone(),
        state: word(study).to_owned(),
        spent: study.evaluations(),
        budget: study.budget().total(),
        ended,
        running,
        waiting,
        metric: study.spec.metric.name.clone(),
        best: best.map(|(_, score)| score),
        best_label: best.map(|(config, _)| describe(config, &study.base())),
        verdict: study.verdict.as_ref().map(|verdict| verdict.text.clone()),
        why_not: why_not(live, study).filter(|_| running == 0),
    }
}

/// How far a study is, in a word.
pub fn word(study: &Study) -> &'static str {
    match study.phase {
        Phase::Finished(Finish::Concluded) => "finished",
        Phase::Finished(Finish::Failed) => "failed",
        Phase::Finished(Finish::Cancelled) => "cancelled",
        Phase::Searching | Phase::Closing if study.paused => "paused",
        Phase::Searching | Phase::Closing => "running",
    }
}

fn why_not(live: &Live, study: &Study) -> Option<String> {
    if study.is_finished() || study.paused {
        return None;
    }
    let hellos: Vec<&Hello> = live.workers.values().map(|worker| &*worker.hello).collect();
    study.unsatisfied(hellos).or_else(|| {
        let id = study.spec.id();
        let could: Vec<_> = live.workers.values().filter(|worker| study.takes(&worker.hello)).collect();
        let ready: Vec<_> = could.iter().filter(|worker| worker.ready.contains(&id)).collect();
        if ready.iter().any(|worker| worker.slots > 0) {
            return None;
        }
        let fault = if ready.is_empty() { "its environment is not ready" } else { "nothing can begin" };
        let whys = could.iter().filter_map(|worker| {
            let fewer = Some(&worker.why_fewer).filter(|why| !why.is_empty());
            Some(format!("; {}: {}", worker.worker, worker.not_ready.get(&id).or(fewer)?))
        });
        let said = whys.take(1).collect::<String>();
        Some(format!("{fault} on any of {} workers that could run it{said}", could.len()))
    })
}

/// The workers that are connected, by name.
pub fn workers(state: &State, live: &Live) -> Vec<WorkerLine> {
    let name = |study: &StudyId| state.studies.get(study).map(|study| study.spec.name.clone());
    let mut all: Vec<WorkerLine> = live
        .workers
        .values()
        .map(|worker| {
            let hardware = &worker.hello.hardware;
            let hold = state.holds.get(&worker.worker).filter(|_| worker.held_back);
            WorkerLine {
                name: worker.worker.0.clone(),
                host: hardware.host.clone(),
                cpu: hardware.cpu.clone(),
                cores: hardware.cores,
                memory: hardware.memory,
                gpus: hardware.gpus.iter().map(|gpu| gpu.name.clone()).collect(),
                labels: worker.hello.labels.clone(),
                slots: worker.slots,
                why_fewer: (!worker.why_fewer.is_empty()).then(|| worker.why_fewer.clone()),
                held: worker.held.len(),
                ready: worker.ready.iter().filter_map(name).collect(),
                draining: worker.draining,
                held_back: hold.map(|hold| hold.why.clone()),
                not_ready: worker
                    .not_ready
                    .iter()
                    .filter_map(|(study, why)| Some((name(study)?, why.clone())))
                    .collect(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Why a study is not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is none.
    #[error("there is no study `{0}`; `ar-coordinator status` lists them")]
    None(String),
    /// There are several.
    #[error("`{name}` may be any of {}; write more of the id", ids.join(", "))]
    Several {
        /// What was asked for.
        name: String,
        /// Their ids, shortened.
        ids: Vec<String>,
    },
}

/// The study of a name, or with an id that begins like this.
///
/// # Errors
/// When there is none, or several.
pub fn find(state: &State, name: &str) -> Result<StudyId, Unknown> {
    let is_it = |(id, study): &(&StudyId, &Arc<Study>)| {
        study.spec.name == name || (name.len() >= 4 && id.0.starts_with(name)) || {
            // As its folder of results is called.
            let folder = format!("{}-{}", study.spec.name, id.0.get(..8).unwrap_or(&id.0));
            folder == name
        }
    };
    let found: Vec<&StudyId> = state.studies.iter().filter(is_it).map(|(id, _)| id).collect();
    match found[..] {
        [] => Err(Unknown::None(name.to_owned())),
        [only] => Ok(only.clone()),
        _ => {
            let ids = found.iter().map(|id| id.short().to_owned()).collect();
            Err(Unknown::Several { name: name.to_owned(), ids })
        }
    }
}
