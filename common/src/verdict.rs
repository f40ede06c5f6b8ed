//! The answer of a study: is anything shown to beat the base?

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::ensemble::Member;

/// Whether a candidate is shown to beat the base, by repeated paired folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The configuration that is handed over: the candidate if it won, else the base.
    pub winner: Config,
    /// The configuration that was compared with the base; absent when nothing but the base has a score.
    pub candidate: Option<Config>,
    /// Whether the candidate is shown to beat the base.
    pub beats_base: bool,
    /// Mean paired difference to the base, positive is better in either direction of the metric.
    pub difference: f64,
    /// Lower end of the one-sided interval of `difference` at `level`.
    pub low: f64,
    /// One-sided p value: of the variance-corrected paired t test, or the inverse of the e-value of a training study.
    pub p_value: f64,
    /// The level it is judged at.
    pub level: f64,
    /// How many paired folds were seen; pairs of runs in a training study.
    pub pairs: u32,
    /// Mean score of the candidate over all its repeats.
    pub candidate_score: Option<f64>,
    /// Mean score of the base over the same repeats.
    pub base_score: Option<f64>,
    /// The best mean of the first split, named as what it is: chosen on the rows it is scored on.
    pub best_seen: Option<(Config, f64)>,
    /// The verdict in one sentence for a person.
    pub text: String,
    /// Those who vote, where winner and candidate are an ensemble; `winner` and `candidate` are then the space's base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// All that was compared with the base, where that is more than the candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Compared>,
    /// What was decided of a training study, in order; each on pairs of runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

/// Whether a challenger replaced the incumbent, by pairs of runs with the same fresh seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What might be better.
    pub challenger: Config,
    /// What was the best until then.
    pub incumbent: Config,
    /// What became of it.
    pub fate: Fate,
    /// Pairs it took.
    pub pairs: u32,
    /// Pairs that gave no comparison, as one of the runs had no score.
    pub lost: u32,
    /// Mean difference of the pairs it took, positive is better in either direction of the metric.
    pub difference: f64,
    /// Lower end of `difference`, at a level that holds whenever one stops.
    pub low: f64,
    /// The evidence that the challenger is better: at most 1 in expectation where it is not.
    pub e_value: f64,
    /// The e-value with which it is kept.
    pub needed: f64,
    /// Pairs of the same two that ended after it was decided.
    pub again: u32,
    /// Their mean difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_difference: Option<f64>,
}

/// What became of a challenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It replaced the incumbent.
    Kept,
    /// The evidence was too weak to go on.
    Dropped,
    /// It was kept, and later pairs took that back.
    Revoked,
    /// The budget ended first.
    Undecided,
}

impl Fate {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Revoked => "revoked",
            Self::Undecided => "undecided",
        }
    }
}

/// One of several that were compared with the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Its configuration; the space's base of an ensemble.
    pub config: Config,
    /// Those who vote, of an ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Whether it is shown to beat the base.
    pub beats_base: bool,
    /// Mean paired difference to the base, positive is better in either direction of the metric.
    pub difference: f64,
    /// Lower end of the one-sided interval of `difference`, at the level corrected for how many were compared.
    pub low: f64,
    /// One-sided p value, corrected for how many were compared.
    pub p_value: f64,
    /// How many paired folds were seen.
    pub pairs: u32,
    /// Mean score over those folds.
    pub score: Option<f64>,
    /// Mean score of the base over the same folds.
    pub base_score: Option<f64>,
}
