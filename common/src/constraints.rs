//! What a configuration must keep to, to be handed over: how fast it predicts, how much memory it takes.
//!
//! Unlike the limits on an experiment, which end it, these are looked at when it has ended: its score still
//! teaches the search, and it is never named the better one.

use serde::{Deserialize, Serialize};

use crate::outcome::Measures;

/// Bounds that tell a configuration that may be handed over from one that may not; not part of the identity.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraints {
    /// Most milliseconds for predicting 1,000 rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predict_ms_per_1000_rows: Option<f64>,
    /// Most resident memory of an experiment's process, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Rows that one whole cross-validation predicts, by which times are told per row. Follows from the table and
    /// its splits; it is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Constraints {
    /// Whether everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.predict_ms_per_1000_rows.is_none() && self.memory.is_none()
    }

    /// Whether there is nothing in it to be written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the same is allowed.
    pub fn allow_the_same(&self, other: &Self) -> bool {
        self.predict_ms_per_1000_rows == other.predict_ms_per_1000_rows && self.memory == other.memory
    }

    /// Milliseconds for predicting 1,000 rows, over all these runs of one configuration: what one run says of so
    /// short a time is mostly noise. `None` where it was not measured or the number of rows is not known.
    pub fn predict_ms(&self, runs: &[&Measures]) -> Option<f64> {
        let rows = self.rows.filter(|rows| *rows > 0)? as f64;
        let seconds: Vec<f64> = runs.iter().filter_map(|run| run.predict_seconds).collect();
        let ms = seconds.iter().sum::<f64>() / seconds.len() as f64 * 1e6 / rows;
        Some(ms).filter(|ms| ms.is_finite())
    }

    /// The most memory that any of these runs took, bytes.
    pub fn peak(runs: &[&Measures]) -> Option<u64> {
        runs.iter().filter_map(|run| run.peak_memory).max()
    }

    /// Whether a configuration with these runs may be handed over. What was not measured breaks no bound.
    pub fn allow(&self, runs: &[&Measures]) -> bool {
        let slow = |most: f64| self.predict_ms(runs).is_some_and(|ms| ms > most);
        let large = |most: u64| Self::peak(runs).is_some_and(|peak| peak > most);
        !self.predict_ms_per_1000_rows.is_some_and(slow) && !self.memory.is_some_and(large)
    }

    /// Which bounds a configuration with these runs breaks, in words; `None` if it breaks none.
    pub fn broken(&self, runs: &[&Measures]) -> Option<String> {
        let mut broken = Vec::new();
        if let (Some(most), Some(ms)) = (self.predict_ms_per_1000_rows, self.predict_ms(runs))
            && ms > most
        {
            broken.push(format!("it predicts 1,000 rows in {} ms, {} are allowed", three(ms), three(most)));
        }
        if let (Some(most), Some(peak)) = (self.memory, Self::peak(runs))
            && peak > most
        {
            let mib = |bytes: u64| three(bytes as f64 / f64::from(1 << 20));
            broken.push(format!("it takes {} MiB of memory, {} are allowed", mib(peak), mib(most)));
        }
        (!broken.is_empty()).then(|| broken.join(", and "))
    }
}

/// Three digits, or what is before the point if that is more.
fn three(value: f64) -> String {
    let before = if value == 0.0 { 1.0 } else { value.abs().log10().floor() + 1.0 };
    // Between 0 and 12, whatever the value.
    let digits = (3.0 - before).clamp(0.0, 12.0);
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(predict_seconds: Option<f64>, peak_memory: Option<u64>) -> Measures {
        Measures { predict_seconds, peak_memory, ..Measures::default() }
    }

    #[test]
    fn a_time_is_told_per_1000_rows_over_all_runs_and_memory_by_the_largest() {
        let constraints =
            Constraints { predict_ms_per_1000_rows: Some(5.0), memory: Some(300 << 20), rows: Some(500) };
        let (fast, slow) = (run(Some(0.002), Some(100 << 20)), run(Some(0.004), Some(400 << 20)));
        assert_eq!(constraints.predict_ms(&[&fast]), Some(4.0));
        assert_eq!(constraints.predict_ms(&[&fast, &slow]), Some(6.0));
        assert!(constraints.allow(&[&fast]) && !constraints.allow(&[&fast, &slow]));
        assert_eq!(
            constraints.broken(&[&slow]).unwrap(),
            "it predicts 1,000 rows in 8.00 ms, 5.00 are allowed, and it takes 400 MiB of memory, 300 are allowed"
        );
        assert_eq!(constraints.broken(&[&fast]), None);
    }

    #[test]
    fn what_was_not_measured_breaks_no_bound() {
        let strict = Constraints { predict_ms_per_1000_rows: Some(0.0), memory: Some(1), rows: None };
        assert!(strict.allow(&[&run(Some(9.0), None)]), "the rows are not known");
        let strict = Constraints { rows: Some(10), ..strict };
        assert!(strict.allow(&[&run(None, None)]) && strict.allow(&[]));
        assert!(!strict.allow(&[&run(Some(9.0), None)]) && !strict.allow(&[&run(None, Some(2))]));
    }

    #[test]
    fn journals_and_study_files_hold_them_by_these_names_and_only_where_there_are_any() {
        let limits = |constraints| crate::Limits { constraints, ..crate::Limits::default() };
        let text = |limits: &crate::Limits| serde_json::to_string(limits).unwrap();
        assert_eq!(text(&limits(Constraints::default())), "{}", "as before there were constraints");
        let all = limits(Constraints { predict_ms_per_1000_rows: Some(2.5), memory: Some(1), rows: Some(9) });
        let written = r#"{"constraints":{"predict_ms_per_1000_rows":2.5,"memory":1,"rows":9}}"#;
        assert_eq!(text(&all), written);
        assert_eq!(serde_json::from_str::<crate::Limits>(written).unwrap(), all);
    }
}
