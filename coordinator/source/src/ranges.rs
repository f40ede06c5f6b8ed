//! How far the number of a constant goes.

use ar_common::space::BASE;
use ar_common::{Dimension, Knob, OptionSpec, Scale, SpaceError};

use crate::literal::{EXACT, Literal};
use crate::names::{Quantity, is_batch};

/// Smallest power of two that looks like a size rather than a count.
const SIZE: f64 = 16.0;

/// The numbers that are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Numbers {
    /// The powers of two of a range.
    Powers { low: f64, high: f64, default: f64 },
    /// A range, evenly on its scale.
    Knob(Knob),
}

/// Whether a whole number goes by powers of two.
pub(crate) fn goes_by_powers(name: &str, value: f64) -> bool {
    is_batch(name) && value >= 1.0 || value >= SIZE && is_power(value)
}

fn is_power(value: f64) -> bool {
    value >= 1.0 && value.log2().fract() == 0.0 && value == value.log2().exp2()
}

/// The range that suits a number; otherwise why none does.
///
/// | number | range |
/// |---|---|
/// | whole, named BATCH or TOKENS, or a power of two from 16 | powers of two, a quarter to four times |
/// | whole, above 0 | half to double, at least 2 to each side, from 1 |
/// | share (RATIO, FRAC, DROPOUT) from 0 to 1 | linear, 0 to four times it and at most 1; of 0: 0 to 0.5 |
/// | memory (BETA, MOMENTUM, EMA) between 0.5 and 1 | linear, from four times to a quarter of what it lacks to 1 |
/// | rate (LR, RATE, DECAY, EPS), or up to 0.2 | log, an eighth to eight times |
/// | up to 1 | linear, 0 to four times it and at most 1 |
/// | above 1 | log, a quarter to four times |
pub(crate) fn by_default(name: &str, value: &Literal) -> Result<Numbers, String> {
    match value {
        Literal::Int(_) => {
            let value = value.number().ok_or("it is too large for a scale")?;
            whole(name, value).ok_or_else(|| no_scale(value))
        }
        Literal::Float(value) => broken(name, *value).ok_or_else(|| no_scale(*value)),
        other => Err(format!("it is {}", other.kind())),
    }
}

fn no_scale(value: f64) -> String {
    format!("{value} has no scale that a range could follow from")
}

fn whole(name: &str, value: f64) -> Option<Numbers> {
    if value < 1.0 {
        return None;
    }
    if goes_by_powers(name, value) {
        return Some(Numbers::Powers { low: value / 4.0, high: (value * 4.0).min(EXACT), default: value });
    }
    let low = (value / 2.0).floor().min(value - 2.0).max(1.0);
    let high = (value * 2.0).max(value + 2.0).min(EXACT);
    Some(Numbers::Knob(Knob { low, high, default: value, scale: Scale::Linear, integer: true }))
}

fn broken(name: &str, value: f64) -> Option<Numbers> {
    let quantity = Quantity::of(name, value);
    let by_factor = |factor: f64| (value / factor, value * factor, Scale::Log);
    let (low, high, scale) = match quantity {
        Quantity::Share if value == 0.0 => (0.0, 0.5, Scale::Linear),
        _ if value <= 0.0 => return None,
        Quantity::Share if value <= 1.0 => (0.0, (4.0 * value).min(1.0), Scale::Linear),
        Quantity::Memory => {
            let lacks = 1.0 - value;
            (tidy(1.0 - 4.0 * lacks).max(0.5), tidy(1.0 - lacks / 4.0), Scale::Linear)
        }
        Quantity::Rate => by_factor(8.0),
        _ if value <= 0.2 => by_factor(8.0),
        _ if value <= 1.0 => (0.0, (4.0 * value).min(1.0), Scale::Linear),
        _ => by_factor(4.0),
    };
    Some(Numbers::Knob(Knob { low, high, default: value, scale, integer: false }))
}

/// Without what subtracting from one leaves behind: 0.8 rather than 0.8000000000000003.
fn tidy(value: f64) -> f64 {
    format!("{value:.10}").parse().unwrap_or(value)
}

/// The scale that suits a number whose range is given.
pub(crate) fn scale(name: &str, value: &Literal, low: f64) -> Scale {
    let by_default = match by_default(name, value) {
        Ok(Numbers::Powers { .. }) => Scale::Log,
        Ok(Numbers::Knob(knob)) => knob.scale,
        Err(_) => Scale::Linear,
    };
    if low > 0.0 { by_default } else { Scale::Linear }
}

impl Numbers {
    /// The dimension that searches them.
    pub(crate) fn dimension(self, name: &str) -> Result<Dimension, SpaceError> {
        match self {
            Self::Knob(knob) => Dimension::knob(name, knob),
            Self::Powers { low, high, default } => {
                let powers = (0..=EXACT.log2() as i32).map(|exponent| f64::from(exponent).exp2());
                let powers = powers.filter(|power| (low..=high).contains(power) && *power != default);
                Ok(numbers(name, default, powers, Scale::Log))
            }
        }
    }

    /// What the table says of them.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Powers { low, high, .. } => {
                let from = low.max(1.0).log2().ceil().exp2();
                format!("powers of two, {from} to {}", high.log2().floor().exp2())
            }
            Self::Knob(Knob { low, high, scale, integer, .. }) => {
                let spaced = match (scale, integer) {
                    (Scale::Linear, false) => "linear",
                    (Scale::Log, false) => "log",
                    (Scale::Linear, true) => "whole numbers",
                    (Scale::Log, true) => "whole numbers, log",
                };
                format!("{spaced}, {low} to {high}")
            }
        }
    }
}

/// The dimension of given numbers: `base` first, then the others, named as they are written.
pub(crate) fn numbers(
    name: &str,
    default: f64,
    others: impl IntoIterator<Item = f64>,
    scale: Scale,
) -> Dimension {
    let option = |option: String, value: f64| OptionSpec {
        name: option,
        family: name.to_owned(),
        value: Some(value),
        ..OptionSpec::default()
    };
    let others = others.into_iter().map(|value| option(value.to_string(), value));
    let options = std::iter::once(option(BASE.to_owned(), default)).chain(others).collect();
    Dimension { name: name.to_owned(), options, scale: Some(scale), ..Dimension::default() }
}
