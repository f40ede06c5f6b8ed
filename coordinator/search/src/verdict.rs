//! Is anything shown to beat the base? One comparison, or two where there is an ensemble, decided before it was
//! measured.

use std::collections::BTreeMap;

use ar_common::{Compared, Config, Measures, Member, Metric, Verdict};

use crate::acceptance;
use crate::ensemble::{self, Stage};
use crate::grid::{Grid, Point, changes};
use crate::history::{History, mean};
use crate::insight::holm;
use crate::paired::{PairedTest, Prior, paired_test};

/// The level of the verdict.
pub const LEVEL: f64 = 0.10;

/// Mean differences that are a smaller share of the scores than this are the same up to rounding.
const EQUAL: f64 = 1e-12;

/// How candidates are compared with the base.
#[derive(Clone, Copy)]
struct Rules<'a> {
    metric: &'a Metric,
    prior: Prior,
    /// The first split that no choice rests on.
    fresh: u32,
}

/// The differences of the folds that both have, over the fresh splits. Those
/// before chose the candidate, so they are asked only where there is no other.
fn differences(rules: Rules<'_>, ours: &Runs<'_>, other: &Runs<'_>) -> Paired {
    let mut paired = Paired::default();
    let both = |(repeat, ours): (&u32, &&Measures)| {
        Some((*repeat, fold_scores(ours), fold_scores(other.get(repeat)?)))
    };
    let mut splits: Vec<(u32, Vec<f64>, Vec<f64>)> = ours.iter().filter_map(both).collect();
    splits.retain(|(_, a, b)| a.len() == b.len());
    if splits.iter().any(|(repeat, ..)| *repeat >= rules.fresh) {
        splits.retain(|(repeat, ..)| *repeat >= rules.fresh);
    }
    for (_, a, b) in splits {
        paired.differences.extend(a.iter().zip(&b).map(|(a, b)| rules.metric.gain(*a, *b)));
        paired.ours.extend(a);
        paired.theirs.extend(b);
    }
    paired
}

/// The complete cross-validations of one candidate, by their splits.
type Runs<'a> = BTreeMap<u32, &'a Measures>;

#[derive(Default)]
struct Paired {
    differences: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Paired {
    /// What a mean difference may be of rounding alone.
    fn rounding(&self) -> f64 {
        EQUAL * self.ours.iter().chain(&self.theirs).fold(0.0, |most: f64, score| most.max(score.abs()))
    }
}

/// The scores of the folds; the score itself where there are none.
pub(crate) fn fold_scores(measures: &Measures) -> Vec<f64> {
    match measures.score {
        Some(score) if measures.folds.is_empty() => vec![score],
        _ => measures.folds.to_vec(),
    }
}

/// The verdict on what is known now; `None` if nothing has a score.
pub(crate) fn judge(
    grid: &Grid<'_>,
    history: &History<'_>,
    (metric, test_share): (&Metric, f64),
    (candidate, ensemble): (Option<Point>, Stage),
) -> Option<Verdict> {
    let base = grid.base();
    let best_seen = best_seen(grid, history, metric);
    let base_scores: Vec<f64> = history.runs(&base).values().flat_map(|m| fold_scores(m)).collect();
    let verdict = |winner: &Point, text: String| Verdict {
        winner: grid.config(winner),
        candidate: None,
        beats_base: false,
        difference: 0.0,
        low: 0.0,
        p_value: 1.0,
        level: LEVEL,
        pairs: 0,
        candidate_score: None,
        base_score: (!base_scores.is_empty()).then(|| mean(&base_scores)),
        best_seen: best_seen.as_ref().map(|(point, score)| (grid.config(point), *score)),
        text,
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    };
    if base_scores.is_empty() {
        let (winner, score) = best_seen.clone()?;
        let text = format!(
            "the base has no score, so nothing is compared with it: the best seen is {} with {} {}",
            grid.describe(&winner),
            metric.name,
            figure(score),
        );
        return Some(Verdict { candidate_score: Some(score), ..verdict(&winner, text) });
    }
    // It is what all is compared with, whatever it takes; but nobody shall think that it may be handed over.
    let note = history.broken(&base);
    let note = note.map(|why| format!("; the base itself does not keep to the constraints: {why}"));
    let note = note.unwrap_or_default();
    let Some(candidate) = candidate else {
        let nothing = match (history.refuses_others(&base), note.is_empty()) {
            (false, _) => "nothing but the base has a score",
            (true, true) => "nothing but the base keeps to the constraints",
            (true, false) => "nothing keeps to the constraints",
        };
        return Some(verdict(&base, format!("{nothing}: the base is kept{note}")));
    };
    if test_share == 0.0 {
        let verdict = acceptance::judge(grid, history, metric, &candidate, verdict(&base, String::new()));
        return Some(Verdict { text: verdict.text.clone() + &note, ..verdict });
    }
    let single =
        Candidate { config: grid.config(&candidate), members: Vec::new(), runs: history.runs(&candidate) };
    let runs = history.runs(&base);
    let prior = Prior::of(history, metric, test_share, 2.0);
    let rules = Rules { metric, prior, fresh: history.first_fresh() };
    let mut trials = vec![Trial::new(rules, single, &runs)];
    if let Stage::Settled(members) = ensemble {
        let voted = ensemble::runs(history, &members);
        let trial = Trial::new(rules, Candidate { config: grid.config(&base), members, runs: voted }, &runs);
        // Without a fresh split nothing is known of it but what it was chosen by.
        trials.extend(Some(trial).filter(|trial| !trial.paired.differences.is_empty()));
    }
    correct(&mut trials, prior);
    let best = better(rules, &trials);
    let shown = &trials[best];
    let base_config = grid.config(&base);
    let text = sentence(metric, &trials, best, &base_config) + &note;
    let compared = trials.iter().map(Trial::compared).filter(|_| trials.len() > 1).collect();
    Some(Verdict {
        candidate: Some(shown.of.config.clone()),
        members: shown.of.members.clone(),
        beats_base: shown.beats_base(),
        difference: shown.test.difference,
        low: shown.test.low,
        p_value: shown.test.p_value,
        pairs: shown.test.pairs,
        candidate_score: mean_of(&shown.paired.ours),
        base_score: mean_of(&shown.paired.theirs).or_else(|| mean_of(&base_scores)),
        compared,
        ..verdict(if shown.beats_base() && shown.of.members.is_empty() { &candidate } else { &base }, text)
    })
}

/// Something that is compared with the base.
struct Candidate<'a> {
    config: Config,
    members: Vec<Member>,
    runs: Runs<'a>,
}

/// A candidate against the base.
struct Trial<'a> {
    of: Candidate<'a>,
    paired: Paired,
    test: PairedTest,
    /// What is paired, in words: folds, or runs where each has one.
    unit: &'static str,
}

impl<'a> Trial<'a> {
    fn new(rules: Rules<'_>, of: Candidate<'a>, base: &Runs<'_>) -> Self {
        let paired = differences(rules, &of.runs, base);
        let test = paired_test(&paired.differences, rules.prior, LEVEL);
        let unit = if of.runs.values().all(|run| fold_scores(run).len() == 1) { "runs" } else { "folds" };
        Self { of, paired, test, unit }
    }

    fn beats_base(&self) -> bool {
        self.test.p_value <= LEVEL && self.test.difference > 0.0
    }

    fn compared(&self) -> Compared {
        Compared {
            config: self.of.config.clone(),
            members: self.of.members.clone(),
            beats_base: self.beats_base(),
            difference: self.test.difference,
            low: self.test.low,
            p_value: self.test.p_value,
            pairs: self.test.pairs,
            score: mean_of(&self.paired.ours),
            base_score: mean_of(&self.paired.theirs),
        }
    }
}

/// Several candidates are several chances to be lucky: Holm's correction of the p values (Holm 1979). The end of each
/// interval is that of the level by which its p value was judged.
fn correct(trials: &mut [Trial<'_>], prior: Prior) {
    let plain: Vec<Option<f64>> = trials.iter().map(|trial| Some(trial.test.p_value)).collect();
    let corrected = holm(&plain);
    for (trial, p) in trials.iter_mut().zip(corrected) {
        let p = p.unwrap_or(1.0);
        let smaller = plain.iter().flatten().filter(|other| **other < trial.test.p_value).count();
        let level = LEVEL / (plain.len() - smaller) as f64;
        let test = paired_test(&trial.paired.differences, prior, level);
        // One that falls with another before it has no interval of its own above zero.
        let low = if p <= LEVEL { test.low } else { test.low.min(0.0) };
        trial.test = PairedTest { p_value: p, low, ..test };
    }
}

/// Which candidate is told of and, if it is shown to beat the base, handed over: of those that are, the one with the
/// larger mean difference on the splits that both have; of equal ones, and where none is, the single configuration.
fn better(rules: Rules<'_>, trials: &[Trial<'_>]) -> usize {
    let [single, ensemble] = trials else { return 0 };
    let ahead = || {
        let paired = differences(rules, &ensemble.of.runs, &single.of.runs);
        mean(&paired.differences) > paired.rounding()
    };
    usize::from(ensemble.beats_base() && (!single.beats_base() || ahead()))
}

fn mean_of(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| mean(scores))
}

/// The best mean of the first split that keeps to the constraints, with no regard to luck; a floor only if nothing
/// else has a score.
fn best_seen(grid: &Grid<'_>, history: &History<'_>, metric: &Metric) -> Option<(Point, f64)> {
    let scored = history.searched().filter_map(|e| Some((e.point.as_ref()?, e.score()?)));
    let scored = scored.filter(|(point, _)| history.keeps(point));
    let better = |a: &(&Point, f64), b: &(&Point, f64)| {
        let floors = grid.is_floor(b.0).cmp(&grid.is_floor(a.0));
        let simpler = || changes(b.0).count().cmp(&changes(a.0).count()).then_with(|| b.0.cmp(a.0));
        floors.then_with(|| metric.gain(a.1, b.1).total_cmp(&0.0)).then_with(simpler)
    };
    scored.max_by(better).map(|(point, score)| (point.clone(), score))
}

/// The verdict in words: of `best`, then of the other, if there is one.
fn sentence(metric: &Metric, trials: &[Trial<'_>], best: usize, base: &Config) -> String {
    let shown = &trials[best];
    let name = |of: &Candidate<'_>| ar_common::ensemble::describe(&of.config, &of.members, base);
    let mut text = if shown.beats_base() {
        format!("{} {}", name(&shown.of), said(metric, shown))
    } else {
        let (name, said) = (name(&shown.of), said(metric, shown));
        format!("nothing tried is shown to beat the base: the best candidate, {name}, {said}")
    };
    for other in trials.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, trial)| trial) {
        let shown = if other.beats_base() { "" } else { ", not shown to beat it" };
        text += &format!(
            "; {} {}{shown}; p values are corrected for two candidates",
            name(&other.of),
            said(metric, other)
        );
    }
    text
}

/// How a candidate compares with the base.
fn said(metric: &Metric, trial: &Trial<'_>) -> String {
    let test = &trial.test;
    let p =
        if test.p_value < 0.001 { "p < 0.001".to_owned() } else { format!("p = {}", figure2(test.p_value)) };
    let seen = format!("{p}, {} paired {}", test.pairs, trial.unit);
    let difference = amount(metric, test.difference.abs());
    if trial.beats_base() {
        return format!("beats the base by {difference} ({seen})");
    }
    let side = if test.difference < 0.0 { "worse" } else { "better" };
    if test.pairs == 0 {
        format!("shares no {} with it", trial.unit)
    } else if test.difference.abs() <= trial.paired.rounding() {
        format!("scores the same ({seen})")
    } else {
        format!("is {difference} {side} ({seen})")
    }
}

/// A difference with its unit: points for what lies between 0 and 1.
pub(crate) fn amount(metric: &Metric, difference: f64) -> String {
    match (metric.low, metric.high) {
        (Some(0.0), Some(1.0)) => format!("{} points of {}", figure2(difference * 100.0), metric.name),
        _ => format!("{} of {}", figure(difference), metric.name),
    }
}

/// Two digits, or what is before the point if that is more.
pub(crate) fn figure2(value: f64) -> String {
    digits(value, 2)
}

/// Four digits, or what is before the point if that is more.
fn figure(value: f64) -> String {
    digits(value, 4)
}

fn digits(value: f64, wanted: i32) -> String {
    let before = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
    format!("{value:.*}", (wanted - before).clamp(0, 12) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_two_digits() {
        let (accuracy, _) = Metric::tabular("accuracy").unwrap();
        let (rmse, _) = Metric::tabular("rmse").unwrap();
        assert_eq!(amount(&accuracy, 0.0123), "1.2 points of accuracy");
        assert_eq!(amount(&rmse, 12_345.6), "12346 of rmse");
        assert_eq!(amount(&rmse, 0.001_234_6), "0.001235 of rmse");
        assert_eq!(
            (figure2(0.031), figure2(0.0), figure2(0.1)),
            ("0.031".into(), "0.0".into(), "0.10".into())
        );
    }
}
