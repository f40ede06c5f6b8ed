//! What a coordinator does beside answering: it keeps the clocks of studies with a time limit, and writes their results.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ar_common::{Seq, StudyId};
use ar_core::{Input, State, Study};
use tokio::time::Instant;

use crate::actor::{Ended, Handle};
use crate::commands::place::Place;
use crate::publish::Publisher;

/// Share of a study's time limit that is for searching; the rest is for confirming and the last fit.
const SEARCH_SHARE: f64 = 0.8;
/// How often clocks and results are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The clock of a study with a time limit.
struct Clock {
    began: Instant,
    limit: Duration,
    /// Whether it was told that its search is over.
    search_over: bool,
}

/// Keeps the clocks of studies with a time limit, and their folders of results.
pub(super) struct Keeper {
    handle: Handle,
    clocks: BTreeMap<StudyId, Clock>,
    publishers: BTreeMap<StudyId, Publisher>,
    out: PathBuf,
    blobs: ar_net::BlobStore,
    seen: Seq,
}

impl Keeper {
    pub(super) fn new(handle: &Handle, place: &Place, out: PathBuf) -> Self {
        Self {
            handle: handle.clone(),
            clocks: BTreeMap::new(),
            publishers: BTreeMap::new(),
            out,
            blobs: place.blobs.clone(),
            seen: Seq(0),
        }
    }

    /// Does so until the coordinator ends.
    pub(super) async fn keep(&mut self) -> Result<(), Ended> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            self.look_at_clocks().await?;
            self.publish().await?;
        }
    }

    /// Waits until nothing is being written.
    pub(super) async fn settle(&mut self) {
        for publisher in self.publishers.values_mut() {
            publisher.settle().await;
        }
    }

    /// Making the environment does not count towards the time limit, so a clock runs from the first worker that is ready. One
    /// that has ended has none; submitted again it gets another.
    async fn look_at_clocks(&mut self) -> Result<(), Ended> {
        let limited = self.handle.ask(|state, live| {
            let open = state.studies.iter().filter(|(_, study)| !study.is_finished());
            let limit = |(id, study): (&StudyId, &Study)| {
                let limit = Duration::try_from_secs_f64(study.spec.limits.study_seconds?).ok()?;
                Some((id.clone(), (limit, live.workers.values().any(|worker| worker.ready.contains(id)))))
            };
            open.filter_map(limit).collect::<BTreeMap<_, _>>()
        });
        let limited = limited.await?;
        self.clocks.retain(|study, clock| limited.get(study).is_some_and(|(limit, _)| *limit == clock.limit));
        let now = Instant::now();
        let mut over = Vec::new();
        for (study, (limit, ready)) in limited {
            if !ready && !self.clocks.contains_key(&study) {
                continue;
            }
            let new = Clock { began: now, limit, search_over: false };
            let clock = self.clocks.entry(study.clone()).or_insert(new);
            let passed = now.saturating_duration_since(clock.began);
            if passed >= limit {
                over.push(Input::TimeOver { study });
            } else if passed >= limit.mul_f64(SEARCH_SHARE) && !clock.search_over {
                clock.search_over = true;
                over.push(Input::SearchTimeOver { study });
            }
        }
        for input in over {
            self.handle.input(input).await?;
        }
        Ok(())
    }

    /// Writes the results of studies on which something has happened.
    async fn publish(&mut self) -> Result<(), Ended> {
        let seen = self.seen;
        let state: Option<State> =
            self.handle.ask(move |state, _| (state.seq != seen).then(|| state.clone())).await?;
        let Some(state) = state else {
            return Ok(());
        };
        self.seen = state.seq;
        for id in state.studies.keys() {
            let (out, blobs) = (self.out.clone(), self.blobs.clone());
            let new = || Publisher::new(out, blobs, id.clone(), None);
            let publisher = self.publishers.entry(id.clone()).or_insert_with(new);
            publisher.offer(&state).await;
        }
        Ok(())
    }
}
