//! The best of each class of device: under a budget of time a faster one trains longer, so scores of two classes do not
//! compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::{ExperimentPart, Report, Scored};
use super::table::is_better;

/// The best on one class of device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassPart {
    /// The class, e.g. `NVIDIA GeForce RTX 4090`.
    pub class: String,
    /// Runs that have a score there.
    pub runs: u32,
    /// The best of them on the study's own seed that keeps to the constraints.
    pub best: Option<Scored>,
}

/// The best of each class, by its name; nothing where all ran on one class.
pub(super) fn best_per_class(report: &Report) -> Vec<ClassPart> {
    let refused = report.refused();
    let mut classes: BTreeMap<&str, (u32, Option<&ExperimentPart>)> = BTreeMap::new();
    for experiment in report.experiments.iter().filter(|experiment| experiment.score.is_some()) {
        let Some(device) = &experiment.device else {
            continue;
        };
        let (runs, best) = classes.entry(&device.class).or_default();
        *runs += 1;
        let score = best.and_then(|best| best.score);
        if !experiment.breaks(&refused) && is_better(experiment, score, report.minimizes()) {
            *best = Some(experiment);
        }
    }
    if classes.len() < 2 {
        return Vec::new();
    }
    let part = |(class, (runs, best)): (&str, (u32, Option<&ExperimentPart>))| ClassPart {
        class: class.to_owned(),
        runs,
        best: best.and_then(scored),
    };
    classes.into_iter().map(part).collect()
}

fn scored(experiment: &ExperimentPart) -> Option<Scored> {
    Some(Scored {
        id: experiment.id,
        config: experiment.config.clone(),
        label: experiment.label.clone(),
        score: experiment.score?,
    })
}
