//! What the study teaches: importance, effects, what was given up, what was not seen.

use std::fmt::Write;

use super::axis::Axis;
use super::escape::esc;
use super::table::{Table, plain};
use crate::results::{EffectPart, ExplanationPart, Report};
use crate::text::Digits;

/// Options in the table of effects.
const EFFECTS: usize = 25;

/// Bars of how much each slot matters.
pub(super) fn importance(known: &ExplanationPart) -> String {
    if known.importance.is_empty() {
        return "<p>Nothing is known without a score.</p>".to_owned();
    }
    let mut table = Table::new("How much each slot matters", &["slot", ">share", "as a bar"], "bars");
    for slot in &known.importance {
        let percent = slot.share.clamp(0.0, 1.0) * 100.0;
        table.row("");
        table.head(&slot.slot);
        table.number(&format!("{percent:.0} %"));
        let bar = format!(
            "<svg height=\"14\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" height=\"14\" rx=\"3\"/>\
             <rect class=\"bar\" width=\"{percent:.2}%\" height=\"14\" rx=\"3\"/></svg>"
        );
        table.markup("chart", bar);
    }
    format!(
        "<p>Share of the differences between the expected scores of configurations that each slot makes alone (first-order \
         index of Sobol). What is missing to 100 % is made by slots together.</p>{}",
        table.finish()
    )
}

/// The options with the largest gains and losses, each with its interval on one scale.
pub(super) fn effects(known: &ExplanationPart, metric: &str) -> String {
    if known.effects.is_empty() {
        return "<p>No option beside the base has a score yet.</p>".to_owned();
    }
    let shown = known.telling_effects(EFFECTS);
    let ends: Vec<f64> = shown.iter().flat_map(|e| [e.low, e.high, 0.0]).collect();
    let digits = Digits::of(ends.iter().copied(), 3);
    let axis = Axis::linear(&ends, 4);
    let mut table = Table::new(
        "Effects of options",
        &["option", ">gain", ">90 % interval", "on one scale", ">runs"],
        "forest",
    );
    for effect in &shown {
        table.row("");
        table.head(&format!("{}={}", effect.slot, effect.option));
        table.number(&digits.signed(effect.gain));
        table.number(&format!("{} to {}", digits.signed(effect.low), digits.signed(effect.high)));
        table.markup("chart", whisker(effect, &axis));
        table.number(&effect.runs.to_string());
    }
    let more = match known.effects.len() - shown.len() {
        0 => String::new(),
        n => format!(
            " Of {}, the {} with the largest gains and losses; {n} more are in results.json.",
            known.effects.len(),
            shown.len()
        ),
    };
    format!(
        "<p>What each option is expected to gain over the base of its slot, in {} (positive is better), averaged over what it \
         was tried with. An interval that crosses the line in the middle may as well be nothing.{more}</p>{}",
        esc(metric),
        table.finish()
    )
}

/// An estimate with its interval, and where nothing is.
fn whisker(effect: &EffectPart, axis: &Axis) -> String {
    let at = |value: f64| format!("{:.2}%", axis.place(value) * 100.0);
    let class = match () {
        () if effect.low > 0.0 => "good",
        () if effect.high < 0.0 => "bad",
        () => "open",
    };
    let (zero, low, high, gain) = (at(0.0), at(effect.low), at(effect.high), at(effect.gain));
    format!(
        "<svg height=\"18\" aria-hidden=\"true\"><line class=\"zero\" x1=\"{zero}\" x2=\"{zero}\" y1=\"0\" y2=\"18\"/>\
         <g class=\"{class}\"><line x1=\"{low}\" x2=\"{high}\" y1=\"9\" y2=\"9\"/><circle cx=\"{gain}\" cy=\"9\" r=\"4\"/></g></svg>"
    )
}

/// What is no longer tried, and why.
pub(super) fn pruned(report: &Report) -> String {
    let known = report.explanation.as_ref().map(|known| known.pruned.as_slice()).unwrap_or_default();
    let mut text = String::new();
    if known.is_empty() {
        text.push_str("<p>Nothing was given up for its scores.</p>");
    } else {
        let rows: Vec<Vec<String>> = known
            .iter()
            .map(|p| {
                let chance = match p.probability {
                    None => String::new(),
                    Some(p) if p < 0.0001 => "< 0.01 %".to_owned(),
                    Some(p) => format!("{:.2} %", p * 100.0),
                };
                vec![p.slot.clone(), p.what.clone(), chance, p.evidence.clone()]
            })
            .collect();
        text.push_str(
            "<p>The chance is that of being part of anything better than the best, at most. One experiment in 20 goes to \
             what was given up, to see whether that was right.</p>",
        );
        text.push_str(&plain("Given up", &["slot", "what", "chance", "evidence"], &rows));
    }
    if !report.removed.is_empty() {
        let row = |r: &crate::results::RemovedPart| vec![r.slot.clone(), r.option.clone(), r.reason.clone()];
        let rows: Vec<Vec<String>> = report.removed.iter().map(row).collect();
        text.push_str(&plain("Could not be used on the worker", &["slot", "option", "reason"], &rows));
    }
    text
}

/// What no experiment covered.
pub(super) fn uncovered(report: &Report) -> String {
    if report.uncovered.is_empty() {
        return "<p>Every family was tried, and the pairs of the two largest slots were seen together.</p>"
            .to_owned();
    }
    let mut text =
        "<p>Nothing is known of these; the best configuration may be among them.</p><ul>".to_owned();
    for what in &report.uncovered {
        let _ = write!(text, "<li>{}</li>", esc(what));
    }
    text + "</ul>"
}
