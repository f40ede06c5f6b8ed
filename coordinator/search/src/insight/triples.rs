//! Triples of options, kept apart from the pairs: what three do together beyond their singles and their pairs.
//!
//! The third difference `f(a, b, c) - f(a, b) - f(a, c) - f(b, c) + f(a) + f(b) + f(c) - f(base)`, everything else at base.
//! It is what the surrogate expects and no more: to measure one again takes eight cells, which no budget here has, so a
//! triple is never called confirmed.

use std::collections::BTreeMap;

use super::{REACH, Triple, choice};
use crate::grid::{Grid, Point, Slot, changes};
use crate::surrogate::{Surrogate, Whitened};

/// Triples that are told, at most.
const TOLD: usize = 5;
/// Triples that are looked at: those of the options seen most.
const OPTIONS: usize = 12;
/// Runs that had all three, at least: of one run nobody can tell a triple from luck.
const RUNS: u32 = 2;

/// The corners of the cube of three options with the signs of the third difference; `None` where options need or rule out
/// others, so that there is no such cube.
fn corners(grid: &Grid<'_>, slots: [Slot; 3]) -> Option<Vec<(f64, Point)>> {
    let base = grid.base();
    let corner = |mask: u32| {
        let mut point = base.clone();
        let chosen = slots.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        chosen.for_each(|(_, (d, o))| point[*d] = *o);
        let fits = grid.canonical(point.clone()) == point && !grid.forbids(&point);
        fits.then_some((if mask.count_ones() % 2 == 1 { 1.0 } else { -1.0 }, point))
    };
    (0..8).map(corner).collect()
}

/// The triples whose third difference is clearest, by its size in deviations.
pub(crate) fn triples(grid: &Grid<'_>, surrogate: &Surrogate) -> Vec<Triple> {
    let tried: Vec<Vec<Slot>> = surrogate.tried().map(|point| changes(point).collect()).collect();
    let mut runs: BTreeMap<Slot, u32> = BTreeMap::new();
    tried.iter().flatten().for_each(|slot| *runs.entry(*slot).or_default() += 1);
    let mut most: Vec<Slot> = runs.keys().copied().collect();
    most.sort_by_key(|slot| (std::cmp::Reverse(runs[slot]), *slot));
    most.truncate(OPTIONS);
    most.sort_unstable();
    let mut known = Whitened::default();
    let mut all = Vec::new();
    for (i, a) in most.iter().enumerate() {
        for (j, b) in most.iter().enumerate().skip(i + 1).filter(|(_, b)| b.0 != a.0) {
            for c in most[j + 1..].iter().filter(|c| c.0 != b.0) {
                let slots = [*a, *b, *c];
                let had = |point: &&Vec<Slot>| slots.iter().all(|slot| point.contains(slot));
                let runs = tried.iter().filter(had).count() as u32;
                let Some(corners) = corners(grid, slots).filter(|_| runs >= RUNS) else {
                    continue;
                };
                let terms: Vec<(f64, &Point)> = corners.iter().map(|(sign, point)| (*sign, point)).collect();
                let (delta, deviation) = surrogate.contrast(&terms, &mut known);
                all.push((delta, deviation, slots, runs));
            }
        }
    }
    let clearness = |(delta, deviation, ..): &(f64, f64, [Slot; 3], u32)| delta.abs() / deviation.max(1e-12);
    all.sort_by(|x, y| clearness(y).total_cmp(&clearness(x)).then(x.2.cmp(&y.2)));
    all.truncate(TOLD);
    let told = all.into_iter().map(|(delta, deviation, slots, runs)| Triple {
        triple: slots.map(|slot| choice(grid, slot)),
        delta,
        low: delta - REACH * deviation,
        high: delta + REACH * deviation,
        runs,
    });
    told.collect()
}
