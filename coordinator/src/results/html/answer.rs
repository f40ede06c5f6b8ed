//! The answer in plain words, and how to read the rest.

use std::fmt::Write;

use super::escape::esc;
use crate::results::{DecisionPart, HoldoutPart, Report, VerdictPart};
use crate::summary;
use crate::text::{Digits, number};

/// The headline: what came out, in a sentence.
pub(super) fn headline(report: &Report) -> String {
    match (&report.verdict, report.study.state.as_str()) {
        (Some(verdict), _) if verdict.beats_base && !verdict.members.is_empty() => {
            "An ensemble is shown to beat the base".to_owned()
        }
        (Some(verdict), _) if verdict.beats_base => "One configuration is shown to beat the base".to_owned(),
        (Some(_), _) if report.ranking.len() <= 1 => "Nothing but the base has a score".to_owned(),
        (Some(_), _) => "Nothing tried is shown to beat the base".to_owned(),
        (None, "failed") if report.ranking.is_empty() => "No experiment succeeded".to_owned(),
        (None, "failed") => "Nothing that has a score keeps to the constraints".to_owned(),
        (None, _) => "Not finished yet: what follows may change".to_owned(),
    }
}

/// Verdict and sealed score.
pub(super) fn section(report: &Report) -> String {
    let mut text = String::new();
    match &report.verdict {
        Some(verdict) => {
            let _ = write!(text, "<p class=\"verdict\">{}.</p>", esc(&capital(&verdict.text)));
            text.push_str(&figures(report, verdict));
        }
        None if report.study.state == "failed" => {
            text.push_str("<p>There is no verdict. The errors are below.</p>");
        }
        None => text.push_str(
            "<p>There is no verdict yet. The scores below were chosen and measured on the same rows.</p>",
        ),
    }
    text.push_str(&sealed(report));
    text.push_str(&naive(report));
    text
}

fn figures(report: &Report, verdict: &VerdictPart) -> String {
    let metric = &report.study.metric;
    let scores = [verdict.candidate_score, verdict.base_score];
    let digits = Digits::of(scores.into_iter().flatten(), 4);
    let mut rows: Vec<(String, String)> = vec![("Handed over".into(), verdict.winner_label.clone())];
    if let Some(label) = verdict.candidate_label.as_ref().filter(|label| **label != verdict.winner_label) {
        rows.push(("Candidate".into(), label.clone()));
    }
    if let (Some(ours), Some(theirs)) = (verdict.candidate_score, verdict.base_score) {
        let (pairs, unit) = (verdict.pairs, unit(report));
        rows.push((
            format!("{metric}, {pairs} {unit}"),
            format!("{} against {} of the base", digits.show(ours), digits.show(theirs)),
        ));
    }
    if let (Some(difference), Some(p)) = (verdict.difference, verdict.p_value.filter(|_| verdict.pairs > 0)) {
        let digits = Digits::of([difference], 3);
        let low = verdict.low.map(|low| {
            format!(
                ", at least {} with {:.0} % confidence",
                digits.signed(low),
                100.0 * (1.0 - verdict.level)
            )
        });
        let p = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {}", number(p, 2)) };
        let value = format!(
            "{}{} ({p}; it takes {} to be called better)",
            digits.signed(difference),
            low.unwrap_or_default(),
            verdict.level
        );
        rows.push(("Difference (+ is better)".into(), value));
    }
    for other in verdict.compared.iter().filter(|other| other.members != verdict.members) {
        let p = other.p_value.map(|p| format!(", p = {}", number(p, 2))).unwrap_or_default();
        let difference = other.difference.map(|d| Digits::of([d], 3).signed(d)).unwrap_or_default();
        let value = format!("{}: {difference} over {} paired folds{p}", other.label, other.pairs);
        rows.push(("Also compared".into(), value));
    }
    for decision in &verdict.decisions {
        rows.push(("Decided".into(), decided(decision)));
    }
    let mut text = "<dl>".to_owned();
    for (name, value) in rows {
        let _ = write!(text, "<div><dt>{}</dt><dd>{}</dd></div>", esc(&name), esc(&value));
    }
    text + "</dl>"
}

fn unit(report: &Report) -> &'static str {
    if report.study.is_training() { "pairs of runs" } else { "paired folds" }
}

/// A decision in a line.
fn decided(decision: &DecisionPart) -> String {
    let signed = |value: f64| Digits::of([value], 3).signed(value);
    let difference = decision.difference.filter(|_| decision.pairs > 0);
    let by =
        difference.map(|difference| format!(", {} (+ is better)", signed(difference))).unwrap_or_default();
    let evidence = decision.e_value.map(|e| format!(", e = {}", number(e, 2))).unwrap_or_default();
    let lost = if decision.lost > 0 { format!(", {} lost", decision.lost) } else { String::new() };
    let again = decision
        .again_difference
        .map(|difference| format!("; {} pairs since then: {}", decision.again, signed(difference)));
    format!(
        "{} against {}: {} after {} pairs of runs{by}{evidence} of the {} that keep it{lost}{}",
        decision.challenger_label,
        decision.incumbent_label,
        decision.fate.word(),
        decision.pairs,
        number(decision.needed, 2),
        again.unwrap_or_default()
    )
}

fn sealed(report: &Report) -> String {
    if report.study.is_training() {
        let text = match report.study.scores.as_deref() {
            Some("verified") => {
                "<b>Verified:</b> every score was measured by another process on what the run left"
            }
            _ => "<b>Self-reported:</b> every score is what the script itself printed",
        };
        return format!("<p>{text}.</p>");
    }
    let Some(holdout) = &report.holdout else {
        let why = match (&report.holdout_reason, report.study.holdout) {
            (_, None) => "no rows were kept aside, so every score here was seen by the search",
            (Some(why), _) => why,
            (None, _) => "the sealed rows have no score",
        };
        return format!("<p><b>Sealed rows:</b> {}.</p>", esc(why));
    };
    format!(
        "<p><b>Sealed rows: {}.</b> {}.</p>",
        agreement(holdout, report),
        esc(&capital(&summary::sealed(holdout, report)))
    )
}

/// What the interval on the sealed rows says of the verdict.
fn agreement(holdout: &HoldoutPart, report: &Report) -> &'static str {
    let is_base = report.verdict.as_ref().is_some_and(|v| v.candidate.is_none());
    match () {
        () if is_base => "there was only the base to score",
        () if holdout.low > 0.0 => "the candidate is better there, too",
        () if holdout.high < 0.0 => "there the candidate is worse",
        () => "they cannot tell the two apart",
    }
}

/// The best of many noisy scores, named as what it is.
fn naive(report: &Report) -> String {
    let Some(best) = &report.best else {
        return String::new();
    };
    let word = if report.minimizes() { "lowest" } else { "highest" };
    // What breaks the constraints was no choice.
    let picked = match report.ranking.iter().filter(|ranked| ranked.cost.feasible).count() {
        0 | 1 => "the only one, on the rows it was chosen on".to_owned(),
        n => format!("picked from {n} on the very rows it is scored on, so it is optimistic and no promise"),
    };
    format!(
        "<p class=\"naive\">Naive best of cross-validation: {} {} ({word} of the study's own split), by {}: {picked}.</p>",
        esc(&report.study.metric),
        number(best.score, 4),
        esc(&best.label)
    )
}

/// What the words and figures mean.
pub(super) fn how_to_read(report: &Report) -> String {
    let study = &report.study;
    let better = if report.minimizes() { "lower" } else { "higher" };
    let mut text = String::from("<ul>");
    let mut item = |what: String| {
        let _ = write!(text, "<li>{what}</li>");
    };
    item(format!(
        "The metric is {}; {better} is better. Gains, effects and differences are signed so that positive is better all the same.",
        esc(&study.metric)
    ));
    item(
        "Only the verdict and the sealed rows are evidence. The verdict compares one candidate with the base on the same fresh \
         folds, by a paired test whose variance is corrected for training sets that overlap (Nadeau and Bengio 2003)."
            .to_owned(),
    );
    item(
        "The best score of the search is the naive best of cross-validation: the luckiest of many, optimistic by construction. \
         Fresh splits take away the luck of the split, not the choice on the same rows; the sealed rows do."
            .to_owned(),
    );
    if report.verdict.as_ref().is_some_and(|verdict| !verdict.compared.is_empty()) {
        item(
            "An ensemble averages what its members predict (shares of the classes, or numbers); 2x means that a member counts \
             twice. Members and weights were chosen on the study's own split, so only fresh splits count for it. As two \
             candidates were compared with the base, the p values are corrected (Holm 1979)."
                .to_owned(),
        );
    }
    item(
        "Importance, effects and pairs are read off a model of the scores (a Gaussian process). Intervals cover 90 %, each on \
         its own; of 25 intervals two or three miss."
            .to_owned(),
    );
    let (early, saved) = report.stopped_early();
    if early > 0 {
        item(format!(
            "Stopped early, behind the best on each of the first folds: {early}. What was stopped has no score; its folds \
             taught the search, and the {saved:.1} evaluations saved were there for others."
        ));
    }
    for constraint in constraints(report) {
        item(esc(&constraint).to_string());
    }
    item(format!(
        "Study {}: {} of {}, {} experiments, seed {}.",
        esc(study.id.get(..8).unwrap_or(&study.id)),
        esc(&study.task),
        esc(&study.target),
        study.used(),
        study.seed
    ));
    text + "</ul>"
}

fn constraints(report: &Report) -> Vec<String> {
    let slow = report
        .study
        .max_predict_ms
        .map(|ms| format!("predict 1,000 rows in {ms} ms at most, the steps before the model not counted"));
    let large = report
        .study
        .max_memory
        .map(|bytes| format!("take {} MiB at most, libraries and data included", bytes >> 20));
    let all: Vec<String> = slow.into_iter().chain(large).collect();
    if all.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "The answer must {}. What breaks that taught the search and could not be the answer.",
        all.join(" and ")
    )]
}

/// With a capital at its start, if that is a word.
fn capital(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        // `build_model=xgb beats ...` is a name.
        Some(first) if !word.contains(['=', '_']) => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}
