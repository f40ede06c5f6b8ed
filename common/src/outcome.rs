//! How an attempt ended, and what was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::ExperimentId;
use crate::racing::{Race, Rule};

/// How an experiment ended. A bad metric is an outcome with a reason, never a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran to its end and its score counts.
    Done(Measures),
    /// Raced out: behind the incumbent on every fold seen.
    StoppedEarly {
        /// The scores of the folds that were seen.
        folds: Vec<f64>,
        /// Seconds spent.
        seconds: f64,
        /// By which rule; of a training run `folds` are the points of its curve.
        #[serde(default, skip_serializing_if = "Rule::is_every_fold")]
        rule: Rule,
    },
    /// Its training matrix and model are those of another experiment.
    DuplicateOf {
        /// The one that was there first.
        experiment: ExperimentId,
    },
    /// The code failed, or the process died.
    Crashed {
        /// One line.
        reason: String,
    },
    /// The hard deadline passed.
    TimedOut {
        /// The deadline, seconds.
        seconds: f64,
    },
    /// It needed more memory than it may have.
    OutOfMemory {
        /// One line.
        reason: String,
    },
    /// No score, or one that cannot be true.
    NoMetric {
        /// One line.
        reason: String,
    },
    /// Called off before it ended.
    Cancelled {
        /// One line.
        reason: String,
    },
}

impl Outcome {
    /// The word for it, as in tables and `results.json`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::StoppedEarly { .. } => "stopped early",
            Self::DuplicateOf { .. } => "duplicate",
            Self::Crashed { .. } => "crashed",
            Self::TimedOut { .. } => "timed out",
            Self::OutOfMemory { .. } => "out of memory",
            Self::NoMetric { .. } => "no metric",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// What was measured, if it ran to its end.
    pub fn measures(&self) -> Option<&Measures> {
        match self {
            Self::Done(measures) => Some(measures),
            _ => None,
        }
    }

    /// The score, if there is one that counts.
    pub fn score(&self) -> Option<f64> {
        self.measures().and_then(|measures| measures.score)
    }

    /// Why there is no score, in one line.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Done(_) => None,
            Self::StoppedEarly { folds, rule, .. } => Some(match rule {
                Rule::EveryFold => format!("behind the best on each of its first {} folds", folds.len()),
                Rule::Latest => {
                    let percent = 100 * folds.len() / Race::CURVE_POINTS as usize;
                    format!("after {percent} % of its time its loss was above the median of finished runs")
                }
            }),
            Self::DuplicateOf { experiment } => {
                Some(format!("same matrix and model as experiment {experiment}"))
            }
            Self::TimedOut { seconds } => Some(format!("ran past its deadline of {seconds} s")),
            Self::Crashed { reason }
            | Self::OutOfMemory { reason }
            | Self::NoMetric { reason }
            | Self::Cancelled { reason } => Some(reason.clone()),
        }
    }
}

/// What a finished experiment measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// The metric's mean over the folds; absent for a refit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The metric on each fold, in fold order.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub folds: Box<[f64]>,
    /// Seconds of fitting and predicting.
    pub seconds: f64,
    /// Seconds of predicting alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predict_seconds: Option<f64>,
    /// Largest resident memory of the process, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Scores on the sealed rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Box<SealedScore>>,
    /// Files it made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub artifacts: Box<[Artifact]>,
    /// Of an ensemble: what each of its members weighs, in their order; chosen by this run where that was asked.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub members: Box<[u32]>,
    /// How a training run went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub course: Option<Box<Course>>,
    /// What else a training script printed in its summary, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Box<BTreeMap<String, f64>>>,
    /// On what it ran, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Box<Device>>,
}

/// On what an attempt ran. Scores under a budget of time compare within one class only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// The GPU's model, e.g. `NVIDIA GeForce RTX 4090`, `2 x NVIDIA H100` for several; the processor's where there is none.
    pub class: String,
    /// UUIDs of the GPUs; empty on a processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

impl Device {
    /// Most GPUs of one attempt.
    pub const MOST: usize = 64;

    /// The class of some GPUs, by their models: equal ones are counted.
    pub fn class_of<'a>(models: impl IntoIterator<Item = &'a str>) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for model in models {
            match counts.iter_mut().find(|(known, _)| *known == model) {
                Some((_, count)) => *count += 1,
                None => counts.push((model, 1)),
            }
        }
        counts.sort_unstable();
        let named = |(model, count): (&str, usize)| match count {
            1 => model.to_owned(),
            _ => format!("{count} x {model}"),
        };
        counts.into_iter().map(named).collect::<Vec<_>>().join(" + ")
    }
}

/// How a training run went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// Its loss at [`Race::CURVE_POINTS`] points of its time, as far as it told it while it ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<f64>,
    /// Seconds before it trained: to start and to compile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_seconds: Option<f64>,
}

impl Measures {
    /// The loss of a training run while it ran, as far as it is known.
    pub fn curve(&self) -> &[f64] {
        self.course.as_deref().map_or(&[], |course| &course.curve)
    }

    /// What another training run may start from, if it was kept.
    pub fn checkpoint(&self) -> Option<Digest> {
        self.artifacts.iter().find(|artifact| artifact.name == CHECKPOINT).map(|artifact| artifact.digest)
    }
}

/// Candidate and base on the sealed rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedScore {
    /// The candidate's score.
    pub score: f64,
    /// The base's score.
    pub base_score: f64,
    /// How much better the candidate is (positive is better in either direction).
    pub difference: f64,
    /// Lower end of the paired bootstrap interval of `difference`.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Coverage of the interval, e.g. 0.95.
    pub level: f64,
    /// How many rows were sealed.
    pub rows: u64,
}

/// Name of the artifact that another training run may start from.
pub const CHECKPOINT: &str = "checkpoint";

/// A file made by an experiment, stored as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File name without folders.
    pub name: String,
    /// Its content.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_gpus_are_counted_and_the_order_does_not_matter() {
        assert_eq!(Device::class_of(["H100"]), "H100");
        assert_eq!(Device::class_of(["H100", "A100", "H100"]), "A100 + 2 x H100");
        assert_eq!(Device::class_of(["A100", "H100", "H100"]), "A100 + 2 x H100");
    }

    #[test]
    fn measures_of_before_there_were_devices_are_read_and_written_as_ever() {
        let old = r#"{"score":0.5,"seconds":1.0}"#;
        let measures: Measures = serde_json::from_str(old).unwrap();
        assert_eq!(measures.device, None);
        assert_eq!(serde_json::to_string(&measures).unwrap(), old);
        let device = Device { class: "H100".into(), ids: vec!["GPU-1".into()] };
        let with = Measures { device: Some(Box::new(device)), ..measures };
        let bytes = rmp_serde::to_vec_named(&with).unwrap();
        assert_eq!(rmp_serde::from_slice::<Measures>(&bytes).unwrap(), with);
    }

    #[test]
    fn outcomes_survive_named_map_messagepack() {
        let all = [
            Outcome::Done(Measures {
                score: Some(0.5),
                folds: [0.4, 0.6].into(),
                seconds: 1.0,
                ..Measures::default()
            }),
            Outcome::DuplicateOf { experiment: ExperimentId(7) },
            Outcome::TimedOut { seconds: 60.0 },
            Outcome::NoMetric { reason: "accuracy is NaN".to_owned() },
        ];
        for outcome in all {
            let bytes = rmp_serde::to_vec_named(&outcome).unwrap();
            assert_eq!(rmp_serde::from_slice::<Outcome>(&bytes).unwrap(), outcome);
        }
    }
}
