//! Knobs: dimensions whose options are numbers on a scale.
//!
//! A knob is a dimension like any other: its options carry the numbers that may be tried, `base` the default.
//! The search sees how close two numbers are; a configuration names the number as the user would write it.

use serde::{Deserialize, Serialize};

use crate::space::{BASE, Dimension, OptionSpec, SpaceError};

/// Numbers of a knob that has more of them than this are thinned to so many, evenly on its scale: a step of
/// 1.6 % of the range is below what a noisy score can tell apart.
const LEVELS: u32 = 64;

/// How the numbers of a knob are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By factors: for rates and sizes. All numbers are above zero.
    Log,
}

impl Scale {
    /// The number on an axis where equal steps mean the same.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.ln(),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => place.exp(),
        }
    }
}

/// A number that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knob {
    /// Smallest number that may be tried.
    pub low: f64,
    /// Largest number that may be tried.
    pub high: f64,
    /// The number as it stands now; it need not lie in the range.
    pub default: f64,
    /// How numbers in between are spaced.
    pub scale: Scale,
    /// Whole numbers only.
    pub integer: bool,
}

impl Dimension {
    /// The dimension that searches `knob`: `base` stands for its default, every other option for a number
    /// named as it is written, up to 65 of them evenly spaced.
    ///
    /// # Errors
    /// A range that is empty, not finite, or does not fit the scale.
    pub fn knob(name: &str, knob: Knob) -> Result<Self, SpaceError> {
        let bad = |reason: String| SpaceError::BadKnob { dimension: name.to_owned(), reason };
        let Knob { low, high, default, scale, integer } = knob;
        if ![low, high, default].iter().all(|v| v.is_finite()) {
            return Err(bad(format!("{low}..{high} with default {default} is not a finite range")));
        }
        if low >= high {
            return Err(bad(format!("the range {low}..{high} is empty; give the smaller number first")));
        }
        if scale == Scale::Log && low.min(default) <= 0.0 {
            return Err(bad(format!(
                "a log scale needs numbers above zero, and {} is not",
                low.min(default)
            )));
        }
        let (from, to) = (scale.place(low), scale.place(high));
        let steps = if integer { (high - low).min(f64::from(LEVELS)).max(1.0) as u32 } else { LEVELS };
        let level = |i: u32| {
            let value = scale.value(from + (to - from) * f64::from(i) / f64::from(steps));
            if integer { value.round() } else { rounded(value) }.clamp(low, high)
        };
        let mut values: Vec<f64> = (0..=steps).map(level).filter(|v| *v != default).collect();
        values.dedup();
        let option = |option: String, value: f64| OptionSpec {
            name: option,
            family: name.to_owned(),
            value: Some(value),
            ..OptionSpec::default()
        };
        let numbers = values.into_iter().map(|v| option(v.to_string(), v));
        let options = std::iter::once(option(BASE.to_owned(), default)).chain(numbers).collect();
        Ok(Self { name: name.to_owned(), options, scale: Some(scale), ..Self::default() })
    }
}

/// Four digits: 0.02138 rather than 0.021379620895022326.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Checks that a knob's options are numbers that fit its scale, and that a slot's are not.
pub(crate) fn check(dimension: &Dimension) -> Result<(), SpaceError> {
    let bad = |reason: String| SpaceError::BadKnob { dimension: dimension.name.clone(), reason };
    for option in &dimension.options {
        let name = &option.name;
        match (dimension.scale, option.value) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(bad(format!("option `{name}` has a value, but there is no scale; add one")));
            }
            (Some(_), None) => {
                return Err(bad(format!("option `{name}` has no value; every option of a knob is a number")));
            }
            (Some(scale), Some(value)) => {
                if !scale.place(value).is_finite() {
                    return Err(bad(format!("{value} of option `{name}` does not lie on its scale")));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    const RATE: Knob = Knob { low: 0.01, high: 0.1, default: 0.04, scale: Scale::Log, integer: false };

    #[test]
    fn a_knob_is_a_dimension_with_numbers() {
        let rate = Dimension::knob("MATRIX_LR", RATE).unwrap();
        assert_eq!(rate.options[0].value, Some(0.04));
        assert_eq!((rate.options[1].name.as_str(), rate.options.len()), ("0.01", 66));
        assert_eq!(rate.options.last().unwrap().value, Some(0.1));
        let space = Space { dimensions: vec![rate], ..Space::default() };
        space.validate().unwrap();
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&text).unwrap(), space);
    }

    #[test]
    fn whole_numbers_stand_once_each() {
        let knob = Knob { low: 2.0, high: 6.0, default: 4.0, scale: Scale::Linear, integer: true };
        let depth = Dimension::knob("DEPTH", knob).unwrap();
        let names: Vec<&str> = depth.options.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["base", "2", "3", "5", "6"]);
        let wide = Knob { low: 16.0, high: 1024.0, default: 128.0, scale: Scale::Log, integer: true };
        let batch = Dimension::knob("BATCH", wide).unwrap();
        assert!(batch.options.windows(3).skip(1).all(|w| w[0].value < w[1].value));
    }

    #[test]
    fn a_range_that_cannot_be_is_refused_by_name() {
        let refused = |knob| Dimension::knob("lr", knob).unwrap_err().to_string();
        assert!(refused(Knob { low: 1.0, ..RATE }).starts_with("knob `lr`: the range 1..0.1 is empty"));
        assert!(refused(Knob { low: -1.0, ..RATE }).contains("above zero"));
        assert!(refused(Knob { high: f64::INFINITY, ..RATE }).contains("finite"));
        let mut odd = Dimension::knob("lr", RATE).unwrap();
        odd.options[3].value = None;
        let space = Space { dimensions: vec![odd], ..Space::default() };
        assert!(space.validate().unwrap_err().to_string().contains("has no value"));
    }
}
