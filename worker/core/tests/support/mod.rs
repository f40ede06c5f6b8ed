//! A session on a bench: inputs go in by hand, effects are what comes out.

use ar_common::frames::{
    CoordinatorFrame, Grant, Hardware, HeldLease, Hello, LeaseRef, LeaseStage, WorkerFrame, outcome_digest,
};
use ar_common::{
    Attempt, Block, Config, Digest, Epoch, ExperimentId, LeaseSeq, Measures, Metric, Millis, Outcome, Race,
    Seq, StudyId,
};
use ar_worker_core::{Effect, Identity, Input, SpoolEntry, Worker};

/// How often the coordinator of these tests wants to hear of leases, milliseconds.
pub(crate) const HEARTBEAT: u64 = 7_000;
/// How long one attempt may take, and how long it has to end when it is asked to, milliseconds.
pub(crate) const DEADLINE: u64 = 60_000;
pub(crate) const GRACE: u64 = 2_000;

/// A worker with its clock.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) worker: Worker,
    pub(crate) now: Millis,
    pub(crate) epoch: Epoch,
}

impl Bench {
    /// A worker that nobody has spoken to.
    pub(crate) fn new(slots: u32) -> Self {
        Self::with_spool(slots, vec![])
    }

    /// A worker that starts with what a former one left on its disk.
    pub(crate) fn with_spool(slots: u32, spooled: Vec<SpoolEntry>) -> Self {
        Self { worker: Worker::new(identity(slots), spooled), now: Millis(1_000), epoch: Epoch(1) }
    }

    /// A worker that was welcomed and on which [`study`] stands.
    pub(crate) fn ready(slots: u32) -> Self {
        let mut bench = Self::new(slots);
        bench.connect();
        bench.welcome();
        bench.hear(prepare());
        bench.give(prepared());
        bench
    }

    /// As [`Bench::ready`], with a slot each for these experiments, whose processes have started.
    pub(crate) fn running(experiments: &[u64]) -> Self {
        let mut bench = Self::ready(experiments.len() as u32);
        for experiment in experiments {
            assert_eq!(bench.grant(*experiment), vec![Effect::Run(grant(*experiment))]);
            bench.give(Input::Started { lease: lease(*experiment) });
        }
        bench
    }

    pub(crate) fn give(&mut self, input: Input) -> Vec<Effect> {
        self.worker.step(input, self.now)
    }

    /// The coordinator speaks.
    pub(crate) fn hear(&mut self, frame: CoordinatorFrame) -> Vec<Effect> {
        let epoch = self.epoch;
        self.give(Input::Frame { epoch, frame })
    }

    /// A stream is open; what the worker says first.
    pub(crate) fn connect(&mut self) -> Hello {
        match &self.give(Input::Connected)[..] {
            [Effect::Send(WorkerFrame::Hello(hello))] => hello.clone(),
            other => panic!("expected Hello and nothing else: {other:?}"),
        }
    }

    pub(crate) fn welcome(&mut self) -> Vec<Effect> {
        self.welcome_of(9)
    }

    pub(crate) fn welcome_of(&mut self, cluster: u64) -> Vec<Effect> {
        let epoch = self.epoch;
        let (lease_ttl_ms, heartbeat_ms, protocol) = (45_000, HEARTBEAT, 1);
        self.hear(CoordinatorFrame::Welcome { cluster, epoch, lease_ttl_ms, heartbeat_ms, protocol })
    }

    /// The stream breaks, and another is opened and welcomed.
    pub(crate) fn reconnect(&mut self) -> (Hello, Vec<Effect>) {
        assert_eq!(self.give(Input::Disconnected), vec![]);
        (self.connect(), self.welcome())
    }

    pub(crate) fn grant(&mut self, experiment: u64) -> Vec<Effect> {
        self.hear(CoordinatorFrame::Grant(grant(experiment)))
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now = self.now + ms;
        self.give(Input::Tick)
    }

    /// The process of an attempt is gone and its result is durable.
    pub(crate) fn finish(&mut self, experiment: u64, outcome: Outcome) -> Vec<Effect> {
        let lease = lease(experiment);
        let mut effects = self.give(Input::Ended { lease, outcome });
        effects.extend(self.give(Input::Spooled { lease }));
        effects
    }
}

pub(crate) fn identity(slots: u32) -> Identity {
    let hardware = Hardware { host: "bench".into(), cores: 8, ..Hardware::default() };
    Identity { worker: "w1".into(), boot: 77, slots, hardware, labels: Default::default() }
}

pub(crate) fn study() -> StudyId {
    "5eed".into()
}

pub(crate) fn prepare() -> CoordinatorFrame {
    CoordinatorFrame::Prepare { study: study(), tree: Digest::of(b"tree") }
}

pub(crate) fn prepared() -> Input {
    Input::Prepared { study: study(), unavailable: vec![], facts: "303 rows".into() }
}

/// The lease of an experiment's first attempt.
pub(crate) fn lease(experiment: u64) -> LeaseRef {
    let lease = LeaseSeq { incarnation: 9, seq: Seq(100 + experiment) };
    LeaseRef { experiment: ExperimentId(experiment), lease }
}

pub(crate) fn grant(experiment: u64) -> Grant {
    let base: Config = [("model", "base")].into_iter().collect();
    Grant {
        lease: lease(experiment),
        attempt: Attempt(1),
        study: study(),
        config: base.with("model", &format!("option {experiment}")),
        block: Block::FIRST,
        reference: base,
        deadline_ms: DEADLINE,
        grace_ms: GRACE,
        memory: None,
        members: Vec::new(),
        race: None,
        devices: Vec::new(),
        checkpoint: None,
    }
}

/// A race for accuracy.
pub(crate) fn race(incumbent: &[f64]) -> Option<Box<Race>> {
    let (accuracy, _) = Metric::tabular("accuracy")?;
    Race::against(&accuracy, incumbent).map(Box::new)
}

pub(crate) fn done(score: f64) -> Outcome {
    Outcome::Done(Measures {
        score: Some(score),
        folds: [score; 3].into(),
        seconds: 0.5,
        ..Measures::default()
    })
}

pub(crate) fn crashed() -> Outcome {
    Outcome::Crashed { reason: "killed by signal 15 (SIGTERM)".into() }
}

pub(crate) fn entry(experiment: u64, outcome: Outcome) -> SpoolEntry {
    SpoolEntry { lease: lease(experiment), digest: outcome_digest(&outcome), outcome }
}

/// The order to make a result durable.
pub(crate) fn spool(experiment: u64, outcome: Outcome) -> Effect {
    Effect::Spool(entry(experiment, outcome))
}

/// The frame that offers a result.
pub(crate) fn completed(experiment: u64, outcome: Outcome) -> Effect {
    let SpoolEntry { lease, outcome, digest } = entry(experiment, outcome);
    Effect::Send(WorkerFrame::Completed { lease, outcome, digest })
}

pub(crate) fn released(experiments: &[u64]) -> Effect {
    Effect::Send(WorkerFrame::Released {
        leases: experiments.iter().map(|experiment| lease(*experiment)).collect(),
    })
}

pub(crate) fn stop(experiment: u64, grace_ms: u64) -> Effect {
    Effect::Stop { lease: lease(experiment), grace_ms }
}

/// The frame that lists all that is held.
pub(crate) fn heartbeat(slots: u32, held: &[(u64, LeaseStage)], draining: bool) -> Effect {
    let (leases, slots) = (leases(held), Some(slots));
    let (notice, why_fewer) = Default::default();
    Effect::Send(WorkerFrame::Heartbeat { leases, draining, slots, notice, why_fewer })
}

pub(crate) fn leases(held: &[(u64, LeaseStage)]) -> Vec<HeldLease> {
    held.iter().map(|(experiment, stage)| HeldLease { lease: lease(*experiment), stage: *stage }).collect()
}
