//! The first look at everything: the base, the floors, every family alone, then pairs of families.

use std::collections::BTreeSet;

use ar_common::{Block, Budget, Space};

use crate::Observation;
use crate::grid::{Grid, Point, Slot, changes};
use crate::history::{History, whole};
use crate::marginals::Marginals;

/// An experiment of the coverage with the reason for it.
pub(crate) struct Look {
    pub(crate) point: Point,
    pub(crate) reason: String,
}

/// Up to `want` experiments of the coverage that were not suggested yet, in order. It has at most 40 % of the
/// budget, and the base in any case. A space that fits what is left of the search is tried whole.
pub(crate) fn next(
    grid: &Grid<'_>,
    history: &History<'_>,
    model: &Marginals<'_>,
    budget: Budget,
    want: usize,
) -> Vec<Look> {
    let fresh = |look: &Look| !history.has(&look.point, Block::FIRST) && history.allows(&look.point);
    let left = history.search_left(budget);
    let (plan, room) = match all_of_it(grid, history, left) {
        Some(all) => (all, left),
        None => {
            let share = (budget.total() * 2 / 5).max(1) as usize;
            let spent = whole(history.spent_searching());
            let room = share.saturating_sub(spent);
            (if room > 0 { in_order(grid, history, model) } else { Vec::new() }, room)
        }
    };
    let mut looks: Vec<Look> = Vec::new();
    for look in plan.into_iter().filter(fresh) {
        if looks.len() == want.min(room) {
            break;
        }
        if !looks.iter().any(|l| l.point == look.point) {
            looks.push(look);
        }
    }
    looks
}

/// Everything the space has, if it fits what is left of the search.
fn all_of_it(grid: &Grid<'_>, history: &History<'_>, left: usize) -> Option<Vec<Look>> {
    // Conditions may make many combinations the same, so a few times as many are gone through.
    let points = grid.all(left.saturating_mul(8) as u64)?;
    let floors = floors(grid);
    let untried = |point: &&Point| !history.has(point, Block::FIRST) && history.allows(point);
    let open = points.iter().filter(untried).count() + floors.iter().filter(|l| untried(&&l.point)).count();
    if open > left {
        return None;
    }
    let reason = || "the space is small: every combination is tried".to_owned();
    let rest = points.into_iter().filter(|p| *p != grid.base()).map(|point| Look { point, reason: reason() });
    Some(std::iter::once(base(grid)).chain(floors).chain(rest).collect())
}

fn base(grid: &Grid<'_>) -> Look {
    Look { point: grid.base(), reason: "the base, with which everything is compared".to_owned() }
}

fn floors(grid: &Grid<'_>) -> Vec<Look> {
    let reason = |point: &Point| format!("the floor that anything must beat: {}", grid.describe(point));
    let points = grid.space.floors().into_iter().filter_map(|config| grid.point(&config));
    points.map(|point| Look { reason: reason(&point), point }).collect()
}

fn in_order(grid: &Grid<'_>, history: &History<'_>, model: &Marginals<'_>) -> Vec<Look> {
    let mut looks = vec![base(grid)];
    looks.extend(floors(grid));
    for d in largest_first(grid) {
        looks.extend(families(grid, d).filter_map(|family| solo(grid, history, d, family)));
    }
    looks.extend(pairs(grid, history, model));
    looks
}

/// Dimensions by how many families they have, most first.
fn largest_first(grid: &Grid<'_>) -> Vec<usize> {
    let mut dimensions: Vec<usize> = (0..grid.axes.len()).collect();
    dimensions.sort_by_key(|d| std::cmp::Reverse(grid.axes[*d].searched_families().count()));
    dimensions
}

/// The families of a dimension that the base does not have.
fn families<'g>(grid: &'g Grid<'_>, d: usize) -> impl Iterator<Item = usize> + 'g {
    grid.axes[d].searched_families().filter(move |f| *f != grid.family(d, 0))
}

/// The first option of a family, or the next one if it failed, alone or with as little as it needs.
fn solo(grid: &Grid<'_>, history: &History<'_>, d: usize, family: usize) -> Option<Look> {
    let option = grid.axes[d].members(family).find(|o| !lost(grid, history, (d, *o)))?;
    let point = grid.with(&grid.base(), (d, option))?;
    let axis = &grid.space.dimensions[d].name;
    let alone = if changes(&point).count() == 1 { "everything else at base" } else { "with what it needs" };
    let reason =
        format!("coverage: first of family {} in {axis}, {alone}", grid.axes[d].family_names[family]);
    Some(Look { point, reason })
}

/// Tried alone, and without a score.
fn lost(grid: &Grid<'_>, history: &History<'_>, slot: Slot) -> bool {
    let Some(point) = grid.with(&grid.base(), slot) else {
        return true;
    };
    !history.allows(&point)
        || history
            .find(&point, Block::FIRST)
            .is_some_and(|e| e.observation.outcome.is_some() && e.measures.is_none())
}

/// The two dimensions with the most families, if there are two.
fn two_largest(grid: &Grid<'_>) -> Option<(usize, usize)> {
    let order = largest_first(grid);
    Some((*order.first()?, *order.get(1)?))
}

/// Pairs of families of the two largest dimensions that were not seen together, best prediction first;
/// each family is stood for by its best option that works. If the full cross fits, this completes it.
fn pairs(grid: &Grid<'_>, history: &History<'_>, model: &Marginals<'_>) -> Vec<Look> {
    let Some((a, b)) = two_largest(grid) else {
        return Vec::new();
    };
    let best = |d: usize, family: usize| {
        let works = |o: &u32| !history.tally((d, *o)).skipped();
        let by_effect = |x: &u32, y: &u32| model.effect(d, *y).total_cmp(&model.effect(d, *x)).then(x.cmp(y));
        grid.axes[d].members(family).filter(works).min_by(by_effect)
    };
    let seen = together(grid, history, a, b);
    let mut looks = Vec::new();
    for first in families(grid, a) {
        for second in families(grid, b) {
            let (Some(x), Some(y)) = (best(a, first), best(b, second)) else {
                continue;
            };
            let point = grid.with(&grid.base(), (a, x)).and_then(|p| grid.with(&p, (b, y)));
            let Some(point) = point.filter(|p| p[a] == x && !seen.contains(&(first, second))) else {
                continue;
            };
            let names = [&grid.axes[a].family_names[first], &grid.axes[b].family_names[second]];
            let reason = format!("coverage: families {} and {}, not yet seen together", names[0], names[1]);
            looks.push((model.predict(&point), Look { point, reason }));
        }
    }
    looks.sort_by(|x, y| y.0.total_cmp(&x.0).then_with(|| x.1.point.cmp(&y.1.point)));
    looks.into_iter().map(|(_, look)| look).collect()
}

/// The pairs of families of two dimensions that some run had.
fn together(grid: &Grid<'_>, history: &History<'_>, a: usize, b: usize) -> BTreeSet<(usize, usize)> {
    let points = history.searched().filter_map(|e| e.point.as_ref());
    points.map(|point| (grid.family(a, point[a]), grid.family(b, point[b]))).collect()
}

/// What has no score yet, for the report: each family that has none, and how many pairs of families of the
/// two largest dimensions were not seen together.
pub fn uncovered(space: &Space, history: &[Observation]) -> Vec<String> {
    let grid = Grid::new(space);
    let history = History::new(&grid, history);
    let mut open = Vec::new();
    for d in largest_first(&grid) {
        for family in grid.axes[d].searched_families() {
            let members: Vec<u32> = grid.axes[d].members(family).collect();
            if members.iter().any(|o| history.tally((d, *o)).succeeded > 0) {
                continue;
            }
            let failed: u32 = members.iter().map(|o| history.tally((d, *o)).failed).sum();
            let why = if failed > 0 { format!("no score in {failed} runs") } else { "not tried".to_owned() };
            open.push(format!(
                "{}: family {} ({why})",
                space.dimensions[d].name, grid.axes[d].family_names[family]
            ));
        }
    }
    if let Some((a, b)) = two_largest(&grid) {
        let cross = |f: usize| families(&grid, b).map(move |s| (f, s)).collect::<Vec<_>>();
        let all: Vec<_> = families(&grid, a).flat_map(cross).collect();
        let seen = together(&grid, &history, a, b);
        let missing = all.iter().filter(|pair| !seen.contains(*pair)).count();
        if missing > 0 {
            let names = [&space.dimensions[a].name, &space.dimensions[b].name];
            open.push(format!(
                "{missing} of {} pairs of families of {} and {} were not seen together",
                all.len(),
                names[0],
                names[1]
            ));
        }
    }
    open
}
