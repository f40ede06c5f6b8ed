//! The space compiled to numbers: a configuration becomes one option index per dimension.
//!
//! Thousands of candidates are looked at for one suggestion, and comparing names would cost most of
//! the time. [`Grid::canonical`] says the same as [`Space::canonical`]; a property test holds them together.

use ar_common::space::Conditions;
use ar_common::{Config, Space};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One option index per dimension, in the order of the space; 0 is `base`.
pub(crate) type Point = Vec<u32>;

/// An option of a dimension: `(dimension, option)`.
pub(crate) type Slot = (usize, u32);

/// When an option does not matter.
#[derive(Default)]
struct Rules {
    /// Inactive if the other dimension's option is marked.
    inactive_under: Vec<(usize, Vec<bool>)>,
    /// Inactive unless the other dimension's option is marked.
    only_with: Vec<(usize, Vec<bool>)>,
    /// `only_with` names a dimension that is not there.
    impossible: bool,
}

/// One dimension in numbers.
pub(crate) struct Axis {
    /// The family of each option, as an index into `family_names`.
    pub(crate) family: Vec<usize>,
    /// Names of the families, in order of appearance.
    pub(crate) family_names: Vec<String>,
    /// Options that may be suggested: all but the floors.
    pub(crate) searched: Vec<u32>,
    rules: Vec<Rules>,
    /// Of a knob: where each number lies in the range, 0 to 1.
    pub(crate) place: Option<Vec<f64>>,
}

impl Axis {
    /// The searched options of a family, in order.
    pub(crate) fn members(&self, family: usize) -> impl Iterator<Item = u32> {
        self.searched.iter().copied().filter(move |o| self.family[*o as usize] == family)
    }

    /// The families that are searched, in order.
    pub(crate) fn searched_families(&self) -> impl Iterator<Item = usize> {
        (0..self.family_names.len()).filter(|f| self.members(*f).next().is_some())
    }
}

/// A space in numbers.
pub(crate) struct Grid<'a> {
    pub(crate) space: &'a Space,
    pub(crate) axes: Vec<Axis>,
    /// Pairs of options that may not stand together.
    forbidden: Vec<[Slot; 2]>,
}

impl<'a> Grid<'a> {
    pub(crate) fn new(space: &'a Space) -> Self {
        let axes = space.dimensions.iter().map(|dimension| {
            let mut family_names: Vec<String> = Vec::new();
            let mut family = Vec::new();
            let mut searched = Vec::new();
            let mut rules = Vec::new();
            for (index, option) in (0_u32..).zip(&dimension.options) {
                let known = family_names.iter().position(|name| *name == option.family);
                family.push(known.unwrap_or(family_names.len()));
                if known.is_none() {
                    family_names.push(option.family.clone());
                }
                if !option.floor {
                    searched.push(index);
                }
                rules.push(compile(
                    space,
                    [&dimension.inactive_under, &option.inactive_under],
                    &option.only_with,
                ));
            }
            Axis { family, family_names, searched, rules, place: places(dimension) }
        });
        let slot = |choice: &ar_common::Choice| {
            let d = space.dimensions.iter().position(|d| d.name == choice.dimension)?;
            let o = space.dimensions[d].options.iter().position(|o| o.name == choice.option)?;
            Some((d, u32::try_from(o).ok()?))
        };
        let pair = |[a, b]: &[ar_common::Choice; 2]| Some([slot(a)?, slot(b)?]);
        Self { space, axes: axes.collect(), forbidden: space.forbidden.iter().filter_map(pair).collect() }
    }

    /// Whether two options that may not stand together are both in `point`.
    pub(crate) fn forbids(&self, point: &[u32]) -> bool {
        self.forbidden.iter().any(|pair| pair.iter().all(|(d, o)| point[*d] == *o))
    }

    pub(crate) fn base(&self) -> Point {
        vec![0; self.axes.len()]
    }

    /// The canonical point of a configuration; `None` if it does not fit the space.
    pub(crate) fn point(&self, config: &Config) -> Option<Point> {
        if config.len() != self.axes.len() {
            return None;
        }
        let index = |dimension: &ar_common::Dimension| {
            let name = config.get(&dimension.name)?;
            dimension.options.iter().position(|o| o.name == name).and_then(|i| u32::try_from(i).ok())
        };
        let point: Option<Point> = self.space.dimensions.iter().map(index).collect();
        point.map(|point| self.canonical(point))
    }

    pub(crate) fn config(&self, point: &Point) -> Config {
        let name = |(d, o): (usize, &u32)| {
            let dimension = &self.space.dimensions[d];
            (dimension.name.clone(), dimension.options[*o as usize].name.clone())
        };
        point.iter().enumerate().map(name).collect()
    }

    /// `dimension=option`, for reasons.
    pub(crate) fn slot_name(&self, (d, o): Slot) -> String {
        let dimension = &self.space.dimensions[d];
        format!("{}={}", dimension.name, dimension.options[o as usize].name)
    }

    /// What `point` changes, e.g. `build_model=xgb_deep scale=none`.
    pub(crate) fn describe(&self, point: &Point) -> String {
        let changes: Vec<String> = changes(point).map(|slot| self.slot_name(slot)).collect();
        if changes.is_empty() { "the base".to_owned() } else { changes.join(" ") }
    }

    /// The family of the option that `point` has in dimension `d`.
    pub(crate) fn family(&self, d: usize, option: u32) -> usize {
        self.axes[d].family[option as usize]
    }

    /// Whether a floor option is in it: scored once, never searched.
    pub(crate) fn is_floor(&self, point: &Point) -> bool {
        point.iter().enumerate().any(|(d, o)| self.space.dimensions[d].options[*o as usize].floor)
    }

    /// Sets what cannot matter to `base`; see [`Space::canonical`].
    pub(crate) fn canonical(&self, mut point: Point) -> Point {
        for _ in 0..self.axes.len() {
            let off: Vec<usize> =
                (0..point.len()).filter(|d| point[*d] != 0 && self.blocker(&point, *d).is_some()).collect();
            if off.is_empty() {
                break;
            }
            off.into_iter().for_each(|d| point[d] = 0);
        }
        point
    }

    /// What makes the option of dimension `d` inactive: the other dimension, and its options under
    /// which this would not be so.
    fn blocker(&self, point: &Point, d: usize) -> Option<(usize, Vec<u32>)> {
        let rules = &self.axes[d].rules[point[d] as usize];
        let options = |other: usize, mask: &[bool], wanted: bool| {
            let fits = |o: &u32| mask[*o as usize] == wanted;
            (other, self.axes[other].searched.iter().copied().filter(fits).collect())
        };
        if rules.impossible {
            return Some((d, Vec::new()));
        }
        let hit = |mask: &[bool], other: usize| mask[point[other] as usize];
        let under = rules.inactive_under.iter().find(|(other, mask)| hit(mask, *other));
        let without = rules.only_with.iter().find(|(other, mask)| !hit(mask, *other));
        under
            .map(|(other, mask)| options(*other, mask, false))
            .or_else(|| without.map(|(other, mask)| options(*other, mask, true)))
    }

    /// `point` with one option changed; where the option cannot matter, what stands in its way is
    /// changed too. `None` if it cannot be had.
    pub(crate) fn with(&self, point: &Point, (d, option): Slot) -> Option<Point> {
        let mut changed = point.clone();
        changed[d] = option;
        if option != 0 {
            for _ in 0..self.axes.len() {
                let Some((other, instead)) = self.blocker(&changed, d) else {
                    break;
                };
                changed[other] = *instead.first()?;
            }
        }
        let canonical = self.canonical(changed);
        (canonical[d] == option && !self.forbids(&canonical)).then_some(canonical)
    }

    /// A point drawn uniformly over the options, before conditions make some the same; forbidden pairs are
    /// drawn again, the base where nothing else is found.
    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> Point {
        let pick = |axis: &Axis, rng: &mut ChaCha8Rng| match axis.searched.len() {
            0 => 0,
            n => axis.searched[rng.random_range(0..n)],
        };
        for _ in 0..100 {
            let point = self.canonical(self.axes.iter().map(|axis| pick(axis, rng)).collect());
            if !self.forbids(&point) {
                return point;
            }
        }
        self.base()
    }

    /// Every canonical point without floors and forbidden pairs, fewest changes first, unless there are more than
    /// `limit` combinations to go through.
    pub(crate) fn all(&self, limit: u64) -> Option<Vec<Point>> {
        if combinations(self) > limit {
            return None;
        }
        let mut points = vec![Vec::with_capacity(self.axes.len())];
        for axis in &self.axes {
            let longer = |prefix: Point| {
                axis.searched.iter().map(move |o| prefix.iter().copied().chain([*o]).collect::<Point>())
            };
            points = points.into_iter().flat_map(longer).collect();
        }
        let canonical = |point: &Point| self.canonical(point.clone()) == *point && !self.forbids(point);
        points.retain(canonical);
        points.sort_by_cached_key(|point| (changes(point).count(), point.clone()));
        Some(points)
    }
}

/// [`Space::combinations`] without overflow.
fn combinations(grid: &Grid<'_>) -> u64 {
    grid.axes.iter().fold(1, |product: u64, axis| product.saturating_mul(axis.searched.len() as u64))
}

/// The non-base options of a point.
pub(crate) fn changes(point: &Point) -> impl Iterator<Item = Slot> {
    point.iter().copied().enumerate().filter(|(_, o)| *o != 0)
}

/// Where the numbers of a knob lie between the smallest and the largest, on its scale.
fn places(dimension: &ar_common::Dimension) -> Option<Vec<f64>> {
    let scale = dimension.scale?;
    let place = |o: &ar_common::OptionSpec| o.value.map(|value| scale.place(value));
    let places = dimension.options.iter().map(place).collect::<Option<Vec<f64>>>()?;
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let range = places.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
    let range = if range > 0.0 { range } else { 1.0 };
    Some(places.into_iter().map(|place| (place - low) / range).collect())
}

fn compile(space: &Space, inactive_under: [&Conditions; 2], only_with: &Conditions) -> Rules {
    let mut rules = Rules::default();
    let mask = |name: &String, families: &[String]| {
        let other = space.dimensions.iter().position(|d| d.name == *name)?;
        Some((other, space.dimensions[other].options.iter().map(|o| families.contains(&o.family)).collect()))
    };
    rules.inactive_under =
        inactive_under.into_iter().flatten().filter_map(|(name, f)| mask(name, f)).collect();
    for (name, families) in only_with {
        match mask(name, families) {
            Some(rule) => rules.only_with.push(rule),
            None => rules.impossible = true,
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;
    use crate::tests::fixtures::any_space;

    proptest! {
        #[test]
        fn the_grid_says_what_the_space_says(space in any_space(), seed in any::<u64>()) {
            let grid = Grid::new(&space);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..20 {
                let draw = |d: &ar_common::Dimension| {
                    let option = &d.options[rng.random_range(0..d.options.len())];
                    (d.name.clone(), option.name.clone())
                };
                let config: Config = space.dimensions.iter().map(draw).collect();
                let point = grid.point(&config).unwrap();
                prop_assert_eq!(Some(grid.config(&point)), space.canonical(&config));
                prop_assert_eq!(grid.canonical(point.clone()), point);
            }
        }

        #[test]
        fn a_changed_option_is_there_and_matters(space in any_space(), seed in any::<u64>()) {
            let grid = Grid::new(&space);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for d in 0..grid.axes.len() {
                for option in grid.axes[d].searched.clone() {
                    if let Some(point) = grid.with(&grid.draw(&mut rng), (d, option)) {
                        prop_assert_eq!(point[d], option);
                        prop_assert_eq!(space.canonical(&grid.config(&point)), Some(grid.config(&point)));
                    }
                }
            }
        }
    }

    #[test]
    fn names_that_the_space_does_not_have_are_no_point() {
        let space = crate::tests::fixtures::plain(&[3, 2]);
        let grid = Grid::new(&space);
        assert_eq!(grid.point(&space.base()), Some(vec![0, 0]));
        assert_eq!(grid.point(&space.base().with("d0", "gone")), None);
        assert_eq!(grid.point(&Config::default()), None);
        assert_eq!(grid.all(6).unwrap().len(), 6);
        assert_eq!(grid.all(5), None);
    }
}
