//! The loss of training runs while they ran.

use ar_common::{Config, Race};

use super::axis::Axis;
use super::escape::esc;
use super::plot::{Line, Plot};
use crate::results::{ExperimentPart, Report};

/// Runs that are drawn: the newest, beside base and winner.
const DRAWN: usize = 60;

/// The section; nothing where no run told its loss.
pub(super) fn section(report: &Report) -> Option<String> {
    let all: Vec<&ExperimentPart> =
        report.experiments.iter().filter(|e| !e.curve.is_empty() && e.block.repeat().is_some()).collect();
    if all.is_empty() {
        return None;
    }
    let base = report.experiments.first().map(|e| &e.config);
    let winner =
        report.verdict.as_ref().map(|verdict| &verdict.winner).filter(|winner| Some(*winner) != base);
    let is = |e: &ExperimentPart, config: Option<&Config>| config == Some(&e.config);
    let mut drawn: Vec<(&ExperimentPart, Line)> =
        all.iter().rev().take(DRAWN).rev().map(|e| (*e, Line::Other)).collect();
    // Those that matter are drawn last, above the others.
    for (config, line) in [(base, Line::Base), (winner, Line::Best)] {
        drawn.extend(all.iter().find(|e| config.is_some() && is(e, config)).map(|e| (*e, line)));
    }
    let losses: Vec<f64> = drawn.iter().flat_map(|(e, _)| e.curve.iter().copied()).collect();
    let axis = Axis::linear(&middle(&losses), 7);
    let description =
        format!("the loss of {} runs at the same share of their time; down is better", all.len());
    let mut plot = Plot::new("curves", "Loss while training", &description, 240.0, 0.0);
    plot.rows(&axis, false);
    for (experiment, line) in &drawn {
        let place = |(i, loss): (usize, &f64)| {
            ((i + 1) as f64 / f64::from(Race::CURVE_POINTS), plot.y(axis.place(*loss)))
        };
        let points: Vec<(f64, f64)> = experiment.curve.iter().enumerate().map(place).collect();
        plot.curve(*line, &points, &format!("{} {}", experiment.id, experiment.label));
    }
    let stopped = all.iter().filter(|e| e.outcome == "stopped early").count();
    Some(format!(
        "<p>From the begin of training to its end, as each script told it. Thick: the winner; dashed: the base. {} of {} runs were \
         stopped before their end.</p>{}",
        stopped,
        esc(&all.len().to_string()),
        plot.finish()
    ))
}

/// The losses without the highest twentieth: a run that diverges would leave no room for the others.
fn middle(losses: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = losses.iter().copied().filter(|loss| loss.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.truncate(sorted.len() - sorted.len() / 20);
    sorted
}
