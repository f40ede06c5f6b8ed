//! What a coordinator does beside answering: it keeps the clocks of studies with a time limit, writes their results, and removes
//! blobs that nobody needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ar_common::{Seq, StudyId};
use ar_core::{Input, State, Study};
use tokio::time::Instant;

use crate::actor::{Ended, Handle};
use crate::archive::{self, ArchivingError};
use crate::blobs::{Blobs, Sweeper};
use crate::cli::ServeArgs;
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
    blobs: Blobs,
    sweeper: Sweeper,
    seen: Seq,
    /// Since when each study that has ended is as it is.
    resting: BTreeMap<StudyId, (Seq, Instant)>,
    /// How long it is to be so before its experiments are archived.
    archive_after: Duration,
}

impl Keeper {
    pub(super) fn new(handle: &Handle, place: &Place, args: &ServeArgs) -> Self {
        Self {
            handle: handle.clone(),
            clocks: BTreeMap::new(),
            publishers: BTreeMap::new(),
            out: args.out.clone(),
            sweeper: Sweeper::new(handle, &place.blobs, args.keep_unreferenced),
            blobs: place.blobs.clone(),
            seen: Seq(0),
            resting: BTreeMap::new(),
            archive_after: args.archive_after,
        }
    }

    /// Does so until the coordinator ends.
    pub(super) async fn keep(&mut self) -> Result<(), Ended> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            self.look_at_clocks().await?;
            self.publish().await?;
            self.archive().await?;
            self.sweeper.look().await?;
        }
    }

    /// Waits until nothing is being written.
    pub(super) async fn settle(&mut self) {
        for publisher in self.publishers.values_mut() {
            publisher.settle().await;
        }
        self.sweeper.settle().await;
    }

    /// Making the environment does not count towards the time limit, so a clock runs from the first worker that is ready. One
    /// that has ended has none; submitted again it gets another.
    async fn look_at_clocks(&mut self) -> Result<(), Ended> {
        let limited = self.handle.ask(|state, live| {
            let open = state.studies.iter().filter(|(_, study)| !study.is_finished());
            let limit = |(id, study): (&StudyId, &Arc<Study>)| {
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
            let (out, blobs) = (self.out.clone(), self.blobs.folder().clone());
            let new = || Publisher::new(out, blobs, id.clone(), None);
            let publisher = self.publishers.entry(id.clone()).or_insert_with(new);
            publisher.offer(&state).await;
        }
        Ok(())
    }

    /// Archives studies that ended a while ago, once their results are written.
    async fn archive(&mut self) -> Result<(), Ended> {
        let ended = self.handle.ask(|state, _| {
            let ended =
                state.studies.iter().filter(|(_, study)| study.is_finished() && study.archived.is_none());
            ended.map(|(id, study)| (id.clone(), study.last_done)).collect::<BTreeMap<_, _>>()
        });
        let ended = ended.await?;
        self.resting.retain(|study, (since, _)| ended.get(study) == Some(since));
        let now = Instant::now();
        for (study, last_done) in ended {
            let (_, began) = *self.resting.entry(study.clone()).or_insert((last_done, now));
            let written = self.publishers.get(&study).is_none_or(Publisher::is_idle);
            if now.saturating_duration_since(began) < self.archive_after || !written {
                continue;
            }
            // Should it fail, it is tried again after as long.
            self.resting.insert(study.clone(), (last_done, now));
            match archive::archive(&self.handle, &self.blobs, study).await {
                Err(ArchivingError::Ended(ended)) => return Err(ended),
                Err(error) => tracing::warn!(%error, "a study that has ended cannot be archived"),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}
