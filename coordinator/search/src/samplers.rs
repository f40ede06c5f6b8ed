//! The samplers beside the Gaussian process: every combination, drawn combinations, and TPE.

use std::collections::BTreeSet;

use ar_common::{Block, Mode, Sampler};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::grid::{Grid, Point};
use crate::history::{History, Sample};
use crate::modes::Pick;

/// Combinations up to which a grid is gone through as a whole.
const LISTED: u64 = 200_000;
/// Draws after which a space counts as exhausted.
const DRAWS: usize = 2_000;
/// TPE: one score in so many is good, and at most [`MOST_GOOD`] are (Bergstra et al. 2011; the defaults of Optuna).
const GOOD: usize = 10;
const MOST_GOOD: usize = 25;
/// TPE: candidates drawn per suggestion.
const CANDIDATES: usize = 24;
/// TPE: scores before which configurations are drawn uniformly.
const STARTUP: usize = 10;
/// TPE: width of a kernel on a knob, in units of its range.
const WIDTH: f64 = 0.1;

/// What a sampler is for this space: `Auto` is resolved.
pub(crate) fn resolve(sampler: Sampler, grid: &Grid<'_>) -> Sampler {
    match sampler {
        Sampler::Auto if grid.all(Sampler::FEW).is_some() => Sampler::Grid,
        Sampler::Auto => Sampler::Gp,
        named => named,
    }
}

/// Up to `want` configurations that are neither tried nor in `taken`, by a sampler that needs no surrogate. Empty if
/// nothing is left.
pub(crate) fn picks(
    sampler: Sampler,
    grid: &Grid<'_>,
    history: &History<'_>,
    samples: &[Sample],
    taken: &BTreeSet<Point>,
    (want, rng): (usize, &mut ChaCha8Rng),
) -> Vec<Pick> {
    let mut taken = taken.clone();
    let mut picks: Vec<Pick> = Vec::new();
    let listed = if sampler == Sampler::Grid { grid.all(LISTED) } else { None };
    if let Some(mut all) = listed {
        // The same order in every plan of the study: `rng` must not depend on the history.
        all.shuffle(rng);
        let open = all.into_iter().filter(|point| open(grid, history, &taken, point)).take(want);
        let reason = |point: &Point| format!("the grid: {}", grid.describe(point));
        return open
            .map(|point| Pick { mode: Mode::Explore, reason: reason(&point), point, expected_gain: None })
            .collect();
    }
    while picks.len() < want {
        let estimated = if sampler == Sampler::Tpe { tpe(grid, history, samples, &taken, rng) } else { None };
        let pick = match estimated {
            Some(point) => {
                let reason =
                    format!("more often among the good than among the others: {}", grid.describe(&point));
                Pick { mode: Mode::Exploit, reason, point, expected_gain: None }
            }
            None => {
                let Some(point) = drawn(grid, history, &taken, rng) else {
                    break;
                };
                Pick {
                    mode: Mode::Explore,
                    reason: format!("drawn at random: {}", grid.describe(&point)),
                    point,
                    expected_gain: None,
                }
            }
        };
        taken.insert(pick.point.clone());
        picks.push(pick);
    }
    picks
}

fn open(grid: &Grid<'_>, history: &History<'_>, taken: &BTreeSet<Point>, point: &Point) -> bool {
    !history.has(point, Block::FIRST)
        && !taken.contains(point)
        && history.allows(point)
        && !grid.forbids(point)
        && !grid.is_floor(point)
}

/// A configuration that was not tried, drawn uniformly over the options.
fn drawn(
    grid: &Grid<'_>,
    history: &History<'_>,
    taken: &BTreeSet<Point>,
    rng: &mut ChaCha8Rng,
) -> Option<Point> {
    let found = (0..DRAWS).map(|_| grid.draw(rng)).find(|point| open(grid, history, taken, point));
    found.or_else(|| {
        let all = grid.all(LISTED)?;
        let left: Vec<Point> = all.into_iter().filter(|point| open(grid, history, taken, point)).collect();
        if left.is_empty() { None } else { Some(left[rng.random_range(0..left.len())].clone()) }
    })
}

/// The candidate that is likeliest among the good scores compared with the others; `None` before there are enough
/// scores, or if everything drawn was tried. What is pending or failed is no good.
fn tpe(
    grid: &Grid<'_>,
    history: &History<'_>,
    samples: &[Sample],
    taken: &BTreeSet<Point>,
    rng: &mut ChaCha8Rng,
) -> Option<Point> {
    if samples.len() < STARTUP {
        return None;
    }
    let mut ranked: Vec<&Sample> = samples.iter().collect();
    ranked.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.point.cmp(&b.point)));
    let (good, others) = ranked.split_at(samples.len().div_ceil(GOOD).min(MOST_GOOD));
    let good: Vec<&Point> = good.iter().map(|s| &s.point).collect();
    let scored: BTreeSet<&Point> = samples.iter().map(|s| &s.point).collect();
    let unscored =
        history.searched().filter_map(|e| e.point.as_ref()).filter(|point| !scored.contains(point));
    let others: Vec<&Point> = others.iter().map(|s| &s.point).chain(unscored).chain(taken).collect();
    let densities: Vec<[Vec<f64>; 2]> =
        (0..grid.axes.len()).map(|d| [density(grid, d, &good), density(grid, d, &others)]).collect();
    let mut best: Option<(f64, Point)> = None;
    for _ in 0..CANDIDATES {
        let option = |(d, [likely, _]): (usize, &[Vec<f64>; 2])| {
            let mut at = rng.random::<f64>();
            let chosen = likely.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            grid.axes[d].searched[chosen.unwrap_or(likely.len() - 1)]
        };
        let point = grid.canonical(densities.iter().enumerate().map(option).collect());
        if !open(grid, history, taken, &point) {
            continue;
        }
        let ratio = |(d, [likely, other]): (usize, &[Vec<f64>; 2])| {
            let i = grid.axes[d].searched.iter().position(|o| *o == point[d]);
            i.map_or(0.0, |i| (likely[i] / other[i]).ln())
        };
        let ratio: f64 = densities.iter().enumerate().map(ratio).sum();
        if best.as_ref().is_none_or(|(most, _)| ratio > *most) {
            best = Some((ratio, point));
        }
    }
    best.map(|(_, point)| point)
}

/// How often each searched option of dimension `d` is in `points`, with one uniform observation added; on a knob each
/// observation is spread over its neighbours.
fn density(grid: &Grid<'_>, d: usize, points: &[&Point]) -> Vec<f64> {
    let axis = &grid.axes[d];
    let n = axis.searched.len().max(1) as f64;
    let mut counts = vec![1.0 / n; axis.searched.len()];
    for point in points {
        let weight = |o: u32| match &axis.place {
            None => f64::from(u8::from(o == point[d])),
            Some(place) => {
                let z = (place[o as usize] - place[point[d] as usize]) / WIDTH;
                (-0.5 * z * z).exp()
            }
        };
        let weights: Vec<f64> = axis.searched.iter().map(|o| weight(*o)).collect();
        let total: f64 = weights.iter().sum();
        if total > 0.0 {
            counts.iter_mut().zip(weights).for_each(|(count, w)| *count += w / total);
        }
    }
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / total).collect()
}
