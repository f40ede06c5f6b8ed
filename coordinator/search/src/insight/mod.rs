//! What the study teaches beside its winner: which dimensions matter, what each option does, which pairs do more
//! together than apart, and what is no longer worth trying. All of it is read off the surrogate.

mod effects;
mod interactions;
mod pruning;
mod triples;

use ar_common::Choice;

use crate::grid::{Grid, Slot};
pub(crate) use effects::{effects, importance};
pub(crate) use interactions::{Pair, claims, holm, interactions};
pub(crate) use pruning::{Pruning, pruned};
pub(crate) use triples::triples;

/// Coverage of every interval here.
pub const COVERAGE: f64 = 0.90;
/// Standard deviations to either side of the mean of a normal distribution that make [`COVERAGE`].
const REACH: f64 = 1.644_853_626_951_472_7;

/// What a study teaches. Gains are in units of the metric, positive is better in either direction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// How much each dimension matters, most first.
    pub importance: Vec<Importance>,
    /// What each option that was scored does, in the order of the space.
    pub effects: Vec<Effect>,
    /// Pairs of options that were seen together and whose solos are known, the surest first.
    pub interactions: Vec<Interaction>,
    /// Triples of options that some runs had together, the clearest first; none of them was measured again.
    pub triples: Vec<Triple>,
    /// What is no longer tried.
    pub pruned: Vec<Pruned>,
    /// What was not covered.
    pub uncovered: Vec<String>,
}

/// How much one dimension matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Which.
    pub dimension: String,
    /// Share of the variance between the expected scores of configurations that this dimension alone makes, 0 to 1
    /// (the first-order index of Sobol 1993). What is missing to one is made by dimensions together.
    pub share: f64,
}

/// What one option does, compared with `base` in its dimension, averaged over what it was tried with.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Which.
    pub choice: Choice,
    /// Expected gain.
    pub gain: f64,
    /// Lower end of the interval of [`COVERAGE`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Runs with a score that had it.
    pub runs: u32,
}

/// Whether an interaction is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Measured again on fresh splits in all four cells, and there after the correction for several pairs.
    Confirmed,
    /// Not measured again, or measured without a clear answer.
    Unresolved,
    /// Measured again, and at least half of what was expected is ruled out.
    Refuted,
}

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unresolved => "unresolved",
            Self::Refuted => "refuted",
        }
    }
}

/// What two options do together beyond the sum of what they do alone; positive is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// The two options, in the order of the space.
    pub pair: [Choice; 2],
    /// Joint effect less the sum of the solo effects, everything else at base.
    pub delta: f64,
    /// Lower end of the interval of [`COVERAGE`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether it is real.
    pub status: Status,
    /// What that rests on, in a line.
    pub evidence: String,
}

/// What the model expects of three options together beyond the sum of their solo and pair effects; positive is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Triple {
    /// The three options, in the order of the space.
    pub triple: [Choice; 3],
    /// The third difference, everything else at base.
    pub delta: f64,
    /// Lower end of the interval of [`COVERAGE`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Scored configurations that had all three.
    pub runs: u32,
}

/// An option or a whole family that is no longer tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruned {
    /// The dimension.
    pub dimension: String,
    /// `family NAME` or `option NAME`.
    pub what: String,
    /// Chance, at most, that it is part of anything better than the best tried; absent for what crashes.
    pub probability: Option<f64>,
    /// Why, in a line.
    pub evidence: String,
}

/// An option by its names.
pub(crate) fn choice(grid: &Grid<'_>, (d, o): Slot) -> Choice {
    let dimension = &grid.space.dimensions[d];
    Choice { dimension: dimension.name.clone(), option: dimension.options[o as usize].name.clone() }
}
