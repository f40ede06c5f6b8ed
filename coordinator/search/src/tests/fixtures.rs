//! Spaces and a laboratory that runs what a plan suggests.

use std::cell::RefCell;

use ar_common::space::Conditions;
use ar_common::{
    Block, Budget, Config, Constraints, Dimension, ExperimentId, Measures, Metric, OptionSpec, Outcome,
    SearchSpec, Space, Verdict,
};
use proptest::prelude::*;

use crate::{Observation, Plan, Problem, Search, Suggestion};

pub(crate) fn option(name: &str, family: &str) -> OptionSpec {
    OptionSpec {
        name: name.to_owned(),
        family: family.to_owned(),
        floor: false,
        inactive_under: Conditions::new(),
        only_with: Conditions::new(),
        value: None,
    }
}

/// Dimensions `d0`, `d1`, ... with `base`, `o1`, `o2`, ..., two options in a family.
pub(crate) fn plain(sizes: &[usize]) -> Space {
    let dimension = |(d, size): (usize, &usize)| {
        let name = |o: usize| {
            if o == 0 { "base".to_owned() } else { format!("o{o}") }
        };
        let options = (0..*size).map(|o| option(&name(o), &format!("f{d}_{}", o / 2))).collect();
        Dimension { name: format!("d{d}"), options, ..Dimension::default() }
    };
    Space { dimensions: sizes.iter().enumerate().map(dimension).collect(), ..Space::default() }
}

/// Spaces with families, floors and conditions of every kind.
pub(crate) fn any_space() -> impl Strategy<Value = Space> {
    let rule = (0..4_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_usize);
    let dimension = prop::collection::vec(rule, 1..5);
    prop::collection::vec(dimension, 1..5).prop_map(|rules| {
        let mut space = plain(&rules.iter().map(Vec::len).collect::<Vec<_>>());
        let families: Vec<Vec<String>> =
            space.dimensions.iter().map(|d| d.families().into_iter().map(str::to_owned).collect()).collect();
        for (d, options) in rules.iter().enumerate() {
            for (o, (kind, other, family, _)) in options.iter().enumerate().skip(1) {
                let other = other.index(rules.len());
                let condition =
                    (format!("d{other}"), vec![families[other][family.index(families[other].len())].clone()]);
                let spec = &mut space.dimensions[d].options[o];
                match kind {
                    1 if o == 3 => spec.floor = true,
                    2 if other != d => spec.inactive_under = [condition].into(),
                    3 if other != d => spec.only_with = [condition].into(),
                    _ => {}
                }
            }
            let (_, other, family, whole) = options[0];
            let other = other.index(rules.len());
            if whole == 0 && other != d {
                let name = families[other][family.index(families[other].len())].clone();
                space.dimensions[d].inactive_under = [(format!("d{other}"), vec![name])].into();
            }
        }
        space.validate().unwrap();
        space
    })
}

pub(crate) fn accuracy() -> Metric {
    Metric::tabular("accuracy").unwrap().0
}

pub(crate) fn done(folds: Vec<f64>) -> Outcome {
    let score = Some(folds.iter().sum::<f64>() / folds.len() as f64);
    Outcome::Done(Measures { score, folds: folds.into(), seconds: 1.0, ..Measures::default() })
}

/// An outcome of an ensemble with these weights; of anything else if there are none.
pub(crate) fn weighed(outcome: Outcome, weights: Vec<u32>) -> Outcome {
    match outcome {
        Outcome::Done(measures) => Outcome::Done(Measures { members: weights.into(), ..measures }),
        other => other,
    }
}

pub(crate) fn crash() -> Outcome {
    Outcome::Crashed { reason: "ValueError: no".to_owned() }
}

/// A study and its history.
pub(crate) struct Lab {
    pub(crate) space: Space,
    pub(crate) metric: Metric,
    pub(crate) budget: Budget,
    pub(crate) seed: u64,
    pub(crate) spent_time: bool,
    pub(crate) test_share: f64,
    pub(crate) repeats: u32,
    pub(crate) seconds: Option<f64>,
    pub(crate) search_spec: SearchSpec,
    pub(crate) constraints: Constraints,
    pub(crate) history: Vec<Observation>,
    pub(crate) suggested: Vec<Suggestion>,
    /// What the study's plans are made with; the plan made from nothing must be the same.
    search: RefCell<Search>,
}

impl Lab {
    pub(crate) fn new(space: Space, rounds: u32, per_round: u32) -> Self {
        Self {
            space,
            metric: accuracy(),
            budget: Budget { rounds, per_round },
            seed: 7,
            spent_time: false,
            test_share: 0.25,
            repeats: 1,
            seconds: None,
            // As long as no test is about one.
            search_spec: SearchSpec { no_ensemble: true, ..SearchSpec::default() },
            constraints: Constraints::default(),
            history: Vec::new(),
            suggested: Vec::new(),
            search: RefCell::default(),
        }
    }

    pub(crate) fn problem(&self) -> Problem<'_> {
        Problem {
            space: &self.space,
            metric: &self.metric,
            budget: self.budget,
            spent_time: self.spent_time,
            seconds: self.seconds,
            test_share: self.test_share,
            repeats: self.repeats,
            constraints: self.constraints,
            seed: self.seed,
            search: &self.search_spec,
        }
    }

    pub(crate) fn plan(&self, want: usize) -> Plan {
        self.search.borrow_mut().plan(&self.problem(), &self.history, want)
    }

    /// Adds suggestions as pending experiments.
    pub(crate) fn start(&mut self, suggestions: Vec<Suggestion>) {
        for suggestion in suggestions {
            self.history.push(Observation {
                experiment: ExperimentId(self.history.len() as u64 + 1),
                config: suggestion.config.clone(),
                block: suggestion.block,
                mode: suggestion.mode,
                outcome: None,
                members: suggestion.members.clone(),
            });
            self.suggested.push(suggestion);
        }
    }

    /// Runs the study to its end, `want` at a time, each batch to its end.
    pub(crate) fn run(&mut self, want: usize, mut judge: impl FnMut(&Config, Block) -> Outcome) -> Plan {
        self.run_all(want, |o| judge(&o.config, o.block))
    }

    /// As [`Lab::run`], told what else is known of an experiment.
    pub(crate) fn run_all(&mut self, want: usize, mut judge: impl FnMut(&Observation) -> Outcome) -> Plan {
        for _ in 0..10_000 {
            match self.plan(want) {
                Plan::Suggest(suggestions) => {
                    // A pair of runs stays whole.
                    let most = if self.test_share == 0.0 { want + 1 } else { want };
                    assert!(!suggestions.is_empty() && suggestions.len() <= most);
                    self.start(suggestions);
                    for pending in self.history.iter_mut().filter(|o| o.outcome.is_none()) {
                        pending.outcome = Some(judge(pending));
                    }
                }
                end => return end,
            }
        }
        panic!("the study does not end");
    }

    pub(crate) fn verdict(&mut self, want: usize, judge: impl FnMut(&Config, Block) -> Outcome) -> Verdict {
        match self.run(want, judge) {
            Plan::Conclude(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }
}

/// Three slots, two of them with families of several options.
pub(crate) fn families() -> Space {
    plain(&[6, 4, 3])
}

/// A slot and two knobs.
pub(crate) fn numbers() -> Space {
    let knob = |name, scale, integer| {
        let knob = ar_common::Knob { low: 1.0, high: 9.0, default: 3.0, scale, integer };
        Dimension::knob(name, knob).unwrap()
    };
    let mut space = plain(&[3]);
    space.dimensions.push(knob("depth", ar_common::Scale::Linear, true));
    space.dimensions.push(knob("rate", ar_common::Scale::Log, true));
    space
}
