//! `progress.svg` and `progress.png`: every experiment in the order of planning, those kept marked, the running best as a
//! step line. What is drawn is decided here; [`vector`] and [`raster`] draw the same marks.

mod raster;
#[cfg(test)]
mod tests;
mod vector;

use std::collections::BTreeSet;

use ar_common::Block;

use super::axis::Axis;
use crate::results::{ExperimentPart, Report, table};
use crate::text::cut;

pub(in crate::results) use raster::png;
pub(in crate::results) use vector::svg;

/// Size of the picture and room for what is written around the plot, in its units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// Lines across.
const TICKS: usize = 5;

/// A colour, red first. Grey, green and red are told apart in print, too.
type Colour = [u8; 3];
const BLACK: Colour = [0, 0, 0];
const PALE: Colour = [0xe3, 0xe3, 0xe3];
const GREY: Colour = [0x9a, 0xa0, 0xa6];
const GREEN: Colour = [0x1a, 0x7f, 0x37];
const RED: Colour = [0xb3, 0x26, 0x1e];

/// Which point of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing that is drawn, over those before it. A title is shown where the reader points.
#[derive(Debug, Clone, PartialEq)]
enum Mark {
    Text {
        at: (f64, f64),
        anchor: Anchor,
        is_head: bool,
        colour: Colour,
        text: String,
        title: Option<String>,
    },
    /// From left to right.
    Across {
        y: f64,
    },
    Disc {
        at: (f64, f64),
        radius: f64,
        colour: Colour,
        title: String,
    },
    /// Level to each next point, then up or down to it, and level to the right end.
    Steps {
        points: Vec<(f64, f64)>,
    },
}

fn text(at: (f64, f64), anchor: Anchor, text: String) -> Mark {
    Mark::Text { at, anchor, is_head: false, colour: BLACK, text, title: None }
}

/// The picture of a study.
fn marks(report: &Report) -> Vec<Mark> {
    let first = |e: &&ExperimentPart| e.block == Block::FIRST && e.members.is_empty();
    let all: Vec<&ExperimentPart> = report.experiments.iter().filter(first).collect();
    let scores: Vec<f64> = all.iter().filter_map(|e| e.score).filter(|score| score.is_finite()).collect();
    let name = cut(&report.study.name, 60);
    let head = format!("{name}: {} of {} experiments", report.study.metric, all.len());
    let (at, anchor) = ((LEFT, 26.0), Anchor::Start);
    let mut marks = vec![Mark::Text { at, anchor, is_head: true, colour: BLACK, text: head, title: None }];
    if scores.is_empty() {
        marks.push(text((LEFT, HEIGHT / 2.0), Anchor::Start, "no experiment has a score".to_owned()));
        return marks;
    }
    let axis = Axis::linear(&shown(&scores, report.minimizes()), TICKS);
    let x = |i: usize| LEFT + (WIDTH - LEFT - RIGHT) * (i as f64 + 0.5) / all.len().max(1) as f64;
    let y = |score: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.place(score);
    for tick in &axis.ticks {
        marks.push(Mark::Across { y: y(*tick) });
        marks.push(text((LEFT - 8.0, y(*tick) + 4.0), Anchor::End, axis.name(*tick)));
    }
    marks.extend(experiments(report, &all, (&x, &y)));
    let better = if report.minimizes() { "lower" } else { "higher" };
    let foot = format!(
        "experiments in the order of planning; green: kept; line: the best so far; red: without a score; {better} is better"
    );
    marks.push(text((LEFT, HEIGHT - 16.0), Anchor::Start, foot));
    marks
}

type Places<'a> = (&'a dyn Fn(usize) -> f64, &'a dyn Fn(f64) -> f64);

fn experiments(report: &Report, all: &[&ExperimentPart], (x, y): Places<'_>) -> Vec<Mark> {
    let refused = report.refused();
    let is_kept: BTreeSet<u64> = table::kept(report).iter().map(|e| e.id).collect();
    let mut best: Option<f64> = None;
    let (mut others, mut points, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (i, experiment) in all.iter().enumerate() {
        let name = format!("{} {}", experiment.id, cut(&experiment.label, 120));
        let Some(score) = experiment.score.filter(|score| score.is_finite()) else {
            if !matches!(experiment.outcome.as_str(), "waiting" | "running") {
                others.push(Mark::Text {
                    at: (x(i), HEIGHT - BOTTOM - 4.0),
                    anchor: Anchor::Middle,
                    is_head: false,
                    colour: RED,
                    text: "\u{d7}".to_owned(),
                    title: Some(format!("{name}: {}", experiment.outcome)),
                });
            }
            continue;
        };
        let better = best.is_none_or(|best| if report.minimizes() { score < best } else { score > best });
        let counts = better && !experiment.breaks(&refused);
        let marked = is_kept.contains(&experiment.id);
        let (to, radius, colour) = if marked { (&mut kept, 5.5, GREEN) } else { (&mut others, 4.0, GREY) };
        to.push(Mark::Disc { at: (x(i), y(score)), radius, colour, title: format!("{name}: {score}") });
        if counts {
            points.push((x(i), y(score)));
            best = Some(score);
        }
    }
    if !points.is_empty() {
        others.push(Mark::Steps { points });
    }
    others.extend(kept);
    others
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
