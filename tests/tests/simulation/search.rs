//! Studies, how their configurations fare, and a search that needs no statistics.

use std::collections::BTreeMap;

use ar_common::{
    Block, Budget, Config, Digest, Dimension, ExperimentId, ExperimentKey, Limits, Measures, Metric, Mode,
    OptionSpec, Outcome, Race, SearchSpec, Space, Splits, StudyId, StudySpec, Tabular, TabularSpec, Verdict,
    Workload,
};
use ar_core::{Planned, PlannedExperiment, State, TimeLeft};

use super::agenda::Dice;

/// Most milliseconds that an experiment may run.
pub(crate) const DEADLINE: u64 = 90_000;
/// Folds of every study here.
pub(crate) const FOLDS: usize = 5;

/// A study of 8 x 2 options with a budget of 2 x 5.
pub(crate) fn spec(seed: u64) -> StudySpec {
    let (metric, task) = Metric::tabular("accuracy").unwrap();
    let dimension = |name: &str, options: u32| {
        let names = std::iter::once("base".to_owned()).chain((1..options).map(|n| format!("{name}{n}")));
        let option = |name: String| OptionSpec {
            family: name.clone(),
            name,
            floor: false,
            inactive_under: BTreeMap::new(),
            only_with: BTreeMap::new(),
            value: None,
        };
        Dimension { name: name.to_owned(), options: names.map(option).collect(), ..Dimension::default() }
    };
    StudySpec {
        version: StudySpec::VERSION,
        name: format!("study {seed}"),
        seed,
        metric,
        workload: Workload::Tabular(Tabular {
            data: TabularSpec {
                path: "heart.csv".into(),
                content: Digest::of(b"rows"),
                target: "target".into(),
                task,
                drop: vec![],
                delimiter: ',',
            },
            splits: Splits {
                folds: 5,
                holdout: seed.is_multiple_of(2).then_some(0.2),
                group: None,
                time: None,
                repeats: 1,
            },
            environment: Digest::of(b"lock"),
            code: Digest::of(b"code"),
        }),
        budget: Budget { rounds: 2, per_round: 5 },
        search: SearchSpec::default(),
        limits: Limits { experiment_seconds: Some(DEADLINE as f64 / 1000.0), ..Limits::default() },
        space: Space { dimensions: vec![dimension("model", 8), dimension("scale", 2)], ..Space::default() },
    }
}

/// What a process does when nothing disturbs it.
#[derive(Debug)]
pub(crate) struct Fate {
    /// Hash of its matrix, known after half its time.
    pub(crate) matrix: Option<String>,
    /// How long it takes; it never ends by itself if there is none.
    pub(crate) ms: Option<u64>,
    pub(crate) outcome: Outcome,
}

/// How an experiment fares: the same on every worker and at every attempt.
pub(crate) fn fate(seed: u64, quick: bool, study: &StudyId, config: &Config, block: Block) -> Fate {
    let said = format!("{seed} {study} {config:?} {block}");
    let mut dice = Dice(u64::from_str_radix(&Digest::of(said.as_bytes()).short(16), 16).unwrap());
    let ms = match (quick, dice.once_in(8)) {
        (true, _) => dice.between(2, 60),
        (false, true) => dice.between(20_000, DEADLINE),
        (false, false) => dice.between(500, 15_000),
    };
    let score = block.counts().then(|| dice.between(0, 1_000) as f64 / 1_000.0);
    let folds = score.map_or_else(Vec::new, |score| vec![score; FOLDS]);
    let measures =
        Measures { score, folds: folds.into(), seconds: ms as f64 / 1_000.0, ..Measures::default() };
    let fate = |outcome| Fate { matrix: None, ms: Some(ms), outcome };
    match dice.between(0, 12) {
        0 => fate(Outcome::Crashed { reason: "ValueError".into() }),
        1 if block.counts() => fate(Outcome::NoMetric { reason: "accuracy is NaN".into() }),
        2 => Fate { ms: None, ..fate(Outcome::Crashed { reason: "killed by signal 15 (SIGTERM)".into() }) },
        // Scaling means nothing to some models.
        3..6 if block.counts() => {
            let matrix = format!("{:?} {block}", config.get("model"));
            Fate { matrix: Some(matrix), ..fate(Outcome::Done(measures)) }
        }
        _ => fate(Outcome::Done(measures)),
    }
}

/// What is new in the order of the space, then a verdict. A pure function, like the real search.
pub(crate) fn search(state: &State, id: &StudyId, want: usize, time: TimeLeft) -> Planned {
    let study = &state.studies[id];
    let left = study.left(&study.budget()) as usize;
    let best = state.best(study).and_then(|(best, _)| best.outcome()?.measures());
    let race = best.and_then(|best| Race::against(&study.spec.metric, &best.folds)).map(Box::new);
    let [models, scales] = &study.space.dimensions[..] else { panic!("two dimensions") };
    let all = models.options.iter().flat_map(|model| {
        scales.options.iter().map(|scale| study.base().with("model", &model.name).with("scale", &scale.name))
    });
    let new = |config: &Config| !study.keys.contains(&ExperimentKey::single(config.clone(), Block::FIRST));
    let chosen: Vec<PlannedExperiment> = all
        .filter(new)
        .take(if time == TimeLeft::All { left.min(want.max(1)) } else { 0 })
        .map(|config| PlannedExperiment {
            id: ExperimentId(0),
            config,
            block: Block::FIRST,
            mode: Mode::Explore,
            round: 1,
            reason: "next in the space".into(),
            members: Vec::new(),
            race: race.clone(),
            expected_gain: None,
        })
        .collect();
    let pending = state.experiments_of(study).any(|e| e.is_pending() && e.block.counts());
    match state.best(study) {
        _ if !chosen.is_empty() => Planned::Experiments(chosen),
        _ if pending && time != TimeLeft::Nothing => Planned::Wait,
        Some((best, score)) => Planned::Conclude(verdict(&best.config, score)),
        None => Planned::Failed,
    }
}

fn verdict(winner: &Config, score: f64) -> Verdict {
    Verdict {
        winner: winner.clone(),
        candidate: Some(winner.clone()),
        beats_base: true,
        difference: 0.02,
        low: 0.01,
        p_value: 0.04,
        level: 0.1,
        pairs: 10,
        candidate_score: Some(score),
        base_score: None,
        best_seen: None,
        text: "as the simulation has it".into(),
        members: Vec::new(),
        compared: Vec::new(),
        decisions: Vec::new(),
    }
}
