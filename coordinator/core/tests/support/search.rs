//! A search that needs no statistics: what is new in the order of the space, then an ensemble of the first three, then
//! repeats of base and best, then a verdict.

use ar_common::{Block, Config, ExperimentKey, Member, Race, Space, StudyId, Verdict};
use ar_core::{Planned, PlannedExperiment, State, Study, TimeLeft};

use super::study::planned;

/// What a search would answer to a plan asked for in this state. A pure function, like the real one.
pub(crate) fn search(state: &State, id: &StudyId, want: usize, time: TimeLeft) -> Planned {
    let Some(study) = state.studies.get(id) else { panic!("a plan was asked for unknown study {id}") };
    let budget = study.budget();
    let left = study.left(&budget) as usize;
    let best = state.best(study).map(|(experiment, _)| experiment.config.clone());
    let new = |key: &ExperimentKey| !study.keys.contains(key);
    let explore = all(&study.space).into_iter().map(|config| ExperimentKey::single(config, Block::FIRST));
    let repeats = (1..=budget.total()).flat_map(|repeat| {
        let pair = [Some(study.base()), best.clone().filter(|best| *best != study.base())];
        pair.into_iter().flatten().map(move |config| ExperimentKey::single(config, Block::Cv { repeat }))
    });
    let kept = if time == TimeLeft::All { budget.confirmation() as usize } else { left };
    let explored: Vec<ExperimentKey> = explore.filter(new).take(left.saturating_sub(kept)).collect();
    let keys: Vec<ExperimentKey> = match time {
        TimeLeft::Nothing => vec![],
        _ if !explored.is_empty() => explored,
        // Repeats are worth their cost only once there is something to repeat.
        _ if best.is_none() => vec![],
        _ => ensemble(study).into_iter().chain(repeats).filter(new).take(left).collect(),
    };
    let as_planned = |key: ExperimentKey| {
        let members = key.members.clone();
        raced(PlannedExperiment { members, ..planned(key.config, key.block) }, study)
    };
    let chosen: Vec<PlannedExperiment> = keys.into_iter().take(want.max(1)).map(as_planned).collect();
    let pending = state.experiments_of(study).any(|experiment| experiment.is_pending());
    match best {
        _ if !chosen.is_empty() => Planned::Experiments(chosen),
        _ if pending => Planned::Wait,
        Some(best) => Planned::Conclude(verdict(&best)),
        None => Planned::Failed,
    }
}

/// The first three configurations of the space, if it has as many.
fn ensemble(study: &Study) -> Option<ExperimentKey> {
    let configs = all(&study.space).into_iter().take(3);
    let members: Vec<Member> = configs.map(|config| Member { config, weight: 0 }).collect();
    (members.len() == 3)
        .then(|| ExperimentKey { members, ..ExperimentKey::single(study.base(), Block::FIRST) })
}

/// What is new, but for the base, races against an incumbent that nobody beats on all folds.
fn raced(planned: PlannedExperiment, study: &Study) -> PlannedExperiment {
    let races = planned.block == Block::FIRST && planned.config != study.base();
    let race = Race::against(&study.spec.metric, &[0.5; 5]).filter(|_| races);
    PlannedExperiment { race: race.map(Box::new), ..planned }
}

/// A verdict for `winner`.
pub(crate) fn verdict(winner: &Config) -> Verdict {
    Verdict {
        winner: winner.clone(),
        candidate: Some(winner.clone()),
        beats_base: true,
        difference: 0.02,
        low: 0.01,
        p_value: 0.04,
        level: 0.1,
        pairs: 10,
        candidate_score: Some(0.82),
        base_score: Some(0.8),
        best_seen: None,
        text: "as told by the test".to_owned(),
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    }
}

/// Every configuration that differs from the others, the base first.
fn all(space: &Space) -> Vec<Config> {
    let mut configs = vec![space.base()];
    for dimension in &space.dimensions {
        let with_each = |config: &Config| {
            let each = dimension.options.iter().map(|option| config.with(&dimension.name, &option.name));
            each.collect::<Vec<_>>()
        };
        configs = configs.iter().flat_map(with_each).collect();
    }
    let mut distinct: Vec<Config> = Vec::new();
    for config in configs.iter().filter_map(|config| space.canonical(config)) {
        if !distinct.contains(&config) {
            distinct.push(config);
        }
    }
    distinct
}
