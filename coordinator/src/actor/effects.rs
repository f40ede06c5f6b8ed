//! What the actor does outside of itself, once the records that it rests on are durable; and the snapshots of its state.

use std::collections::HashMap;

use ar_common::frames::CoordinatorFrame;
use ar_core::{Effect, Input, SessionId};

use super::handle::Message;
use super::{Actor, Outgoing};
use crate::journal::JournalError;
use crate::planner;

impl Actor {
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        let epoch = self.core.state.epoch;
        let mut frames: HashMap<SessionId, Vec<CoordinatorFrame>> = HashMap::new();
        for effect in effects {
            match effect {
                Effect::Send { session, frame } => {
                    match &frame {
                        CoordinatorFrame::Grant(grant) => self.traces.sent(grant.lease.experiment),
                        CoordinatorFrame::Ack { lease } => self.traces.answered(lease, None),
                        CoordinatorFrame::Refused { lease, why } => self.traces.answered(lease, Some(why)),
                        _ => {}
                    }
                    frames.entry(session).or_default().push(frame);
                }
                Effect::Close { session, why, for_good } => {
                    self.hand_over(session, Outgoing::Close { why, for_good });
                }
                Effect::Plan { study, want, as_of, time } => {
                    let Some(entry) = self.core.state.studies.get(&study) else {
                        continue;
                    };
                    self.traces.asked(&study);
                    let slots = self.core.live.workers.values().map(|worker| worker.slots).sum();
                    // The core's state may be ahead of `as_of`; the core revalidates what comes back.
                    let ask = planner::Ask { want, time, slots };
                    let make = self.planner.prepare(&self.core.state, &study, entry, ask);
                    let messages = self.messages.clone();
                    let planning = tokio::task::spawn_blocking(make);
                    tokio::spawn(async move {
                        let message = match planning.await {
                            Ok(plan) => Message::Input(Box::new(Input::Planned { study, as_of, plan })),
                            Err(error) => Message::PlanFailed(error.to_string()),
                        };
                        // The actor may have ended meanwhile; then nobody waits for the plan.
                        let _ = messages.send(message).await;
                    });
                }
            }
        }
        for (session, frames) in frames {
            self.hand_over(session, Outgoing::Frames(epoch, frames));
        }
    }

    fn hand_over(&mut self, session: SessionId, outgoing: Outgoing) {
        let Some(sender) = self.sessions.get(&session) else {
            return;
        };
        if let Err(error) = sender.try_send(outgoing) {
            // A worker that takes nothing is as good as gone; its leases lapse by themselves.
            tracing::warn!(session = session.0, %error, "a session is stuck; closing it");
            self.sessions.remove(&session);
        }
    }

    /// Begins a snapshot if one is due. The copy of the state shares what does not change; it is written beside everything else.
    pub(super) fn snapshot(&mut self) {
        let Some(snapshots) = self.compaction.begin(&self.core.state) else { return };
        let (state, messages) = (self.core.state.clone(), self.messages.clone());
        let writing = tokio::task::spawn_blocking(move || snapshots.keep(&state));
        tokio::spawn(async move {
            // A panic in there is told as any other reason why there is none.
            let failed = |error: tokio::task::JoinError| JournalError::Snapshot {
                file: "the next one".into(),
                what: error.to_string(),
            };
            let kept = writing.await.unwrap_or_else(|error| Err(failed(error)));
            let _ = messages.send(Message::Snapshot(kept)).await;
        });
    }
}
