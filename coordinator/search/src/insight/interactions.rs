//! Pairs of options that do more together than apart, and whether that is real.
//!
//! `delta = f(a, b) - f(a) - f(b) + f(base)`, everything else at base. The surrogate ranks the pairs; it says what is
//! expected, not what is shown: of hundreds of pairs some look strong by luck. At most [`TESTED`] are measured
//! again in all four cells on fresh splits, and judged by the corrected paired test of the verdict, two-sided,
//! with Holm's correction (Holm 1979) for how many there are.

use std::collections::BTreeMap;

use ar_common::{Block, Metric};

use super::{Interaction, REACH, Status, choice};
use crate::grid::{Grid, Point, Slot, changes};
use crate::history::History;
use crate::paired::{Prior, paired_test};
use crate::surrogate::{Surrogate, Whitened};
use crate::verdict::fold_scores;

/// Pairs that are measured again, at most.
const TESTED: usize = 5;
/// Evidence from which a pair is worth measuring again.
const CLAIM: f64 = 1.0;
/// Variance of a pair's own effect for which evidence is looked for, in units of the scores' variance.
const OWN: f64 = 0.5;
/// Two-sided level of the confirmation, over all pairs together.
const LEVEL: f64 = 0.05;
/// Pairs that are looked at: those of the options seen most.
const OPTIONS: usize = 40;

/// What the surrogate expects of a pair.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) slots: [Slot; 2],
    /// Both, the first, the second, neither.
    pub(crate) cells: [Point; 4],
    delta: f64,
    deviation: f64,
    /// Logarithm of how much likelier the scores are if the pair has an effect of its own.
    evidence: f64,
}

/// The four cells of a pair; `None` where one of the options needs or rules out something else, so that there is no
/// such square.
fn cells(grid: &Grid<'_>, [a, b]: [Slot; 2]) -> Option<[Point; 4]> {
    let base = grid.base();
    let with = |slots: &[Slot]| {
        let mut point = base.clone();
        slots.iter().for_each(|(d, o)| point[*d] = *o);
        let fits = grid.canonical(point.clone()) == point && !grid.forbids(&point);
        fits.then_some(point)
    };
    Some([with(&[a, b])?, with(&[a])?, with(&[b])?, base.clone()])
}

/// Pairs of options that some run had together, the surest first.
///
/// It rests on the first split alone, so that measuring a pair again does not change which pairs are.
fn pairs(grid: &Grid<'_>, surrogate: &Surrogate) -> Vec<Pair> {
    let mut runs: BTreeMap<Slot, u32> = BTreeMap::new();
    surrogate.tried().flat_map(changes).for_each(|slot| *runs.entry(slot).or_default() += 1);
    let mut slots: Vec<(u32, Slot)> = runs.into_iter().map(|(slot, runs)| (runs, slot)).collect();
    slots.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    slots.truncate(OPTIONS);
    let mut pairs = Vec::new();
    let mut known = Whitened::default();
    let tried: Vec<&Point> = surrogate.tried().collect();
    let Some(evidence) = surrogate.evidence() else {
        return pairs;
    };
    for (i, (_, a)) in slots.iter().enumerate() {
        for (_, b) in slots[i + 1..].iter().filter(|(_, b)| b.0 != a.0) {
            let pair = if a < b { [*a, *b] } else { [*b, *a] };
            let has = |p: &&Point| pair.iter().all(|(d, o)| p[*d] == *o);
            let together: Vec<usize> = (0..).zip(&tried).filter(|(_, p)| has(p)).map(|(i, _)| i).collect();
            let Some(cells) = cells(grid, pair).filter(|_| !together.is_empty()) else {
                continue;
            };
            let signs = [1.0, -1.0, -1.0, 1.0];
            let terms: Vec<(f64, &Point)> = signs.into_iter().zip(&cells).collect();
            let (delta, deviation) = surrogate.contrast(&terms, &mut known);
            let evidence = evidence.of(&together, OWN);
            pairs.push(Pair { slots: pair, cells: cells.clone(), delta, deviation, evidence });
        }
    }
    pairs.sort_by(|a, b| b.evidence.total_cmp(&a.evidence).then(a.slots.cmp(&b.slots)));
    pairs
}

/// The pairs that are worth measuring again, the surest first.
pub(crate) fn claims(grid: &Grid<'_>, surrogate: &Surrogate) -> Vec<Pair> {
    let pairs = pairs(grid, surrogate).into_iter();
    pairs.filter(|pair| pair.evidence >= CLAIM).take(TESTED).collect()
}

/// What was measured of a pair on fresh splits.
struct Measured {
    delta: f64,
    low: f64,
    high: f64,
    p_value: f64,
    folds: u32,
}

/// The contrast of the four cells over the fresh splits that have them all.
fn measured(history: &History<'_>, metric: &Metric, prior: Prior, cells: &[Point; 4]) -> Option<Measured> {
    let runs = cells.each_ref().map(|cell| history.runs(cell));
    let mut contrasts = Vec::new();
    for (repeat, both) in runs[0].iter().filter(|(repeat, _)| **repeat > 0) {
        let [Some(first), Some(second), Some(neither)] = [1, 2, 3].map(|i| runs[i].get(repeat)) else {
            continue;
        };
        let scores = [*both, *first, *second, *neither].map(fold_scores);
        if scores.iter().all(|s| s.len() == scores[0].len()) {
            let contrast =
                |i: usize| metric.gain(scores[0][i], scores[1][i]) - metric.gain(scores[2][i], scores[3][i]);
            contrasts.extend((0..scores[0].len()).map(contrast));
        }
    }
    if contrasts.len() < 2 {
        return None;
    }
    let opposite: Vec<f64> = contrasts.iter().map(|c| -c).collect();
    // One-sided at half the level to either side is two-sided at the level.
    let up = paired_test(&contrasts, prior, (1.0 - super::COVERAGE) / 2.0);
    let down = paired_test(&opposite, prior, (1.0 - super::COVERAGE) / 2.0);
    Some(Measured {
        delta: up.difference,
        low: up.low,
        high: -down.low,
        p_value: (2.0 * up.p_value.min(down.p_value)).min(1.0),
        folds: contrasts.len() as u32,
    })
}

/// All pairs that can be called anything: seen together, and the solo of each known.
pub(crate) fn interactions(
    grid: &Grid<'_>,
    history: &History<'_>,
    surrogate: &Surrogate,
    (metric, test_share): (&Metric, f64),
) -> Vec<Interaction> {
    let all = pairs(grid, surrogate);
    let prior = Prior::of(history, metric, test_share, 4.0);
    let scored = |point: &Point| history.find(point, Block::FIRST).is_some_and(|e| e.measures.is_some());
    let tests: Vec<Option<Measured>> =
        all.iter().map(|pair| measured(history, metric, prior, &pair.cells)).collect();
    let corrected = holm(&tests.iter().map(|t| t.as_ref().map(|t| t.p_value)).collect::<Vec<_>>());
    let known = all.iter().zip(tests).zip(corrected);
    let known = known.filter(|((pair, test), _)| {
        test.is_some() || (scored(&pair.cells[1]) && scored(&pair.cells[2]) && scored(&pair.cells[3]))
    });
    let mut interactions: Vec<Interaction> =
        known.map(|((pair, test), p)| interaction(grid, pair, test, p)).collect();
    interactions.sort_by_key(|i| i.status);
    interactions
}

fn interaction(grid: &Grid<'_>, pair: &Pair, test: Option<Measured>, p: Option<f64>) -> Interaction {
    let names = pair.slots.map(|slot| choice(grid, slot));
    let (Some(test), Some(p)) = (test, p) else {
        return Interaction {
            pair: names,
            delta: pair.delta,
            low: pair.delta - REACH * pair.deviation,
            high: pair.delta + REACH * pair.deviation,
            status: Status::Unresolved,
            evidence: "expected by the model; not measured again".to_owned(),
        };
    };
    let half = pair.delta / 2.0;
    let ruled_out = if half > 0.0 { test.high < half } else { test.low > half };
    let status = match (p <= LEVEL, ruled_out) {
        (true, _) => Status::Confirmed,
        (false, true) => Status::Refuted,
        (false, false) => Status::Unresolved,
    };
    let p_words = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") };
    let evidence =
        format!("2x2 on fresh splits, {} folds, {p_words} corrected for the pairs tested", test.folds);
    Interaction { pair: names, delta: test.delta, low: test.low, high: test.high, status, evidence }
}

/// Holm's step-down correction; what was not tested does not count.
pub(crate) fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(f64, usize)> =
        p_values.iter().enumerate().filter_map(|(i, p)| Some(((*p)?, i))).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut corrected = vec![None; p_values.len()];
    let mut highest: f64 = 0.0;
    for (rank, (p, i)) in order.iter().enumerate() {
        highest = highest.max((p * (order.len() - rank) as f64).min(1.0));
        corrected[*i] = Some(highest);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_gives_the_numbers_of_the_textbook() {
        // Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never falling.
        let corrected = holm(&[Some(0.01), Some(0.04), None, Some(0.03), Some(0.005)]);
        let expected = [Some(0.03), Some(0.06), None, Some(0.06), Some(0.02)];
        for (a, b) in corrected.iter().zip(expected) {
            assert_eq!(a.is_some(), b.is_some());
            assert!((a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-12, "{corrected:?}");
        }
    }
}
