//! Two configurations on the same folds: is one better?

use ar_common::Metric;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::history::{History, mean};

/// The comparison of two configurations on the same folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// Mean difference, positive is better.
    pub difference: f64,
    /// Lower end of the one-sided interval of the difference.
    pub low: f64,
    /// One-sided p value of "not better".
    pub p_value: f64,
    /// Differences seen.
    pub pairs: u32,
}

/// What is known of the differences before they are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Folds of one split.
    pub folds: usize,
    /// Rows that a fold is tested on, per row that it is trained on.
    pub test_share: f64,
    /// What their variance usually is, in squared units of the metric, and how many degrees of freedom that counts for.
    pub variance: Option<(f64, f64)>,
}

/// Degrees of freedom for which the usual variance counts. Measured on complete tables of 2,000 pipelines, three folds seen
/// and two hidden: with none the test names by chance whose three differences happen to lie close together, and loses half
/// a point on heart-statlog; from 2 to 20 it makes little difference.
const USUAL: f64 = 4.0;
/// One complete run in so many, the best ones, says what variance is usual: what scores badly is noisier.
const BEST: usize = 4;

impl Prior {
    /// What the scores of a study say of a sum of `terms` scores on the same fold, each with weight 1 or -1.
    pub(crate) fn of(history: &History<'_>, metric: &Metric, test_share: f64, terms: f64) -> Self {
        let (variance, freedom) = history.spread(metric, BEST);
        let known = (freedom > 0.0).then(|| (terms * variance, USUAL.min(freedom)));
        // Runs that share nothing are each new evidence.
        let folds = if test_share == 0.0 { usize::MAX } else { history.folds };
        Self { folds, test_share, variance: known }
    }
}

/// One-sided paired t test for cross-validation, with the variance corrected for training sets that overlap, and
/// moderated by what it usually is.
///
/// `t = mean(d) / sqrt((1/n + test/train) s2)` (Nadeau and Bengio 2003, "Inference for the generalization error", Machine
/// Learning 52, eq. 9; over repeated cross-validation as in Bouckaert and Frank 2004), where `s2` is the mean of the
/// differences' own variance, weighted by its `n - 1` degrees of freedom, and the usual one by its own; t has the sum of
/// both (Smyth 2004, "Linear models and empirical Bayes methods", SAGMB 3, section 3).
///
/// Without any variance t says nothing. Then all differences are equal: zero or less is not better (p = 1); a
/// gain is judged by the sign test on the folds of one split, p = 2^-folds, as further splits of the same
/// rows are no new evidence on that. With fewer than two pairs nothing is shown (p = 1), and `low` is the
/// difference, or 0 if that is positive: an interval that would be infinite cannot be journaled.
pub fn paired_test(differences: &[f64], prior: Prior, level: f64) -> PairedTest {
    let n = differences.len() as f64;
    let difference = mean(differences);
    let result =
        |p_value: f64, low: f64| PairedTest { difference, low, p_value, pairs: differences.len() as u32 };
    if differences.len() < 2 {
        return result(1.0, difference.min(0.0));
    }
    let squares = differences.iter().map(|d| (d - difference).powi(2)).sum::<f64>();
    let (usual, weight) = prior.variance.unwrap_or((0.0, 0.0));
    let freedom = n - 1.0 + weight;
    let variance = (squares + weight * usual) / freedom;
    // Scores of 0.9 and 0.8 differ by 0.1 only up to rounding.
    let rounding = 1e-12 * differences.iter().fold(1.0, |most: f64, d| most.max(d.abs()));
    if variance.sqrt() <= rounding {
        let folds = prior.folds.min(differences.len()) as i32;
        let p = if difference > rounding { 0.5_f64.powi(folds) } else { 1.0 };
        return result(p, if p <= level { difference } else { difference.min(0.0) });
    }
    let error = ((1.0 / n + prior.test_share) * variance).sqrt();
    let Ok(student) = StudentsT::new(0.0, 1.0, freedom) else {
        return result(1.0, difference.min(0.0));
    };
    let p = student.sf(difference / error).clamp(0.0, 1.0);
    result(p, difference - student.inverse_cdf(1.0 - level) * error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: [f64; 5] = [0.02, 0.01, 0.03, 0.0, 0.02];

    /// So many folds, with nothing known of the variance.
    fn of(folds: usize) -> Prior {
        Prior { folds, test_share: 1.0 / (folds as f64 - 1.0), variance: None }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-8, "{a} is not {b}");
    }

    #[test]
    fn the_test_gives_the_numbers_computed_by_hand() {
        // mean 0.016, variance 0.00013, t = 0.016 / sqrt(0.45 * 0.00013) = 2.0919 with 4 degrees of freedom; p by
        // the closed form of Student's distribution for 4, `low` with its quantile 1.5332063.
        let test = paired_test(&FIVE, of(5), 0.10);
        near(test.difference, 0.016);
        near(test.p_value, 0.052_302_614_6);
        near(test.low, 0.004_273_226_9);
        assert_eq!(test.pairs, 5);
        // Two repeats: the ratio stays 1/4, t = 1.6429 with 9; p by numeric integration.
        let ten = [FIVE, [0.01, 0.0, 0.02, -0.01, 0.03]].concat();
        let test = paired_test(&ten, of(5), 0.10);
        near(test.p_value, 0.067_406_511_1);
        near(test.low, 0.002_056_483_2);
    }

    #[test]
    fn the_usual_variance_counts_for_its_degrees_of_freedom() {
        // s2 = (4 * 0.00013 + 4 * 0.00029) / 8 = 0.00021, t = 0.016 / sqrt(0.45 * 0.00021) = 1.6459 with 8; p by numeric
        // integration.
        let prior = Prior { variance: Some((0.000_29, 4.0)), ..of(5) };
        let test = paired_test(&FIVE, prior, 0.10);
        near(test.p_value, 0.069_200_865_5);
        // Three differences that lie close together by chance are no proof where scores usually scatter.
        let close = [0.010, 0.011, 0.010];
        assert!(paired_test(&close, of(3), 0.10).p_value < 0.01);
        assert!(paired_test(&close, Prior { variance: Some((0.000_4, 4.0)), ..of(3) }, 0.10).p_value > 0.2);
        // Where they usually do not, equal gains are proof enough.
        assert!(
            paired_test(&[0.01; 3], Prior { variance: Some((1e-6, 4.0)), ..of(3) }, 0.10).p_value < 0.001
        );
    }

    #[test]
    fn worse_is_never_shown_to_be_better() {
        let worse = FIVE.map(|d| -d);
        let test = paired_test(&worse, of(5), 0.10);
        near(test.p_value, 1.0 - 0.052_302_614_6);
        assert!(test.low < test.difference && test.difference < 0.0);
    }

    #[test]
    fn without_variance_equal_is_not_better_and_a_gain_is_judged_by_its_folds() {
        assert_eq!(paired_test(&[0.0; 5], of(5), 0.10).p_value, 1.0);
        assert_eq!(paired_test(&[-0.1; 5], of(5), 0.10).p_value, 1.0);
        // 0.9 - 0.8 and 0.4 - 0.3 differ by rounding.
        let gain = [0.9 - 0.8, 0.4 - 0.3, 0.7 - 0.6, 0.6 - 0.5, 0.5 - 0.4];
        assert_eq!(paired_test(&gain, of(5), 0.10).p_value, 0.5_f64.powi(5));
        assert_eq!(paired_test(&gain[..3], of(3), 0.10).p_value, 0.125);
        assert_eq!(paired_test(&[0.1; 35], of(5), 0.10).p_value, 0.5_f64.powi(5));
    }

    #[test]
    fn fewer_than_two_pairs_show_nothing() {
        assert_eq!(
            paired_test(&[], of(0), 0.10),
            PairedTest { difference: 0.0, low: 0.0, p_value: 1.0, pairs: 0 }
        );
        assert_eq!(
            paired_test(&[0.5], of(1), 0.10),
            PairedTest { difference: 0.5, low: 0.0, p_value: 1.0, pairs: 1 }
        );
    }
}
