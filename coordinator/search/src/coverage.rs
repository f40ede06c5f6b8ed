//! The first look at everything: the base, the floors, then every family, several at once.

use std::collections::BTreeSet;

use ar_common::{Block, Sampler, Space};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::grid::{Grid, Point};
use crate::history::{History, whole};
use crate::{Observation, Problem, generator};

/// Experiments that are chosen to see families before any is chosen for what is expected of it. Measured on nine
/// complete tables: with 5 to 12 the regret is the same within its error, and with none it is higher at 15.
const FIRST_LOOKS: usize = 9;
/// After these, one experiment in so many goes to a family that was not seen, up to the share of coverage.
const EVERY: usize = 4;

/// An experiment of the coverage with the reason for it.
pub(crate) struct Look {
    pub(crate) point: Point,
    pub(crate) reason: String,
}

/// Up to `want` experiments of the coverage that were not suggested yet, in order. It has at most 40 % of the
/// budget, and the base in any case. A space that fits what is left of the search is tried whole.
///
/// TPE, the grid and random draws take base and floors, and go their own way from there.
pub(crate) fn next(
    grid: &Grid<'_>,
    history: &History<'_>,
    problem: &Problem<'_>,
    (sampler, want): (Sampler, usize),
) -> Vec<Look> {
    let fresh = |look: &Look| !history.has(&look.point, Block::FIRST) && history.allows(&look.point);
    let budget = problem.budget;
    let left = history.search_left(problem);
    let (plan, room) = match all_of_it(grid, history, left) {
        Some(all) => (all, left),
        None => {
            let share = (budget.total() * 2 / 5).max(1) as usize;
            let spent = whole(history.spent_searching());
            let room = share.saturating_sub(spent);
            let looks = match (room, sampler) {
                (0, _) => Vec::new(),
                (_, Sampler::Gp | Sampler::Auto) => in_order(grid, history, problem),
                _ => std::iter::once(base(grid)).chain(floors(grid)).collect(),
            };
            (looks, room)
        }
    };
    let asked = asked_for(grid, problem);
    // What somebody asked for is no part of the share.
    let room = left.min(room + asked.iter().filter(|look| fresh(look)).count());
    let plan = std::iter::once(base(grid)).chain(asked).chain(plan);
    let mut looks: Vec<Look> = Vec::new();
    for look in plan.filter(fresh) {
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

/// What somebody asked for, as far as the space has it.
fn asked_for(grid: &Grid<'_>, problem: &Problem<'_>) -> Vec<Look> {
    let points = problem.search.enqueue.iter().filter_map(|config| grid.point(config));
    points.map(|point| Look { point, reason: "asked for by --enqueue".to_owned() }).collect()
}

fn base(grid: &Grid<'_>) -> Look {
    Look { point: grid.base(), reason: "the base, with which everything is compared".to_owned() }
}

fn floors(grid: &Grid<'_>) -> Vec<Look> {
    let reason = |point: &Point| format!("the floor that anything must beat: {}", grid.describe(point));
    let points = grid.space.floors().into_iter().filter_map(|config| grid.point(&config));
    points.map(|point| Look { reason: reason(&point), point }).collect()
}

fn in_order(grid: &Grid<'_>, history: &History<'_>, problem: &Problem<'_>) -> Vec<Look> {
    let mut looks = vec![base(grid)];
    looks.extend(floors(grid));
    let searched = history.searched().count();
    let due = match searched < FIRST_LOOKS {
        true => FIRST_LOOKS - searched.max(looks.len()).min(FIRST_LOOKS),
        // Now and then a family that was not seen, while the others are searched.
        false => usize::from(searched.is_multiple_of(EVERY)),
    };
    looks.extend(at_once(grid, history, problem, due));
    looks
}

/// Families that were not seen, in as few experiments as the dimension with most of them needs, at most `limit`:
/// each takes the next one of every dimension, and where there is none, by turns, the base's option or the one
/// seen least. One change at a time would need as many as there are families in all, and would see each next to
/// the base alone; without the base's options, which somebody chose, the first scores are low: on nine complete
/// tables the regret at 15 is .25 without and .19 with them.
fn at_once(grid: &Grid<'_>, history: &History<'_>, problem: &Problem<'_>, limit: usize) -> Vec<Look> {
    let mut rng = generator(problem, 0);
    let unseen: Vec<Vec<u32>> = (0..grid.axes.len()).map(|d| unseen(grid, history, d, &mut rng)).collect();
    let most = unseen.iter().map(Vec::len).max().unwrap_or(0).min(limit);
    let mut rng = generator(problem, history.entries.len());
    let mut runs: Vec<Vec<u32>> = (0..grid.axes.len())
        .map(|d| (0..grid.axes[d].family.len() as u32).map(|o| history.tally((d, o)).runs()).collect())
        .collect();
    let mut looks = Vec::new();
    for i in 0..most {
        let mut point = grid.base();
        let mut first = Vec::new();
        for (d, unseen) in unseen.iter().enumerate() {
            let mut searched = grid.axes[d].searched.clone();
            searched.shuffle(&mut rng);
            match unseen.get(i) {
                Some(option) => {
                    point[d] = *option;
                    first.push(d);
                }
                None if (i + d) % 4 < 2 => {}
                None => point[d] = searched.into_iter().min_by_key(|o| runs[d][*o as usize]).unwrap_or(0),
            }
            runs[d][point[d] as usize] += 1;
        }
        let point = grid.canonical(point);
        let families = first.into_iter().filter(|d| point[*d] != 0);
        let named: Vec<String> = families.map(|d| family_name(grid, d, point[d])).collect();
        let reason = format!("coverage: the first look at {}", named.join(", "));
        looks.push(Look { point, reason });
    }
    looks
}

/// One option of each family of dimension `d` that no run had, in an order drawn once per study.
fn unseen(grid: &Grid<'_>, history: &History<'_>, d: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut shuffled: Vec<usize> = families(grid, d).collect();
    shuffled.shuffle(rng);
    let mut options = Vec::new();
    for family in shuffled {
        let mut members: Vec<u32> = grid.axes[d].members(family).collect();
        members.shuffle(rng);
        if members.iter().all(|o| history.tally((d, *o)).runs() == 0) {
            options.extend(members.first());
        }
    }
    options
}

fn family_name(grid: &Grid<'_>, d: usize, option: u32) -> String {
    format!("{} of {}", grid.axes[d].family_names[grid.family(d, option)], grid.space.dimensions[d].name)
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

/// The two dimensions with the most families, if there are two.
fn two_largest(grid: &Grid<'_>) -> Option<(usize, usize)> {
    let order = largest_first(grid);
    Some((*order.first()?, *order.get(1)?))
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
