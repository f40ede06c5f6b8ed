//! The course of the study: every experiment, and the best so far.

use std::collections::BTreeSet;

use ar_common::{Block, Config};

use super::axis::Axis;
use super::plot::{Mark, Plot, legend};
use crate::results::{ExperimentPart, Report};
use crate::summary::commonest_errors;
use crate::text::{cut, number};

/// Rounds up to which each has its name.
const NAMED: usize = 8;
/// Errors that are listed.
const ERRORS: usize = 5;

/// The section.
pub(super) fn section(report: &Report) -> String {
    let all: Vec<&ExperimentPart> =
        report.experiments.iter().filter(|e| e.block.repeat().is_some()).collect();
    if all.is_empty() {
        return "<p>No experiment was planned yet.</p>".to_owned();
    }
    let scores: Vec<f64> = all.iter().filter_map(|e| e.score).filter(|s| s.is_finite()).collect();
    let floor = lowest_shown(&scores, report.minimizes());
    let shown: Vec<f64> =
        scores.iter().copied().filter(|s| !is_below(*s, floor, report.minimizes())).collect();
    let axis = Axis::linear(&shown, 7);
    let best =
        report.best.as_ref().map_or("no score".to_owned(), |b| format!("the best {}", number(b.score, 4)));
    let description = format!(
        "{} experiments in the order in which they were planned, {} with a score, {best}; up is better",
        all.len(),
        scores.len()
    );
    let (room, rail) = (if scores.is_empty() { 0.0 } else { 240.0 }, 34.0);
    let mut plot = Plot::new("history", "Scores in the order of the experiments", &description, room, rail);
    if !scores.is_empty() {
        plot.rows(&axis, report.minimizes());
    }
    rounds(&mut plot, &all);
    let course = Course { report, axis: &axis, floor, refused: report.refused() };
    let below = plot.y(0.0) + 22.0;
    let steps = course.best(&plot, &all);
    plot.steps(&steps, 1.0);
    let mut kinds = BTreeSet::new();
    for (i, experiment) in all.iter().enumerate() {
        let (mark, share) = course.mark(experiment);
        let y = share.map_or(below, |share| plot.y(share));
        plot.mark(mark, place(i, all.len()), y, &name(experiment));
        kinds.insert(mark as u8);
    }
    if all.iter().any(|e| course.mark(e).1.is_none()) {
        plot.beside(below, "no score");
    }
    let used: Vec<(Mark, &str)> =
        WORDS.into_iter().filter(|(mark, _)| kinds.contains(&(*mark as u8))).collect();
    let metric = super::escape::esc(&report.study.metric);
    format!(
        "<p>Each mark is one experiment, from first to last; the line is the best score so far of the study's own \
         split. Up is better{}.</p><figure><figcaption>{metric}</figcaption>{}{}</figure>{}",
        if report.minimizes() { ": lower values stand above" } else { "" },
        plot.finish(),
        legend(&used),
        errors(report)
    )
}

/// In the order in which they are explained.
const WORDS: [(Mark, &str); 7] = [
    (Mark::Done, "score of the search"),
    (Mark::Again, "measured again on a fresh split"),
    (Mark::Refused, "breaks the constraints"),
    (Mark::Low, "far worse than the others, drawn at the edge"),
    (Mark::Failed, "failed"),
    (Mark::Ended, "ended early, a twin of another, or called off"),
    (Mark::Pending, "has not ended"),
];

/// How the experiments are drawn.
struct Course<'r> {
    report: &'r Report,
    axis: &'r Axis,
    /// What is worse is drawn at the edge.
    floor: Option<f64>,
    refused: BTreeSet<&'r Config>,
}

impl Course<'_> {
    /// The mark of an experiment and its place on the scale, if it has one.
    fn mark(&self, experiment: &ExperimentPart) -> (Mark, Option<f64>) {
        let Some(score) = experiment.score.filter(|score| score.is_finite()) else {
            let mark = match experiment.outcome.as_str() {
                "waiting" | "running" => Mark::Pending,
                "duplicate" | "stopped early" | "cancelled" => Mark::Ended,
                _ => Mark::Failed,
            };
            return (mark, None);
        };
        if is_below(score, self.floor, self.report.minimizes()) {
            return (Mark::Low, Some(0.0));
        }
        let mark = match () {
            () if experiment.breaks(&self.refused) => Mark::Refused,
            () if experiment.block != Block::FIRST => Mark::Again,
            () => Mark::Done,
        };
        (mark, Some(self.up(score)))
    }

    /// Where a score stands, the better the higher.
    fn up(&self, score: f64) -> f64 {
        let share = self.axis.place(score);
        if self.report.minimizes() { 1.0 - share } else { share }
    }

    /// Where the best of the own split rises.
    fn best(&self, plot: &Plot, all: &[&ExperimentPart]) -> Vec<(f64, f64)> {
        let mut best: Option<f64> = None;
        let mut steps = Vec::new();
        for (i, experiment) in all.iter().enumerate() {
            let Some(score) = experiment.score.filter(|score| score.is_finite()) else {
                continue;
            };
            let better =
                best.is_none_or(|best| if self.report.minimizes() { score < best } else { score > best });
            // An ensemble's score is that of the rows its weights were chosen on.
            let counts = experiment.block == Block::FIRST && experiment.members.is_empty();
            if better && counts && !self.refused.contains(&experiment.config) {
                best = Some(score);
                let low = is_below(score, self.floor, self.report.minimizes());
                steps.push((place(i, all.len()), plot.y(if low { 0.0 } else { self.up(score) })));
            }
        }
        steps
    }
}

/// The middle of the `i`-th of `n` columns.
fn place(i: usize, n: usize) -> f64 {
    (i as f64 + 0.5) / n as f64
}

fn name(experiment: &ExperimentPart) -> String {
    let label = cut(&experiment.label, 120);
    let how = match experiment.score {
        Some(score) => number(score, 4),
        None => {
            let reason =
                experiment.reason.as_deref().map(|r| format!(" ({})", cut(r, 120))).unwrap_or_default();
            format!("{}{reason}", experiment.outcome)
        }
    };
    let hope =
        experiment.expected_gain.map(|gain| format!(" (expected +{})", number(gain, 4))).unwrap_or_default();
    format!("{} {}: {how}, {label}{hope}", experiment.id, experiment.mode)
}

/// A line where a round begins.
fn rounds(plot: &mut Plot, all: &[&ExperimentPart]) {
    let starts: Vec<(usize, u32)> = (0..all.len())
        .filter(|i| *i == 0 || all[*i].round != all[*i - 1].round)
        .map(|i| (i, all[i].round))
        .collect();
    if starts.len() > all.len() / 2 && all.len() > 8 {
        // Rounds of one experiment each would be nothing but lines.
        return;
    }
    for (i, round) in &starts {
        let named = starts.len() <= NAMED;
        plot.divide(
            *i as f64 / all.len() as f64,
            &if named { format!("round {round}") } else { String::new() },
        );
    }
}

/// The score below which marks are drawn at the edge: a few hopeless ones would leave no room for the others.
fn lowest_shown(scores: &[f64], minimizes: bool) -> Option<f64> {
    let sign = if minimizes { -1.0 } else { 1.0 };
    let mut gains: Vec<f64> = scores.iter().map(|score| sign * score).collect();
    gains.sort_by(f64::total_cmp);
    let (best, middle) = (*gains.last()?, gains[gains.len() / 2]);
    let quarter = gains[gains.len() / 4];
    let floor = middle - 3.0 * (best - middle).max(middle - quarter);
    (gains.len() >= 8 && floor < middle && gains[0] < floor).then_some(sign * floor)
}

fn is_below(score: f64, floor: Option<f64>, minimizes: bool) -> bool {
    floor.is_some_and(|floor| if minimizes { score > floor } else { score < floor })
}

fn errors(report: &Report) -> String {
    let errors = commonest_errors(report, ERRORS);
    if errors.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> =
        errors.into_iter().map(|(count, reason)| vec![count.to_string(), cut(&reason, 300)]).collect();
    super::table::plain("The commonest errors", &["times", "error"], &rows)
}
