//! What a coordinator does beside answering: it keeps the clocks of studies with a time limit, and writes their results.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ar_common::{Seq, StudyId};
use ar_core::{Input, State};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::actor::{Ended, Event, Handle};
use crate::commands::place::Place;
use crate::publish::Publisher;

/// Share of a study's time limit that is for searching; the rest is for confirming and the last fit.
const SEARCH_SHARE: f64 = 0.8;
/// How often clocks and results are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// When a study's search is over, and when all of it.
struct Clock {
    search: Option<Instant>,
    all: Instant,
}

/// Keeps the clocks of studies with a time limit, and their folders of results.
pub(super) struct Keeper {
    handle: Handle,
    events: Receiver<Event>,
    clocks: BTreeMap<StudyId, Clock>,
    publishers: BTreeMap<StudyId, Publisher>,
    out: PathBuf,
    blobs: ar_net::BlobStore,
    seen: Seq,
}

impl Keeper {
    pub(super) async fn new(handle: &Handle, place: &Place, out: PathBuf) -> Result<Self, Ended> {
        let (_, events) = handle.watch().await?;
        Ok(Self {
            handle: handle.clone(),
            events,
            clocks: BTreeMap::new(),
            publishers: BTreeMap::new(),
            out,
            blobs: place.blobs.clone(),
            seen: Seq(0),
        })
    }

    /// Does so until the coordinator ends.
    pub(super) async fn keep(&mut self) -> Result<(), Ended> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(Event::Ready { study, .. }) => self.start_clock(study).await?,
                    Ok(_) => {}
                    // Clocks are started by the next worker that is ready.
                    Err(RecvError::Lagged(_)) => (_, self.events) = self.handle.watch().await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = look.tick() => {
                    self.look_at_clocks().await?;
                    self.publish().await?;
                }
            }
        }
    }

    /// Waits until nothing is being written.
    pub(super) async fn settle(&mut self) {
        for publisher in self.publishers.values_mut() {
            publisher.settle().await;
        }
    }

    /// Making the environment does not count towards the time limit, so it runs from the first worker that is ready.
    async fn start_clock(&mut self, study: StudyId) -> Result<(), Ended> {
        if self.clocks.contains_key(&study) {
            return Ok(());
        }
        let asked = study.clone();
        let limit = self.handle.ask(move |state, _| {
            let known = state.studies.get(&asked).filter(|known| !known.is_finished())?;
            Duration::try_from_secs_f64(known.spec.limits.study_seconds?).ok()
        });
        if let Some(limit) = limit.await? {
            let now = Instant::now();
            self.clocks
                .insert(study, Clock { search: Some(now + limit.mul_f64(SEARCH_SHARE)), all: now + limit });
        }
        Ok(())
    }

    async fn look_at_clocks(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let mut over = Vec::new();
        for (study, clock) in &mut self.clocks {
            if clock.search.is_some_and(|at| at <= now) {
                clock.search = None;
                over.push(Input::SearchTimeOver { study: study.clone() });
            }
            if clock.all <= now {
                over.push(Input::TimeOver { study: study.clone() });
            }
        }
        self.clocks.retain(|_, clock| clock.all > now);
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
