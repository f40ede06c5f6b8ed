//! From outcomes to rows per table, and to what holds over tables.

use std::collections::BTreeMap;

use crate::score::{mean, standard_error};
use crate::study::{Outcome, Rule};

/// No table may lose more than this, in points.
pub(crate) const FLOOR: f64 = -0.5;
/// The gain of the best rule from which on it counts as real, in points.
pub(crate) const REAL: f64 = 1.0;
/// The share of a real gain that ours is to keep.
pub(crate) const KEPT: f64 = 0.9;

/// What the seeds of one table say together.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) table: String,
    pub(crate) seeds: usize,
    pub(crate) outer_rows: usize,
    /// Mean score of the base.
    pub(crate) base: f64,
    /// In how many seeds the verdict named another winner than the base.
    pub(crate) beats_base: usize,
    pub(crate) rules: BTreeMap<Rule, Estimate>,
}

/// A mean gain in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    /// Standard error over seeds; not a number for one seed.
    pub(crate) seed_error: f64,
    /// Standard error by the outer rows of one seed, mean over seeds. Seeds share rows, so more of them do not lower it.
    pub(crate) row_error: f64,
}

impl Row {
    /// The seeds of one table; none if no study of it ended.
    pub(crate) fn of(table: &str, outcomes: &[Outcome]) -> Option<Self> {
        let first = outcomes.first()?;
        let rules = Rule::ALL.into_iter().map(|rule| {
            let of = |what: fn(&crate::score::Gain) -> f64| -> Vec<f64> {
                outcomes.iter().filter_map(|outcome| outcome.gains.get(&rule)).map(what).collect()
            };
            let points = of(|gain| gain.points);
            let row_error = mean(&of(|gain| gain.row_error));
            (rule, Estimate { mean: mean(&points), seed_error: standard_error(&points), row_error })
        });
        Some(Self {
            table: table.to_owned(),
            seeds: outcomes.len(),
            outer_rows: first.outer_rows,
            base: mean(&outcomes.iter().map(|outcome| outcome.base).collect::<Vec<_>>()),
            beats_base: outcomes.iter().filter(|outcome| outcome.beats_base).count(),
            rules: rules.collect(),
        })
    }

    /// Mean gain of a rule.
    pub(crate) fn gain(&self, rule: Rule) -> f64 {
        self.rules.get(&rule).map_or(f64::NAN, |estimate| estimate.mean)
    }

    /// The rule with the highest mean gain.
    fn best(&self) -> Option<&Estimate> {
        self.rules.values().max_by(|a, b| a.mean.total_cmp(&b.mean))
    }
}

/// A rule over all tables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overall {
    pub(crate) mean: f64,
    /// Standard error of the mean, tables being what is drawn.
    pub(crate) error: f64,
    /// The table with the lowest gain, and that.
    pub(crate) worst: (String, f64),
    /// Tables on which it loses more than half a point.
    pub(crate) below: usize,
}

/// What a rule does over all tables; none without tables.
pub(crate) fn overall(rows: &[Row], rule: Rule) -> Option<Overall> {
    let gains: Vec<f64> = rows.iter().map(|row| row.gain(rule)).collect();
    let worst = rows.iter().min_by(|a, b| a.gain(rule).total_cmp(&b.gain(rule)))?;
    Some(Overall {
        mean: mean(&gains),
        error: standard_error(&gains),
        worst: (worst.table.clone(), worst.gain(rule)),
        below: gains.iter().filter(|gain| **gain < FLOOR).count(),
    })
}

/// By how much ours is ahead of another rule: the mean over tables of the difference, and its standard error.
pub(crate) fn ahead(rows: &[Row], other: Rule) -> (f64, f64) {
    let differences: Vec<f64> = rows.iter().map(|row| row.gain(Rule::Ours) - row.gain(other)).collect();
    (mean(&differences), standard_error(&differences))
}

/// Which gains are worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gains {
    /// More than [`REAL`]. On 50 outer rows one row more is enough for that.
    Real,
    /// Also more than twice the error that the outer rows give it.
    Clear,
}

/// How much ours keeps of what could be had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// Tables on which the best rule has such a gain.
    pub(crate) tables: usize,
    /// Mean over them of the share of the best rule's gain that ours has, so that no table weighs more for its scale.
    pub(crate) share: f64,
    /// The table with the lowest share, and that.
    pub(crate) least: (String, f64),
}

/// The share of real gains that ours keeps. The best rule is the one with the highest mean on that table, luck included,
/// so this errs against ours. None where there is no such gain.
pub(crate) fn kept(rows: &[Row], gains: Gains) -> Option<Kept> {
    let counts =
        |best: &Estimate| best.mean > REAL && (gains == Gains::Real || best.mean > 2.0 * best.row_error);
    let shares: Vec<(&Row, f64)> = rows
        .iter()
        .filter_map(|row| Some((row, row.best().filter(|best| counts(best))?.mean)))
        .map(|(row, best)| (row, row.gain(Rule::Ours) / best))
        .collect();
    let least = shares.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Kept {
        tables: shares.len(),
        share: mean(&shares.iter().map(|(_, share)| *share).collect::<Vec<_>>()),
        least: (least.0.table.clone(), least.1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Gain;

    fn outcome(gains: [f64; 3], beats_base: bool) -> Outcome {
        let gains = gains.map(|points| Gain { points, row_error: 2.0 });
        Outcome { outer_rows: 81, base: 0.8, gains: Rule::ALL.into_iter().zip(gains).collect(), beats_base }
    }

    fn rows() -> Vec<Row> {
        let row = |name: &str, gains| Row::of(name, &[outcome(gains, true)]).unwrap();
        vec![
            row("steep", [30.0, 31.0, 40.0]),
            row("noisy", [-0.6, -3.0, -1.5]),
            row("flat", [0.0, 0.9, 0.5]),
            row("kept", [2.0, 2.0, 1.0]),
        ]
    }

    #[test]
    fn a_row_has_the_mean_over_seeds_and_both_errors() {
        let row = Row::of("t", &[outcome([1.0, 0.0, 0.0], true), outcome([3.0, 0.0, 0.0], false)]).unwrap();
        assert_eq!((row.seeds, row.beats_base, row.outer_rows), (2, 1, 81));
        assert_eq!(row.rules[&Rule::Ours], Estimate { mean: 2.0, seed_error: 1.0, row_error: 2.0 });
        assert!(Row::of("t", &[]).is_none());
    }

    #[test]
    fn over_tables_the_error_is_that_of_the_tables_means() {
        let ours = overall(&rows(), Rule::Ours).unwrap();
        assert!((ours.mean - 7.85).abs() < 1e-9);
        // Deviations 22.15, -8.45, -7.85, -5.85 of 4 tables.
        let variance = (22.15_f64.powi(2) + 8.45_f64.powi(2) + 7.85_f64.powi(2) + 5.85_f64.powi(2)) / 3.0;
        assert!((ours.error - (variance / 4.0).sqrt()).abs() < 1e-9);
        assert_eq!((ours.worst, ours.below), (("noisy".to_owned(), -0.6), 1));
        assert_eq!(overall(&rows(), Rule::PosteriorMean).unwrap().worst.1, -1.5);
        assert!(overall(&[], Rule::Ours).is_none());
    }

    #[test]
    fn what_is_kept_counts_tables_alike_and_only_where_a_gain_is_real() {
        let real = kept(&rows(), Gains::Real).unwrap();
        assert_eq!((real.tables, real.least), (2, ("steep".to_owned(), 0.75)));
        assert!((real.share - 0.875).abs() < 1e-9);
        assert!(kept(&rows()[1..3], Gains::Real).is_none());
    }

    #[test]
    fn a_gain_within_twice_the_error_of_its_rows_is_not_clear() {
        // The best of `kept` is 2 with an error of 2.
        let clear = kept(&rows(), Gains::Clear).unwrap();
        assert_eq!((clear.tables, clear.share), (1, 0.75));
        assert!(kept(&rows()[1..], Gains::Clear).is_none());
    }

    #[test]
    fn rules_are_compared_table_by_table() {
        let (difference, error) = ahead(&rows()[1..3], Rule::BestSeen);
        // 2.4 and -0.9.
        assert!((difference - 0.75).abs() < 1e-9 && (error - 1.65).abs() < 1e-9);
    }
}
