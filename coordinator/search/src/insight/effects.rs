//! Main effects and how much dimensions matter.

use super::{Effect, Importance, REACH, choice};
use crate::grid::{Grid, Point};
use crate::history::History;
use crate::surrogate::{Surrogate, Whitened};

/// Contexts over which an effect is averaged.
const CONTEXTS: usize = 16;

/// What each scored option does, in the order of the space.
pub(crate) fn effects(grid: &Grid<'_>, history: &History<'_>, surrogate: &Surrogate) -> Vec<Effect> {
    let contexts = contexts(surrogate);
    let mut effects = Vec::new();
    let mut known = Whitened::default();
    for (d, axis) in grid.axes.iter().enumerate() {
        for option in axis.searched.iter().copied().filter(|o| *o != 0) {
            let runs = history.tally((d, option)).succeeded;
            if runs == 0 {
                continue;
            }
            if let Some((gain, deviation)) = gain(grid, surrogate, &contexts, (d, option), &mut known) {
                let (low, high) = (gain - REACH * deviation, gain + REACH * deviation);
                effects.push(Effect { choice: choice(grid, (d, option)), gain, low, high, runs });
            }
        }
    }
    effects
}

/// Tried configurations, evenly chosen.
fn contexts(surrogate: &Surrogate) -> Vec<Point> {
    let tried: Vec<&Point> = surrogate.tried().collect();
    let n = tried.len().min(CONTEXTS);
    (0..n).map(|i| tried[i * tried.len() / n].clone()).collect()
}

/// Mean and deviation of what an option adds to `base`, over the contexts in which it can matter.
fn gain(
    grid: &Grid<'_>,
    surrogate: &Surrogate,
    contexts: &[Point],
    (d, option): (usize, u32),
    known: &mut Whitened,
) -> Option<(f64, f64)> {
    let mut pairs = Vec::new();
    for context in contexts {
        let with = grid.canonical(replaced(context, d, option));
        if with[d] == option {
            pairs.push((grid.canonical(replaced(context, d, 0)), with));
        }
    }
    let share = 1.0 / pairs.len() as f64;
    let terms: Vec<(f64, &Point)> =
        pairs.iter().flat_map(|(without, with)| [(share, with), (-share, without)]).collect();
    (!terms.is_empty()).then(|| surrogate.contrast(&terms, known))
}

fn replaced(point: &Point, d: usize, option: u32) -> Point {
    let mut point = point.clone();
    point[d] = option;
    point
}

/// Variance of what is expected of a dimension's options, averaged over the others, as a share of the variance of
/// what is expected of all configurations in sight; most first.
pub(crate) fn importance(grid: &Grid<'_>, surrogate: &Surrogate) -> Vec<Importance> {
    let means: Vec<(&Point, f64)> = surrogate.candidates().map(|(p, belief)| (p, belief.mean)).collect();
    let n = means.len().max(1) as f64;
    let centre = means.iter().map(|(_, m)| m).sum::<f64>() / n;
    let total = means.iter().map(|(_, m)| (m - centre).powi(2)).sum::<f64>() / n;
    let share = |d: usize| {
        let mut sums = vec![(0.0, 0.0); grid.axes[d].family.len()];
        for (point, mean) in &means {
            let sum = &mut sums[point[d] as usize];
            *sum = (sum.0 + mean - centre, sum.1 + 1.0);
        }
        let between: f64 = sums.iter().filter(|s| s.1 > 0.0).map(|(sum, n)| sum * sum / n).sum();
        if total > 0.0 { (between / n / total).min(1.0) } else { 0.0 }
    };
    let mut all: Vec<Importance> = grid
        .space
        .dimensions
        .iter()
        .enumerate()
        .map(|(d, dimension)| Importance { dimension: dimension.name.clone(), share: share(d) })
        .collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.dimension.cmp(&b.dimension)));
    all
}
