//! What a search remembers between two plans, and the surrogates that it makes of a history.

use ar_common::Space;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::grid::{Grid, Point};
use crate::history::{History, Sample};
use crate::insight::{self, Pair};
use crate::marginals::{Marginals, Reach};
use crate::surrogate::{Below, Score, Surrogate};
use crate::{Observation, Plan, Problem, candidates, contenders, next};

/// A search that remembers what it worked out for the last plan. What it plans is what [`plan`](crate::plan()) would, sooner.
#[derive(Debug, Default)]
pub struct Search {
    /// For which space, and what.
    surrogate: Option<(Space, Surrogate)>,
    /// The same for what is told of pairs.
    teacher: Option<(Space, Surrogate)>,
}

impl Search {
    /// See [`plan`](crate::plan()).
    pub fn plan(&mut self, problem: &Problem<'_>, history: &[Observation], want: usize) -> Plan {
        match next(self, problem, history, want.max(1)) {
            Plan::Suggest(_) if want == 0 => Plan::Wait,
            plan => plan,
        }
    }

    /// The surrogate by which the search goes.
    pub(crate) fn surrogate(
        &mut self,
        problem: &Problem<'_>,
        grid: &Grid<'_>,
        history: &History<'_>,
    ) -> Surrogate {
        let last = taken(&mut self.surrogate, problem);
        modelled(last, problem, (grid, Below::Near), history, &history.samples(grid, problem.metric))
    }

    /// The pairs that are worth measuring again.
    pub(crate) fn claims(
        &mut self,
        problem: &Problem<'_>,
        grid: &Grid<'_>,
        history: &History<'_>,
    ) -> Vec<Pair> {
        let last = taken(&mut self.teacher, problem);
        let samples = history.samples(grid, problem.metric);
        let teacher = modelled(last, problem, (grid, Below::Far), history, &samples);
        let claims = insight::claims(grid, &teacher);
        self.teacher = Some((problem.space.clone(), teacher));
        claims
    }

    /// The configuration to be compared with the base.
    pub(crate) fn candidate(
        &mut self,
        problem: &Problem<'_>,
        grid: &Grid<'_>,
        history: &History<'_>,
    ) -> Option<Point> {
        let surrogate = self.surrogate(problem, grid, history);
        let candidate = contenders::candidate(grid, history, problem.metric, &surrogate);
        self.keep(problem.space, surrogate);
        candidate
    }

    pub(crate) fn keep(&mut self, space: &Space, surrogate: Surrogate) {
        self.surrogate = Some((space.clone(), surrogate));
    }
}

/// What was kept, if it is for the same space.
fn taken(kept: &mut Option<(Space, Surrogate)>, problem: &Problem<'_>) -> Option<Surrogate> {
    kept.take().filter(|(space, _)| space == problem.space).map(|(_, last)| last)
}

/// A surrogate of `samples`; `last` saves work if it is of the same study.
pub(crate) fn modelled(
    last: Option<Surrogate>,
    problem: &Problem<'_>,
    (grid, below): (&Grid<'_>, Below),
    history: &History<'_>,
    samples: &[Sample],
) -> Surrogate {
    let scores: Vec<Score> =
        samples.iter().map(|s| Score { point: s.point.clone(), value: s.value, weight: s.weight }).collect();
    let pending: Vec<Point> = history.on_their_way().cloned().collect();
    let in_sight = |n: usize| {
        let model = Marginals::fit(grid, None, &samples[..n], Reach::Good);
        candidates::in_sight(grid, &model, &mut generator(problem, n))
    };
    Surrogate::new(
        last,
        (grid, below),
        &scores,
        &pending,
        |n| history.noise(grid, problem.metric, n),
        in_sight,
    )
}

/// The generator of the draws of a plan that rests on `scores` scores.
pub(crate) fn generator(problem: &Problem<'_>, scores: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(problem.seed);
    rng.set_stream(scores as u64);
    rng
}
