//! Knobs refined around the best: from each leader, one knob after the other goes where most is expected, until none moves.
//!
//! A knob has up to 65 numbers, so the one change that NARROW makes and the draws of EXPLOIT hardly ever hit several good ones
//! at once; the posterior is smooth in them, so going uphill does.

use ar_common::Mode;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::candidates::{Candidate, Sight, Why, improvement};
use crate::grid::{Axis, Grid, Point};
use crate::modes;

/// Leaders from which it climbs.
const LEADERS: usize = 3;
/// Times that every dimension gets its turn, at most.
const SWEEPS: usize = 3;
/// Steps along a knob's numbers, up and down.
const STEPS: [i64; 6] = [1, 2, 4, 8, 16, 32];
/// Options of a slot that are looked at.
const OPTIONS: usize = 16;
/// How much wider than believed a belief is taken: once to find what is expected to be best, once to find where more might be.
const WIDER: [f64; 2] = [0.5, 2.0];

/// The tops that are reached; nothing where there are no knobs.
pub(crate) fn climb(sight: &Sight<'_>, all: &mut Vec<Candidate>) {
    if sight.grid.axes.iter().all(|axis| axis.place.is_none()) {
        return;
    }
    let mark = sight.mark.unwrap_or(0.0);
    for start in sight.leaders.iter().take(LEADERS) {
        for wider in WIDER {
            let promise = |point: &Point| {
                let mut belief = sight.surrogate.glance(point);
                belief.variance *= wider * wider;
                improvement(belief, mark) * modes::counts(sight, point)
            };
            let point = top(sight, start, promise);
            all.push(Candidate { mode: Mode::Narrow, point, why: Why::Refined });
        }
    }
}

/// Knobs from which on only what is near a leader is tried.
const MANY: usize = 4;
/// How far from a leader a knob may be, as a share of its range: at first and at most, and at least.
const NEAR: f64 = 0.3;
const NEAREST: f64 = 0.05;
/// Dimensions that may always differ from a leader.
const FEWEST: usize = 2;
/// By what the distance grows with each run that is the best so far; it shrinks by the fourth root of it with each that is
/// not, so that it stays where one in five is (the 1/5 success rule: Rechenberg 1973, "Evolutionsstrategie").
const GROWTH: f64 = 1.5;
/// Configurations drawn around leaders.
const DRAWS: usize = 96;

/// Several changes at once around the leaders.
pub(crate) fn around(sight: &Sight<'_>, rng: &mut ChaCha8Rng, all: &mut Vec<Candidate>) {
    if !has_many(sight.grid) {
        return;
    }
    for i in 0..DRAWS {
        let mut point = sight.leaders[rng.random_range(0..sight.leaders.len().min(LEADERS))].clone();
        let share = most_changes(sight.grid.axes.len(), sight.reach) as f64 / sight.grid.axes.len() as f64;
        let chance = share * if i % 2 == 0 { 0.25 } else { 0.75 };
        for (d, axis) in sight.grid.axes.iter().enumerate() {
            if !rng.random_bool(chance) {
                continue;
            }
            let open: Vec<u32> = axis
                .searched
                .iter()
                .copied()
                .filter(|o| distance(axis, point[d], *o) <= sight.reach)
                .collect();
            if !open.is_empty() {
                point[d] = open[rng.random_range(0..open.len())];
            }
        }
        let point = sight.grid.canonical(point);
        all.push(Candidate { mode: Mode::Exploit, point, why: Why::Around });
    }
}

/// How far from a leader a knob may be after runs of these expected scores, in their order.
pub(crate) fn reach(scores: impl IntoIterator<Item = f64>) -> f64 {
    let mut best = f64::NEG_INFINITY;
    scores.into_iter().enumerate().fold(NEAR, |reach, (n, score)| {
        let by = if score > best { GROWTH } else { GROWTH.powf(-0.25) };
        best = best.max(score);
        // The first one has nothing to be better than.
        if n == 0 { reach } else { (reach * by).clamp(NEAREST, NEAR) }
    })
}

fn has_many(grid: &Grid<'_>) -> bool {
    grid.axes.iter().filter(|axis| axis.place.is_some()).count() >= MANY
}

/// Distance of two numbers of a knob as a share of its range; 0 for a slot.
fn distance(axis: &Axis, a: u32, b: u32) -> f64 {
    let Some(places) = &axis.place else {
        return 0.0;
    };
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (places[a as usize] - places[b as usize]).abs() / (high - low).max(f64::MIN_POSITIVE)
}

/// How many of `all` dimensions may differ from a leader: all of them at first, and fewer as the reach shrinks. A surrogate of
/// a few scores per knob is surest of what changes few of them. Measured on the 13 constants of `examples/train-cpu`: the best
/// of 40 runs is lower by .03 to .07 in four of four seeds than with all of them free.
fn most_changes(all: usize, reach: f64) -> usize {
    ((all as f64 * reach / NEAR).round() as usize).clamp(FEWEST.min(all), all)
}

/// Whether `point` is near enough to a leader to be worth a run: a surrogate of few scores expects most where it knows
/// least, which of many knobs is always a corner.
pub(crate) fn in_reach(sight: &Sight<'_>, point: &Point) -> bool {
    let near = |leader: &Point| {
        let axes = sight.grid.axes.iter().zip(leader.iter().zip(point));
        let changed = leader.iter().zip(point).filter(|(a, b)| a != b).count();
        changed <= most_changes(sight.grid.axes.len(), sight.reach)
            && axes.into_iter().all(|(axis, (a, b))| distance(axis, *a, *b) <= sight.reach)
    };
    !has_many(sight.grid) || sight.leaders.iter().take(LEADERS).any(near)
}

fn top(sight: &Sight<'_>, start: &Point, promise: impl Fn(&Point) -> f64) -> Point {
    let mut point = start.clone();
    let mut best = promise(&point);
    let many = has_many(sight.grid);
    let most = if many { most_changes(sight.grid.axes.len(), sight.reach) } else { usize::MAX };
    for _ in 0..SWEEPS {
        let before = point.clone();
        for (d, axis) in sight.grid.axes.iter().enumerate() {
            for option in near(axis, point[d]) {
                let skipped = sight.history.tally((d, option)).skipped();
                let far = many && distance(axis, start[d], option) > sight.reach;
                let Some(next) = sight.grid.with(&point, (d, option)).filter(|_| !skipped && !far) else {
                    continue;
                };
                if next.iter().zip(start).filter(|(a, b)| a != b).count() > most {
                    continue;
                }
                let promised = promise(&next);
                if promised > best && !sight.grid.forbids(&next) {
                    (best, point) = (promised, next);
                }
            }
        }
        if point == before {
            break;
        }
    }
    point
}

/// Options to step to: of a knob some numbers to either side, of a slot the first few.
fn near(axis: &Axis, now: u32) -> Vec<u32> {
    let Some(places) = &axis.place else {
        return axis.searched.iter().copied().filter(|o| *o != now).take(OPTIONS).collect();
    };
    let mut order: Vec<u32> = axis.searched.clone();
    order.sort_by(|a, b| places[*a as usize].total_cmp(&places[*b as usize]));
    let Some(at) = order.iter().position(|o| *o == now) else {
        return order;
    };
    let step = |by: &i64| usize::try_from(at as i64 + by).ok().and_then(|i| order.get(i).copied());
    STEPS.iter().flat_map(|by| [-by, *by]).filter_map(|by| step(&by)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_dimensions_change_where_the_reach_is_small() {
        assert_eq!(
            (most_changes(13, NEAR), most_changes(13, NEAR / 2.0), most_changes(13, NEAREST)),
            (13, 7, 2)
        );
        assert_eq!((most_changes(4, NEAREST), most_changes(1, NEAREST)), (FEWEST, 1));
    }

    #[test]
    fn the_reach_shrinks_without_success_and_grows_with_it() {
        assert_eq!(reach([]), NEAR);
        assert_eq!(reach([0.1]), NEAR, "the first is better than nothing");
        assert_eq!(reach([0.1, 0.2, 0.3]), NEAR, "no farther than at first");
        let after = |failures: usize| reach(std::iter::once(1.0).chain(std::iter::repeat_n(0.0, failures)));
        assert!((after(4) - NEAR / GROWTH).abs() < 1e-12, "four failures take away what one success gives");
        assert_eq!(after(100), NEAREST);
        let recovered = reach([1.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
        assert!((recovered - NEAR).abs() < 1e-12, "{recovered}");
    }
}
