//! The answer of a study and its score on the sealed rows, as `results.json` holds them.

use ar_common::{Block, Config, Fate, Member, SealedScore, ensemble};
use ar_core::{Experiment, State, Study};
use serde::{Deserialize, Serialize};

use super::report::finite;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictPart {
    /// Whether the candidate is shown to beat the base.
    pub beats_base: bool,
    /// In one sentence.
    pub text: String,
    /// What is handed over.
    pub winner: Config,
    /// Those who vote, where an ensemble is handed over: then `winner` and `candidate` are the base and of no account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// All that was compared with the base, where that is more than the candidate; p values are corrected for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<ComparedPart>,
    /// What differs in it from the base.
    pub winner_label: String,
    /// What was compared with the base.
    pub candidate: Option<Config>,
    /// What differs in it.
    pub candidate_label: Option<String>,
    /// Mean paired difference, positive is better.
    pub difference: Option<f64>,
    /// Lower end of its one-sided interval.
    pub low: Option<f64>,
    /// One-sided p value.
    pub p_value: Option<f64>,
    /// The level it is judged at.
    pub level: f64,
    /// Paired folds.
    pub pairs: u32,
    /// Mean of the candidate over those folds.
    pub candidate_score: Option<f64>,
    /// Mean of the base over those folds.
    pub base_score: Option<f64>,
    /// What was decided of a training study, in order, each on pairs of runs with the same fresh seed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionPart>,
}

/// Whether a challenger replaced the incumbent of its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionPart {
    /// What might be better.
    pub challenger: Config,
    /// What differs in it from the base.
    pub challenger_label: String,
    /// What was the best until then.
    pub incumbent: Config,
    /// What differs in it from the base.
    pub incumbent_label: String,
    /// kept, dropped, revoked or undecided.
    pub fate: Fate,
    /// Pairs of runs that it took.
    pub pairs: u32,
    /// Pairs that gave no comparison.
    pub lost: u32,
    /// Mean difference of the pairs it took, positive is better.
    pub difference: Option<f64>,
    /// Its lower end, which holds whenever one stops, with the certainty that the decision asks for.
    pub low: Option<f64>,
    /// The evidence.
    pub e_value: Option<f64>,
    /// The evidence with which it is kept.
    pub needed: f64,
    /// Pairs of the same two after it was decided.
    pub again: u32,
    /// Their mean difference.
    pub again_difference: Option<f64>,
}

/// One of several that were compared with the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedPart {
    /// Its configuration; the base of an ensemble.
    pub config: Config,
    /// Those who vote, of an ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// What it is, for people.
    pub label: String,
    /// Whether it is shown to beat the base.
    pub beats_base: bool,
    /// Mean paired difference, positive is better.
    pub difference: Option<f64>,
    /// Lower end of its one-sided interval.
    pub low: Option<f64>,
    /// One-sided p value, corrected for how many were compared.
    pub p_value: Option<f64>,
    /// Paired folds.
    pub pairs: u32,
    /// Mean over those folds.
    pub score: Option<f64>,
    /// Mean of the base over those folds.
    pub base_score: Option<f64>,
}

/// The sealed rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldoutPart {
    /// The candidate's score.
    pub candidate_score: f64,
    /// The base's score.
    pub base_score: f64,
    /// Difference, positive is better.
    pub difference: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Coverage of the interval.
    pub level: f64,
    /// How many rows were sealed.
    pub rows: u64,
    /// How often they were opened; above 1 they are no longer unseen.
    pub openings: u32,
}

fn compared_part(compared: &ar_common::Compared, base: &Config) -> ComparedPart {
    ComparedPart {
        config: compared.config.clone(),
        members: compared.members.clone(),
        label: ensemble::describe(&compared.config, &compared.members, base),
        beats_base: compared.beats_base,
        difference: finite(compared.difference),
        low: finite(compared.low),
        p_value: finite(compared.p_value),
        pairs: compared.pairs,
        score: compared.score.and_then(finite),
        base_score: compared.base_score.and_then(finite),
    }
}

fn decision_part(decision: &ar_common::Decision, base: &Config) -> DecisionPart {
    let label = |config: &Config| ensemble::describe(config, &[], base);
    DecisionPart {
        challenger_label: label(&decision.challenger),
        challenger: decision.challenger.clone(),
        incumbent_label: label(&decision.incumbent),
        incumbent: decision.incumbent.clone(),
        fate: decision.fate,
        pairs: decision.pairs,
        lost: decision.lost,
        difference: finite(decision.difference),
        low: finite(decision.low),
        e_value: finite(decision.e_value),
        needed: decision.needed,
        again: decision.again,
        again_difference: decision.again_difference.and_then(finite),
    }
}

pub(super) fn verdict_part(verdict: &ar_common::Verdict, base: &Config) -> VerdictPart {
    let label = |config: &Config| ensemble::describe(config, &verdict.members, base);
    VerdictPart {
        beats_base: verdict.beats_base,
        text: verdict.text.clone(),
        winner_label: label(&verdict.winner),
        winner: verdict.winner.clone(),
        members: verdict.members.clone(),
        compared: verdict.compared.iter().map(|compared| compared_part(compared, base)).collect(),
        candidate_label: verdict.candidate.as_ref().map(label),
        candidate: verdict.candidate.clone(),
        difference: finite(verdict.difference),
        low: finite(verdict.low),
        p_value: finite(verdict.p_value),
        level: verdict.level,
        pairs: verdict.pairs,
        candidate_score: verdict.candidate_score.and_then(finite),
        base_score: verdict.base_score.and_then(finite),
        decisions: verdict.decisions.iter().map(|decision| decision_part(decision, base)).collect(),
    }
}

/// The sealed rows, as scored for the candidate of this verdict and for no other; or why there is no score.
pub(super) fn holdout_part(state: &State, study: &Study) -> Result<HoldoutPart, String> {
    if study.spec.holdout().is_none() {
        return Err("no rows were sealed".to_owned());
    }
    let Some(verdict) = &study.verdict else {
        return Err(match study.sealed_openings {
            0 => "the sealed rows have not been opened".to_owned(),
            n => format!("the search goes on; the sealed rows have been opened {n} times before"),
        });
    };
    let candidate = verdict.candidate.clone().unwrap_or_else(|| study.base());
    let scoring = state
        .experiments_of(study)
        .filter(|e| e.block == Block::Sealed && e.runs(&candidate, &verdict.members))
        .last();
    let Some(outcome) = scoring.and_then(Experiment::outcome) else {
        return Err("the sealed rows have not been scored yet".to_owned());
    };
    let Some(sealed) = outcome.measures().and_then(|measures| measures.sealed.as_deref()) else {
        let reason = outcome.reason().unwrap_or_else(|| outcome.word().to_owned());
        return Err(format!("the sealed rows gave no score: {reason}"));
    };
    let SealedScore { score, base_score, difference, low, high, level, rows } = *sealed;
    if ![score, base_score, difference, low, high, level].into_iter().all(f64::is_finite) {
        return Err("the sealed rows gave a score that is not a number".to_owned());
    }
    let (candidate_score, openings) = (score, study.sealed_openings);
    Ok(HoldoutPart { candidate_score, base_score, difference, low, high, level, rows, openings })
}
