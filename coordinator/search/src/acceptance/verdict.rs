//! The verdict of a training study: who is the incumbent at its end, and by what evidence.

use ar_common::{Fate, Metric, Verdict};

use super::{Chain, Decision, evidence};
use crate::grid::{Grid, Point};
use crate::history::{History, mean};
use crate::verdict::{amount, figure2};

/// Largest logarithm of an e-value that is told: beyond it a number would be infinite.
const MOST: f64 = 600.0;

/// Completes `blank`, a verdict that keeps the base, with what was decided. `candidate` is the best by expected score.
pub(crate) fn judge(
    grid: &Grid<'_>,
    history: &History<'_>,
    metric: &Metric,
    candidate: &Point,
    blank: Verdict,
) -> Verdict {
    let chain = Chain::of(grid, history, metric);
    let decisions = chain.decisions.iter().map(|decision| told(grid, &chain, decision)).collect();
    let verdict = Verdict { decisions, ..blank };
    let steps = chain.steps(&grid.base());
    if let Some(last) = steps.first() {
        return kept(grid, &chain, metric, (&steps, last), verdict);
    }
    let strongest = |a: &&Decision, b: &&Decision| a.log_e.total_cmp(&b.log_e);
    let tried = chain.decisions.iter().filter(|decision| !decision.scores.is_empty());
    match tried.max_by(strongest) {
        Some(decision) => not_kept(grid, &chain, metric, decision, verdict),
        None => undecided(grid, history, metric, candidate, verdict),
    }
}

impl Chain {
    /// The decisions that led from the base to the incumbent, the last one first.
    fn steps(&self, base: &Point) -> Vec<&Decision> {
        let mut steps: Vec<&Decision> = Vec::new();
        let mut at = &self.incumbent;
        while at != base && steps.len() < self.decisions.len() {
            let Some(step) = self.decisions.iter().rfind(|d| d.challenger == *at && d.fate == Fate::Kept)
            else {
                break;
            };
            steps.push(step);
            at = &step.incumbent;
        }
        steps
    }

    fn low(&self, decision: &Decision) -> f64 {
        evidence::low(&decision.differences, self.noise, decision.level)
    }
}

fn e_value(log: f64) -> f64 {
    log.min(MOST).exp()
}

fn told(grid: &Grid<'_>, chain: &Chain, decision: &Decision) -> ar_common::Decision {
    let again = &decision.again;
    ar_common::Decision {
        challenger: grid.config(&decision.challenger),
        incumbent: grid.config(&decision.incumbent),
        fate: decision.fate,
        pairs: count(&decision.differences),
        lost: decision.lost,
        difference: mean(&decision.differences),
        low: chain.low(decision),
        e_value: e_value(decision.log_e),
        needed: 1.0 / decision.level,
        again: count(again),
        again_difference: (!again.is_empty()).then(|| mean(again)),
    }
}

fn count(values: &[f64]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

/// Means of both sides of pairs.
fn sides(scores: &[[f64; 2]]) -> Option<(f64, f64)> {
    let side = |i: usize| mean(&scores.iter().map(|pair| pair[i]).collect::<Vec<f64>>());
    (!scores.is_empty()).then(|| (side(0), side(1)))
}

/// Something is kept: by how much it beats the base is told by its own pairs with it, or is what the steps add up to.
fn kept(
    grid: &Grid<'_>,
    chain: &Chain,
    metric: &Metric,
    (steps, last): (&[&Decision], &Decision),
    verdict: Verdict,
) -> Verdict {
    let base = grid.base();
    let beside = if last.incumbent == base { Some(last) } else { chain.again.get(&chain.incumbent) };
    let direct = beside.map(Decision::all).filter(|all| !all.is_empty());
    let sum = || steps.iter().map(|step| mean(&step.all())).sum();
    let difference = direct.as_deref().map_or_else(sum, mean);
    let log_e = steps.iter().map(|step| step.log_e).fold(f64::INFINITY, f64::min);
    let pairs: u32 = steps.iter().map(|step| count(&step.differences)).sum();
    let scores = beside.and_then(|decision| sides(&decision.scores));
    let mut text = format!(
        "{} beats the base by {} (e = {} where {} keep it, {} of runs",
        grid.describe(&chain.incumbent),
        amount(metric, difference),
        figure2(e_value(last.log_e)),
        figure2(1.0 / last.level),
        paired(last.differences.len())
    );
    if steps.len() > 1 {
        text += &format!(", the last of {} that were kept one after the other", steps.len());
    }
    let again = beside.map_or(&[][..], |decision| &decision.again);
    if !again.is_empty() {
        text += &format!("; {} since then: {}", paired(again.len()), amount(metric, mean(again)));
    }
    text += ")";
    Verdict {
        winner: grid.config(&chain.incumbent),
        candidate: Some(grid.config(&chain.incumbent)),
        beats_base: true,
        difference,
        low: steps.iter().map(|step| chain.low(step)).sum(),
        p_value: (-log_e).exp().min(1.0),
        level: last.level,
        pairs,
        candidate_score: scores.map(|(ours, _)| ours),
        base_score: scores.map(|(_, base)| base).or(verdict.base_score),
        text,
        ..verdict
    }
}

/// Nothing is kept: the one with the strongest evidence is told of.
fn not_kept(
    grid: &Grid<'_>,
    chain: &Chain,
    metric: &Metric,
    decision: &Decision,
    verdict: Verdict,
) -> Verdict {
    let all = decision.all();
    let difference = mean(&all);
    let side = match difference {
        0.0 => "scores the same".to_owned(),
        less if less < 0.0 => format!("is {} worse", amount(metric, -less)),
        more => format!("is {} better", amount(metric, more)),
    };
    let how = match decision.fate {
        Fate::Revoked => format!("was kept and {side} by now"),
        _ => side,
    };
    let text = format!(
        "nothing tried is shown to beat the base: the best candidate, {}, {how} (e = {} of the {} that keep it, {} of runs)",
        grid.describe(&decision.challenger),
        figure2(e_value(decision.log_e)),
        figure2(1.0 / decision.level),
        paired(all.len()),
    );
    let scores = sides(&decision.scores);
    Verdict {
        candidate: Some(grid.config(&decision.challenger)),
        difference,
        low: chain.low(decision).min(difference),
        p_value: (-decision.log_e).exp().min(1.0),
        level: decision.level,
        pairs: count(&decision.differences),
        candidate_score: scores.map(|(ours, _)| ours),
        base_score: scores.map(|(_, base)| base).or(verdict.base_score),
        text,
        ..verdict
    }
}

/// Nothing was compared in pairs.
fn undecided(
    grid: &Grid<'_>,
    history: &History<'_>,
    metric: &Metric,
    candidate: &Point,
    verdict: Verdict,
) -> Verdict {
    let first = |point: &Point| history.find(point, ar_common::Block::FIRST)?.measures?.score;
    let (ours, theirs) = (first(candidate), first(&grid.base()));
    let difference = ours.zip(theirs).map_or(0.0, |(ours, theirs)| metric.gain(ours, theirs));
    let side = if difference < 0.0 { "worse" } else { "better" };
    let text = format!(
        "nothing tried is shown to beat the base: {} is {} {side} in one run of each, and there were too few runs to compare \
         them on fresh seeds (12 in all, or more)",
        grid.describe(candidate),
        amount(metric, difference.abs()),
    );
    Verdict {
        candidate: Some(grid.config(candidate)),
        difference,
        low: difference.min(0.0),
        candidate_score: ours,
        text,
        ..verdict
    }
}

fn paired(pairs: usize) -> String {
    format!("{pairs} {}", if pairs == 1 { "pair" } else { "pairs" })
}
