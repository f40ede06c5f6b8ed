//! What each option contributes, on its own: an additive model of main effects.
//!
//! A score is the mean, plus for each dimension an effect of the option's family and one of the option
//! within it, plus what main effects leave. Effects are shrunk toward zero as a ridge does, so an
//! option rests on its family until it has scores of its own: `effect = sum of residuals / (n + k)` with
//! `k = residual variance / variance of such effects`, both variances estimated from the scores
//! (Robinson 1991, "That BLUP is a good thing"; the EM updates are those of Laird and Ware 1982).
//! Effects are fitted in turns (backfitting), and their variances are those of one effect given the
//! others: good enough to say how little is known of an option, and linear in the history.

use crate::grid::{Grid, Point};
use crate::history::{History, Sample};

/// Turns of fitting; effects and variances are still to three digits by then.
const SWEEPS: usize = 20;

/// Share of the scores' variance that each of its parts is taken to have at least, so that few scores
/// cannot talk the model into certainty.
const FLOOR: f64 = 0.02;

/// How far below the median scores are told apart, in distances from the median to the best.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// To search: what matters is how the good ones differ. Measured on complete tables of 2,000 pipelines
    /// from 20 bases: with a reach of 3, runs that fail outright (a kernel without scaling) decide the
    /// effects, and the regret after 48 experiments is a tenth higher.
    Good,
    /// To report: only what would drown all the rest is pulled in.
    All,
}

impl Reach {
    fn distances(self) -> f64 {
        match self {
            Self::Good => 0.5,
            Self::All => 5.0,
        }
    }
}

/// An effect and how much is known of it.
#[derive(Default, Clone, Copy)]
struct Effect {
    value: f64,
    /// Scores it rests on.
    scored: f64,
    /// Runs with it, pending and failed ones too.
    seen: f64,
}

/// Effects of one dimension.
struct Part {
    families: Vec<Effect>,
    options: Vec<Effect>,
    /// Variance of the effects of families and of options in them.
    spread: [f64; 2],
}

/// The fitted model.
pub(crate) struct Marginals<'a> {
    grid: &'a Grid<'a>,
    mean: f64,
    parts: Vec<Part>,
    /// Variance of what main effects leave: interactions and noise.
    residual: f64,
}

impl<'a> Marginals<'a> {
    /// Fits the model; what is pending or failed counts as seen where a history is given.
    pub(crate) fn fit(
        grid: &'a Grid<'a>,
        history: Option<&History<'_>>,
        samples: &[Sample],
        reach: Reach,
    ) -> Self {
        let values = tame(samples.iter().map(|s| s.value).collect(), reach);
        let weight: f64 = samples.iter().map(|s| s.weight).sum::<f64>().max(1.0);
        let mean = samples.iter().zip(&values).map(|(s, v)| s.weight * v).sum::<f64>() / weight;
        let variance =
            samples.iter().zip(&values).map(|(s, v)| s.weight * (v - mean).powi(2)).sum::<f64>() / weight;
        // Without any spread, a unit of it keeps "little seen" apart from "much seen".
        let variance = if variance > 0.0 { variance } else { 1.0 };
        let each = variance / (2.0 * grid.axes.len().max(1) as f64);
        let part = |axis: &crate::grid::Axis| Part {
            families: vec![Effect::default(); axis.family_names.len()],
            options: vec![Effect::default(); axis.family.len()],
            spread: [each, each],
        };
        let parts = grid.axes.iter().map(part).collect();
        let mut model = Self { grid, mean, parts, residual: variance / 2.0 };
        samples.iter().for_each(|s| model.count(&s.point, s.weight, 0.0));
        let seen = history.into_iter().flat_map(History::searched).filter_map(|e| e.point.as_ref());
        seen.for_each(|point| model.count(point, 0.0, 1.0));
        if !samples.is_empty() {
            for _ in 0..SWEEPS {
                model.sweep(samples, &values, variance);
            }
        }
        model
    }

    fn count(&mut self, point: &Point, scored: f64, seen: f64) {
        for (d, option) in point.iter().enumerate() {
            let family = self.grid.family(d, *option);
            let part = &mut self.parts[d];
            for effect in [&mut part.families[family], &mut part.options[*option as usize]] {
                effect.scored += scored;
                effect.seen += seen;
            }
        }
    }

    /// Counts a suggestion as seen, so that the next one of a batch looks elsewhere.
    pub(crate) fn expect(&mut self, point: &Point) {
        self.count(point, 0.0, 1.0);
    }

    /// One turn: the mean, then families and options of each dimension, then the variances.
    fn sweep(&mut self, samples: &[Sample], values: &[f64], variance: f64) {
        let mut left: Vec<f64> =
            samples.iter().zip(values).map(|(s, v)| v - self.predict(&s.point)).collect();
        let total: f64 = samples.iter().map(|s| s.weight).sum();
        let shift = samples.iter().zip(&left).map(|(s, l)| s.weight * l).sum::<f64>() / total.max(1e-9);
        self.mean += shift;
        left.iter_mut().for_each(|l| *l -= shift);
        let floor = FLOOR * variance;
        let mut freedom = 1.0;
        for d in 0..self.parts.len() {
            for level in 0..2 {
                let axis = &self.grid.axes[d];
                let slot = |s: &Sample| match level {
                    0 => axis.family[s.point[d] as usize],
                    _ => s.point[d] as usize,
                };
                let part = &mut self.parts[d];
                let k = self.residual / part.spread[level];
                let effects = if level == 0 { &mut part.families } else { &mut part.options };
                let mut sums = vec![0.0; effects.len()];
                samples.iter().zip(&left).for_each(|(s, l)| sums[slot(s)] += s.weight * l);
                let mut moved = vec![0.0; effects.len()];
                let (mut squares, mut known) = (0.0, 0.0);
                for (i, effect) in effects.iter_mut().enumerate().filter(|(_, e)| e.scored > 0.0) {
                    let fresh = (sums[i] + effect.scored * effect.value) / (effect.scored + k);
                    moved[i] = fresh - effect.value;
                    effect.value = fresh;
                    squares += fresh * fresh + self.residual / (effect.scored + k);
                    known += 1.0;
                    freedom += effect.scored / (effect.scored + k);
                }
                samples.iter().zip(&mut left).for_each(|(s, l)| *l -= moved[slot(s)]);
                part.spread[level] = (squares / f64::max(known, 1.0)).max(floor / 2.0);
            }
        }
        let squares: f64 = samples.iter().zip(&left).map(|(s, l)| s.weight * l * l).sum();
        self.residual = (squares / (total - freedom).max(1.0)).clamp(floor, variance);
    }

    /// The expected score of a configuration by its main effects.
    pub(crate) fn predict(&self, point: &Point) -> f64 {
        let effect = |(d, option): (usize, &u32)| self.effect(d, *option);
        self.mean + point.iter().enumerate().map(effect).sum::<f64>()
    }

    /// What the option contributes: its family's effect and its own.
    pub(crate) fn effect(&self, d: usize, option: u32) -> f64 {
        self.parts[d].families[self.grid.family(d, option)].value
            + self.parts[d].options[option as usize].value
    }

    /// Variance of what is not known of the option's contribution.
    fn doubt(&self, d: usize, option: u32) -> f64 {
        let part = &self.parts[d];
        let of =
            |effect: &Effect, spread: f64| spread * self.residual / (self.residual + effect.seen * spread);
        of(&part.families[self.grid.family(d, option)], part.spread[0])
            + of(&part.options[option as usize], part.spread[1])
    }

    /// The option's contribution with the benefit of the doubt, by one standard deviation.
    pub(crate) fn hope(&self, d: usize, option: u32) -> f64 {
        self.effect(d, option) + self.doubt(d, option).sqrt()
    }

    /// The searched options of a dimension, each with a weight: one deviation of what main effects leave makes an
    /// option about three times as likely.
    pub(crate) fn odds(&self, d: usize) -> Vec<(u32, f64)> {
        let searched = self.grid.axes[d].searched.iter();
        let hopes: Vec<(u32, f64)> = searched.map(|o| (*o, self.hope(d, *o))).collect();
        let most = hopes.iter().map(|(_, hope)| *hope).fold(f64::NEG_INFINITY, f64::max);
        let unit = (self.parts[d].spread[0] + self.parts[d].spread[1]).sqrt();
        hopes.into_iter().map(|(o, hope)| (o, ((hope - most) * 1.5 / unit).exp())).collect()
    }

    /// Runs with the option, pending and failed ones too.
    pub(crate) fn seen(&self, d: usize, option: u32) -> f64 {
        self.parts[d].options[option as usize].seen
    }

    /// Scores that the option's effect rests on.
    pub(crate) fn scored(&self, d: usize, option: u32) -> f64 {
        self.parts[d].options[option as usize].scored
    }
}

/// Pulls in what is far below the rest: an R2 of -1e6 says "bad", and nothing more. The distance is
/// that from the median to the best, or to the lower quartile where most are as good as the best.
fn tame(mut values: Vec<f64>, reach: Reach) -> Vec<f64> {
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let (Some(best), Some(median)) = (sorted.last(), sorted.get(sorted.len() / 2)) else {
        return values;
    };
    let above = if best > median { best - median } else { median - sorted[sorted.len() / 4] };
    if above > 0.0 {
        let low = median - reach.distances() * above;
        values.iter_mut().for_each(|v| *v = v.max(low));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_below_is_pulled_in_and_the_rest_is_left_alone() {
        assert_eq!(
            tame(vec![1.0, 0.9, 0.8, 0.75, -1e6], Reach::Good),
            vec![1.0, 0.9, 0.8, 0.75, 0.8 - 0.5 * (1.0 - 0.8)]
        );
        assert_eq!(
            tame(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -5.0], Reach::All),
            vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -5.0]
        );
        assert!(tame(vec![], Reach::All).is_empty());
    }
}
