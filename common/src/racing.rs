//! Fold-wise racing: when an experiment is so far behind that its other folds are not worth running.
//!
//! The rule: behind the incumbent on *every* fold seen, at least two of them. Measured on complete tables of 2,000
//! pipelines, it loses the best of a search in 4 to 8 % of runs, at 62 to 67 % of the cost of running all folds.
//! Stopping on the mean after one fold loses it in 39 to 54 %: the folds of one split differ more from each other than
//! good pipelines do, so only the same fold of both may be compared, and one fold says little.
//!
//! A training run has one score, at its end, but a loss all along. It is told at [`Race::CURVE_POINTS`] points of its time,
//! which take the place of folds, and is behind at a point if its loss is above the median of finished runs at the same
//! training time ([`Rule::Latest`]: the median stopping rule of Golovin et al. 2017, "Google Vizier", section 3.2, on the loss itself as
//! it is smoothed already). Half of the time has to pass first.
//!
//! The rule is data that travels with the lease ([`Race`]), so no round trip stands between two folds.

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Metric};

/// Against whom an experiment runs, and when it has lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Race {
    /// What is measured; tells which way is better and what can be true.
    pub metric: Metric,
    /// The incumbent's scores on all folds of the same split, in fold order.
    pub incumbent: Vec<f64>,
    /// Folds to see before it may be lost; never fewer than [`Race::LEAST_FOLDS`] count.
    pub least_folds: u32,
    /// When it is lost.
    #[serde(default, skip_serializing_if = "Rule::is_every_fold")]
    pub rule: Rule,
}

/// When a race is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Behind on every fold seen.
    #[default]
    EveryFold,
    /// Behind at the latest point of a curve.
    Latest,
}

impl Rule {
    /// Whether it is that of folds, which is not written down.
    pub fn is_every_fold(&self) -> bool {
        *self == Self::EveryFold
    }
}

impl Race {
    /// Folds that must be seen before anything is stopped.
    pub const LEAST_FOLDS: u32 = 2;
    /// Points of a training run's curve, evenly spaced over its budget of time.
    pub const CURVE_POINTS: u32 = 32;
    /// What is compared at the points of a curve.
    const LOSS: &str = "loss";

    /// A race against an incumbent with these scores, if it can end before its last fold.
    pub fn against(metric: &Metric, incumbent: &[f64]) -> Option<Self> {
        let race = Self {
            metric: metric.clone(),
            incumbent: incumbent.to_vec(),
            least_folds: Self::LEAST_FOLDS,
            rule: Rule::EveryFold,
        };
        let saves = incumbent.len() > Self::LEAST_FOLDS as usize;
        let sound = incumbent.iter().all(|score| metric.refuse(*score).is_none());
        (saves && sound).then_some(race)
    }

    /// A race of a training run against the median loss of others at each of [`Race::CURVE_POINTS`] points; `None` if it is
    /// not known at all of them.
    pub fn against_curve(medians: &[f64]) -> Option<Self> {
        let metric =
            Metric { name: Self::LOSS.to_owned(), direction: Direction::Minimize, low: None, high: None };
        let whole =
            medians.len() == Self::CURVE_POINTS as usize && medians.iter().all(|loss| loss.is_finite());
        let (incumbent, least_folds) = (medians.to_vec(), Self::CURVE_POINTS / 2);
        whole.then_some(Self { metric, incumbent, least_folds, rule: Rule::Latest })
    }

    /// Whether an experiment whose folds so far, in fold order, are `seen` is to be stopped: strictly behind on each of
    /// them (on the last of them by [`Rule::Latest`]), with at least one still to come, as after the last it is complete. A score that cannot be true loses no
    /// race; it is an outcome of its own.
    pub fn is_lost(&self, seen: &[f64]) -> bool {
        let least = self.least_folds.max(Self::LEAST_FOLDS) as usize;
        let behind = |(score, incumbent): (&f64, &f64)| {
            self.metric.refuse(*score).is_none() && self.metric.gain(*score, *incumbent) < 0.0
        };
        let mut pairs = seen.iter().zip(&self.incumbent);
        (least..self.incumbent.len()).contains(&seen.len())
            && match self.rule {
                Rule::EveryFold => pairs.all(behind),
                Rule::Latest => pairs.next_back().is_some_and(behind),
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn race(metric: &str, incumbent: &[f64]) -> Race {
        Race::against(&Metric::tabular(metric).unwrap().0, incumbent).unwrap()
    }

    #[test]
    fn it_is_lost_behind_on_every_fold_from_the_second_to_the_last_but_one() {
        let race = race("accuracy", &[0.8, 0.9, 0.7, 0.8]);
        assert!(!race.is_lost(&[]) && !race.is_lost(&[0.1]), "one fold says little");
        assert!(race.is_lost(&[0.7, 0.8]) && race.is_lost(&[0.7, 0.8, 0.6]));
        assert!(!race.is_lost(&[0.7, 0.8, 0.6, 0.7]), "then it is complete");
        assert!(!race.is_lost(&[0.7, 0.95]), "ahead on one");
        assert!(!race.is_lost(&[0.7, 0.9]), "a tie is not behind");
    }

    #[test]
    fn less_is_better_where_the_metric_says_so() {
        let race = race("rmse", &[3.0, 4.0, 5.0]);
        assert!(race.is_lost(&[3.1, 4.1]) && !race.is_lost(&[2.9, 3.9]));
    }

    #[test]
    fn what_cannot_be_true_loses_no_race() {
        let race = race("accuracy", &[0.8, 0.9, 0.7]);
        for wrong in [f64::NAN, f64::NEG_INFINITY, -0.5] {
            assert!(!race.is_lost(&[0.7, wrong]), "{wrong}");
        }
    }

    #[test]
    fn there_is_no_race_that_saves_nothing_or_against_what_cannot_be_true() {
        let (accuracy, _) = Metric::tabular("accuracy").unwrap();
        assert_eq!(Race::against(&accuracy, &[0.8, 0.9]), None);
        assert_eq!(Race::against(&accuracy, &[0.8, f64::NAN, 0.9]), None);
    }

    #[test]
    fn a_curve_is_behind_from_half_of_its_time_where_it_is_above_the_median_now() {
        let medians: Vec<f64> = (0..32).map(|i| 5.0 - 0.1 * f64::from(i)).collect();
        let race = Race::against_curve(&medians).unwrap();
        let above = |n: usize| medians[..n].iter().map(|loss| loss + 0.01).collect::<Vec<f64>>();
        assert!(!race.is_lost(&above(15)), "not before half");
        assert!(race.is_lost(&above(16)) && race.is_lost(&above(31)));
        assert!(!race.is_lost(&above(32)), "then it is complete");
        let mut late = above(20);
        late[19] = medians[19];
        assert!(!race.is_lost(&late), "it has caught up");
        let mut early = medians[..20].to_vec();
        early[19] += 0.01;
        assert!(race.is_lost(&early), "it has fallen behind");
        early[19] = f64::NAN;
        assert!(!race.is_lost(&early));
        assert_eq!(Race::against_curve(&medians[1..]), None);
        assert_eq!(Race::against_curve(&[f64::NAN; 32]), None);
    }

    fn scores() -> impl Strategy<Value = Vec<f64>> {
        // Few values, so that ties are frequent.
        prop::collection::vec((0..=10_u8).prop_map(|tenths| f64::from(tenths) / 10.0), 3..9)
    }

    proptest! {
        /// The rule in other words: a loop over the folds that says when it stops.
        #[test]
        fn the_rule_is_what_it_says(
            incumbent in scores(),
            seen in scores(),
            minimize in any::<bool>(),
            least_folds in 0..5_u32,
        ) {
            let metric = Metric::tabular(if minimize { "log_loss" } else { "accuracy" }).unwrap().0;
            let race = Race { least_folds, ..Race::against(&metric, &incumbent).unwrap() };
            for n in 0..=seen.len() {
                let (mut behind, mut folds) = (0, 0);
                for (score, other) in seen[..n].iter().zip(&incumbent) {
                    folds += 1;
                    behind += u32::from(if minimize { score > other } else { score < other });
                }
                let enough = folds >= 2 && folds >= least_folds;
                let lost = n < incumbent.len() && enough && behind == folds;
                prop_assert_eq!(race.is_lost(&seen[..n]), lost, "{} folds of {:?}", n, seen);
            }
        }

        #[test]
        fn an_incumbent_never_loses_against_itself(incumbent in scores(), minimize in any::<bool>()) {
            let metric = Metric::tabular(if minimize { "log_loss" } else { "accuracy" }).unwrap().0;
            let race = Race::against(&metric, &incumbent).unwrap();
            prop_assert!((0..=incumbent.len()).all(|n| !race.is_lost(&incumbent[..n])));
        }
    }
}
