//! How many experiments a study may run.

use serde::{Deserialize, Serialize};

/// The budget of a study, in full evaluations of a configuration.
///
/// `rounds * per_round` is never exceeded; about a fifth of it is kept for confirming the candidate
/// against the base ([`Budget::confirmation`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many rounds the study reports.
    pub rounds: u32,
    /// Experiments in each round.
    pub per_round: u32,
}

impl Budget {
    /// Every experiment the study may run, confirmation included.
    pub fn total(&self) -> u32 {
        self.rounds.saturating_mul(self.per_round)
    }

    /// The share kept for confirmation: a fifth, rounded down to an even number because each
    /// repeat of the candidate is paired with one of the base.
    pub fn confirmation(&self) -> u32 {
        self.total() / 5 / 2 * 2
    }

    /// The share kept for deciding what is kept where every run is evidence of its own: [`Budget::confirmation`], and six runs
    /// at least: two of the base, that tell the noise, and two pairs. With fewer than twelve runs nothing is decided.
    pub fn decisions(&self) -> u32 {
        const LEAST: u32 = 6;
        if self.total() < 2 * LEAST { 0 } else { self.confirmation().max(LEAST) }
    }

    /// The round, from 1, in which the `n`-th experiment (from 0) falls.
    pub fn round_of(&self, n: u32) -> u32 {
        n / self.per_round.max(1) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_needs_six_runs() {
        let decisions = |total| Budget { rounds: 1, per_round: total }.decisions();
        assert_eq!([11, 12, 29, 40, 100].map(decisions), [0, 6, 6, 8, 20]);
    }

    #[test]
    fn the_default_budget_is_sixty_with_twelve_for_confirmation() {
        let budget = Budget { rounds: 4, per_round: 15 };
        assert_eq!((budget.total(), budget.confirmation()), (60, 12));
        assert_eq!(
            (budget.round_of(0), budget.round_of(14), budget.round_of(15), budget.round_of(59)),
            (1, 1, 2, 4)
        );
    }
}
