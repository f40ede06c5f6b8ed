//! Where data are small, the best few are looked at closer before one of them is compared with the base.

use ar_common::{Block, Config, Outcome};

use super::fixtures::{Lab, crash, done, plain};
use crate::Observation;

const CLOSER: Block = Block::Cv { repeat: 1 };

/// `d0=o1` had luck on the first split; `d0=o2` is worth more on all others.
fn score(o: &Observation, split: u32) -> Vec<f64> {
    let worth = match (o.config.get("d0"), o.block == Block::FIRST) {
        (Some("o1"), true) => 0.060,
        (Some("o1"), false) => 0.020,
        (Some("o2"), _) => 0.055,
        _ => 0.0,
    };
    let others = o.config.iter().filter(|(slot, option)| *slot != "d0" && *option != "base").count() as f64;
    let which = o.experiment.0 as usize + split as usize;
    (0..5).map(|i| 0.7 + worth - 0.03 * others + 0.01 * ((which * 7 + i * 3) % 5) as f64).collect()
}

fn run(repeats: u32, o: &Observation) -> Outcome {
    let splits = if o.block == Block::FIRST { 1 } else { repeats };
    done((0..splits).flat_map(|split| score(o, split)).collect())
}

fn small(repeats: u32, rounds: u32, per_round: u32) -> Lab {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), rounds, per_round);
    lab.repeats = repeats;
    lab
}

fn study(lab: &mut Lab) -> ar_common::Verdict {
    let repeats = lab.repeats;
    match lab.run_all(3, |o| run(repeats, o)) {
        crate::Plan::Conclude(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

fn on(lab: &Lab, block: Block) -> Vec<&Config> {
    lab.history.iter().filter(|o| o.block == block).map(|o| &o.config).collect()
}

#[test]
fn luck_on_the_first_split_is_found_out_before_the_candidate_is_chosen() {
    let mut lab = small(4, 4, 15);
    let verdict = study(&mut lab);
    let best = |option| lab.space.base().with("d0", option);
    assert_eq!(verdict.best_seen.as_ref().map(|(config, _)| config), Some(&best("o1")));
    assert_eq!((&verdict.winner, verdict.beats_base), (&best("o2"), true), "{}", verdict.text);
    let looked = on(&lab, CLOSER);
    assert!(
        looked.len() == 3 && looked.contains(&&best("o1")) && looked.contains(&&best("o2")),
        "{looked:?}"
    );
    assert!(!looked.contains(&&lab.space.base()), "they are compared with each other");
    // What chose does not judge.
    let fresh = lab.history.iter().filter(|o| o.block != Block::FIRST && o.block != CLOSER);
    let fresh = fresh.filter(|o| o.config == best("o2")).count();
    assert_eq!(verdict.pairs as usize, 20 * fresh);
    assert!(fresh >= 1 && lab.history.len() <= 60);
    // Where one run covers one split there is no closer look.
    let mut lab = small(1, 4, 15);
    let verdict = study(&mut lab);
    assert_eq!(verdict.candidate, Some(lab.space.base().with("d0", "o1")));
    assert!(on(&lab, CLOSER).contains(&&lab.space.base()), "the first fresh split is the verdict's");
}

#[test]
fn the_choice_does_not_depend_on_the_unit_of_the_metric() {
    let mut lab = small(4, 4, 15);
    lab.metric = ar_common::Metric::tabular("rmse").unwrap().0;
    let end = lab.run_all(3, |o| {
        let splits = if o.block == Block::FIRST { 1 } else { 4 };
        done((0..splits).flat_map(|split| score(o, split)).map(|score| 1e-8 * (1.0 - score)).collect())
    });
    let crate::Plan::Conclude(verdict) = end else { panic!("{end:?}") };
    assert_eq!(verdict.candidate, Some(lab.space.base().with("d0", "o2")), "{}", verdict.text);
    assert!(!verdict.text.contains("the same"), "{}", verdict.text);
}

#[test]
fn a_look_that_fails_leaves_the_choice_to_the_others_or_to_the_first_split() {
    for (fails, expected) in [(Some("o1"), "o2"), (None, "o1")] {
        let mut lab = small(4, 4, 15);
        let end = lab.run_all(2, |o| {
            let lost = o.block == CLOSER && fails.is_none_or(|option| o.config.get("d0") == Some(option));
            if lost { crash() } else { run(4, o) }
        });
        let crate::Plan::Conclude(verdict) = end else { panic!("{end:?}") };
        assert_eq!(verdict.candidate, Some(lab.space.base().with("d0", expected)), "{}", verdict.text);
    }
}

#[test]
fn a_budget_without_room_goes_to_the_comparison() {
    for (total, looks) in [(10, 0), (15, 0), (20, 2), (60, 3)] {
        let mut lab = small(5, 1, total);
        let verdict = study(&mut lab);
        assert_eq!(on(&lab, CLOSER).len(), looks, "budget {total}");
        assert!(lab.history.len() as u32 <= total && verdict.pairs >= 20, "{}", verdict.text);
    }
    // What time is left is for the comparison.
    let mut lab = small(5, 4, 15);
    for _ in 0..5 {
        let crate::Plan::Suggest(suggestions) = lab.plan(4) else { panic!() };
        lab.start(suggestions);
        for i in 0..lab.history.len() {
            lab.history[i].outcome = Some(run(5, &lab.history[i]));
        }
    }
    lab.spent_time = true;
    let verdict = study(&mut lab);
    assert!(on(&lab, CLOSER).is_empty() && verdict.pairs >= 25, "{verdict:?}");
}

#[test]
fn a_raised_budget_looks_at_those_that_came_since() {
    let mut lab = small(3, 2, 15);
    study(&mut lab);
    let before = on(&lab, CLOSER).len();
    lab.budget.rounds = 6;
    let verdict = study(&mut lab);
    assert!(before >= 2 && on(&lab, CLOSER).len() >= before && lab.history.len() <= 90);
    assert_eq!(verdict.winner, lab.space.base().with("d0", "o2"));
}
