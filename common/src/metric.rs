//! Metrics: a name, which way is better, and the range a value may have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Higher is better.
    Maximize,
    /// Lower is better.
    Minimize,
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
        })
    }
}

/// A metric with its direction and the closed range its values must lie in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The name users give and see.
    pub name: String,
    /// Which way is better.
    pub direction: Direction,
    /// Smallest value that can be true, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Largest value that can be true, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Name, task, direction, low, high.
type Known = (&'static str, Task, Direction, Option<f64>, Option<f64>);

const TABULAR: [Known; 8] = [
    ("accuracy", Task::Classification, Direction::Maximize, Some(0.0), Some(1.0)),
    ("balanced_accuracy", Task::Classification, Direction::Maximize, Some(0.0), Some(1.0)),
    ("f1", Task::Classification, Direction::Maximize, Some(0.0), Some(1.0)),
    ("roc_auc", Task::Classification, Direction::Maximize, Some(0.0), Some(1.0)),
    ("log_loss", Task::Classification, Direction::Minimize, Some(0.0), None),
    ("rmse", Task::Regression, Direction::Minimize, Some(0.0), None),
    ("mae", Task::Regression, Direction::Minimize, Some(0.0), None),
    ("r2", Task::Regression, Direction::Maximize, None, Some(1.0)),
];

impl Metric {
    /// The tabular metric called `name`, with the task it belongs to.
    pub fn tabular(name: &str) -> Option<(Self, Task)> {
        let &(name, task, direction, low, high) = TABULAR.iter().find(|known| known.0 == name)?;
        Some((Self { name: name.to_owned(), direction, low, high }, task))
    }

    /// The names that [`Metric::tabular`] knows, those of `task` only if one is given.
    pub fn tabular_names(task: Option<Task>) -> Vec<&'static str> {
        TABULAR.iter().filter(|known| task.is_none_or(|task| known.1 == task)).map(|known| known.0).collect()
    }

    /// How much better `a` is than `b`: positive when better, whatever the direction.
    pub fn gain(&self, a: f64, b: f64) -> f64 {
        match self.direction {
            Direction::Maximize => a - b,
            Direction::Minimize => b - a,
        }
    }

    /// Why `value` cannot be a value of this metric, if it cannot.
    pub fn refuse(&self, value: f64) -> Option<String> {
        if !value.is_finite() {
            return Some(format!("{} is {value}, not a number that can be compared", self.name));
        }
        let below = self.low.is_some_and(|low| value < low - 1e-9);
        let above = self.high.is_some_and(|high| value > high + 1e-9);
        (below || above).then(|| {
            let bound = |b: Option<f64>| b.map_or_else(|| "unbounded".to_owned(), |b| b.to_string());
            format!(
                "{} is {value}, outside its range ({} to {})",
                self.name,
                bound(self.low),
                bound(self.high)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_the_range_is_refused_with_a_reason() {
        let (accuracy, task) = Metric::tabular("accuracy").unwrap();
        assert_eq!(task, Task::Classification);
        assert!(accuracy.refuse(0.5).is_none());
        assert!(accuracy.refuse(42.0).unwrap().contains("outside its range"));
        assert!(accuracy.refuse(f64::NAN).is_some());
        let (rmse, _) = Metric::tabular("rmse").unwrap();
        assert!(rmse.refuse(-1.0).is_some());
        assert!(rmse.refuse(1e12).is_none());
    }

    #[test]
    fn gain_is_positive_when_better_in_either_direction() {
        let (accuracy, _) = Metric::tabular("accuracy").unwrap();
        let (rmse, _) = Metric::tabular("rmse").unwrap();
        assert!(accuracy.gain(0.9, 0.8) > 0.0);
        assert!(rmse.gain(3.0, 4.0) > 0.0);
    }
}
