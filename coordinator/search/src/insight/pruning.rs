//! What is no longer worth trying.
//!
//! A family is dead when nothing that has it is likely to beat the best that was tried. The chance is bounded from
//! above by adding up the chances of all configurations in sight that have it (Boole's inequality), so that a family
//! is given up later rather than sooner. It is worked out anew for every plan: what new scores make likely again is
//! tried again, and now and then a dead family is tried all the same (see `modes.rs`).

use ar_common::Config;
use statrs::function::erf::erfc;

use super::Pruned;
use crate::grid::Grid;
use crate::history::History;
use crate::surrogate::{Belief, Surrogate};

/// Chance below which a family or an option is given up.
const LIKELY: f64 = 0.002;
/// Scores of its own that a family or an option has before it is given up.
const LEAST: u32 = 2;

/// The chance of each family and option to be part of something better than the best tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pruning {
    /// Per dimension: the chance of each family, and whether it is dead.
    families: Vec<Vec<(f64, bool)>>,
    /// Per dimension: the chance of each option, and whether it is given up.
    options: Vec<Vec<(f64, bool)>>,
}

impl Pruning {
    pub(crate) fn new(
        grid: &Grid<'_>,
        history: &History<'_>,
        surrogate: &Surrogate,
        mark: Option<f64>,
    ) -> Self {
        let Some(mark) = mark else {
            return Self::default();
        };
        let none = |n: usize| vec![0.0_f64; n];
        let mut families: Vec<Vec<f64>> = grid.axes.iter().map(|a| none(a.family_names.len())).collect();
        let mut options: Vec<Vec<f64>> = grid.axes.iter().map(|a| none(a.family.len())).collect();
        for (point, belief) in surrogate.candidates() {
            let chance = better(belief, mark);
            for (d, option) in point.iter().enumerate() {
                families[d][grid.family(d, *option)] += chance;
                options[d][*option as usize] += chance;
            }
        }
        let best = surrogate.settled().into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(p, _)| p.clone());
        let runs = |d: usize, o: u32| history.tally((d, o)).succeeded;
        // What the best has, and the base that all is compared with, stays.
        let stays = |d: usize, o: u32| o == 0 || best.as_ref().is_some_and(|best| best[d] == o);
        let mut pruning = Self::default();
        for (d, axis) in grid.axes.iter().enumerate() {
            let family = |f: usize| {
                let dead = axis.members(f).map(|o| runs(d, o)).sum::<u32>() >= LEAST
                    && families[d][f] < LIKELY
                    && !axis.members(f).any(|o| stays(d, o));
                (families[d][f].min(1.0), dead)
            };
            let option = |o: u32| {
                let chance = options[d][o as usize];
                (chance.min(1.0), runs(d, o) >= LEAST && chance < LIKELY && !stays(d, o))
            };
            // Of numbers the neighbours say as much as runs of their own, and there are too many to list.
            let number = axis.place.is_some();
            pruning.families.push((0..axis.family_names.len()).map(family).collect());
            let none = |o: u32| if number { (1.0, false) } else { option(o) };
            pruning.options.push((0..axis.family.len() as u32).map(none).collect());
        }
        pruning
    }

    /// Whether `point` has something that was given up.
    pub(crate) fn rules_out(&self, grid: &Grid<'_>, point: &[u32]) -> bool {
        !self.families.is_empty()
            && point
                .iter()
                .enumerate()
                .any(|(d, o)| self.families[d][grid.family(d, *o)].1 || self.options[d][*o as usize].1)
    }

    /// Whether anything was given up.
    pub(crate) fn any(&self) -> bool {
        self.families.iter().chain(&self.options).flatten().any(|(_, dead)| *dead)
    }
}

/// The chance that a score is above `mark`.
fn better(belief: Belief, mark: f64) -> f64 {
    0.5 * erfc((mark - belief.mean) / belief.deviation() / std::f64::consts::SQRT_2)
}

/// What was given up, for people: dead families, options dominated by others of a living family, and what crashes.
pub(crate) fn pruned(
    grid: &Grid<'_>,
    history: &History<'_>,
    pruning: &Pruning,
    best: Option<&Config>,
) -> Vec<Pruned> {
    let mut all = Vec::new();
    let than =
        best.map_or("the best".to_owned(), |best| ar_common::config::describe(best, &grid.space.base()));
    for (d, axis) in grid.axes.iter().enumerate() {
        let dimension = &grid.space.dimensions[d];
        let mut push = |what: String, probability: Option<f64>, evidence: String| {
            all.push(Pruned { dimension: dimension.name.clone(), what, probability, evidence });
        };
        let runs = |o: u32| history.tally((d, o)).succeeded;
        let families = pruning.families.get(d).into_iter().flatten();
        for (f, (chance, _)) in families.enumerate().filter(|(_, (_, dead))| *dead) {
            let n: u32 = axis.members(f).map(runs).sum();
            let evidence = format!("{n} scores; nothing with it is expected to beat {than}");
            push(format!("family {}", axis.family_names[f]), Some(*chance), evidence);
        }
        for (o, option) in (0_u32..).zip(&dimension.options) {
            let name = format!("option {}", option.name);
            let tally = history.tally((d, o));
            if tally.skipped() {
                let evidence = format!("crashed {} times with partners that work", tally.own_crashes);
                push(name, None, evidence);
                continue;
            }
            let dead = pruning.families.get(d).is_some_and(|f| f[grid.family(d, o)].1);
            if let Some((chance, true)) = pruning.options.get(d).map(|all| all[o as usize]).filter(|_| !dead)
            {
                let evidence =
                    format!("{} scores; dominated: nothing with it is expected to beat {than}", runs(o));
                push(name, Some(chance), evidence);
            }
        }
    }
    all
}
