//! Scores on outer rows, and how sure so few rows make them.

use ar_common::Task;

/// By how much predictions are better than others of the same rows, in points (hundredths of the metric).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gain {
    pub(crate) points: f64,
    /// Standard error of that, were the outer rows drawn anew and the models the same.
    pub(crate) row_error: f64,
}

/// The metric for a task: what makes gains on different tables comparable.
pub(crate) fn metric(task: Task) -> &'static str {
    match task {
        Task::Classification => "accuracy",
        Task::Regression => "r2",
    }
}

/// Accuracy, or the share of the variance that is explained. All three have the same rows.
pub(crate) fn score(task: Task, truth: &[String], predicted: &[String]) -> f64 {
    1.0 - mean(&losses(task, truth, predicted))
}

/// The gain over `base`.
pub(crate) fn gain(task: Task, truth: &[String], predicted: &[String], base: &[String]) -> Gain {
    let (ours, theirs) = (losses(task, truth, predicted), losses(task, truth, base));
    let differences: Vec<f64> =
        theirs.iter().zip(&ours).map(|(theirs, ours)| 100.0 * (theirs - ours)).collect();
    Gain { points: mean(&differences), row_error: standard_error(&differences) }
}

/// What each row takes from a perfect score of 1, times their number: 0 or 1, or its squared error over the variance.
fn losses(task: Task, truth: &[String], predicted: &[String]) -> Vec<f64> {
    if task == Task::Classification {
        return truth.iter().zip(predicted).map(|(t, p)| f64::from(u8::from(t != p))).collect();
    }
    let number = |text: &String| text.parse().unwrap_or(f64::NAN);
    let truth: Vec<f64> = truth.iter().map(number).collect();
    let middle = mean(&truth);
    let variance = mean(&truth.iter().map(|t| (t - middle).powi(2)).collect::<Vec<_>>());
    truth.iter().zip(predicted).map(|(t, p)| (t - number(p)).powi(2) / variance).collect()
}

/// The mean; not a number of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean; not a number for fewer than two values.
pub(crate) fn standard_error(values: &[f64]) -> f64 {
    let (n, middle) = (values.len() as f64, mean(values));
    let variance = values.iter().map(|value| (value - middle).powi(2)).sum::<f64>() / (n - 1.0);
    (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn gains_of_accuracy_are_points_with_the_error_of_their_paired_rows() {
        let truth = texts(&["a", "a", "b", "b"]);
        let (ours, base) = (texts(&["a", "a", "b", "a"]), texts(&["a", "b", "a", "b"]));
        near(score(Task::Classification, &truth, &ours), 0.75);
        near(score(Task::Classification, &truth, &base), 0.5);
        let gain = gain(Task::Classification, &truth, &ours, &base);
        // Differences 0, 1, 1, -1: mean 1/4, variance 11/12, error sqrt(11/48).
        near(gain.points, 25.0);
        near(gain.row_error, 100.0 * (11.0_f64 / 48.0).sqrt());
    }

    #[test]
    fn gains_of_r2_are_differences_of_r2() {
        let truth = texts(&["1", "2", "3", "4"]);
        let (ours, base) = (texts(&["1", "2", "3", "3.0"]), texts(&["2.5", "2.5", "2.5", "2.5"]));
        near(score(Task::Regression, &truth, &ours), 0.8);
        near(score(Task::Regression, &truth, &base), 0.0);
        near(gain(Task::Regression, &truth, &ours, &base).points, 80.0);
    }

    #[test]
    fn a_prediction_that_is_no_number_makes_no_score() {
        let truth = texts(&["1", "2"]);
        assert!(score(Task::Regression, &truth, &texts(&["1", "much"])).is_nan());
        assert!(standard_error(&[1.0]).is_nan());
    }
}
