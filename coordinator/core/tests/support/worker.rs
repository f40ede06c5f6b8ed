//! A worker without processes: it holds leases, keeps results, loses its connection and its life.

use std::collections::BTreeMap;

use ar_common::ExperimentId;
use ar_common::frames::{
    CoordinatorFrame, Grant, Hardware, HeldLease, Hello, LeaseRef, LeaseStage, Unavailable,
};
use ar_common::frames::{PROTOCOL_MAX, PROTOCOL_MIN, outcome_digest};
use ar_common::{Outcome, StudyId};
use ar_core::{Input, Record, SessionId};

use super::World;

/// A lease that a worker holds.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) grant: Grant,
    pub(crate) stage: LeaseStage,
}

/// A worker on the other end of a connection.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    pub(crate) boot: u64,
    pub(crate) slots: u32,
    pub(crate) protocol: (u32, u32),
    pub(crate) draining: bool,
    pub(crate) session: Option<SessionId>,
    pub(crate) held: BTreeMap<LeaseRef, Held>,
    pub(crate) spool: BTreeMap<LeaseRef, Outcome>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Worker {
    /// A worker that has not called yet.
    pub(crate) fn new(name: &'static str, slots: u32) -> Self {
        let protocol = (PROTOCOL_MIN, PROTOCOL_MAX);
        let (held, spool) = (BTreeMap::new(), BTreeMap::new());
        Self {
            name,
            boot: 1,
            slots,
            protocol,
            draining: false,
            session: None,
            held,
            spool,
            labels: BTreeMap::new(),
        }
    }

    /// Whether its connection stands.
    pub(crate) fn is_connected(&self, world: &World) -> bool {
        self.session.is_some_and(|session| world.is_open(session))
    }

    /// Its connection.
    #[track_caller]
    pub(crate) fn session(&self) -> SessionId {
        let Some(session) = self.session else { panic!("{} never called", self.name) };
        session
    }

    /// Opens a new connection and says what it has.
    pub(crate) fn connect(&mut self, world: &mut World) -> Vec<Record> {
        let session = world.open_session();
        self.session = Some(session);
        let hello = Hello {
            worker: self.name.into(),
            boot: self.boot,
            protocol_min: self.protocol.0,
            protocol_max: self.protocol.1,
            hardware: Hardware::default(),
            slots: self.slots,
            leases: self.leases(),
            spooled: self.spool.keys().copied().collect(),
            labels: self.labels.clone(),
        };
        world.give(Input::Hello { session, hello })
    }

    /// Connects, prepares `study`, and takes what it is granted at once.
    #[track_caller]
    pub(crate) fn join(&mut self, world: &mut World, study: &StudyId) -> Vec<Grant> {
        self.connect(world);
        let frames = self.receive(world);
        assert!(matches!(frames[0], CoordinatorFrame::Welcome { .. }), "no welcome: {frames:?}");
        let asked = |frame: &CoordinatorFrame| matches!(frame, CoordinatorFrame::Prepare { study: s, .. } if s == study);
        assert!(frames.iter().any(asked), "not asked to prepare: {frames:?}");
        self.ready(world, study);
        self.grants(world)
    }

    /// Says that a study's environment stands.
    pub(crate) fn ready(&self, world: &mut World, study: &StudyId) -> Vec<Record> {
        self.ready_without(world, study, &[])
    }

    /// Says that a study's environment stands, but for some options.
    pub(crate) fn ready_without(
        &self,
        world: &mut World,
        study: &StudyId,
        bad: &[(&str, &str)],
    ) -> Vec<Record> {
        let unavailable = bad.iter().map(|(dimension, option)| Unavailable {
            dimension: (*dimension).to_owned(),
            option: (*option).to_owned(),
            reason: "cannot be imported".to_owned(),
        });
        let (study, unavailable) = (study.clone(), unavailable.collect());
        self.send(world, |session| Input::Ready { session, study, unavailable })
    }

    /// Reads what has come and acts on it.
    pub(crate) fn receive(&mut self, world: &mut World) -> Vec<CoordinatorFrame> {
        let frames = self.session.map(|session| world.take_frames(session)).unwrap_or_default();
        for frame in &frames {
            match frame {
                CoordinatorFrame::Grant(grant) => {
                    let held = Held { grant: grant.clone(), stage: LeaseStage::Queued };
                    assert!(self.held.insert(grant.lease, held).is_none(), "{:?} came twice", grant.lease);
                }
                CoordinatorFrame::Cancel { lease, .. } => {
                    self.held.remove(lease);
                }
                CoordinatorFrame::Ack { lease } | CoordinatorFrame::Refused { lease, .. } => {
                    self.spool.remove(lease);
                }
                _ => {}
            }
        }
        frames
    }

    /// Reads what has come: nothing but grants.
    #[track_caller]
    pub(crate) fn grants(&mut self, world: &mut World) -> Vec<Grant> {
        let only_grant = |frame| match frame {
            CoordinatorFrame::Grant(grant) => grant,
            other => panic!("expected a grant: {other:?}"),
        };
        self.receive(world).into_iter().map(only_grant).collect()
    }

    /// Reads what has come: one grant.
    #[track_caller]
    pub(crate) fn grant(&mut self, world: &mut World) -> Grant {
        let mut grants = self.grants(world);
        assert_eq!(grants.len(), 1, "expected one grant: {grants:?}");
        grants.remove(0)
    }

    /// Lists every lease it holds.
    pub(crate) fn heartbeat(&self, world: &mut World) -> Vec<Record> {
        let (leases, draining) = (self.leases(), self.draining);
        self.send(world, |session| Input::Heartbeat {
            session,
            leases,
            draining,
            slots: None,
            why_fewer: String::new(),
        })
    }

    /// Starts the process of a lease.
    pub(crate) fn start(&mut self, world: &mut World, lease: LeaseRef) -> Vec<Record> {
        let Some(held) = self.held.get_mut(&lease) else { panic!("{} does not hold {lease:?}", self.name) };
        held.stage = LeaseStage::Running;
        self.send(world, |session| Input::Started { session, lease })
    }

    /// Ends an attempt: the result is kept from now on, and offered.
    pub(crate) fn complete(&mut self, world: &mut World, lease: LeaseRef, outcome: Outcome) -> Vec<Record> {
        self.keep(lease, outcome);
        self.offer(world, lease)
    }

    /// Ends an attempt whose result is kept but cannot be offered now.
    pub(crate) fn keep(&mut self, lease: LeaseRef, outcome: Outcome) {
        assert!(self.held.remove(&lease).is_some(), "{} does not hold {lease:?}", self.name);
        self.spool.insert(lease, outcome);
    }

    /// Offers a result that it keeps.
    pub(crate) fn offer(&self, world: &mut World, lease: LeaseRef) -> Vec<Record> {
        self.claim(world, lease, self.spool[&lease].clone())
    }

    /// Sends a result whether or not it has one.
    pub(crate) fn claim(&self, world: &mut World, lease: LeaseRef, outcome: Outcome) -> Vec<Record> {
        let digest = outcome_digest(&outcome);
        self.send(world, |session| Input::Completed { session, lease, outcome, digest })
    }

    /// Gives a lease back unrun.
    pub(crate) fn release(&mut self, world: &mut World, lease: LeaseRef) -> Vec<Record> {
        self.held.remove(&lease);
        self.send(world, |session| Input::Released { session, leases: vec![lease] })
    }

    /// Loses its connection, and nothing else.
    pub(crate) fn disconnect(&mut self, world: &mut World) -> Vec<Record> {
        self.session.take().map(|session| world.close_session(session)).unwrap_or_default()
    }

    /// Its process dies with all it ran; what it spooled is on disk.
    pub(crate) fn die(&mut self, world: &mut World) -> Vec<Record> {
        self.held.clear();
        self.boot += 1;
        self.disconnect(world)
    }

    /// A lease that it holds for an experiment.
    #[track_caller]
    pub(crate) fn lease_of(&self, experiment: u64) -> LeaseRef {
        let found = self.held.keys().find(|lease| lease.experiment == ExperimentId(experiment));
        let Some(lease) = found else { panic!("{} holds no lease of {experiment}", self.name) };
        *lease
    }

    fn leases(&self) -> Vec<HeldLease> {
        self.held.iter().map(|(lease, held)| HeldLease { lease: *lease, stage: held.stage }).collect()
    }

    fn send(&self, world: &mut World, frame: impl FnOnce(SessionId) -> Input) -> Vec<Record> {
        match self.session.filter(|session| world.is_open(*session)) {
            Some(session) => world.give(frame(session)),
            None => vec![],
        }
    }
}
