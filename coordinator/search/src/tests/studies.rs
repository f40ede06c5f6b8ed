//! Studies whose course is known.

use std::collections::BTreeSet;

use ar_common::{Block, Config, ExperimentId, Measures, Metric, Mode, Outcome, Sampler, Space};

use super::fixtures::{Lab, crash, done, option, plain};
use crate::{Observation, Plan, conclude, contributions, ranking, uncovered};

/// Folds around `level`, the same pattern for all, so that differences have no noise but a little.
fn around(level: f64, wobble: f64) -> Outcome {
    done((0..5).map(|i| level + 0.01 * f64::from(i) + wobble * f64::from(i % 2)).collect())
}

/// `o1` of `d0` is worth 0.05; every other option costs 0.01.
fn one_good(config: &Config) -> f64 {
    let costs = config.options().filter(|o| *o != "base").count() as f64 * 0.01;
    0.7 - costs + if config.get("d0") == Some("o1") { 0.06 } else { 0.0 }
}

#[test]
fn base_and_floors_then_every_family_several_at_once() {
    let mut space = plain(&[3, 6, 5]);
    let mut dummy = option("dummy", "dummy");
    dummy.floor = true;
    space.dimensions[1].options.push(dummy);
    let lab = Lab::new(space, 4, 10);
    // d1 and d2 have two families beside those of the base, d0 has one.
    let Plan::Suggest(first) = lab.plan(4) else { panic!() };
    let base = lab.space.base();
    assert_eq!(first[0].config, base);
    assert_eq!(first[1].config, base.with("d1", "dummy"));
    let seen = |d: &str| -> BTreeSet<&str> {
        first.iter().filter_map(|s| lab.space.family_in(&s.config, d)).filter(|f| *f != "dummy").collect()
    };
    for dimension in &lab.space.dimensions {
        assert_eq!(seen(&dimension.name), dimension.families().into_iter().collect(), "{first:?}");
    }
    assert!(first[2].reason.contains("of d0") && first[2].reason.contains("of d2"), "{}", first[2].reason);
    assert!(first.iter().all(|s| s.mode == Mode::Explore && s.round == 1 && s.block == Block::FIRST));
    assert_eq!(lab.plan(4), lab.plan(4));
}

#[test]
fn an_option_that_needs_a_partner_is_covered_with_it() {
    let mut space = plain(&[3, 3, 3, 3]);
    space.dimensions[0].options[2].only_with = [("d1".to_owned(), vec!["f1_1".to_owned()])].into();
    let mut lab = Lab::new(space, 4, 10);
    lab.run(1, |config, _| around(one_good(config), 0.0));
    let with_partner = |s: &crate::Suggestion| s.config.get("d0") == Some("o2");
    assert!(lab.suggested.iter().take(16).any(with_partner), "{:?}", lab.suggested);
}

#[test]
fn a_real_gain_is_named_and_confirmed_in_pairs() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    let verdict = lab.verdict(3, |config, block| {
        let Block::Cv { repeat } = block else { panic!() };
        around(
            one_good(config),
            0.004 * f64::from(repeat % 3) * f64::from(u8::from(config.get("d0") == Some("o1"))),
        )
    });
    let best = lab.space.base().with("d0", "o1");
    // Six fresh splits, or three where squares of two options had their half of what is kept.
    assert_eq!((verdict.winner.clone(), verdict.beats_base), (best.clone(), true));
    assert!((15..=30).contains(&verdict.pairs), "{verdict:?}");
    assert_eq!(verdict.candidate.as_ref(), Some(&best));
    assert!(verdict.text.starts_with("d0=o1 beats the base by 5."), "{}", verdict.text);
    assert!(verdict.low > 0.0 && verdict.low <= verdict.difference);
    for repeat in 1..=verdict.pairs / 5 {
        let on: Vec<&Config> =
            lab.history.iter().filter(|o| o.block == Block::Cv { repeat }).map(|o| &o.config).collect();
        assert!(on.starts_with(&[&lab.space.base(), &best]), "{on:?}");
    }
    let ranked = ranking(&lab.metric, &lab.history);
    assert_eq!((ranked[0].config.clone(), ranked[0].folds), (best, verdict.pairs + 5));
    let gains = contributions(&lab.space, &lab.metric, &lab.history);
    let good = gains.iter().find(|c| c.dimension == "d0" && c.option == "o1").unwrap();
    assert!((good.solo.unwrap() - 0.05).abs() < 1e-9 && good.marginal > 0.02, "{good:?}");
    assert!(gains.iter().filter(|c| c.dimension != "d0").all(|c| c.marginal < 0.01), "{gains:?}");
}

#[test]
fn lower_is_better_where_the_metric_says_so_and_negative_scores_are_scores() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    lab.metric = Metric::tabular("rmse").unwrap().0;
    let verdict = lab.verdict(5, |config, _| around(5.0 - 10.0 * one_good(config), 0.0));
    assert_eq!(verdict.best_seen.unwrap().0, lab.space.base().with("d0", "o1"));
    assert!(verdict.difference > 0.0);
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    lab.metric = Metric::tabular("r2").unwrap().0;
    let verdict = lab.verdict(5, |config, _| around(one_good(config) - 0.75, 0.0));
    assert_eq!(verdict.candidate, Some(lab.space.base().with("d0", "o1")));
}

#[test]
fn where_nothing_matters_the_base_is_kept() {
    let mut lab = Lab::new(plain(&[4, 4, 4]), 2, 15);
    let verdict = lab.verdict(4, |_, _| around(0.8, 0.0));
    assert_eq!((verdict.beats_base, &verdict.winner), (false, &lab.space.base()));
    assert!(verdict.text.starts_with("nothing tried is shown to beat the base"), "{}", verdict.text);
}

#[test]
fn tiny_budgets_end_with_a_verdict_from_the_first_split() {
    for total in 1..=4 {
        let mut lab = Lab::new(plain(&[4, 4]), 1, total);
        let verdict = lab.verdict(1, |config, _| around(one_good(config), 0.0));
        assert_eq!(lab.history.len() as u32, total);
        assert_eq!(verdict.pairs, if total == 1 { 0 } else { 5 });
        assert!(lab.history.iter().all(|o| o.block == Block::FIRST));
        if total == 1 {
            assert_eq!(verdict.candidate, None);
            assert_eq!(verdict.text, "nothing but the base has a score: the base is kept");
        }
    }
}

#[test]
fn when_everything_fails_the_study_fails_early() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    let Plan::Fail { reason } = lab.run(4, |_, _| crash()) else { panic!() };
    assert_eq!(lab.history.len(), 12);
    assert_eq!(reason, "no experiment has a score: 12 failed; the last one: crashed: ValueError: no");
}

#[test]
fn without_a_score_of_the_base_nothing_is_claimed() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 2, 15);
    let base = lab.space.base();
    let verdict =
        lab.verdict(4, |config, _| if *config == base { crash() } else { around(one_good(config), 0.0) });
    assert!(!verdict.beats_base && verdict.candidate.is_none() && verdict.winner.get("d0") == Some("o1"));
    assert!(verdict.text.starts_with("the base has no score"), "{}", verdict.text);
    assert!(lab.history.iter().all(|o| o.block == Block::FIRST), "there is nothing to replicate against");
}

#[test]
fn time_that_is_spent_means_confirmation_now() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    for _ in 0..2 {
        let Plan::Suggest(suggestions) = lab.plan(4) else { panic!() };
        lab.start(suggestions);
    }
    lab.spent_time = true;
    assert_eq!(lab.plan(4), Plan::Wait);
    for pending in &mut lab.history {
        pending.outcome = Some(around(one_good(&pending.config), 0.0));
    }
    assert!(matches!(conclude(&lab.problem(), &lab.history), Plan::Conclude(v) if v.pairs == 5));
    lab.verdict(4, |config, _| around(one_good(config), 0.0));
    assert!((8 + 11..=8 + 12).contains(&lab.history.len()), "{}", lab.history.len());
}

#[test]
fn a_raised_budget_goes_on_searching() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 1, 20);
    lab.run(4, |config, _| around(one_good(config), 0.0));
    assert_eq!(lab.history.len(), 20);
    lab.budget.rounds = 3;
    let Plan::Suggest(more) = lab.plan(4) else { panic!() };
    assert!(more.iter().all(|s| s.block == Block::FIRST && s.round == 2));
    lab.run(4, |config, _| around(one_good(config), 0.0));
    assert_eq!(lab.history.len(), 60);
}

/// A history in which everything but what `with` crashes was scored.
fn crashes(space: &Space, changes: &[&[(&str, &str)]], fails: impl Fn(&Config) -> bool) -> Vec<Observation> {
    let config = |pairs: &&[(&str, &str)]| pairs.iter().fold(space.base(), |c, (d, o)| c.with(d, o));
    let observe = |(i, config): (usize, Config)| Observation {
        experiment: ExperimentId(i as u64 + 1),
        block: Block::FIRST,
        mode: Mode::Explore,
        outcome: Some(if fails(&config) { crash() } else { around(one_good(&config), 0.0) }),
        config,
        members: Vec::new(),
    };
    changes.iter().map(config).enumerate().map(observe).collect()
}

#[test]
fn an_option_that_crashes_thrice_on_its_own_is_skipped_and_its_partners_are_not() {
    let bad = |c: &Config| c.get("d0") == Some("o3");
    let all: [&[(&str, &str)]; 6] = [
        &[],
        &[("d1", "o1")],
        &[("d1", "o2")],
        &[("d0", "o3")],
        &[("d0", "o3"), ("d1", "o1")],
        &[("d0", "o3"), ("d1", "o2")],
    ];
    let mut lab = Lab::new(plain(&[4, 4, 4]), 4, 15);
    lab.history = crashes(&lab.space, &all, bad);
    lab.run(4, |config, _| if bad(config) { crash() } else { around(one_good(config), 0.0) });
    assert!(!lab.suggested.iter().any(|s| bad(&s.config)));
    for partner in ["o1", "o2"] {
        assert!(lab.suggested.iter().any(|s| s.config.get("d1") == Some(partner)));
    }
    assert!(uncovered(&lab.space, &lab.history).iter().all(|line| !line.contains("d1: family")));
}

#[test]
fn an_option_is_not_blamed_while_its_partner_never_worked() {
    let both = |c: &Config| c.get("d0") == Some("o3");
    let all: [&[(&str, &str)]; 4] = [
        &[],
        &[("d0", "o3"), ("d1", "o3")],
        &[("d0", "o3"), ("d1", "o3"), ("d2", "o1")],
        &[("d0", "o3"), ("d1", "o3"), ("d2", "o2")],
    ];
    let mut lab = Lab::new(plain(&[4, 4, 4]), 4, 15);
    lab.history = crashes(&lab.space, &all, both);
    lab.run(4, |config, _| if both(config) { crash() } else { around(one_good(config), 0.0) });
    assert!(lab.suggested.iter().any(|s| s.config.get("d1") == Some("o3")), "d1=o3 worked with others");
}

#[test]
fn what_was_not_covered_is_listed() {
    let space = plain(&[4, 6]);
    let history = crashes(&space, &[&[], &[("d0", "o2")], &[("d1", "o2")]], |c| c.get("d1") == Some("o2"));
    assert_eq!(
        uncovered(&space, &history),
        [
            "d1: family f1_1 (no score in 1 runs)",
            "d1: family f1_2 (not tried)",
            "2 of 2 pairs of families of d1 and d0 were not seen together",
        ]
    );
}

#[test]
fn the_sealed_rows_and_the_refit_neither_count_nor_fail() {
    let mut lab = Lab::new(plain(&[4, 4, 4]), 2, 10);
    let end = lab.run(4, |config, _| around(one_good(config), 0.0));
    for block in [Block::Sealed, Block::Refit] {
        lab.history.push(Observation {
            experiment: ExperimentId(lab.history.len() as u64 + 1),
            config: lab.space.base(),
            block,
            mode: Mode::Narrow,
            outcome: Some(Outcome::Done(ar_common::Measures::default())),
            members: Vec::new(),
        });
    }
    assert_eq!(lab.plan(4), end);
    assert_eq!(
        uncovered(&lab.space, &lab.history).iter().filter(|line| line.contains("no score")).count(),
        0
    );
}

#[test]
fn a_duplicate_of_a_duplicate_has_the_score_of_the_first() {
    let mut lab = Lab::new(plain(&[4, 4]), 1, 3);
    lab.run(1, |config, _| around(one_good(config), 0.0));
    let last = lab.history.len() - 1;
    lab.history[last - 1].outcome = Some(Outcome::DuplicateOf { experiment: lab.history[0].experiment });
    lab.history[last].outcome = Some(Outcome::DuplicateOf { experiment: lab.history[last - 1].experiment });
    let of_twins =
        |lab: &Lab| contributions(&lab.space, &lab.metric, &lab.history).iter().map(|c| c.n).sum::<f64>();
    assert!((of_twins(&lab) - changes_of(&lab)).abs() < 1e-9, "each twin speaks for its options");
}

/// Options beside base in all configurations that were tried.
fn changes_of(lab: &Lab) -> f64 {
    lab.history.iter().map(|o| o.config.differs_from(&lab.space.base()).count()).sum::<usize>() as f64
}

#[test]
fn a_duplicate_is_refunded_and_stands_for_its_twin() {
    let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 4, 15);
    // Options of d3 change nothing: each such experiment is found to be the base, which was the first.
    lab.run(1, |config, _| match config.get("d3") {
        Some("base") => around(one_good(config), 0.0),
        _ => Outcome::DuplicateOf { experiment: ExperimentId(1) },
    });
    let duplicates =
        lab.history.iter().filter(|o| matches!(o.outcome, Some(Outcome::DuplicateOf { .. }))).count();
    assert!(duplicates > 0);
    assert_eq!(lab.history.len(), 60 + duplicates);
    assert!(ranking(&lab.metric, &lab.history).iter().all(|r| r.config.get("d3") == Some("base")));
}

#[test]
fn where_time_runs_out_first_what_is_slow_is_tried_less() {
    // Every other option of d0 takes thirty times as long, and is as good.
    let slow = |config: &Config| config.get("d0").is_some_and(|o| o == "o1" || o == "o3" || o == "o5");
    let tries = |seconds: Option<f64>| {
        let mut lab = Lab::new(plain(&[7, 9, 9]), 4, 15);
        lab.seconds = seconds;
        lab.run(1, |config, _| {
            let worth =
                |o: &str| o.trim_start_matches('o').parse::<f64>().map_or(0.0, |o| 0.01 * (o * 2.0).sin());
            let level = 0.7 + ["d1", "d2"].iter().filter_map(|d| config.get(d)).map(worth).sum::<f64>();
            let Outcome::Done(measures) = around(level, 0.0) else { panic!() };
            Outcome::Done(Measures { seconds: if slow(config) { 30.0 } else { 1.0 }, ..measures })
        });
        let searched = lab.suggested.iter().filter(|s| s.expected_gain.is_some());
        let (slow, all) = searched.fold((0, 0), |(s, n), x| (s + usize::from(slow(&x.config)), n + 1));
        assert!(all >= 20, "{all}");
        f64::from(slow as u32) / f64::from(all)
    };
    // A limit with room for all changes nothing; one that binds does.
    let (unbound, roomy, tight) = (tries(None), tries(Some(10_000.0)), tries(Some(200.0)));
    assert_eq!(unbound, roomy);
    assert!(tight < unbound / 2.0, "{tight} of the experiments are slow ones, {unbound} without a limit");
}

#[test]
fn a_triple_is_told_apart_from_its_pairs() {
    let mut lab = Lab::new(plain(&[3, 3, 3]), 4, 15);
    let three = |config: &Config| config.options().all(|o| o == "o1");
    let mut n = 0;
    for (a, b, c) in (0..27).map(|i| (i % 3, i / 3 % 3, i / 9)) {
        let name = |o: usize| if o == 0 { "base".to_owned() } else { format!("o{o}") };
        let config = lab.space.base().with("d0", &name(a)).with("d1", &name(b)).with("d2", &name(c));
        let outcome = Some(around(one_good(&config) + if three(&config) { 0.08 } else { 0.0 }, 0.0));
        n += 1;
        let (experiment, block, mode) = (ExperimentId(n), Block::FIRST, Mode::Explore);
        lab.history.push(Observation { experiment, config, block, mode, outcome, members: Vec::new() });
    }
    let known = crate::explain(&lab.problem(), &lab.history);
    assert!(known.triples.is_empty(), "one configuration had all three: {:?}", known.triples);
    // With a fourth slot that does nothing, several had.
    lab.space = plain(&[3, 3, 3, 2]);
    let of = lab.history.iter_mut();
    of.for_each(|o| o.config = o.config.with("d3", "base"));
    let again: Vec<Observation> = lab
        .history
        .iter()
        .map(|o| {
            let experiment = ExperimentId(o.experiment.0 + 27);
            Observation { experiment, config: o.config.with("d3", "o1"), ..o.clone() }
        })
        .collect();
    lab.history.extend(again);
    let known = crate::explain(&lab.problem(), &lab.history);
    let first = &known.triples[0];
    assert!(first.triple.iter().all(|c| c.option == "o1" && c.dimension != "d3"), "{first:?}");
    assert!(first.delta > 0.03 && first.low > 0.0 && first.runs == 2, "{first:?}");
    assert!(known.triples.len() <= 5);
}

#[test]
fn what_somebody_asked_for_comes_right_after_the_base_and_once() {
    for sampler in [Sampler::Gp, Sampler::Tpe, Sampler::Random, Sampler::Grid] {
        let mut lab = Lab::new(plain(&[4, 4, 4, 4]), 2, 10);
        lab.search_spec.sampler = sampler;
        let asked = [("d0", "o3"), ("d1", "o2")].map(|(slot, option)| lab.space.base().with(slot, option));
        // What the space does not have is left out, what is there twice is tried once.
        let gone = lab.space.base().with("d0", "o9");
        lab.search_spec.enqueue = vec![asked[0].clone(), gone, asked[0].clone(), asked[1].clone()];
        lab.run(1, |config, _| around(one_good(config), 0.0));
        let first: Vec<&Config> = lab.suggested.iter().take(3).map(|s| &s.config).collect();
        assert_eq!(first, [&lab.space.base(), &asked[0], &asked[1]], "{sampler:?}");
        assert!(lab.suggested[1].reason.contains("--enqueue") && lab.history.len() <= 20);
        // Asked for later, it comes next.
        let later = lab.space.base().with("d2", "o3").with("d3", "o3").with("d1", "o3");
        lab.search_spec.enqueue = vec![later.clone()];
        lab.budget.rounds = 3;
        let Plan::Suggest(next) = lab.plan(1) else { panic!() };
        let tried = lab.history.iter().any(|o| o.config == later);
        assert_eq!(next[0].config == later, !tried);
    }
}
