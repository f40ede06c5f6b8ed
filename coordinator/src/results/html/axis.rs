//! Where a value lies on an axis, and which values are named beside it.

use crate::text::Digits;

/// Values beyond these are drawn at them: their distances could not be told.
const LARGEST: f64 = 1e300;

/// An axis from its lower to its upper end.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Values that are named.
    pub(super) ticks: Vec<f64>,
    digits: Digits,
}

impl Axis {
    /// An axis that holds all these values, with about so many ticks.
    pub(super) fn linear(values: &[f64], ticks: usize) -> Self {
        let (low, high) = range(values);
        // Room around one value, or around equal ones.
        let pad = if high > low { (high - low) * 0.06 } else { (high.abs() * 0.05).max(1e-9) };
        let (low, high) = (low - pad, high + pad);
        let step = nice((high - low) / ticks.max(1) as f64);
        let first = (low / step).ceil();
        let ticks = (0..=2 * ticks).map(|i| (first + i as f64) * step).filter(|t| *t <= high).collect();
        Self::with(low, high, false, ticks, step)
    }

    /// An axis for what is counted in factors (seconds, bytes), if it spans some; else a linear one.
    pub(super) fn of_amounts(values: &[f64], ticks: usize) -> Self {
        let (low, high) = range(values);
        if low <= 0.0 || high / low < 8.0 {
            return Self::linear(values, ticks);
        }
        let (bottom, top) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = |steps: &[f64]| -> Vec<f64> {
            let tens = (bottom..=top).map(|e| 10_f64.powi(e));
            let named = tens.flat_map(|ten| steps.iter().map(move |s| s * ten));
            named.filter(|v| (low..=high).contains(v)).collect()
        };
        // As fine as there is room for.
        let fine = [vec![1.0, 2.0, 5.0], vec![1.0, 3.0], vec![1.0]];
        let named = fine.iter().map(|steps| all(steps)).find(|named| named.len() <= ticks + 1);
        let named = named.unwrap_or_else(|| vec![low, high]);
        let pad = (high / low).powf(0.04);
        Self::with(low / pad, high * pad, true, named, low)
    }

    fn with(low: f64, high: f64, log: bool, ticks: Vec<f64>, step: f64) -> Self {
        // Neighbouring ticks must read differently.
        let largest = ticks.iter().fold(step, |most, t| most.max(t.abs()));
        let needed = largest.log10().floor() as i32 + 1 - (step.log10() + 1e-9).floor() as i32;
        let digits = Digits::of(ticks.iter().copied(), if log { 3 } else { needed.clamp(1, 15) });
        Self { low, high, log, ticks, digits }
    }

    /// From 0 at the lower end to 1 at the upper; what lies beyond is at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The name of a tick.
    pub(super) fn name(&self, tick: f64) -> String {
        if self.log { trimmed(&crate::text::number(tick, 3)) } else { self.digits.show(tick) }
    }
}

/// Without zeros that say nothing.
fn trimmed(text: &str) -> String {
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// Smallest and largest of what are numbers; 0 and 1 if there are none.
fn range(values: &[f64]) -> (f64, f64) {
    let numbers = || values.iter().filter(|v| v.is_finite()).map(|v| v.clamp(-LARGEST, LARGEST));
    match numbers().next() {
        Some(first) => (numbers().fold(first, f64::min), numbers().fold(first, f64::max)),
        None => (0.0, 1.0),
    }
}

/// The next larger of 1, 2, 5 times a power of ten, or one that is hardly smaller.
fn nice(step: f64) -> f64 {
    let ten = 10_f64.powf(step.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|s| s * ten);
    steps.into_iter().find(|s| *s >= step * 0.8).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_has_a_place_and_the_ticks_are_few_and_differ(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0, Just(0.0), 1e-12..1e-10], 0..20)
        ) {
            for axis in [Axis::linear(&values, 5), Axis::of_amounts(&values, 5)] {
                prop_assert!(values.iter().all(|v| (0.0..=1.0).contains(&axis.place(*v))));
                prop_assert!(axis.ticks.len() <= 11, "{:?}", axis);
                let names: Vec<String> = axis.ticks.iter().map(|t| axis.name(*t)).collect();
                prop_assert!(names.windows(2).all(|pair| pair[0] != pair[1]) || axis.high - axis.low < 1e-10 * axis.high.abs(), "{:?}", names);
            }
        }
    }

    #[test]
    fn ticks_are_round_numbers() {
        let names = |axis: &Axis| axis.ticks.iter().map(|t| axis.name(*t)).collect::<Vec<_>>();
        assert_eq!(names(&Axis::linear(&[0.81, 0.87], 4)), ["0.82", "0.84", "0.86"]);
        assert_eq!(names(&Axis::linear(&[-1.0, 1.0], 4)), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(
            names(&Axis::of_amounts(&[0.02, 3.0], 7)),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
        );
        assert!(names(&Axis::linear(&[0.5], 4)).len() >= 2);
    }
}
