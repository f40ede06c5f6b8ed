//! The one way in.

use ar_common::Millis;
use ar_common::frames::CoordinatorFrame;

use crate::input::{Effect, Input, SessionId, TimeLeft};
use crate::live::{Live, Timing};
use crate::record::Record;
use crate::state::{State, Status};

/// The coordinator: what the journal says, and what only this process knows.
#[derive(Debug, Default)]
pub struct Core {
    /// The fold of the journal.
    pub state: State,
    /// The rest.
    pub live: Live,
}

/// What one step gives: records to make durable, then effects to run in order.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// To journal, in order.
    pub records: Vec<Record>,
    /// To run once all of `records` is durable, in order.
    pub effects: Vec<Effect>,
}

impl Core {
    /// A core over a replayed state. Each lease that the journal holds gets a fresh ttl, so that
    /// workers that outlived the former coordinator can come back with what they run.
    pub fn new(state: State, timing: Timing, now: Millis) -> Self {
        let mut live = Live { timing, unsettled: true, ..Live::default() };
        for experiment in &state.experiments {
            match &experiment.status {
                Status::Queued => {
                    live.queues.entry(experiment.study.clone()).or_default().push_back(experiment.id);
                }
                Status::Leased { .. } => {
                    // Whether its process ran is not known; a quarantine must not rest on a guess.
                    let lease =
                        crate::LiveLease { lapses: now + timing.lease_ttl_ms, running: false, holder: None };
                    live.leases.insert(experiment.id, lease);
                }
                Status::Done { .. } => {}
            }
        }
        Self { state, live }
    }
}

/// Takes one input at `now` and returns what follows from it.
pub fn step(core: &mut Core, input: Input, now: Millis) -> Output {
    let mut output = take(core, input, now);
    let settled = settle(core, now);
    output.records.extend(settled.records);
    output.effects.extend(settled.effects);
    output
}

/// The first half of [`step()`]: what the input itself says. Of many that came together the second half is done once, with
/// [`settle()`], since it looks at all studies and workers.
pub fn take(core: &mut Core, input: Input, now: Millis) -> Output {
    let mut turn = Turn { core, now, output: Output::default() };
    // A heartbeat that tells nothing new sets nothing free.
    turn.core.live.unsettled |= !matches!(input, Input::Heartbeat { .. } | Input::Started { .. });
    turn.take(input);
    turn.core.live.unsettled |= !turn.output.records.is_empty();
    turn.output
}

/// The second half of [`step()`]: studies move on, capacity is filled, plans are asked for. Where nothing has changed since the
/// last time, nothing is done.
pub fn settle(core: &mut Core, now: Millis) -> Output {
    let mut turn = Turn { core, now, output: Output::default() };
    if std::mem::take(&mut turn.core.live.unsettled) {
        turn.settle();
    }
    turn.output
}

/// One step under way.
pub(crate) struct Turn<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) now: Millis,
    pub(crate) output: Output,
}

impl Turn<'_> {
    /// Journals a record and applies it at once.
    pub(crate) fn record(&mut self, record: Record) {
        self.core.state.apply(&record);
        self.output.records.push(record);
    }

    pub(crate) fn send(&mut self, session: SessionId, frame: CoordinatorFrame) {
        self.output.effects.push(Effect::Send { session, frame });
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Submit { spec, tree } => self.submit(spec, tree),
            Input::Hello { session, hello } => self.hello(session, &hello),
            Input::Ready { session, study, unavailable } => self.ready(session, &study, unavailable),
            Input::NotReady { session, study, why } => {
                if let Some(worker) = self.core.live.workers.get_mut(&session) {
                    worker.ready.remove(&study);
                    worker.not_ready.insert(study, why);
                }
            }
            Input::Heartbeat { session, leases, draining, slots, why_fewer } => {
                if let Some(worker) = self.core.live.workers.get_mut(&session) {
                    worker.why_fewer = why_fewer;
                }
                self.heartbeat(session, &leases, draining, slots);
            }
            Input::Started { session, lease } => self.started(session, lease),
            Input::Released { session, leases } => self.released(session, &leases),
            Input::Completed { session, lease, outcome, digest } => {
                self.completed(session, lease, outcome, digest);
            }
            Input::Disconnected { session } => {
                self.core.live.disconnect(session);
            }
            Input::Planned { study, as_of, plan } => self.planned(&study, as_of, plan),
            Input::SearchTimeOver { study } => {
                self.core.live.planning.remove(&study);
                self.core.live.time_left.entry(study).or_insert(TimeLeft::Confirmation);
            }
            Input::TimeOver { study } => self.time_over(&study),
            Input::Pause { study, paused } => self.pause(&study, paused),
            Input::Cancel { study } => self.call_off(&study),
            Input::Archive { study, archive, as_of } => self.archive(&study, archive, as_of),
            Input::Recall(archive) => self.recall(archive),
            Input::Hold { worker, why } => self.hold(&worker, why),
            Input::Readmit { worker } => self.readmit(&worker),
            Input::Tick => self.lapse(),
        }
    }

    /// What follows from any change: studies move on, capacity is filled, plans are asked for.
    fn settle(&mut self) {
        self.advance_studies();
        self.prepare_workers();
        self.place();
        self.ask_for_plans();
    }
}
