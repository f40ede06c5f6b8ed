//! What configurations took, and whether they keep to the constraints.

use std::collections::BTreeMap;

use ar_common::{Config, Constraints, Measures, Outcome};
use ar_core::{State, Study};
use serde::{Deserialize, Serialize};

/// What the runs of a configuration took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CostPart {
    /// Seconds of fitting and predicting, mean over its cross-validations.
    pub seconds: Option<f64>,
    /// Milliseconds for predicting 1,000 rows, over all of them.
    pub predict_ms: Option<f64>,
    /// Largest resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Whether it keeps to the constraints, by all its runs.
    pub feasible: bool,
}

impl Default for CostPart {
    fn default() -> Self {
        Self { seconds: None, predict_ms: None, peak_memory: None, feasible: true }
    }
}

/// What the whole cross-validations of each configuration took.
pub(super) fn costs<'a>(state: &'a State, study: &'a Study) -> BTreeMap<&'a Config, CostPart> {
    let mut runs: BTreeMap<&Config, Vec<&Measures>> = BTreeMap::new();
    for experiment in
        state.experiments_of(study).filter(|e| e.block.repeat().is_some() && e.members.is_empty())
    {
        let measures = experiment.outcome().and_then(Outcome::measures);
        runs.entry(&experiment.config).or_default().extend(measures);
    }
    let constraints = &study.spec.limits.constraints;
    let cost = |runs: &[&Measures]| CostPart {
        seconds: Some(runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len() as f64)
            .filter(|seconds| seconds.is_finite()),
        predict_ms: constraints.predict_ms(runs),
        peak_memory: Constraints::peak(runs),
        feasible: constraints.allow(runs),
    };
    runs.into_iter().map(|(config, runs)| (config, cost(&runs))).collect()
}
