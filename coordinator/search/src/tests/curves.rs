//! Training runs that are stopped early by their loss, and what the search learns of them.

use ar_common::{Course, Direction, Measures, Metric, Outcome, Race, Rule};

use super::fixtures::{Lab, plain};
use crate::{Observation, Plan};

const POINTS: usize = Race::CURVE_POINTS as usize;

fn training() -> Lab {
    let mut lab = Lab::new(plain(&[5, 5, 5]), 5, 8);
    lab.test_share = 0.0;
    lab.metric = Metric { name: "val_bpb".into(), direction: Direction::Minimize, low: None, high: None };
    lab
}

/// Options cost something, `d0=o1` gains, and runs differ.
fn worth(o: &Observation) -> f64 {
    let config = &o.config;
    let luck = 0.05 * ((o.experiment.0 * 7) % 10) as f64;
    let others = config.iter().filter(|(slot, option)| *slot != "d0" && *option != "base").count() as f64;
    1.0 + luck + 0.3 * others - if config.get("d0") == Some("o1") { 0.2 } else { 0.0 }
}

/// Falls to what it is worth at the end; the score is a tenth of that.
fn curve(o: &Observation) -> Vec<f64> {
    (0..POINTS).map(|i| worth(o) + 3.0 * (1.0 - i as f64 / (POINTS - 1) as f64)).collect()
}

/// A run as a worker makes it: stopped when it has lost its race.
fn run(lab: &Lab, o: &Observation) -> Outcome {
    let asked = lab.suggested.iter().rfind(|s| s.config == o.config && s.block == o.block).unwrap();
    let curve = curve(o);
    let lost = asked.race.as_ref().and_then(|race| (1..=POINTS).find(|n| race.is_lost(&curve[..*n])));
    match lost {
        Some(n) => Outcome::StoppedEarly { folds: curve[..n].to_vec(), seconds: 1.0, rule: Rule::Latest },
        None => {
            let score = 0.1 * worth(o);
            Outcome::Done(Measures {
                score: Some(score),
                folds: [score].into(),
                seconds: 2.0,
                course: Some(Box::new(Course { curve, startup_seconds: None })),
                ..Measures::default()
            })
        }
    }
}

/// The study run to its end, one at a time.
fn study(lab: &mut Lab) -> ar_common::Verdict {
    for _ in 0..1_000 {
        match lab.plan(1) {
            Plan::Suggest(suggestions) => {
                lab.start(suggestions);
                let pending: Vec<usize> =
                    (0..lab.history.len()).filter(|i| lab.history[*i].outcome.is_none()).collect();
                for i in pending {
                    let outcome = run(lab, &lab.history[i]);
                    lab.history[i].outcome = Some(outcome);
                }
            }
            Plan::Conclude(verdict) => return verdict,
            other => panic!("{other:?}"),
        }
    }
    panic!("the study does not end");
}

fn stopped(lab: &Lab) -> Vec<&Observation> {
    lab.history.iter().filter(|o| matches!(o.outcome, Some(Outcome::StoppedEarly { .. }))).collect()
}

#[test]
fn what_is_behind_is_stopped_and_what_that_saves_is_spent_on_others() {
    let mut lab = training();
    let verdict = study(&mut lab);
    let early = stopped(&lab);
    assert!(early.len() >= 5, "{}", early.len());
    assert!(early.iter().all(|o| o.experiment.0 > 5), "never the first runs");
    assert!(lab.history.len() > 40, "what was saved was spent: {}", lab.history.len());
    let cost = |o: &Observation| match &o.outcome {
        Some(Outcome::StoppedEarly { folds, .. }) => folds.len() as f64 / POINTS as f64,
        _ => 1.0,
    };
    assert!(lab.history.iter().map(cost).sum::<f64>() <= 40.0);
    let candidate = verdict.candidate.unwrap();
    assert_eq!(candidate.get("d0"), Some("o1"), "{}", verdict.text);
    assert!(early.iter().all(|o| o.config != lab.space.base() && o.config != candidate));
    let replicates = lab.suggested.iter().filter(|s| s.block != ar_common::Block::FIRST);
    assert!(replicates.clone().count() >= 4 && replicates.into_iter().all(|s| s.race.is_none()));
}

#[test]
fn nothing_is_stopped_that_asked_for_all_its_time_or_has_a_curve_of_its_own() {
    let mut lab = training();
    lab.search_spec.no_race = true;
    study(&mut lab);
    assert!(stopped(&lab).is_empty());
    let mut lab = training();
    lab.search_spec.incomparable = vec!["d1".to_owned()];
    study(&mut lab);
    let early = stopped(&lab);
    assert!(!early.is_empty() && early.iter().all(|o| o.config.get("d1") == Some("base")), "{early:?}");
}

#[test]
fn a_stopped_run_teaches_what_its_loss_lets_expect() {
    let mut lab = training();
    study(&mut lab);
    // Without a score of their own, what they were on their way to counts: the same order as where all run to their end.
    let known = |lab: &Lab| {
        let samples = crate::history::History::new(&crate::grid::Grid::new(&lab.space), &lab.history)
            .of(&lab.problem())
            .samples(&crate::grid::Grid::new(&lab.space), &lab.metric);
        samples.into_iter().map(|s| (s.value, s.weight)).collect::<Vec<_>>()
    };
    let early: Vec<(f64, f64)> = known(&lab).into_iter().filter(|(_, weight)| *weight < 1.0).collect();
    assert_eq!(early.len(), stopped(&lab).len());
    let mut expected: Vec<f64> = stopped(&lab).iter().map(|o| -0.1 * worth(o)).collect();
    let mut told: Vec<f64> = early.into_iter().map(|(value, _)| value).collect();
    expected.sort_by(f64::total_cmp);
    told.sort_by(f64::total_cmp);
    for (told, expected) in told.iter().zip(&expected) {
        assert!((told - expected).abs() < 1e-6, "{told} is not {expected}");
    }
}
