//! What a training study keeps: decisions on pairs of runs with the same fresh seed.

use std::collections::BTreeMap;

use ar_common::{Block, Config, Device, Direction, Fate, Measures, Metric, Outcome, Verdict};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Lab, crash, done, plain};
use crate::{Observation, Plan};

/// A study of single runs, lower is better.
fn training(sizes: &[usize], rounds: u32, per_round: u32) -> Lab {
    let mut lab = Lab::new(plain(sizes), rounds, per_round);
    lab.test_share = 0.0;
    lab.metric = Metric { name: "val_bpb".into(), direction: Direction::Minimize, low: None, high: None };
    lab
}

/// Noise of one run, with a deviation of 1: the same for the same study, configuration and seed.
fn noise(study: u64, o: &Observation) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(study);
    rng.set_stream(o.experiment.0);
    // Twelve uniform draws, less six.
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Lower by `gain` with `d0=o1`, higher by a deviation for each other change.
fn score(config: &Config, gain: f64) -> f64 {
    let others = config.iter().filter(|(slot, option)| *slot != "d0" && *option != "base").count() as f64;
    let good = if config.get("d0") == Some("o1") { gain } else { 0.0 };
    100.0 - good + others
}

fn study(lab: &mut Lab, want: usize, mut run: impl FnMut(&Observation) -> Outcome) -> Verdict {
    match lab.run_all(want, |o| run(o)) {
        Plan::Conclude(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

/// The runs on each fresh seed, in the order of planning.
fn by_seed(lab: &Lab) -> BTreeMap<u32, Vec<&Config>> {
    let mut seeds: BTreeMap<u32, Vec<&Config>> = BTreeMap::new();
    for o in &lab.history {
        if let Block::Cv { repeat } = o.block
            && repeat > 0
        {
            seeds.entry(repeat).or_default().push(&o.config);
        }
    }
    seeds
}

#[test]
fn a_gain_is_kept_by_pairs_on_fresh_seeds_in_alternating_order_and_runs_again() {
    let mut lab = training(&[3, 3, 3], 5, 8);
    let verdict = study(&mut lab, 1, |o| done(vec![score(&o.config, 12.0) + noise(1, o)]));
    let (base, best) = (lab.space.base(), lab.space.base().with("d0", "o1"));
    assert_eq!((verdict.beats_base, &verdict.winner), (true, &best), "{}", verdict.text);
    assert!(verdict.text.starts_with("d0=o1 beats the base by 1"), "{}", verdict.text);
    assert!(
        verdict.text.contains("where 40 keep it") && verdict.text.contains("since then"),
        "{}",
        verdict.text
    );
    let first = &verdict.decisions[0];
    assert_eq!((&first.challenger, &first.incumbent, first.fate), (&best, &base, Fate::Kept));
    assert!(first.pairs >= 2 && first.e_value >= first.needed && first.again >= 1, "{first:?}");
    assert!(first.low > 0.0 && first.low < first.difference, "{first:?}");
    // The base comes first, and twice more at once.
    let early: Vec<_> = lab.history.iter().take(3).map(|o| (&o.config, o.block)).collect();
    assert_eq!(early, (0..3).map(|repeat| (&base, Block::Cv { repeat })).collect::<Vec<_>>());
    let seeds = by_seed(&lab);
    for (seed, runs) in seeds.range(3..) {
        let expected = if seed % 2 == 0 { [&best, &base] } else { [&base, &best] };
        assert!(
            runs.len() == 2 && (runs[..] == expected || first.pairs + first.again < seed - 2),
            "{seed}: {runs:?}"
        );
    }
    assert!(lab.history.len() <= 40);
}

#[test]
fn where_nothing_is_better_something_is_kept_in_few_studies() {
    let studies = 300;
    let kept = |gain: f64| {
        let keeps = |seed: u64| {
            let mut lab = training(&[3, 3], 5, 8);
            lab.seed = seed;
            study(&mut lab, 2, |o| {
                let config = if gain == 0.0 { lab_base(o) } else { o.config.clone() };
                done(vec![score(&config, gain) + noise(seed, o)])
            })
            .beats_base
        };
        (0..studies).filter(|seed| keeps(*seed)).count() as f64 / studies as f64
    };
    let false_ones = kept(0.0);
    assert!(false_ones <= 0.05, "{false_ones}");
    let found = kept(8.0);
    assert!(found >= 0.8, "{found}");
}

/// A configuration that is worth what the base is.
fn lab_base(o: &Observation) -> Config {
    o.config.dimensions().map(|slot| (slot, "base")).collect()
}

#[test]
fn what_is_kept_is_challenged_by_the_next_one() {
    // On the first seed `o1` has luck; `o2` is better than it by ten deviations on all others.
    let worth = |o: &Observation| match (o.config.get("d0"), o.block == Block::FIRST) {
        (Some("o1"), true) => 34.0,
        (Some("o1"), false) => 20.0,
        (Some("o2"), _) => 33.0,
        _ => 0.0,
    };
    let mut lab = training(&[4, 3], 5, 16);
    let verdict = study(&mut lab, 1, |o| done(vec![score(&o.config, 0.0) - worth(o) + 0.5 * noise(5, o)]));
    let (base, o1, o2) =
        (lab.space.base(), lab.space.base().with("d0", "o1"), lab.space.base().with("d0", "o2"));
    let decided: Vec<_> =
        verdict.decisions.iter().take(2).map(|d| (&d.challenger, &d.incumbent, d.fate)).collect();
    assert_eq!(decided, [(&o1, &base, Fate::Kept), (&o2, &o1, Fate::Kept)], "{}", verdict.text);
    assert_eq!(verdict.winner, o2);
    assert!(verdict.text.contains("the last of 2 that were kept"), "{}", verdict.text);
    // It never met the base in a decision, and does afterwards.
    let met = by_seed(&lab).into_values().filter(|runs| runs.contains(&&o2) && runs.contains(&&base)).count();
    assert!(met >= 1, "{:?}", by_seed(&lab));
    assert!((verdict.difference - 33.0).abs() < 3.0, "{}", verdict.difference);
}

#[test]
fn a_challenger_that_fails_makes_room_for_the_next() {
    let mut lab = training(&[3], 5, 4);
    let verdict = study(&mut lab, 1, |o| match (o.config.get("d0"), o.block == Block::FIRST) {
        (Some("o1"), false) => crash(),
        (Some("o2"), _) => done(vec![score(&o.config, 0.0) - 15.0 + 0.5 * noise(2, o)]),
        _ => done(vec![score(&o.config, 30.0) + 0.5 * noise(2, o)]),
    });
    let fates: Vec<_> =
        verdict.decisions.iter().map(|d| (d.challenger.get("d0").unwrap(), d.fate, d.lost)).collect();
    assert_eq!(fates[0], ("o1", Fate::Dropped, 2), "{fates:?}");
    assert!(fates.contains(&("o2", Fate::Kept, 0)), "{fates:?}");
    assert_eq!(verdict.winner.get("d0"), Some("o2"), "{}", verdict.text);
}

#[test]
fn runs_on_two_devices_are_not_compared() {
    let mut lab = training(&[3], 5, 8);
    let verdict = study(&mut lab, 1, |o| {
        let good = o.config.get("d0") != Some("base");
        let Outcome::Done(measures) = done(vec![score(&o.config, 12.0) + noise(3, o)]) else { panic!() };
        // The challenger is always moved to another one, which is faster.
        let device = Device { class: "GPU".into(), ids: vec![if good { "b" } else { "a" }.to_owned()] };
        Outcome::Done(Measures { device: Some(Box::new(device)), ..measures })
    });
    assert!(!verdict.beats_base, "{}", verdict.text);
    assert!(
        verdict.decisions.iter().all(|d| (d.pairs, d.lost, d.fate) == (0, 2, Fate::Dropped)),
        "{verdict:?}"
    );
}

#[test]
fn what_was_decided_does_not_depend_on_which_of_two_pairs_ended_first() {
    let mut lab = training(&[3], 5, 8);
    let run = |o: &Observation| done(vec![score(&o.config, 12.0) + noise(9, o)]);
    while let Plan::Suggest(suggestions) = lab.plan(6) {
        let paired = suggestions.iter().any(|s| matches!(s.block, Block::Cv { repeat } if repeat > 2));
        lab.start(suggestions);
        if paired {
            break;
        }
        lab.history.iter_mut().filter(|o| o.outcome.is_none()).for_each(|o| o.outcome = Some(run(o)));
    }
    let pairs: Vec<usize> = (0..lab.history.len()).filter(|i| lab.history[*i].outcome.is_none()).collect();
    assert_eq!(pairs.len(), 6, "three pairs at once");
    // The two later ones end: with the first still under way nothing is decided.
    for i in &pairs[2..] {
        lab.history[*i].outcome = Some(run(&lab.history[*i]));
    }
    let decided = |lab: &Lab| match crate::conclude(&lab.problem(), &lab.history) {
        Plan::Conclude(verdict) => {
            verdict.decisions.iter().map(|d| (d.pairs, d.lost, d.fate)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(decided(&lab), [(0, 0, Fate::Undecided)]);
    // Called off, as when the time is over, it is no failure of the challenger.
    for i in &pairs[..2] {
        lab.history[*i].outcome = Some(Outcome::Cancelled { reason: "the time is over".into() });
    }
    assert_eq!(decided(&lab), [(2, 0, Fate::Kept)]);
}

#[test]
fn later_pairs_may_take_back_what_was_kept() {
    let mut lab = training(&[2, 2], 5, 8);
    let verdict = study(&mut lab, 1, |o| {
        let Block::Cv { repeat } = o.block else { panic!() };
        // Luck on the seeds that decide, and none afterwards.
        let gain = if repeat <= 4 { 10.0 } else { -40.0 };
        done(vec![score(&o.config, gain) + 0.1 * noise(4, o)])
    });
    assert_eq!(verdict.decisions[0].fate, Fate::Revoked, "{:?}", verdict.decisions);
    assert_eq!((verdict.beats_base, &verdict.winner), (false, &lab.space.base()));
    assert!(verdict.text.contains("was kept and is"), "{}", verdict.text);
}

#[test]
fn pairs_stay_whole_whatever_number_is_asked_for() {
    for want in [1, 2, 3, 5] {
        let mut lab = training(&[3, 3, 3], 5, 12);
        study(&mut lab, want, |o| done(vec![score(&o.config, 2.0) + noise(8, o)]));
        let seeds = by_seed(&lab);
        assert!(seeds.len() > 3, "{seeds:?}");
        assert!(seeds.range(3..).all(|(_, runs)| runs.len() == 2 && runs[0] != runs[1]), "{want}: {seeds:?}");
    }
}

#[test]
fn few_runs_decide_nothing_and_say_so() {
    let mut lab = training(&[3, 3], 1, 9);
    let verdict = study(&mut lab, 1, |o| done(vec![score(&o.config, 30.0)]));
    assert!(!verdict.beats_base && verdict.decisions.is_empty() && verdict.pairs == 0);
    assert!(verdict.text.contains("too few runs") && verdict.text.contains("is 30"), "{}", verdict.text);
    assert!(by_seed(&lab).is_empty());
    // With more of them it goes on from there.
    lab.budget.rounds = 2;
    let verdict = study(&mut lab, 1, |o| done(vec![score(&o.config, 30.0)]));
    assert!(verdict.beats_base, "{}", verdict.text);
}

#[test]
fn an_open_decision_goes_on_when_there_is_more_budget() {
    let scored = |o: &Observation| done(vec![score(&o.config, 2.0) + noise(11, o)]);
    let mut lab = training(&[2], 1, 12);
    let verdict = study(&mut lab, 1, scored);
    let first = verdict.decisions[0].clone();
    assert_eq!((first.fate, verdict.beats_base), (Fate::Undecided, false), "{}", verdict.text);
    assert!(verdict.text.contains("that keep it"), "{}", verdict.text);
    lab.budget.rounds = 4;
    let verdict = study(&mut lab, 1, scored);
    let again = &verdict.decisions[0];
    assert_eq!(again.challenger, first.challenger);
    assert!(again.pairs > first.pairs, "{again:?}");
}
