//! Four generators of configurations that were not tried, one per mode. None of them goes through the
//! whole space.

use std::collections::BTreeSet;

use ar_common::{Block, Mode};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use statrs::function::erf::erfc;

use crate::climb;
use crate::grid::{Grid, Point, Slot, changes};
use crate::history::History;
use crate::insight::Pruning;
use crate::marginals::Marginals;
use crate::modes;
use crate::surrogate::{Belief, Surrogate};

/// Configurations that NARROW goes around and EXPLOIT starts from.
const LEADERS: usize = 3;
/// Configurations that COMBINE takes parts from.
const PARENTS: usize = 6;
/// Single changes that COMBINE joins.
const CHANGES: usize = 10;
/// Options that EXPLORE looks at, the least seen.
const LEAST_SEEN: usize = 8;
/// Draws of a generator that draws.
const DRAWS: usize = 96;
/// Configurations that are kept in sight.
const IN_SIGHT: usize = 5_000;
/// Of those, the most promising that stand beside what the generators offer.
const BEST_IN_SIGHT: usize = 64;
/// Combinations up to which a space is gone through to find what was not tried.
const SCAN: u64 = 20_000;

/// Why a candidate came up; made into words only for those that are suggested.
#[derive(Clone)]
pub(crate) enum Why {
    Families,
    Joined(Point, Point),
    Changes(Slot, Slot),
    Neighbour(Slot),
    LeastSeen(Slot),
    Promising,
    Audit,
    Untried,
    Refined,
    Around,
}

/// A configuration that a mode offers.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) mode: Mode,
    pub(crate) point: Point,
    pub(crate) why: Why,
}

/// What the generators look at.
pub(crate) struct Sight<'s> {
    pub(crate) grid: &'s Grid<'s>,
    pub(crate) history: &'s History<'s>,
    pub(crate) model: Marginals<'s>,
    pub(crate) surrogate: Surrogate,
    /// Tried configurations, the best expected score first; the base if there are none.
    pub(crate) leaders: Vec<Point>,
    /// The best expected score of a tried configuration, if there is one.
    pub(crate) mark: Option<f64>,
    /// What is no longer worth trying.
    pub(crate) pruning: Pruning,
    /// How far from a leader a knob may be, as a share of its range.
    pub(crate) reach: f64,
    /// Logarithm of what a run takes, if that is what the budget runs out of.
    pub(crate) seconds: Option<Marginals<'s>>,
    /// Per dimension and option, the chance that a run with it counts.
    pub(crate) chances: Vec<Vec<f64>>,
}

impl<'s> Sight<'s> {
    pub(crate) fn new(
        grid: &'s Grid<'s>,
        history: &'s History<'s>,
        model: Marginals<'s>,
        surrogate: Surrogate,
        seconds: Option<Marginals<'s>>,
    ) -> Self {
        let settled = surrogate.settled();
        let complete = |point: &Point| history.find(point, Block::FIRST).is_some_and(|e| e.score().is_some());
        let mut ranked: Vec<(f64, &Point)> =
            settled.iter().filter(|(p, _)| complete(p)).map(|(point, value)| (*value, *point)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        // What may not be handed over leads nobody, unless there is nothing else.
        if ranked.iter().any(|(_, point)| history.keeps(point)) {
            ranked.retain(|(_, point)| history.keeps(point));
        }
        let mark = ranked.first().map(|(settled, _)| *settled);
        let mut leaders: Vec<Point> = ranked.into_iter().map(|(_, point)| point.clone()).collect();
        if leaders.is_empty() {
            leaders.push(grid.base());
        }
        let reach = climb::reach(settled.iter().map(|(_, value)| *value));
        let pruning = Pruning::new(grid, history, &surrogate, mark);
        let chances = modes::chances(grid, history);
        Self { grid, history, model, surrogate, leaders, mark, pruning, reach, seconds, chances }
    }

    /// Takes `point` as being on its way.
    pub(crate) fn expect(&mut self, point: &Point) {
        self.model.expect(point);
        self.surrogate.expect(point);
    }

    /// What a run of `point` is expected to take of the budget that binds, in any unit: one experiment, or its time.
    pub(crate) fn price(&self, point: &Point) -> f64 {
        self.seconds.as_ref().map_or(1.0, |model| model.predict(point).exp())
    }

    /// Searched options of a dimension that are not skipped for crashing.
    fn options(&self, d: usize) -> impl Iterator<Item = u32> {
        let searched = self.grid.axes[d].searched.iter().copied();
        searched.filter(move |o| !self.history.tally((d, *o)).skipped())
    }
}

/// Candidates of all modes, each once per mode, none of them tried, pending, or `taken`. What was given up is left out;
/// for an `audit` there is nothing else, if there is any.
pub(crate) fn generate(
    sight: &Sight<'_>,
    taken: &BTreeSet<Point>,
    audit: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Candidate> {
    if audit && sight.pruning.any() {
        let audited = audited(sight, taken);
        if !audited.is_empty() {
            return audited;
        }
    }
    let mut all = Vec::new();
    promising(sight, taken, &mut all);
    narrow(sight, &mut all);
    combine(sight, rng, &mut all);
    exploit(sight, rng, &mut all);
    explore(sight, rng, &mut all);
    climb::climb(sight, &mut all);
    climb::around(sight, rng, &mut all);
    let mut seen = BTreeSet::new();
    let alive = |point: &Point| open(sight, taken, point) && !sight.pruning.rules_out(sight.grid, point);
    all.retain(|c| {
        climb::in_reach(sight, &c.point) && alive(&c.point) && seen.insert((c.mode, c.point.clone()))
    });
    if all.is_empty() {
        let open: Vec<Candidate> =
            untried(sight, rng).into_iter().filter(|c| open(sight, taken, &c.point)).collect();
        all = open.iter().filter(|c| alive(&c.point)).cloned().collect();
        if all.is_empty() {
            // Where nothing else is left, what was given up is better than nothing.
            all = open;
        }
    }
    // So that equal candidates are not taken in the order of the space.
    all.shuffle(rng);
    all
}

fn open(sight: &Sight<'_>, taken: &BTreeSet<Point>, point: &Point) -> bool {
    !sight.history.has(point, Block::FIRST)
        && !taken.contains(point)
        && sight.history.allows(point)
        && !sight.grid.forbids(point)
}

/// Configurations worth keeping in sight for some time: all of a small space; of a large one such as the
/// model of main effects hopes for, and some drawn at random.
pub(crate) fn in_sight(grid: &Grid<'_>, model: &Marginals<'_>, rng: &mut ChaCha8Rng) -> Vec<Point> {
    if let Some(all) = grid.all(IN_SIGHT as u64) {
        return all;
    }
    let weights: Vec<Vec<(u32, f64)>> = (0..grid.axes.len()).map(|d| model.odds(d)).collect();
    let mut points = BTreeSet::new();
    for i in 0..IN_SIGHT {
        let hoped: Point = weights.iter().map(|odds| draw(odds, rng)).collect();
        let point = if i % 3 == 0 { grid.draw(rng) } else { grid.canonical(hoped) };
        if !grid.forbids(&point) {
            points.insert(point);
        }
    }
    points.into_iter().collect()
}

fn draw(odds: &[(u32, f64)], rng: &mut ChaCha8Rng) -> u32 {
    let total: f64 = odds.iter().map(|(_, w)| w).sum();
    let mut at = rng.random::<f64>() * total;
    for (option, weight) in odds {
        at -= weight;
        if at < 0.0 {
            return *option;
        }
    }
    odds.last().map_or(0, |(option, _)| *option)
}

/// What was given up: the best of it, to see whether that was right.
fn audited(sight: &Sight<'_>, taken: &BTreeSet<Point>) -> Vec<Candidate> {
    let dead = |point: &Point| sight.pruning.rules_out(sight.grid, point) && open(sight, taken, point);
    let best = best_in_sight(sight).into_iter().filter(|point| dead(point)).take(BEST_IN_SIGHT);
    best.map(|point| Candidate { mode: Mode::Explore, point: point.clone(), why: Why::Audit }).collect()
}

/// What is kept in sight, most expected improvement first.
fn best_in_sight<'s>(sight: &'s Sight<'_>) -> Vec<&'s Point> {
    let mark = sight.mark.unwrap_or(0.0);
    let promise = |(point, belief)| (improvement(belief, mark) * modes::counts(sight, point), point);
    let mut best: Vec<(f64, &Point)> = sight.surrogate.candidates().map(promise).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    best.into_iter().map(|(_, point)| point).collect()
}

/// The best of what is kept in sight, whatever made it come up.
fn promising(sight: &Sight<'_>, taken: &BTreeSet<Point>, all: &mut Vec<Candidate>) {
    let alive = best_in_sight(sight)
        .into_iter()
        .filter(|p| !sight.pruning.rules_out(sight.grid, p) && open(sight, taken, p));
    let good: Vec<Vec<u32>> = (0..sight.grid.axes.len()).map(|d| of_good_families(sight, d)).collect();
    for point in alive.take(BEST_IN_SIGHT) {
        let known = point.iter().zip(&good).all(|(o, good)| good.contains(o));
        let mode = if known { Mode::Exploit } else { Mode::Explore };
        all.push(Candidate { mode, point: point.clone(), why: Why::Promising });
    }
}

/// Expected improvement over `mark` (Mockus 1978; Jones, Schonlau and Welch 1998).
pub(crate) fn improvement(belief: Belief, mark: f64) -> f64 {
    let deviation = belief.deviation();
    let z = (belief.mean - mark) / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    deviation * (z * 0.5 * erfc(-z / std::f64::consts::SQRT_2) + density)
}

/// One change from a leader.
fn narrow(sight: &Sight<'_>, all: &mut Vec<Candidate>) {
    for leader in sight.leaders.iter().take(LEADERS) {
        for d in 0..leader.len() {
            for option in sight.options(d).filter(|o| *o != leader[d]) {
                if let Some(point) = sight.grid.with(leader, (d, option)) {
                    all.push(Candidate { mode: Mode::Narrow, point, why: Why::Neighbour((d, option)) });
                }
            }
        }
    }
}

/// Parts of two leaders put together, and pairs of single changes that do well.
fn combine(sight: &Sight<'_>, rng: &mut ChaCha8Rng, all: &mut Vec<Candidate>) {
    let parents = &sight.leaders[..sight.leaders.len().min(PARENTS)];
    for (i, first) in parents.iter().enumerate() {
        for second in &parents[i + 1..] {
            for child in children(first, second, rng) {
                let why = Why::Joined(first.clone(), second.clone());
                all.push(Candidate { mode: Mode::Combine, point: sight.grid.canonical(child), why });
            }
        }
    }
    let gain = |d: usize, o: u32| sight.model.hope(d, o) - sight.model.effect(d, 0);
    let mut good: Vec<(f64, Slot)> = (0..sight.grid.axes.len())
        .flat_map(|d| sight.options(d).filter(|o| *o != 0).map(move |o| (gain(d, o), (d, o))))
        .collect();
    good.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    good.truncate(CHANGES);
    for (i, (_, first)) in good.iter().enumerate() {
        for (_, second) in good[i + 1..].iter().filter(|(_, second)| second.0 != first.0) {
            for start in [&sight.grid.base(), &sight.leaders[0]] {
                let point = sight.grid.with(start, *first).and_then(|p| sight.grid.with(&p, *second));
                if let Some(point) = point {
                    all.push(Candidate { mode: Mode::Combine, point, why: Why::Changes(*first, *second) });
                }
            }
        }
    }
}

/// Configurations that have each option from one of two parents: all of them if they differ in few
/// dimensions, else some.
fn children(first: &Point, second: &Point, rng: &mut ChaCha8Rng) -> Vec<Point> {
    let differ: Vec<usize> = (0..first.len()).filter(|d| first[*d] != second[*d]).collect();
    let child = |mask: u64| {
        let mut child = first.clone();
        // Beyond 64 dimensions the mask repeats: still a mixture.
        for (_, d) in differ.iter().enumerate().filter(|(bit, _)| mask >> (bit % 64) & 1 == 1) {
            child[*d] = second[*d];
        }
        child
    };
    match differ.len() {
        0 | 1 => Vec::new(),
        n @ 2..=4 => (1..(1_u64 << n) - 1).map(child).collect(),
        _ => (0..14).map(|_| child(rng.random())).collect(),
    }
}

/// Options of the families that do best, in one to three dimensions of a leader; and the best option
/// of every dimension.
fn exploit(sight: &Sight<'_>, rng: &mut ChaCha8Rng, all: &mut Vec<Candidate>) {
    let good: Vec<Vec<u32>> = (0..sight.grid.axes.len()).map(|d| of_good_families(sight, d)).collect();
    let mut push = |point: Point| {
        let point = sight.grid.canonical(point);
        all.push(Candidate { mode: Mode::Exploit, point, why: Why::Families });
    };
    let hopeful = |by: fn(&Marginals<'_>, usize, u32) -> f64| {
        let best = |d: usize| {
            good[d].iter().copied().max_by(|a, b| by(&sight.model, d, *a).total_cmp(&by(&sight.model, d, *b)))
        };
        (0..good.len()).map(|d| best(d).unwrap_or(0)).collect::<Point>()
    };
    push(hopeful(|model, d, o| model.effect(d, o)));
    push(hopeful(|model, d, o| model.hope(d, o)));
    if good.is_empty() {
        return;
    }
    for _ in 0..DRAWS {
        let mut point = sight.leaders[rng.random_range(0..sight.leaders.len().min(LEADERS))].clone();
        for _ in 0..rng.random_range(1..=3) {
            let d = rng.random_range(0..good.len());
            if !good[d].is_empty() {
                point[d] = good[d][rng.random_range(0..good[d].len())];
            }
        }
        push(point);
    }
}

/// Options of the three families of a dimension that may do best, with the benefit of the doubt.
fn of_good_families(sight: &Sight<'_>, d: usize) -> Vec<u32> {
    let axis = &sight.grid.axes[d];
    let hope = |family: usize| {
        let members = axis.members(family).filter(|o| !sight.history.tally((d, *o)).skipped());
        members.map(|o| sight.model.hope(d, o)).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut families: Vec<(f64, usize)> = axis.searched_families().map(|f| (hope(f), f)).collect();
    families.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    families.truncate(3);
    sight.options(d).filter(|o| families.iter().any(|(_, f)| *f == sight.grid.family(d, *o))).collect()
}

/// The least-seen options, in leaders, in the base, and among drawn partners.
fn explore(sight: &Sight<'_>, rng: &mut ChaCha8Rng, all: &mut Vec<Candidate>) {
    let mut options: Vec<Slot> =
        (0..sight.grid.axes.len()).flat_map(|d| sight.options(d).map(move |o| (d, o))).collect();
    options.shuffle(rng);
    options.sort_by(|a, b| sight.model.seen(a.0, a.1).total_cmp(&sight.model.seen(b.0, b.1)));
    for slot in options.into_iter().take(LEAST_SEEN) {
        let drawn: Vec<Point> = (0..4).map(|_| sight.grid.draw(rng)).collect();
        let leaders = sight.leaders.iter().take(LEADERS).cloned();
        for start in leaders.chain([sight.grid.base()]).chain(drawn) {
            if let Some(point) = sight.grid.with(&start, slot) {
                all.push(Candidate { mode: Mode::Explore, point, why: Why::LeastSeen(slot) });
            }
        }
    }
}

/// When no generator has anything left: whatever was not tried. A space too large to go through is
/// taken as exhausted when neither draws nor the neighbours of all that was tried find any.
fn untried(sight: &Sight<'_>, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
    let grid = sight.grid;
    let points = grid.all(SCAN).unwrap_or_else(|| {
        let mut points: Vec<Point> = (0..2_000).map(|_| grid.draw(rng)).collect();
        for leader in &sight.leaders {
            let slots = (0..leader.len()).flat_map(|d| sight.options(d).map(move |o| (d, o)));
            points.extend(slots.filter_map(|slot| grid.with(leader, slot)));
        }
        points
    });
    let all: BTreeSet<Point> = points.into_iter().collect();
    all.into_iter().map(|point| Candidate { mode: Mode::Explore, point, why: Why::Untried }).collect()
}

impl Why {
    /// One line that a person understands.
    pub(crate) fn text(&self, grid: &Grid<'_>, leader: &Point, point: &Point) -> String {
        match self {
            Self::Families => format!("within the families that do best: {}", grid.describe(point)),
            Self::Joined(a, b) => format!("joins {} and {}", grid.describe(a), grid.describe(b)),
            Self::Changes(a, b) => {
                format!("joins {} and {}, which do well apart", grid.slot_name(*a), grid.slot_name(*b))
            }
            Self::Neighbour(slot) => {
                let best = grid.with(leader, *slot).as_ref() == Some(point);
                let of = if best { "the best" } else { "one of the best" };
                format!("one change from {of}: {}", grid.slot_name(*slot))
            }
            Self::LeastSeen(slot) => {
                let alone = if changes(point).count() == 1 { ", alone" } else { "" };
                format!("among the least seen: {}{alone}", grid.slot_name(*slot))
            }
            Self::Promising => format!("the model expects most of it: {}", grid.describe(point)),
            Self::Audit => format!("audit of what was given up: {}", grid.describe(point)),
            Self::Refined => format!("knobs refined around one of the best: {}", grid.describe(point)),
            Self::Around => format!("several changes around one of the best: {}", grid.describe(point)),
            Self::Untried => format!("not tried yet: {}", grid.describe(point)),
        }
    }
}
