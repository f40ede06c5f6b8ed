//! `progress.svg`: every experiment in the order of planning, those kept marked, the running best as a step line.

use std::collections::BTreeSet;
use std::fmt::Write;

use ar_common::Block;

use super::axis::Axis;
use super::escape::esc;
use crate::results::{ExperimentPart, Report, table};
use crate::text::cut;

/// Size of the picture and room for what is written around the plot, in its units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// Lines across.
const TICKS: usize = 5;
/// Colours that are told apart in print, too.
const GREY: &str = "#9aa0a6";
const GREEN: &str = "#1a7f37";
const RED: &str = "#b3261e";

/// The picture; a file of its own, without script or style from elsewhere.
pub(in crate::results) fn picture(report: &Report) -> String {
    let first = |e: &&ExperimentPart| e.block == Block::FIRST && e.members.is_empty();
    let all: Vec<&ExperimentPart> = report.experiments.iter().filter(first).collect();
    let scores: Vec<f64> = all.iter().filter_map(|e| e.score).filter(|score| score.is_finite()).collect();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{}: {} of {} experiments</text>",
        esc(&cut(&report.study.name, 60)),
        esc(&report.study.metric),
        all.len()
    );
    if scores.is_empty() {
        let _ =
            write!(text, "<text x=\"{LEFT}\" y=\"{}\">no experiment has a score</text></svg>", HEIGHT / 2.0);
        return text;
    }
    let axis = Axis::linear(&shown(&scores, report.minimizes()), TICKS);
    let x = |i: usize| LEFT + (WIDTH - LEFT - RIGHT) * (i as f64 + 0.5) / all.len().max(1) as f64;
    let y = |score: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.place(score);
    for tick in &axis.ticks {
        let at = y(*tick);
        let _ = write!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e3e3e3\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            esc(&axis.name(*tick))
        );
    }
    marks(&mut text, report, &all, (&x, &y));
    let _ = write!(
        text,
        "<text x=\"{LEFT}\" y=\"{}\">experiments in the order of planning; green: kept; line: the best so far; red: without a \
         score; {} is better</text></svg>",
        HEIGHT - 16.0,
        if report.minimizes() { "lower" } else { "higher" }
    );
    text
}

type Places<'a> = (&'a dyn Fn(usize) -> f64, &'a dyn Fn(f64) -> f64);

fn marks(text: &mut String, report: &Report, all: &[&ExperimentPart], (x, y): Places<'_>) {
    let refused = report.refused();
    let is_kept: BTreeSet<u64> = table::kept(report).iter().map(|e| e.id).collect();
    let mut best: Option<f64> = None;
    let mut line = String::new();
    let mut kept = String::new();
    for (i, experiment) in all.iter().enumerate() {
        let title = format!("{} {}", experiment.id, cut(&experiment.label, 120));
        let Some(score) = experiment.score.filter(|score| score.is_finite()) else {
            if !matches!(experiment.outcome.as_str(), "waiting" | "running") {
                let _ = write!(
                    text,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{RED}\">×<title>{}: {}</title></text>",
                    x(i),
                    HEIGHT - BOTTOM - 4.0,
                    esc(&title),
                    esc(&experiment.outcome)
                );
            }
            continue;
        };
        let better = best.is_none_or(|best| if report.minimizes() { score < best } else { score > best });
        let counts = better && !experiment.breaks(&refused);
        let marked = is_kept.contains(&experiment.id);
        let (to, radius, colour) = if marked { (&mut kept, 5.5, GREEN) } else { (&mut *text, 4.0, GREY) };
        let _ = write!(
            to,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" fill=\"{colour}\"><title>{}: {score}</title></circle>",
            x(i),
            y(score),
            esc(&title)
        );
        if counts {
            if best.is_some() {
                let _ = write!(line, "H{:.1}V{:.1}", x(i), y(score));
            } else {
                let _ = write!(line, "M{:.1} {:.1}", x(i), y(score));
            }
            best = Some(score);
        }
    }
    if !line.is_empty() {
        let _ = write!(
            text,
            "<path d=\"{line}H{:.1}\" fill=\"none\" stroke=\"{GREEN}\" stroke-width=\"2\"/>",
            WIDTH - RIGHT
        );
    }
    text.push_str(&kept);
}

/// The scores that decide the axis: a few hopeless ones would leave no room for the others, and are drawn at its end.
fn shown(scores: &[f64], minimizes: bool) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| if minimizes { a.total_cmp(b) } else { b.total_cmp(a) });
    let (best, middle) = (sorted[0], sorted[sorted.len() / 2]);
    let reach = 3.0 * (middle - best).abs();
    sorted.retain(|score| (score - best).abs() <= reach || reach == 0.0);
    sorted
}
