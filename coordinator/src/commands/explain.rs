//! `explain`: what a study teaches, running or not.

use std::path::Path;

use crate::results::{self, ExplanationPart, FindError, InteractionPart, Report};
use crate::summary::columns;
use crate::text::{Digits, plain};

/// Options, pairs and given-up things shown; `--json` has all.
const MOST: usize = 25;
/// Columns of the longest bar.
const BAR: usize = 30;
/// Digits of the largest gain of a list.
const SIGNIFICANT: i32 = 3;

/// What a study teaches, for people or as JSON.
///
/// # Errors
/// When there is no such study, or its results are of an earlier version.
pub fn explain(out: &Path, study: &str, json: bool) -> Result<String, FindError> {
    let folder = results::find(out, study)?;
    let report = results::read(&folder)?;
    let Some(explanation) = &report.explanation else {
        return Err(FindError::Unexplained(folder.join("results.json")));
    };
    if json {
        let object = serde_json::json!({
            "study": report.study,
            "importance": explanation.importance,
            "effects": explanation.effects,
            "interactions": explanation.interactions,
            "triples": explanation.triples,
            "pruned": explanation.pruned,
            "uncovered": report.uncovered,
            "compared": report.verdict.as_ref().map(|verdict| &verdict.compared),
        });
        return Ok(format!("{object:#}"));
    }
    let mut lines = head(&report);
    lines.extend(ensemble(&report));
    lines.extend(importance(explanation));
    lines.extend(effects(explanation, &report.study.metric));
    lines.extend(interactions(explanation, &report.study.metric));
    lines.extend(triples(explanation, &report.study.metric));
    lines.extend(pruned(explanation));
    lines.extend(uncovered(&report));
    Ok(lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n"))
}

fn head(report: &Report) -> Vec<String> {
    let study = &report.study;
    let better = if report.minimizes() { "lower" } else { "higher" };
    let state = match study.state.as_str() {
        "running" => "not finished: what follows may change",
        state => state,
    };
    let mut lines = vec![format!(
        "study     {}: {} ({better} is better), {} experiments, {state}",
        study.name,
        study.metric,
        study.used()
    )];
    if report.ranking.is_empty() {
        lines.push("          no experiment has a score yet, so nothing is known".to_owned());
    }
    lines
}

/// The ensemble that was compared with the base, and what came of it.
fn ensemble(report: &Report) -> Option<String> {
    let verdict = report.verdict.as_ref()?;
    let compared = verdict.compared.iter().find(|compared| !compared.members.is_empty())?;
    let digits = Digits::of(compared.difference, SIGNIFICANT);
    let difference = compared.difference.map(|difference| digits.signed(difference)).unwrap_or_default();
    let end = if verdict.members.is_empty() { "not handed over" } else { "handed over" };
    Some(format!(
        "averaged  {}: {difference} against the base over {} paired folds; {end}",
        compared.label, compared.pairs
    ))
}

fn importance(explanation: &ExplanationPart) -> Vec<String> {
    if explanation.importance.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        "slots     how much of the difference between configurations each slot makes alone; the rest they make together"
            .to_owned(),
    ];
    let row = |slot: &results::ImportancePart| {
        let length = (slot.share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
        vec![format!("  {}", slot.slot), format!("{:>3.0} %", slot.share * 100.0), "█".repeat(length)]
    };
    lines.extend(columns(&explanation.importance.iter().map(row).collect::<Vec<_>>()));
    lines
}

fn effects(explanation: &ExplanationPart, metric: &str) -> Vec<String> {
    let effects = explanation.telling_effects(MOST);
    if effects.is_empty() {
        return Vec::new();
    }
    let more = explanation.effects.len() - effects.len();
    let digits = Digits::of(effects.iter().flat_map(|e| [e.gain, e.low, e.high]), SIGNIFICANT);
    let mut rows = vec![["  option", "gain", "90 % interval", "runs"].map(str::to_owned).to_vec()];
    rows.extend(effects.iter().map(|e| {
        vec![
            format!("  {}={}", e.slot, e.option),
            digits.signed(e.gain),
            format!("{} to {}", digits.signed(e.low), digits.signed(e.high)),
            e.runs.to_string(),
        ]
    }));
    let mut lines =
        vec![format!("options   gain over the slot's base in {metric}, as expected (+ is better)")];
    lines.extend(columns(&rows));
    lines.extend(and_more(more));
    lines
}

fn interactions(explanation: &ExplanationPart, metric: &str) -> Vec<String> {
    let mut pairs: Vec<&InteractionPart> = explanation.interactions.iter().collect();
    if pairs.is_empty() {
        return vec!["pairs     none is known with both its options alone".to_owned()];
    }
    let more = pairs.len().saturating_sub(MOST);
    pairs.truncate(MOST);
    let digits = Digits::of(pairs.iter().flat_map(|p| [p.delta, p.low, p.high]), SIGNIFICANT);
    let mut rows =
        vec![["  pair", "more", "90 % interval", "status", "evidence"].map(str::to_owned).to_vec()];
    rows.extend(pairs.iter().map(|p| {
        let [a, b] = [0, 1].map(|i| format!("{}={}", p.slots[i], p.options[i]));
        vec![
            format!("  {a} and {b}"),
            digits.signed(p.delta),
            format!("{} to {}", digits.signed(p.low), digits.signed(p.high)),
            p.status.clone(),
            p.evidence.clone(),
        ]
    }));
    let mut lines = vec![format!(
        "pairs     what two do together beyond the sum of what they do alone, in {metric} (+ is better)"
    )];
    lines.extend(columns(&rows));
    lines.extend(and_more(more));
    lines
}

fn triples(explanation: &ExplanationPart, metric: &str) -> Vec<String> {
    if explanation.triples.is_empty() {
        return Vec::new();
    }
    let all = &explanation.triples;
    let digits = Digits::of(all.iter().flat_map(|t| [t.delta, t.low, t.high]), SIGNIFICANT);
    let mut rows = vec![["  triple", "more", "90 % interval", "runs"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|t| {
        let names = [0, 1, 2].map(|i| format!("{}={}", t.slots[i], t.options[i]));
        vec![
            format!("  {}", names.join(" and ")),
            digits.signed(t.delta),
            format!("{} to {}", digits.signed(t.low), digits.signed(t.high)),
            t.runs.to_string(),
        ]
    }));
    let mut lines = vec![format!(
        "triples   what three do together beyond their pairs, in {metric}: expected by the model, never measured again"
    )];
    lines.extend(columns(&rows));
    lines
}

fn pruned(explanation: &ExplanationPart) -> Vec<String> {
    let all = &explanation.pruned;
    if all.is_empty() {
        return vec!["given up  nothing".to_owned()];
    }
    let chance = |p: f64| if p < 0.0001 { "< 0.01 %".to_owned() } else { format!("{:.2} %", p * 100.0) };
    let mut rows = vec![["  slot", "what", "chance", "evidence"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().take(MOST).map(|p| {
        let probability = p.probability.map(chance).unwrap_or_default();
        vec![format!("  {}", p.slot), p.what.clone(), probability, p.evidence.clone()]
    }));
    let mut lines = vec!["given up  with the chance, at most, of being part of anything better".to_owned()];
    lines.extend(columns(&rows));
    lines.extend(and_more(all.len().saturating_sub(MOST)));
    lines
}

fn uncovered(report: &Report) -> Vec<String> {
    if report.uncovered.is_empty() {
        return vec!["not seen  everything was covered".to_owned()];
    }
    let mut lines = vec!["not seen  what has no score yet".to_owned()];
    lines.extend(report.uncovered.iter().take(MOST).map(|what| format!("  {what}")));
    lines.extend(and_more(report.uncovered.len().saturating_sub(MOST)));
    lines
}

fn and_more(more: usize) -> Option<String> {
    (more > 0).then(|| format!("  and {more} more (--json has all)"))
}
