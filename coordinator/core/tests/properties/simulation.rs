//! Performs the stories, and heals what they broke.

use ar_common::frames::{CoordinatorFrame, LeaseRef, LeaseStage};
use ar_common::{Block, ExperimentId, Measures, Outcome, StudyId, StudySpec};
use ar_core::{Input, Planned, Record};
use proptest::sample::Index;

use super::operations::{Answer, Ending, Operation, Setup};
use crate::support::{Ask, Worker, World, cv, done, planned, quick, search, spec, verdict};

const NAMES: [&str; 4] = ["w1", "w2", "w3", "w4"];
const TTL: u64 = 45_000;

/// A world in which everything may go wrong.
pub(crate) struct Simulation {
    pub(crate) world: World,
    workers: Vec<Worker>,
    specs: Vec<StudySpec>,
    quick: bool,
    /// Plans under way with the answer that a sound search gives to what it saw.
    plans: Vec<(Ask, Planned)>,
    /// Results as they were sent, and the worker that sent them.
    sent: Vec<(usize, LeaseRef, Outcome)>,
    pub(crate) repeats: u32,
}

impl Simulation {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut world = World::new();
        let workers =
            NAMES.iter().zip(&setup.workers).map(|(name, slots)| Worker::new(name, *slots)).collect();
        let study = |seed| {
            let mut spec = spec(seed);
            if let Some(tabular) = spec.tabular_mut() {
                tabular.splits.holdout = setup.holdout.then_some(0.2);
            }
            spec
        };
        let specs: Vec<StudySpec> = (0..setup.studies).map(study).collect();
        for spec in &specs {
            world.submit(spec);
        }
        let (plans, sent) = (Vec::new(), Vec::new());
        Self { world, workers, specs, quick: setup.quick, plans, sent, repeats: 0 }
    }

    pub(crate) fn perform(&mut self, operation: &Operation) {
        let journaled = self.world.ledger.journal.len();
        self.act(operation);
        let begun = |record: &Record| matches!(record, Record::Elected { .. });
        if self.world.ledger.journal[journaled..].iter().any(begun) {
            // Plans under way died with the process that asked for them.
            self.plans.clear();
        }
        self.world.ignore_closes();
        self.see_asks();
    }

    fn act(&mut self, operation: &Operation) {
        match operation {
            Operation::Work(worker, ending) => self.work(self.at(worker), *ending),
            Operation::Connect(worker) => {
                let at = self.at(worker);
                self.workers[at].connect(&mut self.world);
            }
            Operation::Disconnect(worker) => {
                let at = self.at(worker);
                self.workers[at].disconnect(&mut self.world);
            }
            Operation::Die { worker, spool_too } => {
                let at = self.at(worker);
                if *spool_too {
                    self.workers[at].spool.clear();
                }
                self.workers[at].die(&mut self.world);
            }
            Operation::Partition(worker, ending) => self.partition(self.at(worker), *ending),
            Operation::DieThrice(worker) => {
                let at = self.at(worker);
                for _ in 0..3 {
                    self.start_all(at);
                    self.workers[at].die(&mut self.world);
                }
                self.start_all(at);
            }
            Operation::Receive(worker) => self.receive(self.at(worker)),
            Operation::Heartbeat(worker) => {
                let at = self.at(worker);
                self.workers[at].heartbeat(&mut self.world);
            }
            Operation::Start(worker, lease) => {
                if let Some((at, lease)) = self.lease(worker, lease) {
                    self.workers[at].start(&mut self.world, lease);
                }
            }
            Operation::Finish { worker, lease, ending, lost } => {
                if let Some((at, lease)) = self.lease(worker, lease) {
                    self.finish(at, lease, *ending, *lost);
                }
            }
            Operation::Offer(worker) => self.offer(self.at(worker)),
            Operation::Release(worker, lease) => {
                if let Some((at, lease)) = self.lease(worker, lease) {
                    self.workers[at].release(&mut self.world, lease);
                }
            }
            Operation::Forget(worker, lease) => {
                if let Some((at, lease)) = self.lease(worker, lease) {
                    self.workers[at].held.remove(&lease);
                }
            }
            Operation::Corrupt(worker, which) => {
                if let Some((_, lease, _)) = pick(&self.sent, which) {
                    let (at, lease) = (self.at(worker), *lease);
                    self.workers[at].claim(&mut self.world, lease, done(0.999));
                }
            }
            Operation::Replay(which) => {
                if let Some((at, lease, outcome)) = pick(&self.sent, which).cloned() {
                    self.repeats += 1;
                    self.workers[at].claim(&mut self.world, lease, outcome);
                }
            }
            _ => self.act_on_the_rest(operation),
        }
    }

    fn act_on_the_rest(&mut self, operation: &Operation) {
        match operation {
            Operation::Drain(worker, on) => {
                let at = self.at(worker);
                self.workers[at].draining = *on;
                self.workers[at].heartbeat(&mut self.world);
            }
            Operation::Unavailable(worker) => {
                let (at, study) = (self.at(worker), self.specs[0].id());
                self.workers[at].ready_without(
                    &mut self.world,
                    &study,
                    &[("scale", "robust"), ("scale", "base")],
                );
            }
            Operation::NotReady(worker, study) => {
                let (at, study) = (self.at(worker), self.study(study).id());
                if let Some(session) = self.workers[at].session.filter(|session| self.world.is_open(*session))
                {
                    self.world.give(Input::NotReady { session, study, why: "no Python".into() });
                }
            }
            Operation::Wait(ms) => {
                self.world.wait(*ms);
            }
            Operation::Plan { which, answer, again } => self.plan(which, *answer, *again),
            Operation::Restart => self.world.restart(),
            Operation::Crash => self.world.dies_in_next_step = true,
            Operation::Extend(study) => {
                let at = study.index(self.specs.len());
                let known = self.world.study(&self.specs[at].id()).budget().rounds;
                if known < 5 {
                    self.specs[at].budget.rounds = known + 1;
                    self.world.submit(&self.specs[at]);
                }
            }
            Operation::SearchTimeOver(study) => {
                let study = self.study(study).id();
                self.world.give(Input::SearchTimeOver { study });
            }
            Operation::TimeOver(study) => {
                let study = self.study(study).id();
                self.world.give(Input::TimeOver { study });
            }
            _ => {}
        }
    }

    fn at(&self, worker: &Index) -> usize {
        worker.index(self.workers.len())
    }

    fn study(&self, study: &Index) -> &StudySpec {
        &self.specs[study.index(self.specs.len())]
    }

    fn lease(&self, worker: &Index, lease: &Index) -> Option<(usize, LeaseRef)> {
        let at = self.at(worker);
        let held: Vec<LeaseRef> = self.workers[at].held.keys().copied().collect();
        pick(&held, lease).map(|lease| (at, *lease))
    }

    /// What a healthy worker does.
    fn work(&mut self, at: usize, ending: Ending) {
        if !self.workers[at].is_connected(&self.world) {
            self.workers[at].connect(&mut self.world);
        }
        self.receive(at);
        self.offer(at);
        self.workers[at].heartbeat(&mut self.world);
        self.receive(at);
        let queued = self.workers[at].held.iter().find(|(_, held)| held.stage == LeaseStage::Queued);
        if let Some(lease) = queued.map(|(lease, _)| *lease) {
            self.workers[at].start(&mut self.world, lease);
        }
        let first = self.workers[at].held.keys().next().copied();
        if let Some(lease) = first {
            self.finish(at, lease, ending, false);
        }
    }

    fn partition(&mut self, at: usize, ending: Ending) {
        self.start_all(at);
        let first = self.workers[at].held.keys().next().copied();
        self.workers[at].disconnect(&mut self.world);
        if let Some(lease) = first {
            self.finish(at, lease, ending, true);
        }
        self.world.wait(TTL);
        self.workers[at].connect(&mut self.world);
        self.offer(at);
    }

    /// Connects if it is not, and starts all that it is granted.
    fn start_all(&mut self, at: usize) {
        if !self.workers[at].is_connected(&self.world) {
            self.workers[at].connect(&mut self.world);
        }
        self.receive(at);
        self.receive(at);
        let held: Vec<LeaseRef> = self.workers[at].held.keys().copied().collect();
        for lease in held {
            self.workers[at].start(&mut self.world, lease);
        }
    }

    /// Reads, and prepares what it is asked to.
    fn receive(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        for frame in worker.receive(&mut self.world) {
            if let CoordinatorFrame::Prepare { study, .. } = frame {
                worker.ready(&mut self.world, &study);
            }
        }
    }

    fn finish(&mut self, at: usize, lease: LeaseRef, ending: Ending, lost: bool) {
        let Some(held) = self.workers[at].held.get(&lease) else {
            return;
        };
        // The score is the configuration's, so that two attempts of one experiment agree.
        let score = (lease.experiment.0 * 37 % 100) as f64 / 100.0;
        let outcome = match ending {
            Ending::Scored if held.grant.block == Block::Refit => Outcome::Done(Default::default()),
            Ending::Scored if self.quick => quick(score),
            Ending::Scored => done(score),
            Ending::Crashed => Outcome::Crashed { reason: "ValueError".into() },
            Ending::Duplicate(first) => Outcome::DuplicateOf { experiment: ExperimentId(first) },
            Ending::OutOfRange => done(f64::from(at as u32) + 2.0),
            Ending::Behind(folds) => Outcome::StoppedEarly {
                folds: vec![0.0; folds],
                seconds: 1.0,
                rule: ar_common::Rule::EveryFold,
            },
        };
        let weights = vec![1; held.grant.members.len()];
        let outcome = match outcome {
            Outcome::Done(measures) => Outcome::Done(Measures { members: weights.into(), ..measures }),
            other => other,
        };
        self.workers[at].keep(lease, outcome.clone());
        self.sent.push((at, lease, outcome));
        if !lost {
            self.workers[at].offer(&mut self.world, lease);
        }
    }

    fn offer(&mut self, at: usize) {
        let spooled: Vec<LeaseRef> = self.workers[at].spool.keys().copied().collect();
        for lease in spooled {
            self.workers[at].offer(&mut self.world, lease);
        }
    }

    /// A plan is made from what was there when it was asked for, and answered whenever the story says.
    fn see_asks(&mut self) {
        for ask in self.world.take_asks() {
            let plan = search(self.world.state(), &ask.study, ask.want, ask.time);
            self.plans.push((ask, plan));
        }
    }

    fn plan(&mut self, which: &Index, answer: Answer, again: bool) {
        let Some((ask, sound)) = pick(&self.plans, which).cloned() else {
            return;
        };
        if !again {
            self.plans.remove(which.index(self.plans.len()));
        }
        let plan = match (answer, sound) {
            (Answer::Rubbish, Planned::Experiments(sound)) => {
                let nonsense =
                    [cv(&[("model", "unheard of")]), planned(sound[0].config.clone(), Block::Sealed)];
                let long = (1..40).map(|repeat| planned(sound[0].config.clone(), Block::Cv { repeat }));
                Planned::Experiments(
                    nonsense.into_iter().chain(sound.clone()).chain(sound.clone()).chain(long).collect(),
                )
            }
            (Answer::Hasty, sound) if self.world.study(&ask.study).spent > 0 => {
                let base = self.world.study(&ask.study).base();
                if matches!(sound, Planned::Failed) { sound } else { Planned::Conclude(verdict(&base)) }
            }
            (_, sound) => sound,
        };
        self.world.answer(&ask, plan);
    }

    /// Every fault ends: all connect, all drain no more, everything is delivered, time passes. Then
    /// every study finishes and every experiment ends, once.
    pub(crate) fn heal(mut self) {
        self.world.dies_in_next_step = false;
        for _ in 0..400 {
            for at in 0..self.workers.len() {
                self.workers[at].draining = false;
                self.work(at, Ending::Scored);
                self.ready(at);
            }
            for (ask, plan) in std::mem::take(&mut self.plans) {
                self.world.answer(&ask, plan);
            }
            self.see_asks();
            self.world.ignore_closes();
            self.world.wait(TTL / 2);
            if self.is_over() {
                return self.judge();
            }
        }
        panic!("I8: 400 rounds after the faults healed, not all ended: {:#?}", self.world.core);
    }

    fn ready(&mut self, at: usize) {
        let studies: Vec<StudyId> = self.specs.iter().map(StudySpec::id).collect();
        for study in studies {
            self.workers[at].ready(&mut self.world, &study);
        }
    }

    fn is_over(&self) -> bool {
        let finished = self.world.state().studies.values().all(|study| study.is_finished());
        finished && self.workers.iter().all(|worker| worker.spool.is_empty() && worker.held.is_empty())
    }

    fn judge(self) {
        for experiment in &self.world.state().experiments {
            assert!(!experiment.is_pending(), "I8: {experiment:?} has not ended");
            assert_eq!(self.world.ledger.ends_of(experiment.id), 1, "I2: {experiment:?}");
        }
        assert!(self.world.core.live.leases.is_empty(), "leases of what has ended");
        self.world.ledger.check_hash(&self.world.core);
        self.world.ledger.audit();
    }
}

fn pick<'a, T>(from: &'a [T], index: &Index) -> Option<&'a T> {
    (!from.is_empty()).then(|| index.get(from))
}
