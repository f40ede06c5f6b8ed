//! Scores on the scale on which they are modelled.

use super::Score;

/// How far below the median scores are told apart, in distances from the median to the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Below {
    /// To search. What matters is how the good ones differ: measured on complete tables of 2,000 pipelines, runs that fail
    /// outright (a kernel without scaling) otherwise decide what the model believes.
    Near,
    /// To teach. What is pulled in no longer adds up, and what does not add up looks like an interaction; so only what
    /// would drown all the rest is pulled in.
    Far,
}

impl Below {
    fn distances(self) -> f64 {
        match self {
            Self::Near => 1.0,
            Self::Far => 5.0,
        }
    }
}

/// How far above the median they are, in the same distances without the best: one score that is far too good
/// does not flatten all others.
const ABOVE: f64 = 5.0;

/// Pulls in what is far from the others, then centres and standardises.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaling {
    median: f64,
    unit: f64,
    high: f64,
    mean: f64,
    deviation: f64,
}

impl Scaling {
    pub(crate) fn of(scores: &[Score], below: Below) -> Self {
        let mut sorted: Vec<f64> = scores.iter().map(|s| s.value).collect();
        sorted.sort_by(f64::total_cmp);
        let (median, unit, high) = bounds(&sorted, below.distances());
        let unscaled = Self { median, unit, high, mean: 0.0, deviation: 1.0 };
        let tamed: Vec<f64> = sorted.iter().map(|v| unscaled.tame(*v)).collect();
        let n = tamed.len().max(1) as f64;
        let mean = tamed.iter().sum::<f64>() / n;
        let variance = tamed.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // Without any spread every difference counts as one.
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self { mean, deviation, ..unscaled }
    }

    fn tame(&self, value: f64) -> f64 {
        let below = self.median - value;
        if below <= 0.0 {
            value.min(self.high)
        } else {
            self.median - self.unit * (below / self.unit).ln_1p()
        }
    }

    pub(crate) fn apply(&self, value: f64) -> f64 {
        (self.tame(value) - self.mean) / self.deviation
    }

    /// A difference on this scale in units of the metric.
    pub(crate) fn in_units(&self, scaled: f64) -> f64 {
        scaled * self.deviation
    }

    /// A variance in units of the metric on this scale.
    pub(crate) fn variance(&self, variance: f64) -> f64 {
        variance / (self.deviation * self.deviation)
    }
}

/// The median, the distance below it over which scores are told apart, and the highest score that is.
fn bounds(sorted: &[f64], below: f64) -> (f64, f64, f64) {
    let none = (f64::NEG_INFINITY, 1.0, f64::INFINITY);
    let n = sorted.len();
    if n < 3 {
        return none;
    }
    let (best, median, quarter) = (sorted[n - 1], sorted[n / 2], sorted[n / 4]);
    let second = sorted[n - 2];
    let above = if best > median { best - median } else { median - quarter };
    let usual = if second > median { second - median } else { above };
    if above <= 0.0 { none } else { (median, below * above.min(ABOVE * usual), median + ABOVE * usual) }
}
