//! How benches tell their figures: a line for people, or one JSON object per line with `--json`.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::json;

/// Prints figures as they are measured.
#[derive(Debug)]
pub struct Figures {
    json: bool,
}

impl Figures {
    /// As JSON, or in words.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// As asked for on the command line: `--json` or words.
    pub fn from_args() -> Self {
        Self::new(std::env::args().any(|argument| argument == "--json"))
    }

    /// Tells one figure. `goal` is like `< 15`; `peers` are figures of others, by name.
    pub fn tell(&self, figure: &str, value: f64, unit: &str, goal: &str, peers: &[(&str, f64)]) {
        let line = if self.json {
            let peers: BTreeMap<_, _> = peers.iter().copied().collect();
            json!({"figure": figure, "value": value, "unit": unit, "goal": goal, "peers": peers}).to_string()
        } else {
            let peers: Vec<String> = peers.iter().map(|(name, value)| format!("{name} {value}")).collect();
            let goal = if goal.is_empty() { String::new() } else { format!("  goal {goal}") };
            let peers = if peers.is_empty() { String::new() } else { format!("  ({})", peers.join(", ")) };
            format!("{figure:<56} {value:>10.4} {unit}{goal}{peers}")
        };
        print(&line);
    }

    /// Tells figures that belong together: a line for people, or each as an object with the fields of
    /// [`Figures::tell`] and more.
    pub fn tell_row(&self, line: &str, objects: &[serde_json::Value]) {
        if self.json {
            objects.iter().for_each(|object| print(&object.to_string()));
        } else {
            print(line);
        }
    }

    /// Tells what is being done, on standard error.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

fn print(line: &str) {
    // A reader that has gone away ends nothing.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The value below which a share `q` of the values lies (nearest rank).
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is small and not negative"
    )]
    let rank = ((values.len() as f64 * q).ceil() as usize).clamp(1, values.len().max(1));
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values = [3.0, 1.0, 2.0, 5.0, 4.0];
        assert_eq!(quantile(&mut values, 0.5), 3.0);
        assert_eq!(quantile(&mut values, 1.0), 5.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
