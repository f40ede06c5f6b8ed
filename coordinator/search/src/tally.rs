//! How the runs with each option went, and whom crashes are laid to.

use ar_common::Outcome;

use crate::grid::Grid;
use crate::history::{Entry, failed};

/// Crashes of its own after which an option is skipped.
const CRASHES: u32 = 3;

/// How the runs with one option went.
#[derive(Default, Clone, Copy)]
pub(crate) struct Tally {
    /// Runs with a score.
    pub(crate) succeeded: u32,
    /// Runs without.
    pub(crate) failed: u32,
    /// Crashes for which no partner can be blamed.
    pub(crate) own_crashes: u32,
    /// Runs that have not ended.
    pub(crate) pending: u32,
    /// Runs that kept to the constraints, and that did not.
    pub(crate) kept: u32,
    pub(crate) refused: u32,
}

impl Tally {
    /// How many runs had it.
    pub(crate) fn runs(self) -> u32 {
        self.succeeded + self.failed + self.pending
    }

    /// Skipped: crashed often enough on its own and never worked.
    pub(crate) fn skipped(self) -> bool {
        self.own_crashes >= CRASHES && self.succeeded == 0
    }
}

/// Counts successes and failures per option, and lays each crash at the door of an option only if
/// every partner worked elsewhere.
pub(crate) fn tally(grid: &Grid<'_>, entries: &[Entry<'_>]) -> Vec<Vec<Tally>> {
    let mut tallies: Vec<Vec<Tally>> =
        grid.axes.iter().map(|a| vec![Tally::default(); a.family.len()]).collect();
    // A checkpoint that does not fit speaks against no option.
    let counted = || entries.iter().filter(|e| e.repeat().is_some());
    let placed = || counted().filter_map(|e| Some((e, e.point.as_ref()?)));
    for (entry, point) in placed() {
        let ran = entry.measures.is_some()
            || matches!(entry.observation.outcome, Some(Outcome::StoppedEarly { .. }));
        for (d, option) in point.iter().enumerate() {
            let tally = &mut tallies[d][*option as usize];
            tally.succeeded += u32::from(ran);
            tally.failed += u32::from(failed(entry));
            tally.pending += u32::from(entry.observation.outcome.is_none());
        }
    }
    for (entry, point) in placed() {
        if !matches!(entry.observation.outcome, Some(Outcome::Crashed { .. })) {
            continue;
        }
        for (d, option) in point.iter().enumerate() {
            let worked = |(other, partner): (usize, &u32)| {
                other == d || tallies[other][*partner as usize].succeeded > 0
            };
            if point.iter().enumerate().all(worked) {
                tallies[d][*option as usize].own_crashes += 1;
            }
        }
    }
    tallies
}
