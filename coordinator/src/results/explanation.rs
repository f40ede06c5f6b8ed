//! What a study teaches, as `results.json` holds it. Gains are in units of the metric, positive is better.

use serde::{Deserialize, Serialize};

/// What a study teaches beside its winner.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExplanationPart {
    /// How much each slot matters, most first.
    pub importance: Vec<ImportancePart>,
    /// What each option that was scored does, in the order of the space.
    pub effects: Vec<EffectPart>,
    /// Pairs of options that were seen together and whose solos are known, confirmed ones first.
    pub interactions: Vec<InteractionPart>,
    /// Triples that some runs had together, the clearest first; none of them was measured again.
    #[serde(default)]
    pub triples: Vec<TriplePart>,
    /// What is no longer tried.
    pub pruned: Vec<PrunedPart>,
}

/// How much one slot matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportancePart {
    /// The slot.
    pub slot: String,
    /// Share of the variance between the expected scores of configurations that it alone makes, 0 to 1.
    pub share: f64,
}

/// What one option does, compared with the slot's base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectPart {
    /// The slot.
    pub slot: String,
    /// The option.
    pub option: String,
    /// Expected gain, averaged over what it was tried with.
    pub gain: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Runs with a score that had it.
    pub runs: u32,
}

/// What two options do together beyond the sum of what they do alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionPart {
    /// The slots of the two, in the order of the space.
    pub slots: [String; 2],
    /// The two options.
    pub options: [String; 2],
    /// Joint effect less the sum of the solo effects.
    pub delta: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// `confirmed`, `unresolved` or `refuted`.
    pub status: String,
    /// What that rests on, in a line.
    pub evidence: String,
}

/// What the model expects of three options together beyond the sum of their solo and pair effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriplePart {
    /// The slots of the three, in the order of the space.
    pub slots: [String; 3],
    /// The three options.
    pub options: [String; 3],
    /// The third difference.
    pub delta: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Scored configurations that had all three.
    pub runs: u32,
}

/// An option or a whole family that is no longer tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrunedPart {
    /// The slot.
    pub slot: String,
    /// `family NAME` or `option NAME`.
    pub what: String,
    /// Chance, at most, that it is part of anything better than the best tried; absent for what crashes.
    pub probability: Option<f64>,
    /// Why, in a line.
    pub evidence: String,
}

impl ExplanationPart {
    /// At most so many effects, the largest gain first: three in five from the top, the others from the bottom.
    pub fn telling_effects(&self, most: usize) -> Vec<&EffectPart> {
        let mut all: Vec<&EffectPart> = self.effects.iter().collect();
        all.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        if all.len() > most {
            let losses = all.split_off(all.len() - most * 2 / 5);
            all.truncate(most - losses.len());
            all.extend(losses);
        }
        all
    }
}

impl From<ar_search::Explanation> for ExplanationPart {
    /// Without what is no number: JSON knows none.
    fn from(known: ar_search::Explanation) -> Self {
        let finite = |values: [f64; 3]| values.into_iter().all(f64::is_finite);
        let importance = known.importance.into_iter().filter(|i| i.share.is_finite());
        let effects = known.effects.into_iter().filter(|e| finite([e.gain, e.low, e.high]));
        let interactions = known.interactions.into_iter().filter(|i| finite([i.delta, i.low, i.high]));
        let triples = known.triples.into_iter().filter(|t| finite([t.delta, t.low, t.high]));
        Self {
            importance: importance.map(|i| ImportancePart { slot: i.dimension, share: i.share }).collect(),
            effects: effects
                .map(|e| EffectPart {
                    slot: e.choice.dimension,
                    option: e.choice.option,
                    gain: e.gain,
                    low: e.low,
                    high: e.high,
                    runs: e.runs,
                })
                .collect(),
            interactions: interactions.map(interaction).collect(),
            triples: triples.map(triple).collect(),
            pruned: known
                .pruned
                .into_iter()
                .map(|p| PrunedPart {
                    slot: p.dimension,
                    what: p.what,
                    probability: p.probability.filter(|p| p.is_finite()),
                    evidence: p.evidence,
                })
                .collect(),
        }
    }
}

fn interaction(known: ar_search::Interaction) -> InteractionPart {
    let [a, b] = known.pair;
    InteractionPart {
        slots: [a.dimension, b.dimension],
        options: [a.option, b.option],
        delta: known.delta,
        low: known.low,
        high: known.high,
        status: known.status.word().to_owned(),
        evidence: known.evidence,
    }
}

fn triple(known: ar_search::Triple) -> TriplePart {
    let (slots, options) =
        (known.triple.each_ref().map(|c| c.dimension.clone()), known.triple.map(|c| c.option));
    TriplePart { slots, options, delta: known.delta, low: known.low, high: known.high, runs: known.runs }
}
