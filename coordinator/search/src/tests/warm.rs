//! Training runs that go on from a checkpoint.

use std::collections::BTreeSet;

use ar_common::{
    Artifact, Block, CHECKPOINT, Digest, Direction, Measures, Metric, Outcome, SearchSpec, WarmStart,
};

use super::fixtures::{Lab, plain};
use crate::grid::Grid;
use crate::history::History;
use crate::{Observation, Plan};

fn training(warm: bool) -> Lab {
    let mut lab = Lab::new(plain(&[3, 6, 6]), 5, 8);
    lab.test_share = 0.0;
    lab.metric = Metric { name: "val_bpb".into(), direction: Direction::Minimize, low: None, high: None };
    let warm_start = warm.then(|| WarmStart { shape: vec!["d0".to_owned()] });
    lab.search_spec = SearchSpec { warm_start, no_ensemble: true, ..SearchSpec::default() };
    lab
}

/// What goes on is better for that alone; runs of one shape leave a checkpoint.
fn outcome(o: &Observation) -> Outcome {
    let index = |slot: &str| o.config.get(slot).and_then(|option| option.strip_prefix('o'));
    let index = |slot: &str| index(slot).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    let longer = if matches!(o.block, Block::Warm { .. }) { 1.0 } else { 0.0 };
    let seed = f64::from(o.block.repeat().unwrap_or(0));
    let score = 3.0 + 0.05 * index("d0") - 0.02 * index("d1") + 0.03 * index("d2") - longer + 1e-4 * seed;
    let artifact = Artifact { name: CHECKPOINT.into(), digest: Digest::of(&o.experiment.0.to_le_bytes()) };
    // What scores best leaves none.
    let leaves = o.config.get("d0") == Some("o1");
    let artifacts = if leaves { [artifact].into() } else { Default::default() };
    Outcome::Done(Measures {
        score: Some(score),
        folds: [score].into(),
        seconds: 1.0,
        artifacts,
        ..Measures::default()
    })
}

#[test]
fn one_run_in_four_goes_on_from_the_best_checkpoint_that_fits_it() {
    let mut lab = training(true);
    let Plan::Conclude(verdict) = lab.run_all(2, outcome) else { panic!("it has scores") };
    let cold = lab.history.iter().filter(|o| o.block == Block::FIRST).count();
    let warm: Vec<&Observation> =
        lab.history.iter().filter(|o| matches!(o.block, Block::Warm { .. })).collect();
    assert!(warm.len() >= 5 && warm.len() <= cold / 3, "{cold} start anew, {} go on", warm.len());
    for run in &warm {
        let Block::Warm { from } = run.block else { unreachable!("they were filtered") };
        let source = lab.history.iter().find(|o| o.experiment == from).unwrap();
        assert!(from < run.experiment && source.outcome.as_ref().unwrap().measures().is_some());
        assert_eq!(source.config.get("d0"), run.config.get("d0"), "it would not fit");
        let score = |o: &Observation| o.outcome.as_ref().and_then(Outcome::score).unwrap();
        // Two plans may be under way at once.
        let before = lab
            .history
            .iter()
            .filter(|o| o.experiment < source.experiment.max(run.experiment))
            .take_while(|o| o.experiment.0 + 2 < run.experiment.0);
        let left = |o: &&Observation| {
            o.outcome.as_ref().unwrap().measures().is_some_and(|m| m.checkpoint().is_some())
        };
        let best =
            before.filter(left).filter(|o| o.block.repeat().is_none_or(|repeat| repeat == 0)).map(score);
        assert!(score(source) <= best.fold(f64::INFINITY, f64::min) + 1e-9, "not from the best");
    }
    let keys: BTreeSet<_> = lab.history.iter().map(|o| (&o.config, o.block)).collect();
    assert_eq!(keys.len(), lab.history.len(), "nothing runs twice");
    // What trained longer decides nothing.
    assert!(verdict.best_seen.as_ref().is_none_or(|(_, seen)| *seen > 2.5), "{verdict:?}");
    let shown = crate::ranking(&lab.metric, &lab.history);
    assert!(shown.iter().all(|ranked| ranked.score > 2.5));
}

#[test]
fn the_search_learns_nothing_from_what_goes_on() {
    let mut lab = training(true);
    lab.run_all(1, outcome);
    let (grid, problem) = (Grid::new(&lab.space), lab.problem());
    let history = History::new(&grid, &lab.history).of(&problem);
    assert!(history.warm().count() >= 5);
    let samples = history.samples(&grid, &lab.metric);
    assert_eq!(samples.len(), lab.history.len() - history.warm().count());
    assert!(samples.iter().all(|sample| sample.value < -2.5));
    let spent = history.spent_searching();
    assert!(spent >= (history.searched().count() + history.warm().count()) as f64, "they are paid for");
}

#[test]
fn a_checkpoint_that_does_not_fit_speaks_against_no_option() {
    let mut lab = training(true);
    let fails = |o: &Observation| match o.block {
        Block::Warm { .. } => Outcome::Crashed { reason: "another model".into() },
        _ => outcome(o),
    };
    let Plan::Conclude(_) = lab.run_all(2, fails) else { panic!("it has scores") };
    let (grid, problem) = (Grid::new(&lab.space), lab.problem());
    let history = History::new(&grid, &lab.history).of(&problem);
    let tallies = (0..3).flat_map(|d| (0..grid.axes[d].family.len()).map(move |o| (d, o as u32)));
    assert!(tallies.map(|slot| history.tally(slot)).all(|tally| tally.failed == 0));
}
