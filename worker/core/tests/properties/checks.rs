//! What must hold of every effect: a second opinion, kept apart from the session.

use std::collections::{BTreeMap, BTreeSet};

use ar_common::Outcome;
use ar_common::frames::{HeldLease, LeaseRef, LeaseStage, WorkerFrame};
use ar_worker_core::{Effect, Input, SpoolEntry};

use super::shell::{Process, Shell, Stream};

impl Shell {
    /// One step, with a look at all that comes of it.
    pub(crate) fn give(&mut self, input: Input) {
        assert!(!self.exited, "{input:?} after the exit");
        let lost = match &input {
            Input::Lost { lease, .. } => Some(*lease),
            _ => None,
        };
        let ends = lost.is_some() || matches!(input, Input::Ended { .. } | Input::NoSpace { .. });
        for effect in self.worker.step(input, self.now) {
            self.check(lost, effect);
        }
        let stage = |wanted| self.held.values().filter(|stage| **stage == wanted).count();
        let held = (stage(LeaseStage::Running), stage(LeaseStage::Queued), stage(LeaseStage::Uploading));
        assert!(self.processes.len() <= self.slots as usize, "more processes than slots");
        assert!(held.1 == 0 || held.0 >= self.left as usize || self.exited, "one waits while a slot is free");
        assert!(held.1 == 0 || self.left > 0, "one waits where nothing can run");
        // While an end is being looked at, what was called off still counts here.
        if !ends {
            assert_eq!(self.worker.counts(), held);
        }
    }

    fn check(&mut self, lost: Option<LeaseRef>, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.check_frame(frame),
            Effect::Prepare { study, .. } => assert!(self.preparing.insert(study), "prepared twice at once"),
            Effect::Run(grant) => {
                self.met.runs += 1;
                let lease = grant.lease;
                let again = lost == Some(lease);
                let expected = if again { LeaseStage::Running } else { LeaseStage::Queued };
                assert_eq!(self.held.insert(lease, LeaseStage::Running), Some(expected), "{lease:?}");
                assert!(again || !self.draining, "{lease:?} starts while the worker leaves");
                let process = Process { deadline: Some(self.now + grant.deadline_ms), killed: None };
                assert!(self.processes.insert(lease, process).is_none(), "{lease:?} runs twice");
            }
            Effect::Stop { lease, grace_ms } => {
                let Some(process) = self.processes.get_mut(&lease) else { panic!("{lease:?} does not run") };
                assert!(process.killed.replace(self.now + grace_ms).is_none(), "{lease:?} is stopped twice");
            }
            Effect::Spool(entry) => {
                let lease = entry.lease;
                match &entry.outcome {
                    Outcome::DuplicateOf { experiment } => {
                        self.met.twins += 1;
                        assert!(*experiment < lease.experiment, "{lease:?} is no twin of {experiment}");
                    }
                    Outcome::TimedOut { .. } => self.met.timeouts += 1,
                    Outcome::StoppedEarly { folds, .. } => {
                        self.met.races += 1;
                        let race = self.grants[&lease].race.as_ref();
                        assert!(
                            race.is_some_and(|race| race.is_lost(folds)),
                            "{lease:?} lost no race by {folds:?}"
                        );
                    }
                    _ => {}
                }
                assert!(!self.processes.contains_key(&lease), "{lease:?} has a result and runs");
                assert_eq!(self.held.insert(lease, LeaseStage::Uploading), Some(LeaseStage::Running));
                self.writing.insert(lease, entry);
            }
            Effect::Unspool(lease) => {
                assert!(self.answered.contains(&lease), "{lease:?} is forgotten without an answer");
                assert!(self.disk.remove(&lease).is_some() && self.held.remove(&lease).is_some());
            }
            Effect::Reconnect { why } => panic!("nobody of a lower epoch spoke: {why}"),
            Effect::Exit => {
                assert!(
                    self.draining && self.processes.is_empty() && self.writing.is_empty(),
                    "left too early"
                );
                self.met.drains += u32::from(!self.exited);
                self.exited = true;
            }
        }
    }

    fn check_frame(&mut self, frame: WorkerFrame) {
        let open = if matches!(frame, WorkerFrame::Hello(_)) { Stream::Silent } else { Stream::Welcomed };
        assert_eq!(self.stream, open, "{frame:?}");
        match frame {
            WorkerFrame::Hello(hello) => {
                self.check_list(&hello.leases);
                let kept: BTreeSet<LeaseRef> = self.writing.keys().chain(self.disk.keys()).copied().collect();
                assert_eq!(hello.spooled.into_iter().collect::<BTreeSet<_>>(), kept);
            }
            WorkerFrame::Heartbeat { leases, draining, .. } => {
                assert_eq!(draining, self.draining);
                self.check_list(&leases);
            }
            WorkerFrame::Completed { lease, outcome, digest } => {
                self.met.offers += 1;
                assert_eq!(
                    self.disk.get(&lease),
                    Some(&SpoolEntry { lease, outcome, digest }),
                    "offered, not durable"
                );
                self.offered.insert(lease);
            }
            WorkerFrame::Released { leases } => {
                for lease in leases {
                    self.met.released += 1;
                    assert!(!self.processes.contains_key(&lease), "{lease:?} was given back and runs");
                    assert!(self.held.remove(&lease).is_some(), "{lease:?} was given back twice");
                }
            }
            WorkerFrame::Started { lease } | WorkerFrame::Progress { lease, .. } => {
                assert!(self.processes.contains_key(&lease));
            }
            WorkerFrame::Preparing { .. } | WorkerFrame::Ready { .. } | WorkerFrame::NotReady { .. } => {}
        }
    }

    /// All that is held is listed, once, and nothing else. What is given back as the worker leaves may
    /// be missing already: the frame that gives it back follows.
    fn check_list(&self, leases: &[HeldLease]) {
        let listed: BTreeMap<LeaseRef, LeaseStage> =
            leases.iter().map(|held| (held.lease, held.stage)).collect();
        assert_eq!(listed.len(), leases.len(), "listed twice");
        let mut held = self.held.clone();
        held.retain(|lease, stage| {
            *stage != LeaseStage::Queued || !self.draining || listed.contains_key(lease)
        });
        assert_eq!(listed, held);
    }
}
