//! Evidence from pairs of runs that may be looked at after each of them: e-values.
//!
//! An e-value is at most 1 in expectation where the challenger is no better, whenever one stops (Ramdas, Grünwald, Vovk and
//! Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38). So after each pair
//! it may be decided whether to keep, to go on or to give up, and 1 / e is a p value for all that.

use statrs::function::gamma::ln_gamma;

/// Effects that are weighed, the same for each: mean difference over the deviation of one difference. A factor of two
/// between them costs little; a change of 1 % of `val_bpb` is several deviations in small models.
const EFFECTS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
/// Steps of the integral, an even number, and how far it goes on both sides of the mode, in its own widths.
const STEPS: usize = 600;
const WIDTHS: f64 = 12.0;
/// Steps of the search for an end of an interval.
const HALVINGS: usize = 60;
/// Differences that are a smaller share of the largest are rounding.
const ROUNDING: f64 = 1e-12;

/// What is known of the noise of a paired difference from elsewhere: an estimate of its variance, and its degrees of
/// freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Noise {
    /// Squared units of the metric.
    pub(crate) variance: f64,
    pub(crate) freedom: u32,
}

/// The logarithm of the e-value of "the mean difference is not above zero", for normal differences of unknown variance.
///
/// The likelihood ratio of the scale-free part of the data between an effect and none, averaged over [`EFFECTS`]. With
/// the right Haar prior 1 / sigma it is exact, and a martingale in the number of pairs where there is no effect (Pérez-Ortiz,
/// Lardy, de Heide and Grünwald 2024, "E-statistics, group invariance and anytime-valid testing", Annals of Statistics 52).
/// With x = sqrt(S) / sigma and S the sum of all squares,
/// `ratio = exp(-n effect^2 / 2) I(effect sum(d) / sqrt(S)) / I(0)`, `I(b) = integral of x^(n + f - 1) exp(-x^2 / 2 + b x)`.
/// It rises with the mean difference, so it holds for a challenger that is worse, too.
pub(crate) fn log_e(differences: &[f64], noise: Option<Noise>) -> f64 {
    let n = differences.len() as f64;
    let (usual, freedom) = noise.map_or((0.0, 0), |noise| (noise.variance, noise.freedom));
    let freedom = f64::from(freedom);
    let squares = differences.iter().map(|d| d * d).sum::<f64>() + freedom * usual;
    let power = n + freedom - 1.0;
    // Of one number alone only the sign is left when its scale is taken away.
    if differences.is_empty() || power < 1.0 || !(squares > 0.0 && squares.is_finite()) {
        return 0.0;
    }
    let towards = differences.iter().sum::<f64>() / squares.sqrt();
    // I(0) in closed form.
    let none = ln_gamma((power + 1.0) / 2.0) + (power - 1.0) / 2.0 * std::f64::consts::LN_2;
    let ratios =
        EFFECTS.map(|effect| -n * effect * effect / 2.0 + log_integral(power, effect * towards) - none);
    log_sum(&ratios) - (EFFECTS.len() as f64).ln()
}

/// The logarithm of the integral of `x^power exp(-x^2 / 2 + tilt x)` over the positive numbers. The integrand is
/// log-concave: it is summed around its mode.
fn log_integral(power: f64, tilt: f64) -> f64 {
    let mode = (tilt + (tilt * tilt + 4.0 * power).sqrt()) / 2.0;
    let width = (1.0 + power / (mode * mode)).powf(-0.5);
    let from = (mode - WIDTHS * width).max(0.0);
    let step = (mode + WIDTHS * width - from) / STEPS as f64;
    let log = |x: f64| if x > 0.0 { power * x.ln() - x * x / 2.0 + tilt * x } else { f64::NEG_INFINITY };
    // Simpson's rule.
    let weight = |i: usize| match i {
        0 | STEPS => 1.0_f64,
        odd if odd % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let terms: Vec<f64> = (0..=STEPS).map(|i| weight(i).ln() + log(from + i as f64 * step)).collect();
    log_sum(&terms) + (step / 3.0).ln()
}

/// The logarithm of the sum of what has these logarithms.
fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
}

/// The lower end of the mean difference, at a level that holds whenever one stops: the largest difference that the evidence
/// speaks against. Never infinite: without evidence it is the lesser of 0 and the mean, as in a t test of one pair.
pub(crate) fn low(differences: &[f64], noise: Option<Noise>, level: f64) -> f64 {
    let mean = crate::history::mean(differences);
    let against = |value: f64| {
        let shifted: Vec<f64> = differences.iter().map(|d| d - value).collect();
        log_e(&shifted, noise) >= -level.ln()
    };
    let spread = differences.iter().fold(0.0, |most: f64, d| most.max((d - mean).abs()));
    let usual = noise.map_or(0.0, |noise| noise.variance.sqrt());
    let step = (spread + usual + mean.abs()).max(f64::MIN_POSITIVE);
    // Far enough below, or nowhere.
    let Some(mut below) = (0..8).map(|i| mean - step * 4.0_f64.powi(i)).find(|value| against(*value)) else {
        return mean.min(0.0);
    };
    let mut above = mean;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(below, above);
        if against(middle) { below = middle } else { above = middle }
    }
    below
}

/// A difference, or 0 where it is what rounding leaves of two scores.
pub(crate) fn without_rounding(difference: f64, scores: [f64; 2]) -> f64 {
    let largest = scores[0].abs().max(scores[1].abs());
    if difference.abs() <= ROUNDING * largest { 0.0 } else { difference }
}

/// The levels of decisions that follow each other, so that the expected share of false ones among the kept is at most
/// `share`, however they depend on each other: e-LOND (Xu and Ramdas 2024, "Online multiple testing with e-values", AISTATS),
/// with weights 1 / (t (t + 1)). The `decision`-th, from 1, is kept if its e-value is at least 1 / level.
pub(crate) fn level(share: f64, decision: usize, kept_before: usize) -> f64 {
    let t = decision.max(1) as f64;
    share * (kept_before as f64 + 1.0) / (t * (t + 1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{a} is not {b}");
    }

    /// Box and Muller.
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Of `studies` with so many pairs at most, how many ever have an e-value of `needed`; and the mean e-value of two pairs, at most `needed`.
    fn crossings(effect: f64, noisy_base: f64, needed: f64, studies: usize) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut crossed, mut sum) = (0, 0.0);
        for _ in 0..studies {
            let variance = (0..2).map(|_| (noisy_base * normal(&mut rng)).powi(2)).sum::<f64>() / 2.0;
            let noise = Some(Noise { variance, freedom: 2 });
            let differences: Vec<f64> = (0..8).map(|_| effect + normal(&mut rng)).collect();
            let at = |n: usize| log_e(&differences[..n], noise).exp();
            crossed += usize::from((1..=8).any(|n| at(n) >= needed));
            // Its mean is that of a few large ones: they are cut off.
            sum += at(2).min(needed);
        }
        (crossed as f64 / studies as f64, sum / studies as f64)
    }

    #[test]
    fn the_ratio_is_that_of_student_and_his_noncentral_brother() {
        // T = sqrt(n) mean / s with n + f - 1 degrees of freedom; the mean of the ratios of the two densities over the effects,
        // by another program's noncentral t.
        let e = |differences: &[f64], variance, freedom| {
            log_e(differences, Some(Noise { variance, freedom })).exp()
        };
        near(e(&[2.0], 1.0, 1), 1.425_914_313);
        near(e(&[1.0, 0.5, 0.8], 0.04, 2), 38.809_640_72);
        near(e(&[0.2, -0.1, 0.05], 0.02, 2), 0.140_489_229_6);
        // I(b) for power 1 is 1 + b sqrt(pi / 2) exp(b^2 / 2) (1 + erf(b / sqrt 2)).
        let b: f64 = 2.0 / 5.0_f64.sqrt();
        let closed = 1.0
            + b * (std::f64::consts::PI / 2.0).sqrt()
                * (b * b / 2.0).exp()
                * (1.0 + statrs::function::erf::erf(b / 2.0_f64.sqrt()));
        near(log_integral(1.0, b).exp(), closed);
        near(log_integral(1.0, 0.0).exp(), 1.0);
    }

    #[test]
    fn where_there_is_no_effect_evidence_stays_rare_and_its_mean_is_below_one() {
        let (crossed, mean) = crossings(0.0, 1.0, 20.0, 4_000);
        assert!(crossed <= 0.05, "{crossed}");
        assert!((0.5..=1.0).contains(&mean), "{mean}");
        assert!(crossings(-0.5, 1.0, 20.0, 2_000).0 <= 0.01);
        // A base that scatters more than pairs do, as where both halves have the same seed, makes it rarer.
        assert!(crossings(0.0, 3.0, 20.0, 2_000).0 <= crossed);
    }

    #[test]
    fn an_effect_is_found_in_a_few_pairs() {
        let (crossed, _) = crossings(4.0, 1.0, 40.0, 500);
        assert!(crossed > 0.99, "{crossed}");
    }

    #[test]
    fn scale_does_not_matter_and_nothing_is_said_of_nothing() {
        let noise = |scale: f64| Some(Noise { variance: 0.01 * scale * scale, freedom: 2 });
        let of = |scale: f64| log_e(&[0.3 * scale, 0.4 * scale, 0.2 * scale], noise(scale));
        assert!((of(1.0) - of(1e-9)).abs() < 1e-9 && (of(1.0) - of(1e9)).abs() < 1e-9);
        assert_eq!(log_e(&[], noise(1.0)), 0.0);
        assert_eq!(log_e(&[5.0], None), 0.0, "one number has no scale but its own");
        assert_eq!(log_e(&[0.0, 0.0], None), 0.0);
        assert!(log_e(&[-0.3, -0.4], noise(1.0)) < 0.0);
        assert!(log_e(&[1e200, 1e200], None).is_finite(), "squares that overflow say nothing");
    }

    #[test]
    fn the_lower_end_is_where_the_evidence_ends() {
        let noise = Some(Noise { variance: 0.01, freedom: 2 });
        let differences = [1.0, 1.1, 0.9];
        let low = low(&differences, noise, 0.05);
        assert!(low > 0.5 && low < 1.0, "{low}");
        let shifted = differences.map(|d| d - low);
        assert!((log_e(&shifted, noise) - 20.0_f64.ln()).abs() < 1e-6);
        assert_eq!(super::low(&[0.5], None, 0.05), 0.0);
        assert_eq!(super::low(&[-0.5], None, 0.05), -0.5);
        assert_eq!(super::low(&[], None, 0.05), 0.0);
    }

    #[test]
    fn levels_fall_with_each_decision_and_rise_with_each_that_is_kept() {
        assert_eq!(level(0.05, 1, 0), 0.025);
        assert!((level(0.05, 2, 1) - 0.05 / 3.0).abs() < 1e-15);
        let all: f64 = (1..10_000).map(|t| level(0.05, t, 0)).sum();
        assert!(all <= 0.05 && all > 0.049);
    }
}
