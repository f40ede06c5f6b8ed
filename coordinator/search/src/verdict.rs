//! Is anything shown to beat the base? One comparison, decided before it was measured.

use ar_common::{Measures, Metric, Verdict};

use crate::grid::{Grid, Point, changes};
use crate::history::{History, mean};
use crate::paired::{PairedTest, Prior, paired_test};

/// The level of the verdict.
pub const LEVEL: f64 = 0.10;

/// The differences of the folds that both have, over all fresh splits. The first split chose the candidate, so it is
/// asked only where there is no other.
fn differences(metric: &Metric, history: &History<'_>, point: &Point, base: &Point) -> Paired {
    let mut paired = Paired::default();
    let other = history.runs(base);
    let both = |(repeat, ours)| Some((repeat, fold_scores(ours), fold_scores(other.get(&repeat)?)));
    let mut splits: Vec<(u32, Vec<f64>, Vec<f64>)> =
        history.runs(point).into_iter().filter_map(both).collect();
    splits.retain(|(_, a, b)| a.len() == b.len());
    if splits.iter().any(|(repeat, ..)| *repeat > 0) {
        splits.retain(|(repeat, ..)| *repeat > 0);
    }
    for (_, a, b) in splits {
        paired.differences.extend(a.iter().zip(&b).map(|(a, b)| metric.gain(*a, *b)));
        paired.ours.extend(a);
        paired.theirs.extend(b);
    }
    paired
}

#[derive(Default)]
struct Paired {
    differences: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// The scores of the folds; the score itself where there are none.
pub(crate) fn fold_scores(measures: &Measures) -> Vec<f64> {
    match measures.score {
        Some(score) if measures.folds.is_empty() => vec![score],
        _ => measures.folds.clone(),
    }
}

/// The verdict on what is known now; `None` if nothing has a score.
pub(crate) fn judge(
    grid: &Grid<'_>,
    history: &History<'_>,
    (metric, test_share): (&Metric, f64),
    candidate: Option<Point>,
) -> Option<Verdict> {
    let base = grid.base();
    let best_seen = best_seen(grid, history, metric);
    let base_scores: Vec<f64> = history.runs(&base).values().flat_map(|m| fold_scores(m)).collect();
    let verdict = |winner: &Point, text: String| Verdict {
        winner: grid.config(winner),
        candidate: None,
        beats_base: false,
        difference: 0.0,
        low: 0.0,
        p_value: 1.0,
        level: LEVEL,
        pairs: 0,
        candidate_score: None,
        base_score: (!base_scores.is_empty()).then(|| mean(&base_scores)),
        best_seen: best_seen.as_ref().map(|(point, score)| (grid.config(point), *score)),
        text,
    };
    if base_scores.is_empty() {
        let (winner, score) = best_seen.clone()?;
        let text = format!(
            "the base has no score, so nothing is compared with it: the best seen is {} with {} {}",
            grid.describe(&winner),
            metric.name,
            figure(score),
        );
        return Some(Verdict { candidate_score: Some(score), ..verdict(&winner, text) });
    }
    // It is what all is compared with, whatever it takes; but nobody shall think that it may be handed over.
    let note = history.broken(&base);
    let note = note.map(|why| format!("; the base itself does not keep to the constraints: {why}"));
    let note = note.unwrap_or_default();
    let Some(candidate) = candidate else {
        let nothing = match (history.refuses_others(&base), note.is_empty()) {
            (false, _) => "nothing but the base has a score",
            (true, true) => "nothing but the base keeps to the constraints",
            (true, false) => "nothing keeps to the constraints",
        };
        return Some(verdict(&base, format!("{nothing}: the base is kept{note}")));
    };
    let paired = differences(metric, history, &candidate, &base);
    let prior = Prior::of(history, metric, test_share, 2.0);
    let test = paired_test(&paired.differences, prior, LEVEL);
    let beats_base = test.p_value <= LEVEL && test.difference > 0.0;
    let mean_of = |scores: &[f64]| (!scores.is_empty()).then(|| mean(scores));
    Some(Verdict {
        candidate: Some(grid.config(&candidate)),
        beats_base,
        difference: test.difference,
        low: test.low,
        p_value: test.p_value,
        pairs: test.pairs,
        candidate_score: mean_of(&paired.ours),
        base_score: mean_of(&paired.theirs).or_else(|| mean_of(&base_scores)),
        ..verdict(
            if beats_base { &candidate } else { &base },
            sentence(grid, metric, &candidate, test, beats_base) + &note,
        )
    })
}

/// The best mean of the first split that keeps to the constraints, with no regard to luck; a floor only if nothing
/// else has a score.
fn best_seen(grid: &Grid<'_>, history: &History<'_>, metric: &Metric) -> Option<(Point, f64)> {
    let scored = history.searched().filter_map(|e| Some((e.point.as_ref()?, e.score()?)));
    let scored = scored.filter(|(point, _)| history.keeps(point));
    let better = |a: &(&Point, f64), b: &(&Point, f64)| {
        let floors = grid.is_floor(b.0).cmp(&grid.is_floor(a.0));
        let simpler = || changes(b.0).count().cmp(&changes(a.0).count()).then_with(|| b.0.cmp(a.0));
        floors.then_with(|| metric.gain(a.1, b.1).total_cmp(&0.0)).then_with(simpler)
    };
    scored.max_by(better).map(|(point, score)| (point.clone(), score))
}

fn sentence(
    grid: &Grid<'_>,
    metric: &Metric,
    candidate: &Point,
    test: PairedTest,
    beats_base: bool,
) -> String {
    let name = grid.describe(candidate);
    let p =
        if test.p_value < 0.001 { "p < 0.001".to_owned() } else { format!("p = {}", figure2(test.p_value)) };
    let seen = format!("{p}, {} paired folds", test.pairs);
    if beats_base {
        return format!("{name} beats the base by {} ({seen})", amount(metric, test.difference.abs()));
    }
    let side = if test.difference < 0.0 { "worse" } else { "better" };
    let by = if test.pairs == 0 {
        "shares no folds with it".to_owned()
    } else if test.difference == 0.0 {
        format!("scores the same ({seen})")
    } else {
        format!("is {} {side} ({seen})", amount(metric, test.difference.abs()))
    };
    format!("nothing tried is shown to beat the base: the best candidate, {name}, {by}")
}

/// A difference with its unit: points for what lies between 0 and 1.
fn amount(metric: &Metric, difference: f64) -> String {
    match (metric.low, metric.high) {
        (Some(0.0), Some(1.0)) => format!("{} points of {}", figure2(difference * 100.0), metric.name),
        _ => format!("{} of {}", figure(difference), metric.name),
    }
}

/// Two digits, or what is before the point if that is more.
fn figure2(value: f64) -> String {
    digits(value, 2)
}

/// Four digits, or what is before the point if that is more.
fn figure(value: f64) -> String {
    digits(value, 4)
}

fn digits(value: f64, wanted: i32) -> String {
    let before = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
    format!("{value:.*}", (wanted - before).clamp(0, 12) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_two_digits() {
        let (accuracy, _) = Metric::tabular("accuracy").unwrap();
        let (rmse, _) = Metric::tabular("rmse").unwrap();
        assert_eq!(amount(&accuracy, 0.0123), "1.2 points of accuracy");
        assert_eq!(amount(&rmse, 12_345.6), "12346 of rmse");
        assert_eq!(amount(&rmse, 0.001_234_6), "0.001235 of rmse");
        assert_eq!(
            (figure2(0.031), figure2(0.0), figure2(0.1)),
            ("0.031".into(), "0.0".into(), "0.10".into())
        );
    }
}
